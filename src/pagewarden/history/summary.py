"""What a stretch of the history comes to: slices of time by zone, and what was counted in each. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from pagewarden.history.types import Overview, Sample, Slice, ZoneOverview, ZoneSample

_PRESSURE = ("pressure_some_us", "pressure_full_us")


def overview(samples: Iterable[Sample], since_seconds: float, until_seconds: float, slices: int) -> Overview:
    """Divide the time into slices of equal length and say of each the worst that was seen in it.

    :param samples: the oldest first.
    """
    step = max(until_seconds - since_seconds, 1.0) / slices
    parts: list[list[Sample]] = [[] for _ in range(slices)]
    every = []
    for sample in samples:
        if since_seconds <= sample.at_seconds <= until_seconds:
            parts[min(int((sample.at_seconds - since_seconds) / step), slices - 1)].append(sample)
            every.append(sample)
    counted = _counted_by_slice(parts)
    return Overview(
        since_seconds=since_seconds,
        until_seconds=until_seconds,
        reading_count=len(every),
        boot_count=len({sample.boot_id for sample in every}),
        first_seconds=every[0].at_seconds if every else None,
        last_seconds=every[-1].at_seconds if every else None,
        zones=_zones(every, parts),
        slices=tuple(
            Slice(since_seconds + index * step, since_seconds + (index + 1) * step, counts)
            for index, counts in enumerate(counted)
        ),
    )


def _zones(every: Sequence[Sample], parts: Sequence[Sequence[Sample]]) -> tuple[ZoneOverview, ...]:
    lowest: dict[tuple[int, str], tuple[Sample, ZoneSample]] = {}
    for sample in every:
        for zone in sample.zones:
            known = lowest.get((zone.node, zone.zone))
            if known is None or zone.lowest_free_pages < known[1].lowest_free_pages:
                lowest[zone.node, zone.zone] = (sample, zone)
    by_slice = [_lowest_of(part) for part in parts]
    return tuple(
        ZoneOverview(sample.page_size, sample.at_seconds, zone, tuple(part.get(place) for part in by_slice))
        for place, (sample, zone) in lowest.items()
    )


def _lowest_of(samples: Iterable[Sample]) -> dict[tuple[int, str], ZoneSample]:
    """Give of each zone the sample with the least free above its low mark."""
    lowest: dict[tuple[int, str], ZoneSample] = {}
    for sample in samples:
        for zone in sample.zones:
            known = lowest.get((zone.node, zone.zone))
            if known is None or _room(zone) < _room(known):
                lowest[zone.node, zone.zone] = zone
    return lowest


def _room(zone: ZoneSample) -> int:
    return zone.lowest_free_pages - zone.low_pages


def _counted_by_slice(parts: Iterable[Iterable[Sample]]) -> list[Mapping[str, int]]:
    """Sum up what the counters gained, by slice; a counter that nobody read is not there."""
    last: dict[str, dict[str, int]] = {}
    counted: list[Mapping[str, int]] = []
    for part in parts:
        sums: dict[str, int] = {}
        for sample in part:
            values = _values(sample)
            # What the first reading of all holds was counted before it; later boots begin at 0.
            first = values if not last else dict.fromkeys(values, 0)
            start = last.get(sample.boot_id, first)
            for name in values.keys() & start.keys():
                sums[name] = sums.get(name, 0) + max(values[name] - start[name], 0)
            last[sample.boot_id] = values
        counted.append(sums)
    return counted


def _values(sample: Sample) -> dict[str, int]:
    values = dict(sample.counters)
    for name in _PRESSURE:
        total_us = getattr(sample, name)
        if total_us is not None:
            values[name] = total_us
    return values

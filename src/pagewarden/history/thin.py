"""Old samples become fewer: nobody asks for the second of last week. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from pagewarden.history.types import Sample, ZoneSample

TIERS = ((2 * 3600, 60), (86_400, 600), (7 * 86_400, 3600))
"""Samples older than the first number of seconds are kept once in every second number of seconds."""


def thinned(samples: Iterable[tuple[int, Sample]], bucket_seconds: int) -> Iterator[tuple[list[int], Sample]]:
    """Merge the samples of each bucket and boot, where there is more than one.

    :param samples: with their row, the oldest first.
    :return: the rows to remove and the sample to put in their place.
    """
    for _, bucket in groupby(samples, lambda entry: int(entry[1].at_seconds // bucket_seconds)):
        # A clock that was set back mixes the readings of two boots.
        boots: dict[str, list[tuple[int, Sample]]] = {}
        for row, sample in bucket:
            boots.setdefault(sample.boot_id, []).append((row, sample))
        for entries in boots.values():
            if len(entries) > 1:
                yield [row for row, _ in entries], merge([sample for _, sample in entries])


def merge(samples: Sequence[Sample]) -> Sample:
    """Make one sample of several of one boot, the oldest first: the lowest free memory and the last counters stay."""
    last = samples[-1]
    start = min(sample.at_seconds - sample.span_seconds for sample in samples)
    zones: dict[tuple[int, str], ZoneSample] = {}
    for sample in samples:
        for zone in sample.zones:
            before = zones.get((zone.node, zone.zone), zone)
            lowest = min(before.lowest_free_pages, zone.lowest_free_pages)
            zones[zone.node, zone.zone] = replace(zone, lowest_free_pages=lowest)
    return replace(last, zones=tuple(zones.values()), span_seconds=max(last.at_seconds - start, 0.0))

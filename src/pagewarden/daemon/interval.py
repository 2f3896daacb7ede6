"""How long the service may sleep: by the distance of free memory to the nearest low mark. Pure."""

from collections.abc import Sequence

from pagewarden.daemon.types import ZoneReading

FAR = 8
"""A zone whose free pages are this many times its low mark above it is far: the longest sleep."""
MATTERS_PERCENT = 1
"""Zones of less than this share of memory (DMA on every large machine) do not decide."""


def weighty(zones: Sequence[ZoneReading]) -> list[ZoneReading]:
    """Give the zones that matter: those that are not tiny beside the machine."""
    total = sum(zone.managed_pages or zone.high_pages for zone in zones)
    return [zone for zone in zones if (zone.managed_pages or zone.high_pages) * 100 >= total * MATTERS_PERCENT]


def nearest_permille(zones: Sequence[ZoneReading]) -> int | None:
    """Give the smallest distance to a low mark, in thousandths of that mark; negative below it; None without zones."""
    distances = [
        (zone.free_pages - zone.low_pages) * 1000 // zone.low_pages for zone in weighty(zones) if zone.low_pages > 0
    ]
    return min(distances, default=None)


def poll_interval_ns(
    zones: Sequence[ZoneReading], before: Sequence[ZoneReading], elapsed_ns: int, shortest_ns: int, longest_ns: int
) -> int:
    """Choose the time until the next poll.

    Between the shortest and the longest, in proportion to the distance of the nearest zone to its low mark; and not
    longer than half of what the zone would take to get there at the rate seen since the last poll. Where nothing is
    known (no zones), the longest.

    :param before: the zones at the last poll, `elapsed_ns` ago.
    """
    distance = nearest_permille(zones)
    if distance is None:
        return longest_ns
    share = max(0, min(distance, FAR * 1000))
    chosen = shortest_ns + (longest_ns - shortest_ns) * share // (FAR * 1000)
    due = _reaches_low_ns(zones, before, elapsed_ns)
    if due is not None:
        chosen = min(chosen, due // 2)
    return max(shortest_ns, min(chosen, longest_ns))


def _reaches_low_ns(zones: Sequence[ZoneReading], before: Sequence[ZoneReading], elapsed_ns: int) -> int | None:
    """Compute when the first zone would reach its low mark if it went on falling as since the last poll."""
    earlier = {(zone.node, zone.name): zone.free_pages for zone in before}
    due: int | None = None
    for zone in weighty(zones):
        fallen = earlier.get((zone.node, zone.name), zone.free_pages) - zone.free_pages
        above = zone.free_pages - zone.low_pages
        if fallen > 0 and above > 0 and elapsed_ns > 0:
            reached = above * elapsed_ns // fallen
            due = reached if due is None else min(due, reached)
    return due

"""How far watermarks are boosted where the kernel does not print it (5.0 to 5.15)."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

_STALE = Fraction(1, 50)
"""Marks were computed from an earlier count of managed pages, up to this part away from the one printed."""


@dataclass(frozen=True, slots=True)
class PrintedMarks:
    """Marks of a zone that is not HighMem (its min mark is of another kind), in pages.

    :ivar gap_pages: from min to low. A boost adds to both.
    """

    min_pages: int
    gap_pages: int
    managed_pages: int


def infer_boost_ranges(zones: Sequence[PrintedMarks]) -> tuple[tuple[int, int], ...]:
    """Compare the min marks of a machine's zones: without a boost they are proportional to the zones' sizes.

    The smallest share is taken for unboosted: a boost is of one zone and passes, so that some zone has none. The gaps
    tell it a second time: they are proportional to the sizes as well, as these were when the marks were computed. A
    balloon (or another taker of managed pages) changes the sizes and no mark, a boost the min marks and no gap; what
    either explains is no boost for certain.

    Kernel: mm/page_alloc.c:__setup_per_zone_wmarks(); mm/memory_hotplug.c:adjust_managed_page_count() sets no marks

    :param zones: those with managed pages.
    :return: for each zone at least and at most how many pages of its min mark are boost.
    """
    return tuple(_range(zone, zones) for zone in zones)


def gap_bounds(min_pages: int, gap_pages: int) -> tuple[int, int]:
    """Least and most of a boost, as one zone's gap tells: a quarter of min without it, or more (scale factor).

    A min mark of more than four gaps is boosted, one of exactly four is not.
    """
    if min_pages >> 2 == gap_pages:
        return 0, 0
    return max(0, min_pages - (4 * gap_pages + 3)), min_pages


def _range(zone: PrintedMarks, zones: Sequence[PrintedMarks]) -> tuple[int, int]:
    floor, ceiling = gap_bounds(zone.min_pages, zone.gap_pages)
    by_size = _base(zone.managed_pages, [(each.min_pages, each.managed_pages) for each in zones], exact=True)
    by_gap = _base(zone.gap_pages, [(each.min_pages, each.gap_pages) for each in zones], exact=False)
    least, most = min(by_size[0], by_gap[0]), max(by_size[1], by_gap[1])
    if zone.min_pages <= most:
        return floor, floor
    return max(floor, min(ceiling, zone.min_pages - most)), min(ceiling, max(floor, zone.min_pages - least))


def _base(size: int, zones: Sequence[tuple[int, int]], *, exact: bool) -> tuple[int, int]:
    """Least and most that the min mark of a zone is without a boost, by the smallest share of SIZE that a zone has.

    :param exact: the sizes are whole pages; otherwise they are rounded down as the marks are.
    """
    part = 0 if exact else 1
    shares = [(Fraction(least, of + part), Fraction(least + 1, of)) for least, of in zones if of]
    if not shares:
        return 0, 0
    low, high = min(shares, key=lambda share: share[1])
    return int(low * size * (1 - _STALE)), int(high * (size + part) * (1 + _STALE))

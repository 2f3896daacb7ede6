"""Why printed marks and reserves differ from what the settings give for the pages managed now.

They may be *stale*: computed from an earlier count of managed pages (memory freed, plugged or ballooned since). Or a
zone was *boosted* after fragmentation and the kernel (5.0 to 5.15) prints the boosted marks, not the boost. Or both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pagewarden.kernel.rules import Gap, ReserveRules, Size, WatermarkRules
from pagewarden.kernel.watermarks import is_special, mult_frac, zone_size
from pagewarden.procfs.types import Node, Zone
from pagewarden.units import kb_to_pages

HiddenBoost = tuple[int, str, int]
"""Node, zone and pages of a boost that is not printed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One number that the model does not reproduce.

    :ivar what: "min", "low", "high", "promo", or "protection[3]".
    """

    node: int
    zone: str
    what: str
    predicted: int
    printed: int


def marks_are_stale(
    zones: Sequence[Zone], rules: WatermarkRules, min_free_kbytes: int, scale: int | None, page_size: int
) -> bool:
    """Whether some earlier counts of managed pages explain the marks.

    For any counts the mins of the zones that share min_free_kbytes add up to it, each rounded down once, and the gaps
    follow from the mins.
    """
    shared = [zone for zone in zones if not is_special(zone, rules)]
    missing = kb_to_pages(min_free_kbytes, page_size) - sum(_raw_min(zone) for zone in shared)
    return 0 <= missing < max(1, len(shared)) and all(_gap_is_possible(zone, rules, scale) for zone in shared)


MOST_SCALE = 3000
"""The largest vm.watermark_scale_factor any kernel takes."""


def scale_factor(zones: Sequence[Zone], rules: WatermarkRules) -> int | None:
    """The least vm.watermark_scale_factor above the default that gives every gap; None where no gap tells it.

    Every value that gives the gaps wider than a quarter of min, and none wider than printed, gives the same marks.
    """
    least, most, told = 11, MOST_SCALE, False
    for zone in zones:
        gap, pages = zone.low_pages - zone.min_pages, zone_size(zone, rules.size)
        if not pages:
            continue
        # The largest factor, and the smallest, for which pages * factor / 10000, rounded down, is this gap.
        most = min(most, -(-(gap + 1) * 10000 // pages) - 1)
        if gap > _raw_min(zone) >> 2 and not is_special(zone, rules):
            least, told = max(least, -(-gap * 10000 // pages)), True
    return least if told and least <= most else None


def _raw_min(zone: Zone) -> int:
    return zone.min_pages - (zone.boost_pages or 0)


def _gap_is_possible(zone: Zone, rules: WatermarkRules, scale: int | None) -> bool:
    share = _raw_min(zone)
    low, high = zone.low_pages - zone.min_pages, zone.high_pages - zone.min_pages
    if rules.gap is Gap.FRACTIONS:
        return (low, high) == (share * 5 // 4 - share, share * 6 // 4 - share)
    if rules.gap is Gap.QUARTERS:
        return (low, high) == (share >> 2, share >> 1)
    # The scaled gap came from the earlier size, which lies between nothing and all pages present.
    widest = mult_frac(zone.spanned_pages, 10 if scale is None else scale, 10000)
    return high == 2 * low and (share >> 2) <= low <= max(share >> 2, widest)


def hidden_boosts(
    zones: Sequence[Zone], differences: Sequence[Difference], rules: WatermarkRules
) -> tuple[HiddenBoost, ...]:
    """Zones whose marks all exceed the prediction by one same number: boosts that are not printed.

    Kernels 5.0 to 5.7 also leave a boost in low and high, for good, when a setting is written while it is in force.
    """
    found = []
    for zone in zones:
        excess = {d.what: d.printed - d.predicted for d in differences if (d.node, d.zone) == (zone.node, zone.name)}
        same = {"low", "high"} <= set(excess) and len(set(excess.values())) == 1 and excess["low"] > 0
        if same and zone.boost_pages is None and rules.boost:
            found.append((zone.node, zone.name, excess["low"]))
    return tuple(found)


def boosts_over_stale_marks(
    zones: Sequence[Zone], rules: WatermarkRules, min_free_kbytes: int, scale: int | None, page_size: int
) -> tuple[HiddenBoost, ...]:
    """Boosts that, taken off, leave marks some earlier counts of managed pages explain; empty where none do.

    A boost leaves the gap alone, and a quarter of a zone's share of min_free_kbytes never exceeds the gap: a larger min
    betrays it. What is left is known to three pages. Where the scale factor decided the gap, as on large machines, the
    gap says nothing of the share; then the share that today's counts give must be near.
    """
    shared = [zone for zone in zones if not is_special(zone, rules)]
    if not all(_boosted_gap_is_possible(zone, rules, scale) for zone in shared):
        return ()
    wanted = kb_to_pages(min_free_kbytes, page_size)
    total = sum(zone_size(zone, rules.size) for zone in shared)
    ranges = [
        _near_share(zone, range_, wanted * zone_size(zone, rules.size) // total if total else 0, rules, scale)
        for zone, range_ in zip(shared, share_ranges(zones, rules, scale), strict=True)
    ]
    spare = wanted - sum(low for low, _ in ranges)
    if spare < 0 or sum(high for _, high in ranges) <= wanted - len(shared):
        return ()
    found = []
    for zone, (low, high) in zip(shared, ranges, strict=True):
        if high < _raw_min(zone):
            share = min(high, low + spare)
            spare -= share - low
            found.append((zone.node, zone.name, zone.min_pages - share))
    return tuple(found)


_NEAR_PERCENT = 3
"""How far the counts that the marks were computed from may lie from today's, where nothing else tells."""


def _near_share(
    zone: Zone, known: tuple[int, int], today: int, rules: WatermarkRules, scale: int | None
) -> tuple[int, int]:
    gap = zone.low_pages - zone.min_pages
    scaled = mult_frac(zone_size(zone, rules.size), 10 if scale is None else scale, 10000)
    by_scale = gap > zone.min_pages >> 2 and abs(gap - scaled) * 100 <= scaled * _NEAR_PERCENT
    least, most = today * (100 - _NEAR_PERCENT) // 100, today * (100 + _NEAR_PERCENT) // 100 + 1
    if zone.boost_pages is not None or not rules.boost or not by_scale or zone.min_pages <= most:
        return known
    return least, most


def share_ranges(zones: Sequence[Zone], rules: WatermarkRules, scale: int | None) -> tuple[tuple[int, int], ...]:
    """Least and most that each zone's share of min_free_kbytes can have been, in pages.

    The min itself, less the boost; but where a boost may be there that is not printed, what the gap allows.

    :return: one pair for each zone that has a share.
    """
    shared = [zone for zone in zones if not is_special(zone, rules)]
    hidden = rules.boost and rules.gap is Gap.SCALED and all(zone.boost_pages is None for zone in zones)
    return tuple(_share_range(zone, rules, scale) if hidden else (_raw_min(zone), _raw_min(zone)) for zone in shared)


def _share_range(zone: Zone, rules: WatermarkRules, scale: int | None) -> tuple[int, int]:
    gap = zone.low_pages - zone.min_pages
    if zone.min_pages >> 2 <= gap:
        return zone.min_pages, zone.min_pages
    scaled = mult_frac(zone_size(zone, rules.size), 10 if scale is None else scale, 10000)
    return (0 if gap <= scaled else 4 * gap), 4 * gap + 3


def _boosted_gap_is_possible(zone: Zone, rules: WatermarkRules, scale: int | None) -> bool:
    unboosted = zone.min_pages >> 2 <= zone.low_pages - zone.min_pages
    same = zone.high_pages - zone.low_pages == zone.low_pages - zone.min_pages
    return _gap_is_possible(zone, rules, scale) if unboosted else same


def reserve_is_stale(nodes: Sequence[Node], differences: Sequence[Difference], rules: ReserveRules) -> bool:
    """Whether some earlier counts of managed pages explain the reserves.

    :param rules: of the release, not of the fit.
    """
    # Possible for some earlier counts: rows never fall (but in 5.8 to 5.10, which forget zones in between) apart from
    # entries that the formula gives as 0, nothing is reserved where it gives none, and the earlier count was not beyond
    # what the zones span.
    spans = {
        (node.node, zone.name): max(1, sum(z.spanned_pages for z in node.zones)) / max(1, _node_size(node))
        for node in nodes
        for zone in node.zones
    }
    differ = {(d.node, d.zone, d.what) for d in differences}
    rows = [
        [
            pages
            for index, pages in enumerate(zone.protection_pages or ())
            if pages or (zone.node, zone.name, f"protection[{index}]") in differ
        ]
        for node in nodes
        for zone in node.zones
    ]
    rising = rules.skipped_not_summed or all(a <= b for row in rows for a, b in pairwise(row))
    return rising and all(d.predicted > 0 and d.printed <= d.predicted * spans[d.node, d.zone] + 1 for d in differences)


def _node_size(node: Node) -> int:
    return sum(zone_size(zone, Size.MANAGED) for zone in node.zones)

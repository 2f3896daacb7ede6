"""Does the model equal this kernel? What zoneinfo prints, beside what the formulas give from zoneinfo's own inputs.

Every snapshot holds both the inputs of the kernel's formulas and their results. The release picks a first guess, the
comparison decides: the variant that reproduces every zone is the one this kernel follows, whatever its name says.

Where none does, the marks may be *stale*: computed from an earlier count of managed pages (memory freed, plugged or
ballooned since). That is told from a misfit by what must hold for any counts: the mins of the zones that share
min_free_kbytes add up to it (each rounded down once), and the gaps follow from the mins.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product

from pagewarden.kernel.lowmem_reserve import default_ratio, setup_per_zone_lowmem_reserve
from pagewarden.kernel.rules import Gap, KernelRules, ReserveRules, Size, WatermarkRules
from pagewarden.kernel.watermarks import Marks, is_special, mult_frac, setup_per_zone_wmarks, zone_size
from pagewarden.kernel.zones import layouts, printed_layout
from pagewarden.procfs.types import Node, Zone
from pagewarden.units import kb_to_pages, pages_to_kb


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings the formulas read, as integers; None where the capture does not hold them."""

    min_free_kbytes: int | None
    watermark_scale_factor: int | None
    lowmem_reserve_ratio: tuple[int, ...] | None
    extra_free_kbytes: int | None = None


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


@dataclass(frozen=True, slots=True)
class Fit:
    """How well the model equals what this kernel printed.

    :ivar exact: every printed mark and reserve is reproduced.
    :ivar stale: not exact, but explained by earlier counts of managed pages; a write of min_free_kbytes (marks) or an
        access to lowmem_reserve_ratio (reserves, before 7.3) refreshes them.
    :ivar rules: the variants that fit best, used for every prediction.
    :ivar variant: name of the watermark variant that fits (exactly or as stale), None where none does.
    :ivar layout: names of all configured zones by index, or None where no `protection` line tells.
    :ivar min_free_kbytes: the value used; where the capture lacks it, inferred from the mins.
    :ivar inferred: min_free_kbytes was inferred.
    :ivar extra_free_kbytes: a vendor's lift of low and high, as set or inferred from the marks.
    :ivar reasons: why each zone that differs may do so, in words.
    """

    exact: bool
    stale: bool
    rules: KernelRules
    variant: str | None
    layout: tuple[str, ...] | None
    min_free_kbytes: int | None
    inferred: bool
    differences: tuple[Difference, ...]
    reasons: tuple[str, ...]
    extra_free_kbytes: int | None = None
    hidden_boost_pages: tuple[tuple[int, str, int], ...] = ()

    @property
    def usable(self) -> bool:
        """Whether predictions for this machine can be trusted: exact, or stale and so refreshed by a write."""
        return self.exact or self.stale


@dataclass(frozen=True, slots=True)
class _MarksFit:
    rules: WatermarkRules
    min_free_kbytes: int | None
    extra_free_kbytes: int | None
    differences: tuple[Difference, ...]


def find_fit(nodes: Sequence[Node], settings: Settings, guess: KernelRules, page_size: int) -> Fit:
    """Compare every variant with what is printed and keep the best; the release's own wins a tie.

    :param guess: the variants the release should follow.
    """
    zones = tuple(zone for node in nodes for zone in node.zones)
    marks = _best_marks(zones, settings, guess.watermarks, page_size)
    layout, reserve, reserve_differences = _best_reserve(nodes, settings.lowmem_reserve_ratio, guess.reserve)
    stale_marks = _marks_are_stale(zones, marks, settings, page_size)
    hidden = () if stale_marks else _hidden_boosts(zones, marks.differences, marks.rules)
    differences = marks.differences + reserve_differences
    stale_reserve = not reserve_differences or _reserve_is_stale(nodes, reserve_differences, guess.reserve)
    stale = bool(differences) and (not marks.differences or stale_marks) and stale_reserve
    return Fit(
        exact=not differences,
        stale=stale,
        rules=guess.with_watermarks(marks.rules).with_reserve(reserve),
        variant=marks.rules.label if not differences or stale else None,
        layout=layout,
        min_free_kbytes=marks.min_free_kbytes,
        inferred=settings.min_free_kbytes is None and marks.min_free_kbytes is not None,
        differences=differences,
        reasons=tuple(_reasons(marks.differences, reserve_differences, hidden, stale_marks, stale_reserve, reserve)),
        extra_free_kbytes=marks.extra_free_kbytes,
        hidden_boost_pages=hidden,
    )


def printed_marks(zone: Zone) -> Marks:
    """The marks as zoneinfo prints them, boost included."""
    return Marks(zone.min_pages, zone.low_pages, zone.high_pages, zone.promo_pages)


def _best_marks(zones: Sequence[Zone], settings: Settings, guess: WatermarkRules, page_size: int) -> _MarksFit:
    # An exact variant, else a vendor's lift that makes one exact, else a variant whose marks are merely stale, else
    # the nearest; the earliest, which is the guess, wins a tie.
    fits = list(_marks_fits(zones, settings, guess, page_size))
    if not fits[-1].differences:
        return fits[-1]
    if settings.extra_free_kbytes is None:
        for fit in fits:
            lifted = _with_inferred_extra(zones, settings, fit, page_size)
            if lifted is not None:
                return lifted
    return min(fits, key=lambda fit: (not _marks_are_stale(zones, fit, settings, page_size), len(fit.differences)))


def _marks_fits(
    zones: Sequence[Zone], settings: Settings, guess: WatermarkRules, page_size: int
) -> Iterator[_MarksFit]:
    for rules in _watermark_variants(zones, guess, settings):
        for min_free in _min_free_candidates(zones, settings.min_free_kbytes, rules, page_size):
            differences = _mark_differences(zones, min_free, settings, rules, page_size, settings.extra_free_kbytes)
            yield _MarksFit(rules, min_free, settings.extra_free_kbytes, differences)
            if not differences:
                return


def _watermark_variants(zones: Sequence[Zone], guess: WatermarkRules, settings: Settings) -> Iterator[WatermarkRules]:
    # Only variants that what is printed does not rule out: the scale factor exists exactly where gaps are scaled, and
    # the kernels that print cma, boost or promo (5.12 and later) have it.
    sizes = [guess.size, *(size for size in Size if size is not guess.size)]
    if all(zone.managed_pages is None for zone in zones):
        sizes = [Size.PRESENT]
    gaps = list(dict.fromkeys((guess.gap, Gap.SCALED, Gap.QUARTERS, Gap.FRACTIONS)))
    recent = any((zone.cma_pages, zone.boost_pages, zone.promo_pages) != (None, None, None) for zone in zones)
    if settings.watermark_scale_factor is not None or recent:
        gaps = [Gap.SCALED]
    for gap, size, special in product(gaps, sizes, (guess.movable_special, not guess.movable_special)):
        yield replace(guess, size=size, gap=gap, movable_special=special)


def _min_free_candidates(
    zones: Sequence[Zone], known: int | None, rules: WatermarkRules, page_size: int
) -> Iterable[int]:
    # Each share is rounded down once, so the mins miss min_free_kbytes by less than a page per zone.
    if known is not None:
        return (known,)
    shared = [zone for zone in zones if not is_special(zone, rules)]
    total = sum(zone.min_pages - (zone.boost_pages or 0) for zone in shared)
    return [pages_to_kb(total + missing, page_size) for missing in range(max(1, len(shared)))]


def _mark_differences(
    zones: Sequence[Zone],
    min_free: int,
    settings: Settings,
    rules: WatermarkRules,
    page_size: int,
    extra: int | None,
) -> tuple[Difference, ...]:
    predicted = setup_per_zone_wmarks(zones, min_free, settings.watermark_scale_factor, rules, page_size, extra)
    return tuple(
        Difference(zone.node, zone.name, what, expected, printed)
        for zone, marks in zip(zones, predicted, strict=True)
        for what, expected, printed in _mark_pairs(zone, marks.raised(zone.boost_pages or 0))
        if expected != printed
    )


def _mark_pairs(zone: Zone, marks: Marks) -> Iterator[tuple[str, int, int]]:
    yield "min", marks.min_pages, zone.min_pages
    yield "low", marks.low_pages, zone.low_pages
    yield "high", marks.high_pages, zone.high_pages
    if zone.promo_pages is not None and marks.promo_pages is not None:
        yield "promo", marks.promo_pages, zone.promo_pages


def _with_inferred_extra(
    zones: Sequence[Zone], settings: Settings, marks: _MarksFit, page_size: int
) -> _MarksFit | None:
    # A vendor kernel whose setting was not captured: the lift is what low - min has beyond high - low, split by size.
    lifts = [zone.low_pages - zone.min_pages - (zone.high_pages - zone.low_pages) for zone in zones]
    if marks.min_free_kbytes is None or max(lifts, default=0) < 32 or min(lifts) < -1:
        return None
    for pages in range(sum(lifts), sum(lifts) + len(zones) + 1):
        extra = pages_to_kb(pages, page_size)
        differences = _mark_differences(zones, marks.min_free_kbytes, settings, marks.rules, page_size, extra)
        if not differences:
            return replace(marks, extra_free_kbytes=extra, differences=())
    return None


def _marks_are_stale(zones: Sequence[Zone], fit: _MarksFit, settings: Settings, page_size: int) -> bool:
    if not fit.differences or fit.min_free_kbytes is None or fit.extra_free_kbytes:
        return False
    shared = [zone for zone in zones if not is_special(zone, fit.rules)]
    missing = kb_to_pages(fit.min_free_kbytes, page_size) - sum(z.min_pages - (z.boost_pages or 0) for z in shared)
    if not 0 <= missing < max(1, len(shared)):
        return False
    return all(_gap_is_possible(zone, fit.rules, settings.watermark_scale_factor) for zone in shared)


def _gap_is_possible(zone: Zone, rules: WatermarkRules, scale: int | None) -> bool:
    share = zone.min_pages - (zone.boost_pages or 0)
    low, high = zone.low_pages - zone.min_pages, zone.high_pages - zone.min_pages
    if rules.gap is Gap.FRACTIONS:
        return (low, high) == (share * 5 // 4 - share, share * 6 // 4 - share)
    if rules.gap is Gap.QUARTERS:
        return (low, high) == (share >> 2, share >> 1)
    # The scaled gap came from the earlier size, which lies between nothing and all pages present.
    widest = mult_frac(zone.spanned_pages, 10 if scale is None else scale, 10000)
    return high == 2 * low and (share >> 2) <= low <= max(share >> 2, widest)


def _hidden_boosts(
    zones: Sequence[Zone], differences: Sequence[Difference], rules: WatermarkRules
) -> tuple[tuple[int, str, int], ...]:
    # 5.0 to 5.15 print boosted marks and no boost: then min, low and high exceed the prediction by one same number.
    found = []
    for zone in zones:
        excess = [d.printed - d.predicted for d in differences if (d.node, d.zone) == (zone.node, zone.name)]
        same = len(excess) >= 3 and len(set(excess)) == 1 and excess[0] > 0
        if same and zone.boost_pages is None and rules.boost:
            found.append((zone.node, zone.name, excess[0]))
    return tuple(found)


def place(node: Node, layout: Sequence[str]) -> tuple[Zone | None, ...]:
    """The node's zones by zone index; None for configured zones that are not printed."""
    named = {zone.name: zone for zone in node.zones}
    return tuple(named.get(name) for name in layout)


def predict_protection(
    nodes: Sequence[Node], layout: Sequence[str], ratio: Sequence[int], rules: ReserveRules
) -> dict[tuple[int, str], tuple[int, ...]]:
    """Every zone's reserves, by (node, zone). Kernel: mm/page_alloc.c:setup_per_zone_lowmem_reserve()"""
    predicted = {}
    for node in nodes:
        rows = setup_per_zone_lowmem_reserve(place(node, layout), ratio, rules)
        predicted.update({(node.node, name): row for name, row in zip(layout, rows, strict=True)})
    return predicted


def _best_reserve(
    nodes: Sequence[Node], ratio: tuple[int, ...] | None, guess: ReserveRules
) -> tuple[tuple[str, ...] | None, ReserveRules, tuple[Difference, ...]]:
    zones = [zone for node in nodes for zone in node.zones if zone.protection_pages is not None]
    if not zones:
        return None, guess, ()
    printed = printed_layout(nodes)
    width = max(len(zone.protection_pages or ()) for zone in zones)
    candidates = [printed] if printed else list(layouts((zone.name for zone in zones), width))
    # Ratios nobody changed tell the zones: 256 each for DMA and DMA32, 32 for Normal.
    candidates.sort(key=lambda layout: default_ratio(layout, guess) != ratio)
    found: list[tuple[tuple[str, ...] | None, ReserveRules, tuple[Difference, ...]]] = []
    for rules, layout in product(_reserve_variants(nodes, guess), candidates):
        if ratio is not None and len(ratio) not in (len(layout), len(layout) - 1):
            continue
        differences = _reserve_differences(
            nodes, layout, default_ratio(layout, rules) if ratio is None else ratio, rules
        )
        found.append((layout, rules, differences))
        if not differences:
            return found[-1]
    if not found:
        return None, guess, tuple(_unplaced(zones))
    return min(found, key=lambda best: (not _reserve_is_stale(nodes, best[2], guess), len(best[2])))


def _reserve_variants(nodes: Sequence[Node], guess: ReserveRules) -> Iterator[ReserveRules]:
    sizes = [guess.size, *(size for size in Size if size is not guess.size)]
    if all(zone.managed_pages is None for node in nodes for zone in node.zones):
        sizes = [Size.PRESENT]
    skips = ((guess.skip_empty, guess.skipped_not_summed), (False, False), (True, False), (True, True))
    for size, (skip, not_summed) in product(sizes, dict.fromkeys(skips)):
        yield replace(guess, size=size, skip_empty=skip, skipped_not_summed=not_summed)


def _reserve_differences(
    nodes: Sequence[Node], layout: Sequence[str], ratio: Sequence[int], rules: ReserveRules
) -> tuple[Difference, ...]:
    predicted = predict_protection(nodes, layout, ratio, rules)
    return tuple(
        Difference(zone.node, zone.name, f"protection[{index}]", expected, printed)
        for node in nodes
        for zone in node.zones
        if zone.protection_pages is not None
        for index, (expected, printed) in enumerate(
            zip(predicted[zone.node, zone.name], zone.protection_pages, strict=False)
        )
        if expected != printed
    )


def _unplaced(zones: Iterable[Zone]) -> Iterator[Difference]:
    # No layout of zones known to us holds these names: nothing can be predicted, so everything printed differs.
    for zone in zones:
        for index, printed in enumerate(zone.protection_pages or ()):
            if printed:
                yield Difference(zone.node, zone.name, f"protection[{index}]", 0, printed)


def _reserve_is_stale(nodes: Sequence[Node], differences: Sequence[Difference], rules: ReserveRules) -> bool:
    # Possible for some earlier counts: rows never fall (but in 5.8 and 5.9, which forget zones in between), nothing is
    # reserved where the formula gives none, and the earlier count was not beyond what the zones span.
    spans = {
        (node.node, zone.name): max(1, sum(z.spanned_pages for z in node.zones)) / max(1, _node_size(node))
        for node in nodes
        for zone in node.zones
    }
    rows = [zone.protection_pages or () for node in nodes for zone in node.zones]
    rising = rules.skipped_not_summed or all(a <= b for row in rows for a, b in pairwise(row))
    return rising and all(d.predicted > 0 and d.printed <= d.predicted * spans[d.node, d.zone] + 1 for d in differences)


def _node_size(node: Node) -> int:
    return sum(zone_size(zone, Size.MANAGED) for zone in node.zones)


def _reasons(
    marks: Sequence[Difference],
    reserve: Sequence[Difference],
    hidden: Sequence[tuple[int, str, int]],
    stale_marks: bool,
    stale_reserve: bool,
    reserve_rules: ReserveRules,
) -> Iterator[str]:
    boosted = {(node, zone) for node, zone, _ in hidden}
    for node, zone, pages in hidden:
        yield (
            f"node {node} {zone}: min, low and high are all {pages} pages above the formula: a watermark boost, which "
            "this kernel does not print"
        )
    for node, zone in dict.fromkeys((d.node, d.zone) for d in marks if (d.node, d.zone) not in boosted):
        yield f"node {node} {zone}: " + (
            "marks date from an earlier count of managed pages (memory was freed to the allocator or plugged since); "
            "the next write of vm.min_free_kbytes renews them"
            if stale_marks
            else "marks follow none of the formulas known here (a vendor's variant, or files of different instants)"
        )
    for node, zone in dict.fromkeys((d.node, d.zone) for d in reserve):
        yield f"node {node} {zone}: " + (
            "protection dates from an earlier count of managed pages; "
            "the next access to vm.lowmem_reserve_ratio renews it"
            if stale_reserve
            else f"protection follows none of the formulas known here (nearest: {reserve_rules.label})"
        )

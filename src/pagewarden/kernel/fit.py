"""Does the model equal this kernel? What zoneinfo prints, beside what the formulas give from zoneinfo's own inputs.

Every snapshot holds both the inputs of the kernel's formulas and their results. The release picks a first guess, the
comparison decides: the variant that reproduces every zone is the one this kernel follows, whatever its name says.

Where none does, the numbers may still be explained: see `fit_causes`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from pagewarden.kernel.fit_causes import Difference as Difference
from pagewarden.kernel.fit_causes import (
    HiddenBoost,
    boosts_over_stale_marks,
    hidden_boosts,
    marks_are_stale,
    reserve_is_stale,
    scale_factor,
    share_ranges,
)
from pagewarden.kernel.lowmem_reserve import default_ratio, setup_per_zone_lowmem_reserve
from pagewarden.kernel.rules import Gap, KernelRules, ReserveRules, Size, WatermarkRules
from pagewarden.kernel.watermarks import Marks, is_special, setup_per_zone_wmarks
from pagewarden.kernel.zones import layouts, printed_layout, zones_left_out
from pagewarden.procfs.types import Node, Zone
from pagewarden.units import pages_to_kb

HUGE_PAGE_UNIT_KB = 11 * 256 * 4
"""What khugepaged asks for is a multiple of this on every architecture: 11 page blocks of at least 1 MiB a zone."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings the formulas read, as integers; None where the capture does not hold them."""

    min_free_kbytes: int | None
    watermark_scale_factor: int | None
    lowmem_reserve_ratio: tuple[int, ...] | None
    extra_free_kbytes: int | None = None


@dataclass(frozen=True, slots=True)
class Fit:
    """How well the model equals what this kernel printed.

    :ivar exact: every printed mark and reserve is reproduced.
    :ivar stale: not exact, but explained by earlier counts of managed pages or by boosts that are not printed; a write
        of min_free_kbytes (marks) or an access to lowmem_reserve_ratio (reserves, before 7.3) refreshes them.
    :ivar rules: the variants that fit best, used for every prediction.
    :ivar variant: name of the watermark variant that fits (exactly or as stale), None where none does.
    :ivar layout: names of all configured zones by index, or None where no `protection` line tells.
    :ivar min_free_kbytes: the value used; where the capture lacks it, inferred from the mins.
    :ivar inferred: min_free_kbytes was inferred.
    :ivar extra_free_kbytes: a vendor's lift of low and high, as set or inferred from the marks.
    :ivar watermark_scale_factor: as set or inferred from the gaps between the marks; None where neither tells, and the
        default was taken.
    :ivar zones_left_out: the capture holds some of the machine's zones only; what is inferred leaves the others out.
    :ivar reasons: why each zone that differs may do so, in words.
    :ivar hidden_boost_pages: boosts contained in printed marks that this kernel does not print.
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
    watermark_scale_factor: int | None = None
    zones_left_out: bool = False
    hidden_boost_pages: tuple[HiddenBoost, ...] = ()

    def boosted_now(self, zone: Zone) -> int:
        """Pages of boost in force in a zone, printed or not; one that only low and high still contain is over."""
        if zone.boost_pages is not None:
            return zone.boost_pages
        if not any((d.node, d.zone, d.what) == (zone.node, zone.name, "min") for d in self.differences):
            return 0
        return next(
            (pages for node, name, pages in self.hidden_boost_pages if (node, name) == (zone.node, zone.name)), 0
        )

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
    if marks.differences and not any(_mark_causes(zones, marks, settings, page_size)):
        settings, marks = _with_inferred_scale(zones, settings, marks, guess.watermarks, page_size)
    layout, reserve, reserve_differences = _best_reserve(nodes, settings.lowmem_reserve_ratio, guess.reserve)
    stale_marks, hidden = _mark_causes(zones, marks, settings, page_size)
    differences = marks.differences + reserve_differences
    stale_reserve = not reserve_differences or reserve_is_stale(nodes, reserve_differences, guess.reserve)
    told = stale_marks or {(d.node, d.zone) for d in marks.differences} <= {(node, zone) for node, zone, _ in hidden}
    stale = bool(differences) and told and stale_reserve
    left_out = zones_left_out(nodes)
    no_reserve_formula = None if stale_reserve else _why_not(reserve, left_out=left_out)
    return Fit(
        exact=not differences,
        stale=stale,
        rules=guess.with_watermarks(marks.rules).with_reserve(reserve),
        variant=marks.rules.label if not differences or stale else None,
        layout=layout,
        min_free_kbytes=marks.min_free_kbytes,
        inferred=settings.min_free_kbytes is None and marks.min_free_kbytes is not None,
        differences=differences,
        reasons=tuple(_reasons(marks.differences, reserve_differences, hidden, stale_marks, no_reserve_formula)),
        extra_free_kbytes=marks.extra_free_kbytes,
        watermark_scale_factor=settings.watermark_scale_factor,
        zones_left_out=left_out,
        hidden_boost_pages=hidden,
    )


def _mark_causes(
    zones: Sequence[Zone], fit: _MarksFit, settings: Settings, page_size: int
) -> tuple[bool, tuple[HiddenBoost, ...]]:
    """Whether the marks are those of earlier counts, and the boosts on top of them."""
    if not fit.differences or _explained(zones, fit, settings, page_size):
        return bool(fit.differences), ()
    hidden = hidden_boosts(zones, fit.differences, fit.rules)
    if {(d.node, d.zone) for d in fit.differences} <= {(node, zone) for node, zone, _ in hidden}:
        return False, hidden
    over = _boosts_over(zones, fit, settings, page_size)
    return bool(over), over or hidden


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
    return min(fits, key=lambda fit: _unlikeliness(zones, fit, settings, page_size))


def _unlikeliness(zones: Sequence[Zone], fit: _MarksFit, settings: Settings, page_size: int) -> tuple[object, ...]:
    if _explained(zones, fit, settings, page_size):
        kind = 0
    else:
        kind = 1 if _boosts_over(zones, fit, settings, page_size) else 2
    odd = settings.min_free_kbytes is None and (fit.min_free_kbytes or 0) % HUGE_PAGE_UNIT_KB != 0
    return kind, kind < 2 and odd, len(fit.differences)


def _explained(zones: Sequence[Zone], fit: _MarksFit, settings: Settings, page_size: int) -> bool:
    if not fit.differences or fit.min_free_kbytes is None or fit.extra_free_kbytes:
        return False
    return marks_are_stale(zones, fit.rules, fit.min_free_kbytes, settings.watermark_scale_factor, page_size)


def _boosts_over(zones: Sequence[Zone], fit: _MarksFit, settings: Settings, page_size: int) -> tuple[HiddenBoost, ...]:
    if fit.min_free_kbytes is None or fit.extra_free_kbytes:
        return ()
    return boosts_over_stale_marks(zones, fit.rules, fit.min_free_kbytes, settings.watermark_scale_factor, page_size)


def _marks_fits(
    zones: Sequence[Zone], settings: Settings, guess: WatermarkRules, page_size: int
) -> Iterator[_MarksFit]:
    for rules in _watermark_variants(zones, guess, settings):
        for min_free in _min_free_candidates(zones, settings, rules, page_size):
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
    zones: Sequence[Zone], settings: Settings, rules: WatermarkRules, page_size: int
) -> Iterable[int]:
    # Each share is rounded down once, so the mins miss min_free_kbytes by less than a page per zone.
    if settings.min_free_kbytes is not None:
        return (settings.min_free_kbytes,)
    ranges = share_ranges(zones, rules, settings.watermark_scale_factor)
    least, most = sum(low for low, _ in ranges), sum(high for _, high in ranges)
    if most - least > 4 * len(ranges):
        shared = (zone for zone in zones if not is_special(zone, rules))
        most = least = sum(zone.min_pages - (zone.boost_pages or 0) for zone in shared)
    candidates = [pages_to_kb(pages, page_size) for pages in range(least, most + max(1, len(ranges)))]
    return sorted(candidates, key=lambda kb: kb % HUGE_PAGE_UNIT_KB != 0)


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


def _with_inferred_scale(
    zones: Sequence[Zone], settings: Settings, marks: _MarksFit, guess: WatermarkRules, page_size: int
) -> tuple[Settings, _MarksFit]:
    # Somebody widened the gaps, and the setting was not captured: the one that reproduces every mark, if one does.
    if settings.watermark_scale_factor is None and guess.gap is Gap.SCALED:
        scale = scale_factor(zones, marks.rules)
        scaled = replace(settings, watermark_scale_factor=scale)
        fits = list(_marks_fits(zones, scaled, guess, page_size)) if scale is not None else []
        if fits and not fits[-1].differences:
            return scaled, fits[-1]
    return settings, marks


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
    if not guess.movable:
        candidates.sort(key=lambda layout: "Movable" in layout)
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
    return min(found, key=lambda best: (not reserve_is_stale(nodes, best[2], guess), len(best[2])))


def _reserve_variants(nodes: Sequence[Node], guess: ReserveRules) -> Iterator[ReserveRules]:
    sizes = [guess.size, *(size for size in Size if size is not guess.size)]
    if all(zone.managed_pages is None for node in nodes for zone in node.zones):
        sizes = [Size.PRESENT]
    faults = (
        (guess.skip_empty, guess.skipped_not_summed, guess.empty_upper_zero),
        (False, False, False),
        (True, False, False),
        (True, True, False),
        (True, False, True),
    )
    for size, (skip, not_summed, zero) in product(sizes, dict.fromkeys(faults)):
        yield replace(guess, size=size, skip_empty=skip, skipped_not_summed=not_summed, empty_upper_zero=zero)


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


def _boost_reason(pages: int, stale_marks: bool, in_min: bool) -> str:
    if stale_marks:
        return (
            f"marks contain a boost of about {pages} pages, which this kernel does not print, over marks that date "
            "from an earlier count of managed pages"
        )
    if in_min:
        return f"marks are {pages} pages above the formula: a watermark boost, which this kernel does not print"
    return (
        f"low and high are {pages} pages above the formula, min is not: kernels 5.0 to 5.7 leave a boost in them when "
        "a setting is written during one; the next write of vm.min_free_kbytes takes it out"
    )


def _unplaced(zones: Iterable[Zone]) -> Iterator[Difference]:
    # No layout of zones known to us holds these names: nothing can be predicted, so everything printed differs.
    for zone in zones:
        for index, printed in enumerate(zone.protection_pages or ()):
            if printed:
                yield Difference(zone.node, zone.name, f"protection[{index}]", 0, printed)


def _why_not(rules: ReserveRules, *, left_out: bool) -> str:
    if left_out:
        return "protection counts zones that this capture lacks"
    return f"protection follows none of the formulas known here (nearest: {rules.label})"


def _reasons(
    marks: Sequence[Difference],
    reserve: Sequence[Difference],
    hidden: Sequence[tuple[int, str, int]],
    stale_marks: bool,
    no_reserve_formula: str | None,
) -> Iterator[str]:
    boosted = {(node, zone) for node, zone, _ in hidden}
    printed = {(d.node, d.zone, d.what) for d in marks}
    for node, zone, pages in hidden:
        yield f"node {node} {zone}: {_boost_reason(pages, stale_marks, (node, zone, 'min') in printed)}"
    for node, zone in dict.fromkeys((d.node, d.zone) for d in marks if (d.node, d.zone) not in boosted):
        yield f"node {node} {zone}: " + (
            "marks date from an earlier count of managed pages (memory was freed to the allocator or plugged since); "
            "the next write of vm.min_free_kbytes renews them"
            if stale_marks
            else "marks follow none of the formulas known here (a vendor's variant, or files of different instants)"
        )
    for node, zone in dict.fromkeys((d.node, d.zone) for d in reserve):
        yield f"node {node} {zone}: " + (
            no_reserve_formula
            or "protection dates from an earlier count of managed pages; "
            "the next access to vm.lowmem_reserve_ratio renews it"
        )

"""May this request take a page from this zone, and why not: the kernel's own check, replayed in exact integers.

Everything is strict: a zone passes only if the free pages that count are more than the mark plus the reserve.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from pagewarden.kernel.allocation_boost import gap_bounds
from pagewarden.kernel.allocation_rights import Attempt, attempts
from pagewarden.kernel.allocation_rules import AllocationRules, Boost, Cma, FastPath, HighAtomic, OrderTest
from pagewarden.kernel.gfp import GfpFlags


class Verdict(StrEnum):
    """What the check says of one zone (the words of the JSON contract)."""

    WOULD_PASS = "would-pass"
    BELOW_MARK = "below-mark"
    LOWMEM_RESERVE = "lowmem-reserve"
    NO_BLOCK = "no-block"
    NOT_ELIGIBLE = "not-eligible"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ZoneState:
    """One zone at the moment of the request, in pages.

    :ivar min_pages: with low and high as printed: a boost is contained in each.
    :ivar boost_pages: None where it is not printed (before 5.16).
    :ivar free_blocks: count by order; None where they are not printed.
    :ivar block_types: by order the letters of the kinds of blocks free ("UME"); None where the format has none
        (before 3.8).
    :ivar highatomic_pages: at least and at most how many pages the highatomic reserve withholds from ordinary callers.
    :ivar cma_pages: free CMA pages.
    :ivar blocks_cut: the list of free blocks ends early: what is free in larger orders is not known.
    :ivar boost_range: at least and at most how large the boost is, where it is not printed but something tells.
    """

    free_pages: int
    min_pages: int
    low_pages: int
    high_pages: int
    boost_pages: int | None
    free_blocks: tuple[int, ...] | None
    block_types: tuple[str, ...] | None
    highatomic_pages: tuple[int, int]
    cma_pages: int
    blocks_cut: bool = False
    boost_range: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class AllocRequest:
    """What was asked for, and by whom as far as the allocator looks at that.

    :ivar realtime: the task has a real-time priority.
    :ivar victim: the task was chosen by the OOM killer.
    :ivar memalloc: the task frees memory itself (PF_MEMALLOC: kswapd, direct reclaim).
    :ivar in_interrupt: none of the task's privileges count.
    """

    order: int
    flags: GfpFlags
    realtime: bool = False
    victim: bool = False
    memalloc: bool = False
    in_interrupt: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """The check of one zone.

    The first comparison passes when `available_pages` is at least `required_pages`.

    :ivar mark: the watermark and its discounts: "min 477 - 1/2 - 1/4 = 180".
    :ivar base_mark_pages: the watermark this caller's discounts are taken off.
    :ivar mark_pages: what is left of it.
    :ivar required_pages: the smallest number of pages that count with which the first comparison passes: mark, reserve
        and the pages asked for.
    :ivar available_pages: free pages less those this caller may not use.
    :ivar withheld_pages: those: of the highatomic reserve and CMA.
    :ivar usable_order: the largest order of which a block is free that this caller may take; None where there is none,
        or where the free blocks are not known.
    :ivar failed_order: the order at which the loop over smaller blocks failed (until 4.3), with the two sides of that
        comparison in `loop_pages`: what was left, which should have been more than the second.
    :ivar reason: why the verdict is "unknown"; empty otherwise.
    :ivar steps: the arithmetic, line by line, for somebody who checks it.
    """

    verdict: Verdict
    mark: str
    base_mark_pages: int
    mark_pages: int
    reserve_pages: int
    required_pages: int
    available_pages: int
    withheld_pages: int
    usable_order: int | None
    failed_order: int | None = None
    loop_pages: tuple[int, int] | None = None
    reason: str = ""
    steps: tuple[str, ...] = ()

    @property
    def short_pages(self) -> int:
        """By how many pages the first comparison failed; 0 where it passed."""
        return max(0, self.required_pages - self.available_pages)

    @property
    def required_free_pages(self) -> int:
        """The smallest number of free pages of the zone, withheld ones included, that passes the first comparison."""
        return self.required_pages + self.withheld_pages


def check_zone(
    state: ZoneState, request: AllocRequest, rules: AllocationRules, reserve_pages: int, mark: str = "min"
) -> Check:
    """Replay the check of a zone that the request may use.

    Where a number is not printed, the least and the most it can be are tried. A zone that refuses even at best is
    answered with the numbers of that case, any other with those of the worst; where the two disagree the verdict is
    "unknown" and `reason` says on what it depends.

    Kernel: mm/page_alloc.c:zone_watermark_ok() (until 2.6.36), __zone_watermark_ok(), zone_watermark_fast()

    :param reserve_pages: the zone's lowmem_reserve against this request.
    :param mark: "min" (the last attempt, discounts apply), "low" (the first) or "high" (the OOM killer's last look).
    """
    highatomic = state.highatomic_pages if rules.highatomic is not HighAtomic.NONE else (0, 0)
    boost = _boost_bounds(state)
    best = _best_attempt(state, request, rules, reserve_pages, mark, highatomic[0], boost[1])
    if best.verdict is not Verdict.WOULD_PASS or (highatomic[0] == highatomic[1] and boost[0] == boost[1]):
        return best
    worst = _best_attempt(state, request, rules, reserve_pages, mark, highatomic[1], boost[0])
    if worst.verdict is Verdict.WOULD_PASS:
        return worst
    with_boost = _best_attempt(state, request, rules, reserve_pages, mark, highatomic[0], boost[0])
    if with_boost.verdict is Verdict.WOULD_PASS:
        doubt, (least, most) = "the highatomic reserve", highatomic
    else:
        doubt, (least, most) = "the boost of its watermarks", boost
    reason = f"it depends on {doubt}, which is not printed (between {least} and {most} pages)"
    return replace(worst, verdict=Verdict.UNKNOWN, reason=reason)


def passes(
    state: ZoneState, request: AllocRequest, rules: AllocationRules, reserve_pages: int, mark: str = "min"
) -> bool | None:
    """Whether the zone would give the page; None where that cannot be told."""
    verdict = check_zone(state, request, rules, reserve_pages, mark).verdict
    return None if verdict is Verdict.UNKNOWN else verdict is Verdict.WOULD_PASS


def _boost_bounds(state: ZoneState) -> tuple[int, int]:
    """Least and most that a boost can be."""
    if state.boost_pages is not None:
        return state.boost_pages, state.boost_pages
    if state.boost_range is not None:
        return state.boost_range
    return gap_bounds(state.min_pages, state.low_pages - state.min_pages)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One form of the first comparison: it passes if free less withheld is more than mark plus reserve."""

    base: int
    mark: int
    reserve: int
    withheld: int
    text: str
    steps: tuple[str, ...]


def _best_attempt(
    state: ZoneState,
    request: AllocRequest,
    rules: AllocationRules,
    reserve: int,
    mark: str,
    highatomic: int,
    boost: int,
) -> Check:
    """The attempt of this caller that comes nearest to success, or the first that succeeds."""
    checks = [
        _check(state, request, rules, attempt, reserve, mark, highatomic, boost)
        for attempt in attempts(request.order, request.flags, rules, mark, _privileges(request))
    ]
    return min(checks, key=lambda check: (_BADNESS[check.verdict], check.required_free_pages))


_BADNESS = {
    Verdict.WOULD_PASS: 0,
    Verdict.UNKNOWN: 1,
    Verdict.NO_BLOCK: 2,
    Verdict.LOWMEM_RESERVE: 3,
    Verdict.BELOW_MARK: 4,
    Verdict.NOT_ELIGIBLE: 5,
}


def _privileges(request: AllocRequest) -> frozenset[str]:
    if request.in_interrupt:
        return frozenset()
    return frozenset(name for name in ("realtime", "victim", "memalloc") if getattr(request, name))


def _check(
    state: ZoneState,
    request: AllocRequest,
    rules: AllocationRules,
    attempt: Attempt,
    reserve: int,
    mark: str,
    highatomic: int,
    boost: int,
) -> Check:
    pages = (1 << request.order) + (2 if rules.off_by_two and not attempt.no_watermarks else 0)
    forms = _comparisons(state, request, rules, attempt, reserve, mark, highatomic, boost)
    best = min(forms, key=lambda form: form.mark + form.withheld)
    required, available = best.mark + best.reserve + pages, state.free_pages - best.withheld
    check = Check(
        verdict=Verdict.WOULD_PASS,
        mark=best.text,
        base_mark_pages=best.base,
        mark_pages=best.mark,
        reserve_pages=best.reserve,
        required_pages=required,
        available_pages=available,
        withheld_pages=best.withheld,
        usable_order=_usable_order(state, attempt),
        steps=_first_steps(best, state.free_pages, required, pages),
    )
    if available < required:
        if _wraps(rules, request.order, attempt, available):
            return _taken_by_surprise(check, state)
        barred = available >= required - best.reserve
        return replace(check, verdict=Verdict.LOWMEM_RESERVE if barred else Verdict.BELOW_MARK)
    if request.order == 0 and not attempt.no_watermarks:
        return check
    if rules.order_test is OrderTest.BLOCKS or attempt.no_watermarks:
        return _find_block(check, state, request.order)
    return _loop(check, state, request, rules, attempt, mark)


def _comparisons(
    state: ZoneState,
    request: AllocRequest,
    rules: AllocationRules,
    attempt: Attempt,
    reserve: int,
    mark: str,
    highatomic: int,
    boost: int,
) -> list[_Comparison]:
    """Every form in which the kernel makes the first comparison; one that passes is enough."""
    printed = {"min": state.min_pages, "low": state.low_pages, "high": state.high_pages}[mark]
    cma = 0 if attempt.cma else state.cma_pages
    withheld = cma + (0 if attempt.highatomic else highatomic)
    if attempt.no_watermarks:
        return [_Comparison(0, 0, 0, 0, "none: the caller may use all reserves", ("no watermark applies",))]
    taken = boost if request.order == 0 and mark == "min" and _without_boost(rules, attempt) else 0
    forms = [_discounted(mark, printed, taken, attempt, reserve, withheld)]
    if request.order == 0 and rules.fast_path is FastPath.IGNORES_HIGHATOMIC:
        forms.append(_discounted(mark, printed, 0, replace(attempt, discounts=()), reserve, cma))
    return forms


def _without_boost(rules: AllocationRules, attempt: Attempt) -> bool:
    if rules.boost is Boost.HIGH:
        return attempt.high
    return rules.boost is Boost.ATOMIC_BIT and attempt.atomic_bit


def _discounted(mark: str, printed: int, boost: int, attempt: Attempt, reserve: int, withheld: int) -> _Comparison:
    """Take the boost and the caller's discounts off a mark, in the kernel's order, each truncated."""
    left = base = printed - boost
    text, steps = f"{mark} {printed}", [f"{mark} mark: {printed}"]
    if boost:
        text += f" - boost {boost}"
        steps.append(f"an urgent single page is checked without the boost: {printed} - {boost} = {base}")
    for divisor, why in attempt.discounts:
        part = left // divisor
        text += f" - 1/{divisor}"
        steps.append(f"1/{divisor} off, {why}: {left} - {part} = {left - part}")
        left -= part
    if len(steps) > 1:
        text += f" = {left}"
    return _Comparison(base, left, reserve, withheld, text, tuple(steps))


def _first_steps(form: _Comparison, free: int, required: int, pages: int) -> tuple[str, ...]:
    available = free - form.withheld
    counted = f"free: {free}" if not form.withheld else f"free: {free} - {form.withheld} withheld = {available}"
    needs = f"mark {form.mark} + reserve {form.reserve} + {pages} asked for: needs {required}"
    result = f"short by {required - available}" if available < required else "enough"
    return (*form.steps, counted, f"{needs}: {result}")


def _wraps(rules: AllocationRules, order: int, attempt: Attempt, available: int) -> bool:
    return rules.fast_path is FastPath.WRAPS and order == 0 and available < 0 and not attempt.no_watermarks


def _taken_by_surprise(check: Check, state: ZoneState) -> Check:
    """The comparison passed because the difference wrapped round: whether there is a page is for the lists to say."""
    wrapped = replace(check, steps=(*check.steps, "less than nothing counts as a large number here: passes by mistake"))
    if wrapped.usable_order is not None:
        return wrapped
    if state.free_blocks is None or state.blocks_cut:
        return replace(wrapped, verdict=Verdict.UNKNOWN, reason=_NO_BLOCKS)
    return replace(wrapped, verdict=Verdict.NO_BLOCK)


_NO_BLOCKS = "its free blocks are not printed, or not to the end"


def _find_block(check: Check, state: ZoneState, order: int) -> Check:
    """Since 4.4, and for callers without a watermark: is there a block."""
    if check.usable_order is not None and check.usable_order >= order:
        step = f"a usable block of order {check.usable_order} is free"
        return replace(check, steps=(*check.steps, step))
    if state.free_blocks is None or state.blocks_cut:
        return replace(check, verdict=Verdict.UNKNOWN, reason=_NO_BLOCKS)
    step = f"no block of order {order} or above is free that this caller may take"
    return replace(check, verdict=Verdict.NO_BLOCK, steps=(*check.steps, step))


def _loop(
    check: Check, state: ZoneState, request: AllocRequest, rules: AllocationRules, attempt: Attempt, mark: str
) -> Check:
    """Until 4.3: pages in blocks too small do not count, and the part of the mark that must remain shrinks by order."""
    if state.free_blocks is None or (state.blocks_cut and len(state.free_blocks) < request.order):
        return replace(check, verdict=Verdict.UNKNOWN, reason=_NO_BLOCKS)
    free = state.free_pages - (1 << request.order) + (-1 if rules.off_by_two else 1)
    if rules.cma is Cma.LEFT_OUT and not attempt.cma:
        free -= state.cma_pages
    least = check.mark_pages
    if rules.order_test is OrderTest.EL6_LOOP:
        least = _discounted(mark, check.base_mark_pages - state.min_pages, 0, attempt, 0, 0).mark
    steps = list(check.steps)
    for order in range(request.order):
        count = state.free_blocks[order] if order < len(state.free_blocks) else 0
        free -= count << order
        if rules.order_test is OrderTest.LOOP or order < _EL6_HALVINGS:
            least >>= 1
        steps.append(f"without the {count} free blocks of order {order}: {free}, must be more than {least}")
        if free <= least:
            return replace(
                check, verdict=Verdict.NO_BLOCK, failed_order=order, loop_pages=(free, least), steps=tuple(steps)
            )
    return _find_block(replace(check, steps=tuple(steps)), state, request.order)


_EL6_HALVINGS = 2
"""pageblock_order >> 2: 9 on x86-64, 10 on i386 without PAE."""


def _usable_order(state: ZoneState, attempt: Attempt) -> int | None:
    """The largest order of which a block is free that this caller may take."""
    for order in range(len(state.free_blocks or ()) - 1, -1, -1):
        if state.free_blocks and state.free_blocks[order] > 0 and _may_take(state, order, attempt):
            return order
    return None


def _may_take(state: ZoneState, order: int, attempt: Attempt) -> bool:
    if state.block_types is None:
        return True
    kinds = state.block_types[order] if order < len(state.block_types) else ""
    if attempt.any_kind:
        # The check passes with any block; what is taken then is none that others own.
        return not kinds or not set(kinds) <= {"C", "I"} - attempt.kinds
    return not attempt.kinds.isdisjoint(kinds)

"""May this request take a page from this zone, and why not: the kernel's own check, replayed in exact integers.

Everything is strict: a zone passes only if what counts as free is *more* than the mark plus the reserve.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pagewarden.kernel.check_rules import AllocationRules, Era, FastPath, Quarter
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
    """One zone at the moment of the request, in pages. None where not printed.

    :ivar min_pages: boost included, as printed.
    :ivar blocks_cut: the list of free blocks ends early: orders beyond it are not known.
    :ivar block_types: letters of the migrate types ("UME") per order; None where the format prints none.
    :ivar highatomic_pages: (at least, at most) what the highatomic reserve takes away.
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


@dataclass(frozen=True, slots=True)
class AllocRequest:
    """What was asked for. :ivar realtime: the task had a real-time priority; :ivar victim: it was being OOM-killed."""

    order: int
    flags: GfpFlags
    realtime: bool = False
    victim: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """The check of one zone, step by step.

    :ivar mark: the watermark and its discounts in words.
    :ivar mark_pages: what is left of the mark for this caller.
    :ivar required_pages: the smallest count with which the first comparison passes.
    :ivar available_pages: free pages that count for this caller.
    :ivar failed_order: the order at which the loop over smaller blocks failed (before 4.4), with both sides of that
        comparison in `loop_pages`.
    :ivar usable_order: the largest order of which this caller finds a block; None where nothing or nothing is known.
    :ivar reason: why the verdict is "unknown"; empty otherwise.
    """

    verdict: Verdict
    mark: str
    base_mark_pages: int
    mark_pages: int
    reserve_pages: int
    required_pages: int
    available_pages: int
    usable_order: int | None
    failed_order: int | None = None
    loop_pages: tuple[int, int] | None = None
    reason: str = ""

    @property
    def short_pages(self) -> int:
        """By how many pages the first comparison failed; 0 where it passed."""
        return max(0, self.required_pages - self.available_pages)


@dataclass(frozen=True, slots=True)
class _Rights:
    """What a caller may do beyond the ordinary."""

    high: bool
    quarter: bool
    highatomic: bool
    cma: bool
    no_watermarks: bool


def check_zone(
    state: ZoneState, request: AllocRequest, rules: AllocationRules, reserve_pages: int, mark: str = "min"
) -> Check:
    """Replay the check of an eligible zone.

    :param reserve_pages: lowmem_reserve of this zone at the index this request has.
    :param mark: "min" (the slow path, discounts apply), "low" (the fast path) or "high".

    Where the answer hangs on something that is not printed, every possible value is tried; if they disagree the
    verdict is "unknown" and `reason` says on what it hangs.
    """
    checks = [
        _check(state, request, rules, reserve_pages, mark, highatomic, boost)
        for highatomic in dict.fromkeys(_highatomic_bounds(state, request, rules))
        for boost in dict.fromkeys(_boost_bounds(state, request, rules, mark))
    ]
    verdicts = {check.verdict for check in checks}
    # Refused by the mark or by the reserve: which of them is all that a larger highatomic reserve would change.
    if len(verdicts) == 1 or verdicts <= {Verdict.BELOW_MARK, Verdict.LOWMEM_RESERVE}:
        return checks[0]
    doubt = "on the size of the highatomic reserve" if len(set(_highatomic_bounds(state, request, rules))) > 1 else ""
    doubt = doubt or "on a watermark boost"
    first = checks[0]
    return Check(
        Verdict.UNKNOWN,
        first.mark,
        first.base_mark_pages,
        first.mark_pages,
        reserve_pages,
        first.required_pages,
        first.available_pages,
        first.usable_order,
        reason=f"it hangs {doubt}, which this kernel does not print",
    )


def _highatomic_bounds(state: ZoneState, request: AllocRequest, rules: AllocationRules) -> tuple[int, ...]:
    if not rules.highatomic or _rights(request, rules).highatomic:
        return (0,)
    return state.highatomic_pages


def _boost_bounds(state: ZoneState, request: AllocRequest, rules: AllocationRules, mark: str) -> tuple[int, ...]:
    """Pages to take off the printed min before its discounts: the boost, for those who are tested without it."""
    if mark != "min" or request.order or not rules.boost:
        return (0,)
    retested = (rules.boost_retested == "high" and _rights(request, rules).high) or (
        rules.boost_retested == "atomic" and request.flags.has("ATOMIC")
    )
    if not retested:
        return (0,)
    # Not printed until 5.15: anything up to the whole mark may be boost.
    return (state.boost_pages,) if state.boost_pages is not None else (0, state.min_pages)


def _rights(request: AllocRequest, rules: AllocationRules) -> _Rights:
    flags = request.flags
    high = flags.has("HIGH") or (rules.realtime_halves and request.realtime)
    barred = (rules.nomemalloc_bars and flags.has("NOMEMALLOC")) or (rules.no_kswapd_bars and flags.has("NO_KSWAPD"))
    if rules.quarter is Quarter.ATOMIC_FLAG:
        quarter = flags.has("ATOMIC") and not barred
    else:
        quarter = not flags.can_direct_reclaim and not barred
    if request.realtime and flags.can_direct_reclaim and not rules.realtime_halves:
        quarter = True
    if rules.highatomic_apart:
        highatomic = quarter and request.order > 0 and (high or not rules.highatomic_needs_high)
        # The reserve is subtracted only from those without any right to go lower.
        highatomic = highatomic or high or quarter
    else:
        highatomic = quarter
    return _Rights(
        high=high,
        quarter=quarter and (high or rules.quarter is not Quarter.URGENT_NO_WAIT),
        highatomic=highatomic or request.victim,
        cma=not rules.cma or (flags.has("MOVABLE") and not flags.has("RECLAIMABLE")),
        no_watermarks=flags.has("MEMALLOC") and not flags.has("NOMEMALLOC"),
    )


def _takes_highatomic_blocks(request: AllocRequest, rules: AllocationRules) -> bool:
    if request.victim:
        return True
    rights = _rights(request, rules)
    if not rules.highatomic_apart:
        return rights.quarter
    flags = request.flags
    nonblocking = not flags.can_direct_reclaim and not flags.has("NOMEMALLOC")
    return nonblocking and request.order > 0 and (rights.high or not rules.highatomic_needs_high)


def _discounted(mark: int, rights: _Rights, request: AllocRequest, rules: AllocationRules) -> tuple[int, str]:
    """Take the caller's discounts off a mark, in the kernel's order: a half, then a quarter of the rest."""
    left, words = mark, []
    if rights.high:
        left -= left // 2
        words.append("half")
    if rights.quarter:
        left -= left // 4
        words.append("a quarter of the rest" if rights.high else "a quarter")
    if request.victim and rules.era is Era.BLOCK:
        left -= left // 2
        words.append("half again, being killed")
    return left, " and ".join(words)


def _check(
    state: ZoneState,
    request: AllocRequest,
    rules: AllocationRules,
    reserve: int,
    mark_name: str,
    highatomic: int,
    boost: int,
) -> Check:
    rights = _rights(request, rules)
    printed = {"min": state.min_pages, "low": state.low_pages, "high": state.high_pages}[mark_name]
    base = printed - boost
    mark, discount = _discounted(base, rights, request, rules) if mark_name == "min" else (base, "")
    text = f"{mark_name} {printed}" + (f" less boost {boost}" if boost else "")
    text += f", less {discount}: {mark}" if discount else ""
    if rights.no_watermarks and mark_name == "min":
        mark, reserve, text = -1, 0, "no watermark: the caller may use all reserves"
    cma = 0 if rights.cma else state.cma_pages
    available = state.free_pages - highatomic - cma
    pages = 1 << request.order
    extra = 2 if rules.era in (Era.LOOP_OFF_BY_TWO, Era.LOOP_EL6) else 0
    required = mark + reserve + pages + extra
    usable = _usable_order(state, request, rules, rights)
    result = Check(Verdict.WOULD_PASS, text, base, mark, reserve, required, available, usable)
    if available < required and not _fast_path_passes(state, request, rules, rights, base, reserve, highatomic, cma):
        verdict = Verdict.BELOW_MARK if available < required - reserve or not reserve else Verdict.LOWMEM_RESERVE
        return _with(result, verdict)
    if request.order == 0:
        return result
    if rules.era is Era.BLOCK:
        return _block_verdict(result, state, request)
    return _loop_verdict(result, state, request, rules, cma)


def _with(
    check: Check,
    verdict: Verdict,
    failed_order: int | None = None,
    loop_pages: tuple[int, int] | None = None,
    reason: str = "",
) -> Check:
    return Check(
        verdict,
        check.mark,
        check.base_mark_pages,
        check.mark_pages,
        check.reserve_pages,
        check.required_pages,
        check.available_pages,
        check.usable_order,
        failed_order,
        loop_pages,
        reason,
    )


def _fast_path_passes(
    state: ZoneState,
    request: AllocRequest,
    rules: AllocationRules,
    rights: _Rights,
    mark: int,
    reserve: int,
    highatomic: int,
    cma: int,
) -> bool:
    """The single-page shortcut, which knows no discounts; 4.8 to 5.8 forgot the highatomic reserve in it."""
    if request.order or rules.fast_path is FastPath.NONE or rights.no_watermarks:
        return False
    hidden = 0 if rules.fast_path is FastPath.IGNORES_HIGHATOMIC else highatomic
    return state.free_pages - cma - hidden > mark + reserve


def _loop_verdict(check: Check, state: ZoneState, request: AllocRequest, rules: AllocationRules, cma: int) -> Check:
    """Before 4.4: what is free in smaller orders is subtracted one order at a time, and the mark halved with it."""
    if state.free_blocks is None or (state.blocks_cut and len(state.free_blocks) < request.order):
        return _with(check, Verdict.UNKNOWN, reason=_NO_BLOCKS)
    free = check.available_pages - check.required_pages + check.mark_pages + check.reserve_pages + 1
    if rules.cma_first_only:
        free += cma
    least = 0 if rules.era is Era.LOOP_EL6 else check.mark_pages
    for order in range(request.order):
        free -= _count(state.free_blocks, order) << order
        if rules.era is not Era.LOOP_EL6 or order < 2:
            least >>= 1
        if free <= least:
            return _with(check, Verdict.NO_BLOCK, order, (free, least))
    return _block_verdict(check, state, request) if state.block_types is not None else check


_NO_BLOCKS = "its free blocks are not printed, or not to the end"


def _block_verdict(check: Check, state: ZoneState, request: AllocRequest) -> Check:
    if state.free_blocks is None or state.block_types is None:
        return _with(check, Verdict.UNKNOWN, reason=_NO_BLOCKS)
    if check.usable_order is not None and check.usable_order >= request.order:
        return check
    return _with(check, Verdict.UNKNOWN, reason=_NO_BLOCKS) if state.blocks_cut else _with(check, Verdict.NO_BLOCK)


def _usable_order(state: ZoneState, request: AllocRequest, rules: AllocationRules, rights: _Rights) -> int | None:
    """The largest order of which a block is free that this caller may take."""
    if state.free_blocks is None:
        return None
    for order in range(len(state.free_blocks) - 1, -1, -1):
        if state.free_blocks[order] and _may_take(state, order, request, rules, rights):
            return order
    return None


def _may_take(state: ZoneState, order: int, request: AllocRequest, rules: AllocationRules, rights: _Rights) -> bool:
    letters = state.block_types[order] if state.block_types and order < len(state.block_types) else ""
    if not letters:
        return True  # kernels before 3.8 print no letters: any block counts
    if rules.any_block_if_harder and rights.quarter:
        return True
    if set(letters) & set("UMER"):
        return True
    if "C" in letters and request.flags.has("MOVABLE") and not request.flags.has("RECLAIMABLE"):
        return True
    return "H" in letters and rules.highatomic and _takes_highatomic_blocks(request, rules)


def _count(blocks: Sequence[int], order: int) -> int:
    return blocks[order] if order < len(blocks) else 0

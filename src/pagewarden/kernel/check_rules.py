"""How each kernel checks whether a zone may give a page: eras of the check, discounts, and who may use what."""

from dataclasses import dataclass
from enum import StrEnum

from pagewarden.kernel.version import KernelVersion


class Era(StrEnum):
    """Forms of the check itself, `zone_watermark_ok()` and `__zone_watermark_ok()`."""

    LOOP = "orders below are subtracted one by one (until 2.6.37)"
    LOOP_OFF_BY_TWO = "orders below are subtracted, and two pages too many are asked for (2.6.38 to 3.2)"
    LOOP_EL6 = "orders below are subtracted, the mark only counts at first (Red Hat 6)"
    LOOP_CMA = "orders below are subtracted, CMA pages do not count (3.3 to 4.3)"
    BLOCK = "a usable block of the order must exist (since 4.4)"


class Quarter(StrEnum):
    """Who may go another quarter below the mark."""

    NO_WAIT = "callers that cannot sleep"
    ATOMIC_FLAG = "__GFP_ATOMIC"
    URGENT_NO_WAIT = "urgent callers that cannot sleep"


class FastPath(StrEnum):
    """The shortcut for single pages, `zone_watermark_fast()`, with the undiscounted mark."""

    NONE = "none"
    IGNORES_HIGHATOMIC = "does not subtract the highatomic reserve"
    PLAIN = "subtracts what the caller may not use"


@dataclass(frozen=True, slots=True)
class AllocationRules:
    """One kernel's variant of the check.

    :ivar quarter: who goes a quarter lower; `nomemalloc_bars` and `no_kswapd_bars` say what takes that away.
    :ivar realtime_halves: a real-time task goes half lower (6.3), before a quarter.
    :ivar cma_first_only: CMA pages are left out of the first comparison only (3.11 to 4.3); before, out of
        everything (3.7 to 3.10).
    :ivar highatomic: the highatomic reserve exists (4.4); `highatomic_free`: only its free pages are subtracted (6.12).
    :ivar highatomic_needs_high: only urgent requests take from it (6.15 and backports).
    :ivar highatomic_apart: taking from it is a right of its own (6.3); before, going a quarter lower gave it.
    :ivar any_block_if_harder: such callers were satisfied with a block of any kind (4.4 to 4.12).
    :ivar boost_retested: urgent single pages are tested again without the boost: "" never, "atomic" or "high".
    :ivar by_preferred_zone: the first populated eligible zone indexes the reserve (until 5.7), not the mask's own.
    """

    era: Era
    quarter: Quarter
    nomemalloc_bars: bool
    no_kswapd_bars: bool
    realtime_halves: bool
    cma: bool
    cma_first_only: bool
    highatomic: bool
    highatomic_free: bool
    highatomic_needs_high: bool
    highatomic_apart: bool
    any_block_if_harder: bool
    fast_path: FastPath
    boost: bool
    boost_retested: str
    by_preferred_zone: bool


def allocation_rules(version: KernelVersion) -> AllocationRules:
    """The variant a release follows.

    Kernel: mm/page_alloc.c: zone_watermark_ok(), __zone_watermark_ok(), zone_watermark_fast(), gfp_to_alloc_flags().
    """
    at, vendor = version.at_least, version.vendor
    backported_61 = version.stable_at_least(6, 1, 158)
    new_flags = at(6, 3) or backported_61
    return AllocationRules(
        era=_era(version),
        quarter=Quarter.URGENT_NO_WAIT if new_flags else Quarter.ATOMIC_FLAG if at(4, 4) else Quarter.NO_WAIT,
        nomemalloc_bars=at(2, 6, 38),
        no_kswapd_bars=not at(4, 4) and (at(3, 16) or version.stable_at_least(3, 10, 65) or vendor == "el7"),
        realtime_halves=new_flags,
        cma=at(3, 7),
        cma_first_only=(at(3, 11) or vendor == "el7") and not at(4, 4),
        highatomic=at(4, 4),
        highatomic_free=at(6, 12),
        highatomic_needs_high=at(6, 15) or version.stable_at_least(6, 12, 107) or backported_61,
        highatomic_apart=new_flags,
        any_block_if_harder=at(4, 4) and not at(4, 13),
        fast_path=FastPath.PLAIN if at(5, 9) else FastPath.IGNORES_HIGHATOMIC if at(4, 8) else FastPath.NONE,
        boost=at(5, 0),
        boost_retested="high" if new_flags else "atomic" if at(5, 9) else "",
        by_preferred_zone=not at(5, 8),
    )


def _era(version: KernelVersion) -> Era:
    if version.vendor == "el6":
        return Era.LOOP_EL6
    if version.at_least(4, 4):
        return Era.BLOCK
    if version.at_least(3, 3):
        return Era.LOOP_CMA
    return Era.LOOP_OFF_BY_TWO if version.at_least(2, 6, 38) else Era.LOOP

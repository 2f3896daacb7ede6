"""What a caller of the page allocator may do beyond the ordinary: discounts on the min mark, reserves, kinds of blocks.

Kernel: mm/page_alloc.c:gfp_to_alloc_flags(), __gfp_pfmemalloc_flags(), __zone_watermark_ok()
"""

from collections.abc import Set
from dataclasses import dataclass

from pagewarden.kernel.allocation_rules import AllocationRules, Cma, HighAtomic, NonBlocking
from pagewarden.kernel.gfp import GfpFlags

ORDINARY_KINDS = frozenset("UMER")
"""Kinds of blocks anybody may take: unmovable, movable, reclaimable, and the reserve of kernels before 4.4."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way in which the allocator tries a caller's luck.

    :ivar discounts: what is taken off the mark, in this order: divisor and why.
    :ivar cma: CMA pages count.
    :ivar highatomic: pages of the highatomic reserve count.
    :ivar kinds: letters of the blocks it may take; with `any_kind` all but CMA and isolated ones.
    :ivar high: it is urgent (__GFP_HIGH or a privilege like it); `atomic_bit`: it has __GFP_ATOMIC.
    :ivar no_watermarks: it is not checked at all, only a block must be there.
    """

    discounts: tuple[tuple[int, str], ...]
    cma: bool
    highatomic: bool
    kinds: frozenset[str]
    any_kind: bool = False
    high: bool = False
    atomic_bit: bool = False
    no_watermarks: bool = False


def attempts(
    order: int, flags: GfpFlags, rules: AllocationRules, mark: str, privileges: Set[str] = frozenset()
) -> tuple[Attempt, ...]:
    """All ways in which a request is tried against a mark.

    :param mark: "min", "low" or "high"; only the min mark knows discounts.
    :param privileges: those of the task that count: "realtime", "victim" (of the OOM killer), "memalloc".
    """
    cma = rules.cma is Cma.COUNTED or flags.migrate_type == "M"
    kinds = ORDINARY_KINDS | ({"C"} if flags.migrate_type == "M" else set())
    if mark != "min":
        return (Attempt((), cma, False, kinds),)
    if _unchecked(flags, rules, privileges):
        return (Attempt((), True, True, kinds, no_watermarks=True),)
    own = _own_attempt(order, flags, rules, "realtime" in privileges, cma, kinds)
    if "victim" in privileges and not flags.nomemalloc and rules.victim_half:
        # A second try, in which being a victim replaces all other rights.
        half = ((2, "it is being killed for memory"),)
        return own, Attempt(half, cma, True, kinds | {"H"}, atomic_bit=flags.atomic)
    return (own,)


def _unchecked(flags: GfpFlags, rules: AllocationRules, privileges: Set[str]) -> bool:
    if flags.nomemalloc:
        return False
    if rules.memalloc_flag and flags.memalloc:
        return True
    return "memalloc" in privileges or ("victim" in privileges and not rules.victim_half)


def _own_attempt(
    order: int, flags: GfpFlags, rules: AllocationRules, realtime: bool, cma: bool, kinds: frozenset[str]
) -> Attempt:
    entitled, rest = _cannot_block(flags, rules)
    privileged = realtime and rest
    high = flags.high or (privileged and rules.realtime_half)
    quarter = (entitled and (high or not rules.reserves_uncounted)) or (privileged and not rules.realtime_half)
    discounts = []
    if high:
        discounts.append((2, "urgent (__GFP_HIGH)" if flags.high else "real-time task"))
    if quarter:
        discounts.append((4, "cannot sleep" if entitled else "real-time task"))
    if rules.reserves_uncounted:
        takes = entitled and order > 0 and (high or not rules.highatomic_needs_high)
        counts = entitled or high
    else:
        takes = counts = quarter
    if takes and rules.highatomic is not HighAtomic.NONE:
        kinds |= {"H"}
    return Attempt(
        discounts=tuple(discounts),
        cma=cma,
        highatomic=counts,
        kinds=kinds,
        any_kind=rules.any_kind_if_harder and quarter,
        high=high,
        atomic_bit=flags.atomic,
    )


def _cannot_block(flags: GfpFlags, rules: AllocationRules) -> tuple[bool, bool]:
    """Whether a caller has the right of those who cannot block; and whether it is not one of them at all."""
    if rules.non_blocking is NonBlocking.ATOMIC_BIT:
        cannot = flags.atomic
    else:
        cannot = not flags.can_direct_reclaim and not (rules.no_kswapd_excepted and flags.no_kswapd)
    return cannot and not (rules.nomemalloc_excepted and flags.nomemalloc), not cannot

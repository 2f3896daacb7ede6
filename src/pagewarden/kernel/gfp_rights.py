"""What the caller behind a GFP mask may do, as one kernel sees it."""

from dataclasses import dataclass
from fractions import Fraction

from pagewarden.kernel.allocation_rights import attempts
from pagewarden.kernel.allocation_rules import AllocationRules, Cma, HighAtomic
from pagewarden.kernel.gfp import GfpFlags


@dataclass(frozen=True, slots=True)
class CallerRights:
    """The rights of a caller that is no real-time task, frees no memory itself and is not being killed.

    :ivar min_mark_share: the part of a zone's min mark that must stay free; 0: the caller is not checked at all.
    :ivar highatomic: it may count the highatomic reserve; None on kernels that have none.
    :ivar cma: it may use CMA pages; None on kernels that do not tell them apart.
    """

    min_mark_share: Fraction
    highatomic: bool | None
    cma: bool | None


def caller_rights(flags: GfpFlags, rules: AllocationRules) -> CallerRights:
    """Work out how far down a single page may go for this caller, and which reserves count for it."""
    (attempt,) = attempts(0, flags, rules, "min")
    share = Fraction(0 if attempt.no_watermarks else 1)
    for divisor, _ in attempt.discounts:
        share -= share / divisor
    return CallerRights(
        min_mark_share=share,
        highatomic=None if rules.highatomic is HighAtomic.NONE else attempt.highatomic,
        cma=None if rules.cma is Cma.COUNTED else attempt.cma,
    )

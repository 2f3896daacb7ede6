"""Which variant of the allocator's own check a kernel runs: the eras of `__zone_watermark_ok()` and what goes with it.

Each field says what changed and when; releases are those in which the code was read, or the nearest after them. See
docs/design/0003-kernel-sources.md. What a kernel tree of a vendor changed and nobody read is not here: the release
decides, and whoever replays a report says so.
"""

from dataclasses import dataclass
from enum import StrEnum

from pagewarden.kernel.version import KernelVersion


class OrderTest(StrEnum):
    """How a request of more than one page is checked once enough pages are free."""

    LOOP = "loop"
    """Until 4.3: without the blocks too small for it, half the mark must be free, a quarter, and so on by order."""
    EL6_LOOP = "el6-loop"
    """Red Hat's 2.6.32: the loop starts from the mark less the min mark, and does not go on halving it."""
    BLOCKS = "blocks"
    """Since 4.4: one free block of that order or above, of a kind the request may use."""


class Cma(StrEnum):
    """Where free CMA pages are left out for requests that may not use them."""

    COUNTED = "counted"
    """Before 3.7: nowhere."""
    FIRST_COMPARISON = "first-comparison"
    """3.10 to 4.3, and Red Hat's 3.10: in the first comparison; the loop counts them."""
    LEFT_OUT = "left-out"
    """3.7 to 3.9, and since 4.4: throughout."""


class NonBlocking(StrEnum):
    """Who takes another quarter off the mark for not being able to sleep."""

    ANY = "any"
    """Until 4.3: whoever cannot sleep."""
    ATOMIC_BIT = "atomic-bit"
    """4.4 to 6.2: whoever has the bit __GFP_ATOMIC."""
    HIGH_ONLY = "high-only"
    """Since 6.3 (6.1.116, 5.15.171): whoever cannot sleep and has __GFP_HIGH."""


class HighAtomic(StrEnum):
    """What is left out of the free pages for the sake of the highatomic reserve (4.4), for ordinary requests."""

    NONE = "none"
    RESERVED = "reserved"
    """Until 6.11: all pages of the blocks reserved, free or not."""
    FREE = "free"
    """Since 6.12: the free pages among them."""


class FastPath(StrEnum):
    """The short cut for single pages, `zone_watermark_fast()`: the mark without discounts (4.8)."""

    NONE = "none"
    IGNORES_HIGHATOMIC = "ignores-highatomic"
    """4.8 to 5.8: the highatomic reserve counts as free."""
    WRAPS = "wraps"
    """5.9 to 5.18: with fewer pages free than the caller may not use, the difference wraps round and passes."""
    CLAMPED = "clamped"
    """Since 5.19 (5.18.16, 5.15.59, 5.10.135): it cannot grant what the whole check refuses."""


class Boost(StrEnum):
    """Who is checked against the min mark without its boost (boosts exist since 5.0)."""

    NOBODY = "nobody"
    ATOMIC_BIT = "atomic-bit"
    """5.9 to 6.2: single pages with __GFP_ATOMIC."""
    HIGH = "high"
    """Since 6.3 (6.1.116, 5.15.171): single pages with __GFP_HIGH, and real-time tasks."""


@dataclass(frozen=True, slots=True)
class AllocationRules:
    """The check of one kernel.

    :ivar era: the label, for people.
    :ivar order_test: with `off_by_two`: 2.6.38 to 3.2 and el6 ask for two pages more than they mean to.
    :ivar nomemalloc_excepted: a caller with __GFP_NOMEMALLOC gets no discount for not being able to sleep (2.6.38).
    :ivar no_kswapd_excepted: nor does one with __GFP_NO_KSWAPD (3.16 to 4.3, later 3.10.y, el7).
    :ivar memalloc_flag: __GFP_MEMALLOC exists: such callers are not checked at all (3.6).
    :ivar victim_half: a victim of the OOM killer may use half the min mark (4.14); before, it was not checked.
    :ivar realtime_half: a real-time task is treated as with __GFP_HIGH (6.3); before, it took a quarter off.
    :ivar any_kind_if_harder: a caller with the discount of `non_blocking` passes with a block of any kind (4.4 to
        4.13); of these it then gets none of CMA that it may not use, and no isolated one.
    :ivar reserves_uncounted: everybody with any discount, and whoever cannot sleep, may count highatomic pages
        (6.3); before, only those with the discount for not being able to sleep.
    :ivar highatomic_needs_high: blocks of the reserve are for those with __GFP_HIGH (6.17, 6.12.54, 6.6.113, 6.1.157).
    :ivar by_preferred_zone: the reserve is looked up for the highest zone asked for that has pages (until 5.7); since,
        for the highest asked for, even if it is empty.
    """

    era: str
    order_test: OrderTest
    off_by_two: bool
    cma: Cma
    non_blocking: NonBlocking
    nomemalloc_excepted: bool
    no_kswapd_excepted: bool
    memalloc_flag: bool
    victim_half: bool
    realtime_half: bool
    any_kind_if_harder: bool
    reserves_uncounted: bool
    highatomic: HighAtomic
    highatomic_needs_high: bool
    fast_path: FastPath
    boost: Boost
    by_preferred_zone: bool


def allocation_rules(version: KernelVersion) -> AllocationRules:
    """Find the check a kernel runs, by its release and vendor.

    Kernel: mm/page_alloc.c:__zone_watermark_ok(), zone_watermark_fast(), gfp_to_alloc_flags()
    """
    at_least = version.at_least
    el6, el7 = version.vendor == "el6", version.vendor == "el7"
    blocks = at_least(4, 4)
    reserves = _either(version, (6, 3, 0), (6, 1, 116), (5, 15, 171))
    return AllocationRules(
        era=_label(version, reserves),
        order_test=OrderTest.BLOCKS if blocks else OrderTest.EL6_LOOP if el6 else OrderTest.LOOP,
        off_by_two=el6 or (at_least(2, 6, 38) and not at_least(3, 3)),
        cma=_cma(version),
        non_blocking=(NonBlocking.HIGH_ONLY if reserves else NonBlocking.ATOMIC_BIT if blocks else NonBlocking.ANY),
        nomemalloc_excepted=at_least(2, 6, 38),
        no_kswapd_excepted=el7 or version.stable_at_least(3, 10, 65) or (at_least(3, 16) and not blocks),
        memalloc_flag=at_least(3, 6),
        victim_half=at_least(4, 14),
        realtime_half=reserves,
        any_kind_if_harder=blocks and not at_least(4, 14),
        reserves_uncounted=reserves,
        highatomic=HighAtomic.FREE if at_least(6, 12) else HighAtomic.RESERVED if blocks else HighAtomic.NONE,
        highatomic_needs_high=_either(version, (6, 17, 0), (6, 12, 54), (6, 6, 113), (6, 1, 157)),
        fast_path=_fast_path(version),
        boost=Boost.HIGH if reserves else Boost.ATOMIC_BIT if at_least(5, 9) else Boost.NOBODY,
        by_preferred_zone=not at_least(5, 8),
    )


def _either(version: KernelVersion, mainline: tuple[int, int, int], *stable: tuple[int, int, int]) -> bool:
    return version.at_least(*mainline) or any(version.stable_at_least(*series) for series in stable)


def _cma(version: KernelVersion) -> Cma:
    if not version.at_least(3, 7):
        return Cma.COUNTED
    if version.at_least(3, 10) and not version.at_least(4, 4):
        return Cma.FIRST_COMPARISON
    return Cma.LEFT_OUT


def _fast_path(version: KernelVersion) -> FastPath:
    if not version.at_least(4, 8):
        return FastPath.NONE
    if not version.at_least(5, 9):
        return FastPath.IGNORES_HIGHATOMIC
    fixed = _either(version, (5, 19, 0), (5, 18, 16), (5, 15, 59), (5, 10, 135))
    return FastPath.CLAMPED if fixed else FastPath.WRAPS


_ERAS = (
    ((2, 6, 0), "before 2.6.38"),
    ((2, 6, 38), "2.6.38 to 3.2"),
    ((3, 3, 0), "3.3 to 3.6"),
    ((3, 7, 0), "3.7 to 3.9"),
    ((3, 10, 0), "3.10 to 4.3"),
    ((4, 4, 0), "4.4 to 4.7"),
    ((4, 8, 0), "4.8 to 4.13"),
    ((4, 14, 0), "4.14 to 5.7"),
    ((5, 8, 0), "5.8"),
    ((5, 9, 0), "5.9 to 6.2"),
    ((6, 3, 0), "6.3 to 6.11"),
    ((6, 12, 0), "since 6.12"),
)


def _label(version: KernelVersion, reserves: bool) -> str:
    if version.vendor in ("el6", "el7"):
        return version.vendor
    if reserves and not version.at_least(6, 3):
        return "6.3 to 6.11"
    return [label for since, label in _ERAS if since <= max(version.numbers, (2, 6, 0))][-1]

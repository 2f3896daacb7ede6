"""Twins of `__setup_per_zone_wmarks()`: the min, low, high and promo marks of every zone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pagewarden.kernel.rules import Gap, Size, WatermarkRules
from pagewarden.procfs.types import Zone
from pagewarden.units import kb_to_pages

SWAP_CLUSTER_MAX = 32
"""Kernel: include/linux/swap.h; the smallest batch reclaim works in, and the floor of a special zone's min."""

ULONG_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of one zone in pages, without boost. `promo_pages` is None on kernels that have no such mark.

    Below low kswapd is woken, it stops above high, and below min only callers that may use the reserves get a page.
    """

    min_pages: int
    low_pages: int
    high_pages: int
    promo_pages: int | None = None

    @property
    def gap_pages(self) -> int:
        """What kswapd has from its wake-up until callers must reclaim by themselves."""
        return self.low_pages - self.min_pages

    def raised(self, boost_pages: int) -> "Marks":
        """These marks as the kernel prints and tests them while a boost is in force."""
        promo = None if self.promo_pages is None else self.promo_pages + boost_pages
        return Marks(self.min_pages + boost_pages, self.low_pages + boost_pages, self.high_pages + boost_pages, promo)

    def with_boost_left(self, boost_pages: int) -> "Marks":
        """These marks as 5.0 to 5.7 compute them during a boost: low and high start from the min that contains it."""
        return replace(self, low_pages=self.low_pages + boost_pages, high_pages=self.high_pages + boost_pages)


def zone_size(zone: Zone, size: Size) -> int:
    """The page count the formulas weigh; kernels that print no `managed` line count present pages."""
    if size is Size.MANAGED and zone.managed_pages is not None:
        return zone.managed_pages
    return zone.present_pages


def is_special(zone: Zone, rules: WatermarkRules) -> bool:
    """Whether a zone has no share in min_free_kbytes: HighMem, and Movable since 6.6."""
    return zone.name == "HighMem" or (zone.name == "Movable" and rules.movable_special)


def mult_frac(number: int, numerator: int, denominator: int) -> int:
    """Twin of the kernel's macro: `number * numerator / denominator`, rounded down, without overflow."""
    return number * numerator // denominator


def setup_per_zone_wmarks(
    zones: Sequence[Zone],
    min_free_kbytes: int,
    watermark_scale_factor: int | None,
    rules: WatermarkRules,
    page_size: int,
    extra_free_kbytes: int | None = None,
) -> tuple[Marks, ...]:
    """Compute every zone's marks, without boost.

    Kernel: mm/page_alloc.c:__setup_per_zone_wmarks(); setup_per_zone_pages_min() until 2.6.29.

    :param zones: all zones of all nodes.
    :param watermark_scale_factor: ten-thousandths of a zone (4.6 and later); None means 10, the default.
    :param extra_free_kbytes: a vendor's setting (el6, Android) that lifts low and high, not min.
    :return: one entry per zone, in the order given.
    """
    # Unsigned as in the kernel (64-bit): until 3.13 a negative value was taken, and made the marks enormous.
    pages_min = kb_to_pages(min_free_kbytes, page_size) & ULONG_MAX
    lowmem = sum(zone_size(zone, rules.size) for zone in zones if not is_special(zone, rules))
    total = sum(zone_size(zone, rules.size) for zone in zones)
    extra = kb_to_pages(extra_free_kbytes or 0, page_size)
    scale = 10 if watermark_scale_factor is None else watermark_scale_factor
    marks = []
    for zone in zones:
        size = zone_size(zone, rules.size)
        share = (pages_min * size & ULONG_MAX) // lowmem if lowmem else 0
        low = max(SWAP_CLUSTER_MAX, min(size // 1024, 128)) if is_special(zone, rules) else share
        lift = extra * size // total if total else 0
        marks.append(_marks(low, share, size, scale, lift, rules))
    return tuple(marks)


def _marks(lowest: int, share: int, size: int, scale: int, lift: int, rules: WatermarkRules) -> Marks:
    # The gap follows the zone's share, not its min: HighMem's min is clamped, its gap is not.
    if rules.gap is Gap.FRACTIONS:
        return Marks(lowest, lowest * 5 // 4, lowest * 6 // 4)
    if rules.gap is Gap.QUARTERS:
        return Marks(lowest, lowest + lift + (share >> 2), lowest + lift + (share >> 1))
    gap = max(share >> 2, mult_frac(size, scale, 10000))
    low = lowest + lift + gap
    return Marks(lowest, low, low + gap, low + 2 * gap if rules.promo else None)

"""Which historical variant of each formula a kernel follows.

`rules_for` turns a release into the variant it should follow; `fit` compares the variants with what the kernel
printed and has the last word. Each field says where the behaviour lives and since which mainline release; releases are
those in which the behaviour was read, see docs/design/0003-kernel-sources.md for how tight each bracket is.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from pagewarden.kernel.version import KernelVersion


class Size(StrEnum):
    """Which page count of a zone the formulas weigh."""

    PRESENT = "present"
    MANAGED = "managed"


class Gap(StrEnum):
    """How low and high are derived from a zone's share of min_free_kbytes."""

    FRACTIONS = "min*5/4 and min*6/4"
    QUARTERS = "min + share/4 and min + share/2"
    SCALED = "min + gap and min + 2*gap, gap at least watermark_scale_factor"


class RatioBelowOne(StrEnum):
    """What a lowmem_reserve_ratio entry below 1 does."""

    BECOMES_ONE = "becomes 1, the strongest protection"
    SWITCHES_OFF = "becomes 0, no protection"


@dataclass(frozen=True, slots=True)
class WatermarkRules:
    """Variant of `__setup_per_zone_wmarks()`.

    3.5 and 3.6 also raised every mark by the zone's CMA pages, which they do not print: a zone with CMA cannot be
    predicted there and shows as a misfit.

    :ivar size: present until 3.8, managed since 3.9 (and Red Hat's 3.10).
    :ivar gap: fractions of min until 2.6.14, quarters until 4.5, scaled since 4.6.
    :ivar movable_special: ZONE_MOVABLE is left out of the split and has a min of its own, as HighMem always had (6.6).
    :ivar promo: a promo mark above high exists (5.18; printed since 6.10 or 6.11).
    :ivar boost: marks are printed and tested with `watermark_boost` added (5.0).
    :ivar keeps_boost: computing the marks during a boost leaves it in low and high (5.0 to 5.7).
    """

    size: Size
    gap: Gap
    movable_special: bool
    promo: bool
    boost: bool
    keeps_boost: bool

    @property
    def label(self) -> str:
        """Name of the variant, for people."""
        movable = ", Movable apart" if self.movable_special else ""
        return f"{self.size.value} pages, {self.gap.value}{movable}"


@dataclass(frozen=True, slots=True)
class ReserveRules:
    """Variant of `setup_per_zone_lowmem_reserve()`.

    :ivar skip_empty: a zone without managed pages keeps no reserve (5.8); before, the formula ran for it as well.
    :ivar skipped_not_summed: 5.8 to 5.10.49 also left zones skipped for themselves out
        of the sums of the zones below them, except from what is kept from requests for just that zone.
    :ivar empty_upper_zero: 6.10 to 6.13 (until 6.12.19, 6.13.7) kept nothing from requests for a zone that is empty,
        though they too could take pages of every zone below.
    :ivar full_length_ratio: the ratio array has an entry for the topmost zone too (4.17), which does nothing.
    :ivar rewrites_topmost: that entry is rewritten like the others where it is below 1 (5.8).
    :ivar movable: ZONE_MOVABLE exists (2.6.23).
    """

    size: Size
    below_one: RatioBelowOne
    skip_empty: bool
    skipped_not_summed: bool
    empty_upper_zero: bool
    full_length_ratio: bool
    rewrites_topmost: bool
    movable: bool

    @property
    def label(self) -> str:
        """Name of the variant, for people."""
        upper = ", nothing kept from requests for empty zones" if self.empty_upper_zero else ""
        return f"{self.size.value} pages, {'empty zones skipped' if self.skip_empty else 'empty zones included'}{upper}"


@dataclass(frozen=True, slots=True)
class MinFreeRules:
    """Variant of `calculate_min_free_kbytes()` and khugepaged's `set_recommended_min_free_kbytes()`.

    :ivar cap_kb: upper clamp of the square-root rule: 65536, 262144 since 5.7 (and Red Hat's 3.10).
    :ivar keeps_user_value: a user's value survives a recomputation unless the kernel's is larger (3.11, el7).
    :ivar huge_pages: the huge-page recommendation exists (2.6.38, el6).
    :ivar huge_zones_all: it counts every populated zone; since 4.17 only zones up to Normal.
    :ivar huge_restores: switching huge pages off computes the square-root value again (5.16).
    """

    size: Size
    cap_kb: int
    keeps_user_value: bool
    huge_pages: bool
    huge_zones_all: bool
    huge_restores: bool


@dataclass(frozen=True, slots=True)
class SysctlRules:
    """What the sysctl handlers accept.

    :ivar min_free_checked: min_free_kbytes refuses values below 0 (3.14, el7); before, errors were ignored.
    :ivar scale_factor_max: None where the setting does not exist (before 4.6); 1000, or 3000 since 5.17.
    :ivar boost_factor: watermark_boost_factor exists (5.0).
    :ivar ratio_strict: lowmem_reserve_ratio refuses bad input as a whole and recomputes only when written (7.3);
        before, errors were ignored and every access, a read too, recomputed the reserves.
    :ivar reclaim_mode_signed: zone_reclaim_mode takes negative values (until 5.10).
    :ivar reclaim_bits_shifted: 5.7 to 5.9, and early 5.10 (not verified): 1 means write, 2 unmap, 4 only switches on.
    """

    min_free_checked: bool
    scale_factor_max: int | None
    boost_factor: bool
    ratio_strict: bool
    reclaim_mode_signed: bool
    reclaim_bits_shifted: bool


@dataclass(frozen=True, slots=True)
class KernelRules:
    """All variants one kernel follows."""

    watermarks: WatermarkRules
    reserve: ReserveRules
    min_free: MinFreeRules
    sysctl: SysctlRules

    def with_watermarks(self, watermarks: WatermarkRules) -> "KernelRules":
        """These rules with another watermark variant (chosen by the fit)."""
        return replace(self, watermarks=watermarks)

    def with_reserve(self, reserve: ReserveRules) -> "KernelRules":
        """These rules with another reserve variant (chosen by the fit)."""
        return replace(self, reserve=reserve)


def rules_for(version: KernelVersion | None) -> KernelRules:
    """Give the variants a release follows; a release that is not known is taken as current.

    Kernel: mm/page_alloc.c, mm/khugepaged.c, kernel/sysctl.c of the releases named in the field descriptions.
    """
    if version is None:
        version = KernelVersion("unknown", (7, 2, 0))
    at, stable, vendor = version.at_least, version.stable_at_least, version.vendor
    size = Size.MANAGED if at(3, 9) else Size.PRESENT
    return KernelRules(
        WatermarkRules(
            size=size,
            gap=Gap.SCALED if at(4, 6) else Gap.QUARTERS if at(2, 6, 15) else Gap.FRACTIONS,
            movable_special=at(6, 6),
            promo=at(5, 18),
            boost=at(5, 0),
            keeps_boost=at(5, 0) and not at(5, 8),
        ),
        ReserveRules(
            size=size,
            below_one=RatioBelowOne.SWITCHES_OFF if at(4, 17) else RatioBelowOne.BECOMES_ONE,
            skip_empty=at(5, 8),
            skipped_not_summed=at(5, 8) and not (at(5, 11) or stable(5, 10, 50)),
            empty_upper_zero=at(6, 10) and not (at(6, 14) or stable(6, 12, 19) or stable(6, 13, 7)),
            full_length_ratio=at(4, 17),
            rewrites_topmost=at(5, 8),
            movable=at(2, 6, 23),
        ),
        MinFreeRules(
            size=size,
            cap_kb=262144 if at(5, 7) or vendor == "el7" else 65536,
            keeps_user_value=at(3, 11) or vendor == "el7",
            huge_pages=at(2, 6, 38) or vendor == "el6",
            huge_zones_all=not (at(4, 17) or vendor == "el8"),
            huge_restores=at(5, 16),
        ),
        SysctlRules(
            min_free_checked=at(3, 14) or vendor == "el7",
            scale_factor_max=_scale_factor_max(version),
            boost_factor=at(5, 0),
            ratio_strict=at(7, 3),
            reclaim_mode_signed=not (at(5, 11) or stable(5, 10, 223)),
            reclaim_bits_shifted=at(5, 7) and not (at(5, 11) or stable(5, 10, 223)),
        ),
    )


def _scale_factor_max(version: KernelVersion) -> int | None:
    if not version.at_least(4, 6):
        return None
    # Carried back into stable series; 5.15.100 and 5.10.223 were read with it, 5.15.16 without.
    wide = version.at_least(5, 17) or version.stable_at_least(5, 15, 100) or version.stable_at_least(5, 10, 223)
    return 3000 if wide else 1000

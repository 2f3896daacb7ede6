"""What the kernel itself would have chosen for each setting, and whether a value is one of those."""

from dataclasses import dataclass
from enum import StrEnum

from pagewarden.kernel.lowmem_reserve import default_ratio
from pagewarden.kernel.machine import EXTRA_FREE, MIN_FREE, RATIO, SCALE_FACTOR, Machine
from pagewarden.kernel.min_free import (
    HugePageReserve,
    calculate_min_free_kbytes,
    nr_free_buffer_pages,
    set_recommended_min_free_kbytes,
)
from pagewarden.kernel.watermarks import setup_per_zone_wmarks
from pagewarden.units import pages_to_kb

FIXED = {
    SCALE_FACTOR: "10",
    EXTRA_FREE: "0",
    "vm.watermark_boost_factor": "15000",
    "vm.min_unmapped_ratio": "1",
    "vm.min_slab_ratio": "5",
    "vm.compaction_proactiveness": "20",
    "vm.extfrag_threshold": "500",
    "vm.vfs_cache_pressure": "100",
    "vm.swappiness": "60",
    "vm.defrag_mode": "0",
}
"""Settings whose default depends on nothing."""


@dataclass(frozen=True, slots=True)
class MinFreeDefault:
    """What the kernel would choose for vm.min_free_kbytes on this machine as it is now, in kB.

    :ivar lowmem_formula_kb: the square-root rule as at boot, when no mark is set yet.
    :ivar huge: khugepaged's recommendation with the marks of that value in force; None where huge pages do not ask.
    """

    lowmem_pages: int
    lowmem_formula_kb: int
    huge: HugePageReserve | None

    @property
    def effective_kb(self) -> int:
        """The larger of the two."""
        return max(self.lowmem_formula_kb, self.huge.recommended_kb if self.huge else 0)


def default_min_free(machine: Machine) -> MinFreeDefault:
    """Rebuild the boot sequence: the square-root rule, the marks that follow from it, then khugepaged.

    Kernel: init_per_zone_wmark_min() at postcore_initcall, hugepage_init() at subsys_initcall.
    """
    rules, zones = machine.rules.min_free, machine.zones
    lowmem = nr_free_buffer_pages(zones, [0] * len(zones), rules)
    formula = calculate_min_free_kbytes(lowmem, machine.page_size, rules)
    return MinFreeDefault(lowmem, formula, _huge_page_reserve(machine, formula) if machine.huge_pages_on else None)


def _huge_page_reserve(machine: Machine, min_free_kbytes: int) -> HugePageReserve:
    scale = machine.fit.watermark_scale_factor
    marks = setup_per_zone_wmarks(machine.zones, min_free_kbytes, scale, machine.rules.watermarks, machine.page_size)
    left = nr_free_buffer_pages(machine.zones, [m.high_pages for m in marks], machine.rules.min_free)
    return set_recommended_min_free_kbytes(
        machine.zones, left, machine.pageblock_pages, machine.page_size, machine.rules.min_free
    )


class KernelMade(StrEnum):
    """Which of the kernel's own rules a value of vm.min_free_kbytes comes from."""

    SQUARE_ROOT = "square-root formula"
    HUGE_PAGES = "khugepaged, for transparent huge pages"


def kernel_made(machine: Machine, min_free_kbytes: int) -> KernelMade | None:
    """Tell whether the kernel itself may have chosen this value, at boot or since; None where it cannot have.

    The square-root rule gave at most today's boot value, and less where fewer pages were managed then or marks were
    already set; low memory a fifth smaller is as far as this goes. khugepaged gave its uncapped sum, to the kB, or a
    twentieth of low memory, likewise of an earlier count. Huge pages may have been on earlier, so the switch does not
    matter.
    """
    default = default_min_free(machine)
    root = default.lowmem_formula_kb
    least = calculate_min_free_kbytes(default.lowmem_pages * 4 // 5, machine.page_size, machine.rules.min_free)
    if machine.rules.min_free.huge_pages and _is_huge_page_value(machine, default, least, min_free_kbytes):
        return KernelMade.HUGE_PAGES
    if least <= min_free_kbytes <= root:
        return KernelMade.SQUARE_ROOT
    return None


def _is_huge_page_value(machine: Machine, default: MinFreeDefault, least_kb: int, min_free_kbytes: int) -> bool:
    huge = default.huge or _huge_page_reserve(machine, default.lowmem_formula_kb)
    if huge.recommended_kb <= least_kb:  # khugepaged only ever raises
        return False
    if huge.wanted_kb <= huge.cap_kb:
        return min_free_kbytes == huge.wanted_kb
    twentieth = pages_to_kb(default.lowmem_pages, machine.page_size) // 20
    return huge.cap_kb * 4 // 5 <= min_free_kbytes <= twentieth


def default_settings(machine: Machine) -> dict[str, str]:
    """What the kernel itself would have chosen for each setting of this machine, as it prints them.

    Settings whose default depends on something we cannot see are left out.
    """
    defaults = {key: value for key, value in FIXED.items() if key in machine.sysctls}
    if machine.version is not None and machine.version.vendor is not None:
        defaults.pop("vm.compaction_proactiveness", None)  # Red Hat ships it as 0 in some releases
    defaults[MIN_FREE] = str(default_min_free(machine).effective_kb)
    if machine.fit.layout is not None:
        defaults[RATIO] = " ".join(map(str, default_ratio(machine.fit.layout, machine.rules.reserve)))
    return defaults

"""What the kernel itself would choose for vm.min_free_kbytes: the square-root rule and khugepaged's recommendation."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from pagewarden.kernel.rules import MinFreeRules
from pagewarden.kernel.watermarks import zone_size
from pagewarden.kernel.zones import is_lowmem
from pagewarden.procfs.types import HugePages, Zone
from pagewarden.units import pages_to_kb

MIGRATE_PCPTYPES = 3
"""Kernel: include/linux/mmzone.h, since 2.6.32: unmovable, movable, reclaimable."""

SHMEM_ON = frozenset({"advise", "always", "within_size", "force"})


def nr_free_buffer_pages(zones: Sequence[Zone], high_pages: Sequence[int], rules: MinFreeRules) -> int:
    """Pages of the zones up to Normal beyond their high marks.

    The high marks are those in force when it runs: zero at boot, so that every later run gives less.

    Kernel: mm/page_alloc.c:nr_free_buffer_pages()
    """
    return sum(
        max(0, zone_size(zone, rules.size) - high)
        for zone, high in zip(zones, high_pages, strict=True)
        if is_lowmem(zone)
    )


def square_root_kb(lowmem_pages: int, page_size: int) -> int:
    """The square-root rule before its clamps, in kB. Kernel: mm/page_alloc.c:calculate_min_free_kbytes()"""
    return isqrt(pages_to_kb(lowmem_pages, page_size) * 16)


def calculate_min_free_kbytes(lowmem_pages: int, page_size: int, rules: MinFreeRules) -> int:
    """The kernel's own value from the size of low memory: 4 * sqrt(kB), clamped.

    Kernel: mm/page_alloc.c:calculate_min_free_kbytes(); init_per_zone_wmark_min() until 5.15.

    :param lowmem_pages: from `nr_free_buffer_pages`.
    :return: kB.
    """
    return max(128, min(square_root_kb(lowmem_pages, page_size), rules.cap_kb))


@dataclass(frozen=True, slots=True)
class HugePageReserve:
    """khugepaged's recommendation and how it came about.

    :ivar zone_count: populated zones counted.
    :ivar wanted_kb: pageblock_pages * zone_count * 11, in kB.
    :ivar cap_kb: a twentieth of low memory beyond the high marks, in kB.
    """

    zone_count: int
    pageblock_pages: int
    wanted_kb: int
    cap_kb: int

    @property
    def recommended_kb(self) -> int:
        """The smaller of what is wanted and the cap."""
        return min(self.wanted_kb, self.cap_kb)


def set_recommended_min_free_kbytes(
    zones: Sequence[Zone], lowmem_pages: int, pageblock_pages: int, page_size: int, rules: MinFreeRules
) -> HugePageReserve:
    """khugepaged's reserve: two page blocks plus nine for mixing migrate types, per populated zone, at most 5 %.

    Kernel: mm/khugepaged.c:set_recommended_min_free_kbytes(); mm/huge_memory.c until 4.6. Since 4.17 only zones up
    to Normal count.

    :param lowmem_pages: from `nr_free_buffer_pages` with the marks in force.
    """
    count = sum(zone.populated and (rules.huge_zones_all or is_lowmem(zone)) for zone in zones)
    wanted = pageblock_pages * count * (2 + MIGRATE_PCPTYPES * MIGRATE_PCPTYPES)
    return HugePageReserve(
        zone_count=count,
        pageblock_pages=pageblock_pages,
        wanted_kb=pages_to_kb(wanted, page_size),
        cap_kb=pages_to_kb(lowmem_pages // 20, page_size),
    )


def huge_pages_want_reserve(huge: HugePages, version_numbers: tuple[int, int, int]) -> bool:
    """Whether khugepaged's gate is open: huge pages of some kind are switched on.

    Kernel: khugepaged_enabled() until 5.19 and hugepage_flags_enabled() until 6.9: the switch itself (6.8 adds any
    size); hugepage_pmd_enabled() 6.12 to 6.19: the PMD size only, which may inherit the switch (6.18 counts shmem);
    hugepage_enabled() since 7.2: any size, and shmem.
    """
    switch = huge.enabled in ("always", "madvise")
    if version_numbers < (6, 8, 0):
        return switch
    words = dict(huge.sizes)
    pmd_only = (6, 10, 0) <= version_numbers < (7, 0, 0)
    if pmd_only:
        pmd_kb = None if huge.pmd_size_bytes is None else huge.pmd_size_bytes // 1024
        words = {size: word for size, word in words.items() if size == pmd_kb}
        if not words:
            words = {0: "inherit"}
    on = any(word in ("always", "madvise") or (word == "inherit" and switch) for word in words.values())
    shmem = version_numbers >= (6, 18, 0) and huge.shmem_enabled in SHMEM_ON
    return on or shmem or (switch and not pmd_only)

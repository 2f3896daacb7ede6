"""Twins of `setup_per_zone_lowmem_reserve()` and `calculate_totalreserve_pages()`."""

from collections.abc import Sequence

from pagewarden.kernel.rules import RatioBelowOne, ReserveRules, Size
from pagewarden.kernel.watermarks import zone_size
from pagewarden.procfs.types import Zone

DEFAULT_RATIO = {"DMA": 256, "DMA32": 256, "Normal": 32}
"""Kernel: mm/page_alloc.c:sysctl_lowmem_reserve_ratio[]; the other zones depend on the release."""


def default_ratio(layout: Sequence[str], rules: ReserveRules) -> tuple[int, ...]:
    """The ratios a kernel with these zones starts with.

    Since 4.17 HighMem, Movable and Device start at 0. Before, the array had no entry for the topmost zone, HighMem and
    Movable started at 32, and a slot nobody initialised (Device) read 1 after the first use.
    """
    if rules.full_length_ratio:
        return tuple(DEFAULT_RATIO.get(name, 0) for name in layout)
    slots = [DEFAULT_RATIO.get(name, 32) for name in layout[:-1]]
    if layout[-1] == "Device":
        slots[-1] = 1
    return tuple(slots)


def effective_ratio(ratio: Sequence[int], rules: ReserveRules) -> tuple[int, ...]:
    """The ratios as the kernel stores and prints them after use: entries below 1 are rewritten."""
    replacement = 1 if rules.below_one is RatioBelowOne.BECOMES_ONE else 0
    rewritten = len(ratio) - (rules.full_length_ratio and not rules.rewrites_topmost)
    return tuple(replacement if entry < 1 and at < rewritten else entry for at, entry in enumerate(ratio))


def setup_per_zone_lowmem_reserve(
    zones: Sequence[Zone | None], ratio: Sequence[int], rules: ReserveRules
) -> tuple[tuple[int, ...], ...]:
    """Compute the reserves of one node: what each zone keeps from requests that could have used a higher zone.

    A zone refuses such a request once its free pages fall to the mark plus this reserve.

    Kernel: mm/page_alloc.c:setup_per_zone_lowmem_reserve()

    :param zones: one entry per zone index of this kernel, lowest first; None for a zone that is not printed (empty).
    :param ratio: `vm.lowmem_reserve_ratio`; a topmost zone without an entry needs none.
    :return: pages; row i is zone i, column j the highest zone the request could have used.
    """
    ratio = effective_ratio(ratio, rules)
    sizes = [0 if zone is None else zone_size(zone, rules.size) for zone in zones]
    rows = []
    for lower, size in enumerate(sizes):
        factor = ratio[lower] if lower < len(ratio) else 0
        off = factor < 1 or (rules.skip_empty and size == 0)
        row, between = [0] * (lower + 1), 0
        for upper in range(lower + 1, len(sizes)):
            nothing = off or (rules.empty_upper_zero and sizes[upper] == 0)
            row.append(0 if nothing else (between + sizes[upper]) // factor)
            if not (rules.skipped_not_summed and _skipped(upper, sizes, ratio)):
                between += sizes[upper]
        rows.append(tuple(row))
    return tuple(rows)


def _skipped(index: int, sizes: Sequence[int], ratio: Sequence[int]) -> bool:
    return sizes[index] == 0 or index >= len(ratio) or ratio[index] < 1


def totalreserve_pages(
    zones: Sequence[Zone], high_pages: Sequence[int], protection: Sequence[Sequence[int] | None], size: Size
) -> int:
    """Memory the kernel does not count as available: per zone its high mark and largest reserve, at most its size.

    MemAvailable, the dirty limits and overcommit start from what is left.

    Kernel: mm/page_alloc.c:calculate_totalreserve_pages()

    :param high_pages: each zone's high mark, boost included.
    """
    return sum(
        min(high + max(reserve or (0,)), zone_size(zone, size))
        for zone, high, reserve in zip(zones, high_pages, protection, strict=True)
    )


def mem_available_pages(free: int, page_cache: int, reclaimable: int, totalreserve: int, low_sum: int) -> int:
    """Twin of `si_mem_available()` (4.6 and later): pages a new workload could get without swapping.

    :param page_cache: active_file + inactive_file.
    :param reclaimable: slab_reclaimable + kernel_misc_reclaimable.
    :param totalreserve: see `totalreserve_pages`.
    :param low_sum: sum of the zones' low marks.
    """
    cache = page_cache - min(page_cache // 2, low_sum)
    slab = reclaimable - min(reclaimable // 2, low_sum)
    return max(0, free - totalreserve + cache + slab)

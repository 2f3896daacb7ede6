"""Zone names and their indexes: which zones a kernel was built with, and which place each has.

`protection` and `lowmem_reserve_ratio` are indexed by zone, but kernels before 4.12 print populated zones only. The
layout, the names of all configured zones from the lowest up, is what turns a printed zone into its index.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations

from pagewarden.procfs.types import Node, Zone

ORDER = ("DMA", "DMA32", "Normal", "HighMem", "Movable", "Device")
"""All zones of mainline in the order of `enum zone_type`; a kernel has a subset of it."""

LOWMEM = frozenset({"DMA", "DMA32", "Normal"})
"""Zones a kernel allocation for a user (GFP_USER) may take pages from: those up to Normal."""


def is_lowmem(zone: Zone) -> bool:
    """Whether the zone's index is at most that of Normal. Zones of unknown name are not."""
    return zone.name in LOWMEM


def layouts(names: Iterable[str], count: int) -> tuple[tuple[str, ...], ...]:
    """All possible layouts of COUNT zones that hold the given names, likeliest first.

    Every kernel has Normal; Movable exists since 2.6.23, so layouts with it come first, then those with DMA32. HighMem
    is for 32-bit machines and DMA32 for others: both together come last.

    :param names: zones seen on any node of the machine.
    :param count: MAX_NR_ZONES, the length of a `protection` list.
    """
    seen = frozenset(names)
    fits = (
        [layout for layout in combinations(ORDER, count) if seen | _always(layout) <= frozenset(layout)]
        if count <= len(ORDER)
        else []
    )
    return tuple(sorted(fits, key=_unlikeliness))


def _always(layout: Sequence[str]) -> frozenset[str]:
    # Device (4.3) came long after Movable (2.6.23).
    return frozenset({"Normal", "Movable"} if "Device" in layout else {"Normal"})


def _unlikeliness(layout: Sequence[str]) -> tuple[bool, ...]:
    both = "DMA32" in layout and "HighMem" in layout
    return both, "Movable" not in layout, "DMA" not in layout, "DMA32" not in layout


def zones_left_out(nodes: Sequence[Node]) -> bool:
    """Whether what is printed tells that it is not all: a capture that somebody cut down to some zones.

    The topmost zone of a node keeps nothing from requests for zones above, as there is none; and kernels that print the
    pages of CMA (5.12 and later) print every zone, as many as `protection` has entries.
    """
    rows = [(node.zones, node.zones[-1].protection_pages) for node in nodes if node.zones]
    if any(any(row or ()) for _, row in rows):
        return True
    prints_all = any(zone.cma_pages is not None for zones, _ in rows for zone in zones)
    return prints_all and any(row is not None and len(zones) < len(row) for zones, row in rows)


def printed_layout(nodes: Sequence[Node]) -> tuple[str, ...] | None:
    """The layout as printed, where the kernel prints empty zones too (4.12 and later); else None.

    It does when some node's zones are as many as the entries of their `protection` lists.
    """
    for node in nodes:
        counts = {len(zone.protection_pages) for zone in node.zones if zone.protection_pages is not None}
        if counts == {len(node.zones)}:
            return tuple(zone.name for zone in node.zones)
    return None

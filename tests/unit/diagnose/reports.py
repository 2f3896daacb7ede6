"""Reports put together from values, as the decoder gives them."""

from typing import Any

from pagewarden.klog.types import Frame, FreeBlocks, NodeDump, Report, ReportKind, ZoneDump

PAGE_KB = 4

WAITS = "GFP_KERNEL|__GFP_NORETRY"
"""Of a caller that can wait and may be refused: without the latter small orders are tried for ever."""


def blocks(*counts: int, letters: str = "") -> tuple[FreeBlocks, ...]:
    """Free blocks by order; `letters` for each order that has any."""
    padded = counts + (0,) * (11 - len(counts))
    return tuple(FreeBlocks(order, count, letters if count else "") for order, count in enumerate(padded))


def zone(name: str, free: int, minimum: int, reserve: tuple[int, ...], size: int = 100_000, **more: Any) -> ZoneDump:
    """A zone line, its reserve and its free list; all in pages. Low is min and a quarter, high min and a half."""
    node = more.pop("node", 0)
    listed = more.pop("free_blocks", blocks(free))
    return ZoneDump(
        zone=name,
        node=node,
        free_kb=free * PAGE_KB,
        min_kb=minimum * PAGE_KB,
        low_kb=(minimum + (minimum >> 2)) * PAGE_KB,
        high_kb=(minimum + (minimum >> 1)) * PAGE_KB,
        present_kb=size * PAGE_KB,
        lowmem_reserve_pages=reserve,
        free_blocks=listed,
        free_list_total_kb=None if listed is None else sum((b.count or 0) << b.order for b in listed) * PAGE_KB,
        **more,
    )


def modern(name: str, free: int, minimum: int, reserve: tuple[int, ...], size: int = 100_000, **more: Any) -> ZoneDump:
    """A zone as 5.16 and later print it; what may be taken is U blocks unless given."""
    listed = more.pop("free_blocks", blocks(free, letters="U"))
    values: dict[str, Any] = {
        "boost_kb": 0,
        "reserved_highatomic_kb": 0,
        "free_cma_kb": 0,
        "managed_kb": size * PAGE_KB,
    }
    return zone(name, free, minimum, reserve, size, free_blocks=listed, **(values | more))


def failure(*zones: ZoneDump, **more: Any) -> Report:
    """A page allocation failure; GFP_ATOMIC of one page on 2.6.32 unless given."""
    values: dict[str, Any] = {
        "kind": ReportKind.PAGE_ALLOCATION_FAILURE,
        "line_number": 1,
        "last_line_number": 40,
        "release": "2.6.32-5-amd64",
        "comm": "swapper",
        "order": 0,
        "gfp_mask": 0x20,
        "page_size": PAGE_KB * 1024,
        "zones": zones,
        "complete": bool(zones),
    }
    return Report(**(values | more))


def recent(*zones: ZoneDump, names: str = "GFP_ATOMIC", **more: Any) -> Report:
    """The same on 6.1, with printed names."""
    values: dict[str, Any] = {
        "release": "6.1.0-9-amd64",
        "gfp_mask": None,
        "gfp_names": names,
        "nodes": (NodeDump(0),),
        "counters_pages": {"active_file": 100, "inactive_file": 100, "slab_reclaimable": 100},
    }
    return failure(*zones, **(values | more))


def trace(*functions: str) -> tuple[Frame, ...]:
    """Frames; "name [module]" and "? name" as the kernel prints them."""
    frames = []
    for text in functions:
        name, _, module = text.removeprefix("? ").partition(" [")
        frames.append(Frame(name, 0x10, 0x20, module.rstrip("]") or None, reliable=not text.startswith("? ")))
    return tuple(frames)

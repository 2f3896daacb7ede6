"""Whole reports as kernels from 2.6.11 to 7.3 print them, with made-up numbers: for fuzzing, benchmarks and tests."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Era:
    """One format. `zones`: (node, name, size in pages, lowmem_reserve); masks: (number, names, order)."""

    release: str
    version: Version
    zones: tuple[tuple[int | None, str, int, tuple[int, ...]], ...]
    masks: tuple[tuple[int, str, int], ...]
    page_kb: int = 4


_BOX = (
    (0, "DMA", 3840, (0, 2868, 15906, 15906)),
    (0, "DMA32", 772917, (0, 0, 13038, 13038)),
    (0, "Normal", 3338000, (0, 0, 0, 0)),
)
_FIVE = tuple((node, name, size, (*reserve, reserve[-1])) for node, name, size, reserve in _BOX)
_TWO_NODES = (*_BOX, (1, "Normal", 4128768, (0, 0, 0, 0)))
_SMALL = ((None, "DMA", 3970, (0, 238, 238, 238)), (None, "Normal", 61050, (0, 0, 0, 0)))
_HIGH = (
    (None, "DMA", 3970, (0, 845, 3024, 3024)),
    (None, "Normal", 216300, (0, 0, 17432, 17432)),
    (None, "HighMem", 557824, (0, 0, 0, 0)),
)
_OLD = ((0x20, "", 0), (0xC0D0, "", 4), (0x4020, "", 2), (0x201DA, "", 0), (0x2D0, "", 1), (0x21, "", 0))
_44 = ((0x2080020, "", 0), (0x24000C0, "", 3), (0x2084020, "", 2), (0x24201CA, "", 0))
_49 = (
    (0x2080020, "GFP_ATOMIC", 0),
    (0x24000C0, "GFP_KERNEL", 3),
    (0x2084020, "GFP_ATOMIC|__GFP_COMP", 2),
    (0x24201CA, "GFP_HIGHUSER_MOVABLE|__GFP_COLD", 0),
    (0x2000000, "GFP_NOWAIT", 0),
)
_414 = ((0x1080020, "GFP_ATOMIC", 0), (0x14040C0, "GFP_KERNEL|__GFP_COMP", 4), (0x14200CA, "GFP_HIGHUSER_MOVABLE", 0))
_419 = ((0x480020, "GFP_ATOMIC", 0), (0x6040C0, "GFP_KERNEL|__GFP_COMP", 4), (0x6200CA, "GFP_HIGHUSER_MOVABLE", 0))
_5 = (
    (0xA20, "GFP_ATOMIC", 0),
    (0x40CC0, "GFP_KERNEL|__GFP_COMP", 4),
    (0x100CCA, "GFP_HIGHUSER_MOVABLE", 0),
    (0x40A20, "GFP_ATOMIC|__GFP_COMP", 2),
    (0xCC4, "GFP_KERNEL|GFP_DMA32", 0),
)
_63 = (
    (0x820, "GFP_ATOMIC", 0),
    (0x40CC0, "GFP_KERNEL|__GFP_COMP", 4),
    (0x140CCA, "GFP_HIGHUSER_MOVABLE|__GFP_COMP", 0),
    (0x40820, "GFP_ATOMIC|__GFP_COMP", 2),
)

ERAS = (
    Era("2.6.11-1-386", (2, 6, 11), _HIGH, _OLD),
    Era("2.6.18-8.el5", (2, 6, 18), _HIGH, _OLD),
    Era("2.6.32-5-686", (2, 6, 32), _SMALL, _OLD),
    Era("2.6.32-358.el6.x86_64", (2, 6, 32), _BOX, _OLD),
    Era("3.2.0-4-amd64", (3, 2, 0), _BOX, _OLD),
    Era("3.4.24-x86_64", (3, 4, 24), _TWO_NODES, _OLD),
    Era("3.10.0-1160.el7.x86_64", (3, 10, 0), _TWO_NODES, _OLD),
    Era("4.1.19-example", (4, 1, 19), _BOX, _OLD),
    Era("4.4.0-21-generic", (4, 4, 0), _FIVE, _44),
    Era("4.9.0-3-amd64", (4, 9, 0), _BOX, _49),
    Era("4.14.177-example", (4, 14, 177), _FIVE, _414),
    Era("4.19.0-6-amd64", (4, 19, 0), _FIVE, _419),
    Era("5.4.0-42-generic", (5, 4, 0), _FIVE, _5),
    Era("5.10.0-8-amd64", (5, 10, 0), _FIVE, _5),
    Era("5.15.0-91-generic", (5, 15, 0), _FIVE, _5),
    Era("6.1.0-13-amd64", (6, 1, 0), _FIVE, _5),
    Era("6.6.13-example-64k", (6, 6, 13), ((0, "Normal", 262144, (0, 0, 0)),), _63, 64),
    Era("6.12.38-example", (6, 12, 38), _FIVE, _63),
    Era("6.18.2-example", (6, 18, 2), _FIVE, _63),
    Era("7.3.4-example", (7, 3, 4), _FIVE, _63),
)
_TRACES = (
    ("__alloc_pages_nodemask+0x6a9/0x720", "e1000_alloc_rx_buffers+0x147/0x300 [e1000]", "net_rx_action+0x149/0x340"),
    ("__alloc_pages+0x305/0x330", "copy_process+0x1d1/0x1bc0", "kernel_clone+0x98/0x450"),
    ("warn_alloc+0x151/0x170", "nfs_readpage_async+0x20/0x90 [nfs]", "do_sys_open+0x57/0x80"),
    ("out_of_memory+0x2a/0x50", "handle_mm_fault+0xd7/0x2b0", "do_user_addr_fault+0x1c9/0x640"),
)


def make_report(era: Era, rng: random.Random) -> list[str]:
    """One report: header, trace, memory dump; an OOM or a stall now and then."""
    mask, names, order = rng.choice(era.masks)
    printed = f"{mask:#x}({names})" if era.version >= (4, 6, 0) else f"{mask:#x}"
    comm = rng.choice(("swapper/3", "kworker/u8:2", "java", "mysqld thread 7", "ksoftirqd/0"))
    lines = list(_header(era, rng, comm, order, printed))
    if era.version >= (2, 6, 18):
        lines.append(f"CPU: 2 PID: 4711 Comm: {comm} Not tainted {era.release} #1")
        lines += ["Call Trace:", *(f" [<ffffffff8110ef89>] {frame}" for frame in rng.choice(_TRACES))]
    return [*lines, *_dump(era, rng)]


def _header(era: Era, rng: random.Random, comm: str, order: int, printed: str) -> Iterator[str]:
    version, kind = era.version, rng.random()
    policy = ", nodemask=(null)" if version >= (4, 12, 0) else ""
    policy += ",cpuset=/,mems_allowed=0" if version >= (5, 0, 0) else ""
    if kind < 0.25:
        if version < (2, 6, 18):
            yield f"oom-killer: gfp_mask={printed}"
        elif version < (3, 8, 0):
            yield f"{comm} invoked oom-killer: gfp_mask={printed}, order={order}, oom_adj=0"
        else:
            yield f"{comm} invoked oom-killer: gfp_mask={printed}, order={order}, oom_score_adj=0"
    elif kind < 0.35 and (4, 9, 0) <= version < (4, 15, 0):
        yield f"{comm}: page allocation stalls for 10{rng.randrange(1000):03}ms, order:{order}, mode:{printed}{policy}"
    elif version < (3, 0, 0):
        yield f"{comm}: page allocation failure. order:{order}, mode:{printed}"
    else:
        yield f"{comm}: page allocation failure: order:{order}, mode:{printed}{policy}"


def _dump(era: Era, rng: random.Random) -> Iterator[str]:
    yield "Mem-Info:"
    if era.version >= (2, 6, 32):
        yield f"active_anon:{rng.randrange(1 << 20)} inactive_anon:{rng.randrange(1 << 18)} isolated_anon:0"
        yield f" active_file:{rng.randrange(1 << 18)} inactive_file:{rng.randrange(1 << 18)} isolated_file:0"
        yield f" slab_reclaimable:{rng.randrange(1 << 16)} slab_unreclaimable:{rng.randrange(1 << 16)}"
    else:
        yield f"Active:{rng.randrange(1 << 18)} inactive:{rng.randrange(1 << 18)} dirty:1 free:{rng.randrange(4096)}"
    if era.version >= (4, 8, 0):
        for number in sorted({zone[0] or 0 for zone in era.zones}):
            yield f"Node {number} active_anon:8040kB inactive_anon:205480kB active_file:92760kB all_unreclaimable? no"
    lowmem = sum(size for _, name, size, _ in era.zones if name != "HighMem")
    minimum = rng.choice((1024, 2038, 8192, 67584)) // era.page_kb
    lists = []
    for node, name, size, reserve in era.zones:
        share = 128 if name == "HighMem" else minimum * size // lowmem
        free, blocks = _free(rng, share, reserve, size)
        label = name if node is None else f"Node {node} {name}"
        yield _zone(era, rng, label, size, share, free)
        yield "lowmem_reserve[]: " + " ".join(map(str, reserve))
        lists.append(f"{label}: {_blocks(era, rng, blocks)} = {free * era.page_kb}kB")
    yield from lists
    yield f"{rng.randrange(1 << 20)} total pagecache pages"
    yield "Free swap  = 0kB"


def _free(rng: random.Random, share: int, reserve: tuple[int, ...], size: int) -> tuple[int, list[int]]:
    """Pages near one of the comparisons, and the blocks they are in."""
    about = rng.choice((share * 3 // 8, share // 2, share, share * 3 // 2)) + rng.choice((0, *reserve))
    free = left = max(0, min(size, about + rng.randrange(-20, 20)))
    blocks = [0] * 11
    for order in range(10, 0, -1):
        blocks[order] = rng.randrange((left >> order) // 2 + 1) if rng.random() < 0.4 else 0
        left -= blocks[order] << order
    blocks[0] = left
    return free, blocks


def _zone(era: Era, rng: random.Random, label: str, size: int, minimum: int, free: int) -> str:
    kb, version = era.page_kb, era.version
    parts = [f"{label} free:{free * kb}kB"]
    if version >= (5, 16, 0):
        parts.append(f"boost:{rng.choice((0, 0, min(512, minimum))) * kb}kB")
    parts.append(f"min:{minimum * kb}kB low:{minimum * 5 // 4 * kb}kB high:{minimum * 3 // 2 * kb}kB")
    if version >= (5, 5, 0):
        parts.append(
            f"reserved_highatomic:{rng.choice((0, 0, 512, 2048)) * kb}{'kB' if version >= (7, 3, 0) else 'KB'}"
        )
    if version >= (6, 15, 0):
        parts.append(f"free_highatomic:{rng.choice((0, 4)) * kb}{'kB' if version >= (7, 3, 0) else 'KB'}")
    if version >= (2, 6, 28):
        parts.append("active_anon:0kB inactive_anon:4kB active_file:16kB inactive_file:8kB unevictable:0kB")
    else:
        parts.append("active:4kB inactive:8kB")
    parts.append(f"present:{size * kb}kB")
    if version >= (3, 8, 0):
        parts.append(f"managed:{size * kb}kB mlocked:0kB")
    if version >= (3, 8, 0):
        parts.append(f"free_cma:{rng.choice((0, 0, 0, 64)) * kb}kB")
    if version < (4, 7, 0):
        parts.append("pages_scanned:0 all_unreclaimable? no")
    return " ".join(parts)


def _blocks(era: Era, rng: random.Random, blocks: list[int]) -> str:
    words = []
    for order, count in enumerate(blocks):
        letters = rng.choice(("U", "UM", "UME", "M", "H", "MC", "C")) if era.version >= (3, 8, 0) and count else ""
        words.append(f"{count}*{era.page_kb << order}kB" + (f" ({letters})" if letters else ""))
    return " ".join(words)


def dmesg(lines: list[str], seconds: float = 8421.0) -> list[str]:
    """The lines with the stamps `dmesg` prints."""
    return [f"[{seconds + number * 1e-5:12.6f}] {line}" for number, line in enumerate(lines)]

import pytest
from tests.unit.klog.samples import only_report

from pagewarden.klog import decode_meminfo as meminfo
from pagewarden.klog.types import FreeBlocks, HugePages

HEADER = "[    1.500000] a: page allocation failure: order:0, mode:0x20\n[    1.500000] Mem-Info:\n"


def test_a_zone_of_every_era() -> None:
    old = meminfo.parse_zone(
        "DMA free:20kB min:20kB low:40kB high:60kB active:32kB inactive:11040kB present:16384kB"
        " pages_scanned:8928 all_unreclaimable? yes"
    )
    assert old is not None
    assert (old.node, old.zone, old.pages_scanned, old.all_unreclaimable, old.cut) == (None, "DMA", 8928, True, False)
    new = meminfo.parse_zone(
        "Node 1 Normal free:54540kB boost:16384kB min:50560kB low:59104kB high:67648kB reserved_highatomic:2048KB"
        " free_highatomic:2032KB active_anon:192kB zspages:0kB isolated(anon):5kB present:4194304kB managed:4000000kB"
        " free_pcp:0kB local_pcp:0kB free_cma:8kB"
    )
    assert new is not None
    assert (new.node, new.zone, new.cut) == (1, "Normal", False)
    assert new.values_kb["boost"] == 16384
    assert new.values_kb["reserved_highatomic"] == 2048
    assert new.values_kb["free_highatomic"] == 2032
    assert new.values_kb["isolated(anon)"] == 5


@pytest.mark.parametrize(
    ("text", "known", "unknown"),
    [
        ("DMA free:6340kB min:444kB low:552kB high:6", {"free": 6340, "low": 552}, "high"),
        ("DMA free:6340kB min:4B", {"free": 6340}, "min"),
        (
            "DMA free:6340kB min:444kB low:552kB high:660kB reserved_highatomic:2048KB active_anB",
            {"high": 660},
            "active_an",
        ),
        ("DMA free:6340kB min:-4kB low:552kB high:660kB", {"low": 552}, "min"),
        ("DMA free:6340kB min:18446744073709551612kB low:5kB", {"low": 5}, "min"),
        ("DMA free:99999999999999999999kB min:5kB", {"min": 5}, "free"),
        ("DMA free:6340 kB min:444k B low: 552kB", {"free": 6340, "min": 444, "low": 552}, "high"),
    ],
)
def test_a_zone_that_is_cut_or_garbled(text: str, known: dict[str, int], unknown: str) -> None:
    zone = meminfo.parse_zone(text)
    assert zone is not None
    assert {name: zone.values_kb[name] for name in known} == known
    assert unknown not in zone.values_kb
    assert zone.cut


def test_an_impossible_value_is_none_and_noted() -> None:
    report = only_report(
        HEADER + "[    1.500000] DMA free:18446744073709551612kB min:5kB low:6kB high:7kB present:9kB\n"
    )
    assert report.zones[0].free_kb is None
    assert report.zones[0].min_kb == 5
    assert report.notes == ("impossible value of free for zone DMA: 18446744073709551612 kB",)
    assert not report.complete


@pytest.mark.parametrize(
    "text",
    [
        "Node 0, zone      DMA      1      1      1",
        "free:6340kB",
        "MemFree:         1234 kB",
        "pages free     3840",
        "The DMA free:12kB zone",
        "DMA: free list",
        "  DMA32    [mem 0x0000000000000000-0x00000000ffffffff]",
    ],
)
def test_lines_that_are_no_zone(text: str) -> None:
    assert meminfo.zone_key(text) is None
    assert meminfo.parse_zone(text) is None


def test_a_free_list() -> None:
    found = meminfo.parse_free_list("Node 0 DMA: 1*4kB (U) 0*8kB 12*16kB (UMEH) = 196kB")
    assert found is not None
    assert (found.node, found.zone, found.total_kb, found.page_size, found.cut) == (0, "DMA", 196, 4096, False)
    assert found.blocks == (FreeBlocks(0, 1, "U"), FreeBlocks(1, 0), FreeBlocks(2, 12, "UMEH"))


@pytest.mark.parametrize(
    ("unit", "page_size"), [(4, 4096), (8, 8192), (16, 16384), (64, 65536), (256, 262144), (12, None)]
)
def test_the_unit_gives_the_page_size(unit: int, page_size: int | None) -> None:
    found = meminfo.parse_free_list(f"Normal: 1*{unit}kB 2*{2 * unit}kB = {5 * unit}kB")
    assert found is not None
    assert found.page_size == page_size
    assert [blocks.order for blocks in found.blocks] == [0, 1]


@pytest.mark.parametrize(
    ("text", "blocks", "total", "cut"),
    [
        ("HighMem: empty", 0, None, False),
        ("DMA: 1*4kB (U) 0*8kB 0*16kB 0*4B", 3, None, True),
        ("DMA: 1*4kB (U) 0*8kB <...> = 13296kB", 2, 13296, True),
        ("DMA: 1*4kB (U) 0*8kB ... = 13296kB", 2, 13296, True),
        ("DMA: <...> = 13296kB", 0, None, True),
        ("DMA: 1*4kB (U) 0* 8kB 0*16kB = 4kB", 3, 4, False),
        ("DMA: 1*4kB (U) 0*16kB 0*32kB = 4kB", 1, 4, True),
        ("DMA: 1*4kB 0*8kB = ", 2, None, True),
        ("DMA: 1_4kB 0_8kB 3_16kB = 52kB", 3, 52, False),
        ("DMA: 1_4kB (U) 0_8kB 3*16kB (UM) = 52kB", 3, 52, False),
        ("DMA: 1_4kB 0_8kB", 2, None, True),
        ("DMA: " + " ".join(f"0*{4 << order}kB" for order in range(40)) + " = 0kB", 24, 0, True),
    ],
)
def test_a_free_list_that_is_short(text: str, blocks: int, total: int | None, cut: bool) -> None:
    found = meminfo.parse_free_list(text)
    assert found is not None
    assert (len(found.blocks), found.total_kb, found.cut) == (blocks, total, cut)


def test_counts_that_wrapped_around_are_none_and_noted() -> None:
    found = meminfo.parse_free_list("DMA: 4294567735*4kB 3*8kB = 4289685332kB")
    assert found is not None
    assert [entry.count for entry in found.blocks] == [None, 3]
    assert found.notes == ("impossible counts in the free list of zone DMA",)


@pytest.mark.parametrize(
    "text",
    [
        "DMA: preallocated 128 KiB GFP_KERNEL pool for atomic allocations",
        "node 0: slabs: 32, objs: 512, free: 64",
        "CPU0: Intel(R) 4*4kB",
        "mlx5: 4_8kB",
        "mlx5: 4_8kB buffers",
        "mlx5: 4_8MB 4_8MB",
        "Normal per-cpu: empty",
    ],
)
def test_lines_that_are_no_free_list(text: str) -> None:
    assert meminfo.list_key(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lowmem_reserve[]: 0 238 238 238", ("lowmem_reserve", (0, 238, 238, 238))),
        ("protections[]: 8 476 732", ("protections", (8, 476, 732))),
        ("lowmem_reserve[]:", ("lowmem_reserve", None)),
        ("lowmem_reserve[]: 0 -1 5", ("lowmem_reserve", None)),
        ("lowmem_reserve[]: " + "1 " * 17, ("lowmem_reserve", None)),
        ("lowmem_reserve[]: 0 9999999999999999999", ("lowmem_reserve", None)),
        ("vm.lowmem_reserve_ratio = 256 256 32", None),
    ],
)
def test_reserves(text: str, expected: tuple[str, tuple[int, ...] | None] | None) -> None:
    assert meminfo.parse_reserve(text) == expected


def test_a_reserve_that_cannot_be_read_is_none_and_noted() -> None:
    report = only_report(
        HEADER + "[    1.500000] DMA free:4kB min:5kB low:6kB high:7kB present:9kB free_cma:0kB\n"
        "[    1.500000] lowmem_reserve[]: 0 -1\n"
    )
    assert report.zones[0].lowmem_reserve_pages is None
    assert report.notes == ("the reserve of zone DMA cannot be read",)
    assert "lowmem-reserve" in report.missing


def test_protections_are_kept_apart() -> None:
    report = only_report(
        HEADER + "[    1.500000] DMA free:4kB min:5kB low:6kB high:7kB present:9kB\n"
        "[    1.500000] protections[]: 8 476 732\n"
        "[    1.500000] DMA: 1*4kB 0*8kB = 4kB\n"
    )
    assert report.zones[0].protections_pages == (8, 476, 732)
    assert report.zones[0].lowmem_reserve_pages is None
    assert report.complete


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("524272 pages of RAM", ("ram_pages", 524272)),
        ("8287317 pages RAM", ("ram_pages", 8287317)),
        ("294896 pages of HIGHMEM", ("highmem_pages", 294896)),
        ("0 pages HighMem/MovableOnly", ("highmem_pages", 0)),
        ("1269 reserved pages", ("reserved_pages", 1269)),
        ("8192 pages cma reserved", ("cma_reserved_pages", 8192)),
        ("Free swap  = 0kB", ("swap_free_kb", 0)),
        ("Free swap:            12kB", ("swap_free_kb", 12)),
        ("99999999999999999999 pages RAM", ("ram_pages", None)),
        ("12 pages in the book", None),
        ("pages RAM", None),
    ],
)
def test_closing_lines(text: str, expected: tuple[str, int | None] | None) -> None:
    assert meminfo.parse_total(text) == expected


def test_huge_pages_and_counters() -> None:
    assert meminfo.parse_huge("hugepages_total=1 hugepages_free=2 hugepages_surp=3 hugepages_size=2048kB") == HugePages(
        None, 2048, 1, 2, 3
    )
    assert meminfo.parse_counters("Active:20 inactive:23 slab:874") == {"active": 20, "inactive": 23, "slab": 874}
    assert meminfo.parse_counters("free:426 free_pcp:1") == {"free": 426, "free_pcp": 1}
    assert meminfo.parse_counters("active_anon:1kB") is None
    assert meminfo.parse_counters("free:kB") is None


def test_names_that_4_8_prints_one_place_off_are_put_right() -> None:
    node = (
        "[    1.500000] Node 0 active_anon:400kB mapped:8kB writeback:0kB shmem:4kB shmem_thp: 8kB"
        " shmem_pmdmapped: 12kB anon_thp: 2000kB writeback_tmp:0kB unstable:0kB all_unreclaimable? no\n"
    )
    counters = "[    1.500000] active_anon:100 shmem:{} pagetables:1\n"
    lists = "[    1.500000] Node 0 DMA: 1*4kB (U) = 4kB\n"
    shifted = only_report(HEADER + counters.format(500) + node + lists).nodes[0].values_kb
    assert [shifted[name] for name in ("shmem", "shmem_thp", "shmem_pmdmapped", "anon_thp")] == [2000, 4, 8, 12]
    right = only_report(HEADER + counters.format(1) + node + lists).nodes[0].values_kb
    assert [right[name] for name in ("shmem", "shmem_thp", "shmem_pmdmapped", "anon_thp")] == [4, 8, 12, 2000]


@pytest.mark.parametrize(
    ("pending", "text", "joined"),
    [
        ("DMA free:4kB min:5kB", "low:6kB", "DMA free:4kB min:5kB low:6kB"),
        ("DMA free:4kB present:163", "84kB free_cma:0kB", "DMA free:4kB present:16384kB free_cma:0kB"),
        ("DMA free:4kB presen", "t:16384kB", "DMA free:4kB present:16384kB"),
        ("DMA free:4kB present:", "16384kB", "DMA free:4kB present:16384kB"),
        ("DMA free:4kB present:16384k", "B low:1kB", "DMA free:4kB present:16384kB low:1kB"),
        ("DMA free:4kB all_unreclaimable?", "yes", "DMA free:4kB all_unreclaimable? yes"),
        ("DMA free:4kB all_unreclaimable", "? yes", "DMA free:4kB all_unreclaimable? yes"),
        ("DMA free:4kB all_unrecl", "aimable? yes", "DMA free:4kB all_unreclaimable? yes"),
        ("DMA free:4kB", "That is a lot of memory", None),
        ("DMA free:4kB", "yesterday it was less", None),
        ("DMA free:4kB", "active_anon:5 inactive_anon:6", None),
    ],
)
def test_wrapped_zone_lines(pending: str, text: str, joined: str | None) -> None:
    assert meminfo.continue_values(pending, text) == joined


@pytest.mark.parametrize(
    ("pending", "text", "joined"),
    [
        ("DMA: 1*4kB (U)", "2*8kB = 20kB", "DMA: 1*4kB (U) 2*8kB = 20kB"),
        ("DMA: 1*4kB", "(U) 2*8kB = 20kB", "DMA: 1*4kB (U) 2*8kB = 20kB"),
        ("DMA: 1*4kB 2*5", "12kB = 20kB", "DMA: 1*4kB 2*512kB = 20kB"),
        ("DMA: 1*4kB 4294967238*51", "2kB = 20kB", "DMA: 1*4kB 4294967238*512kB = 20kB"),
        ("DMA: 1*4kB (UM", "EH) = 4kB", "DMA: 1*4kB (UMEH) = 4kB"),
        ("DMA: 1*4kB =", "4kB", "DMA: 1*4kB = 4kB"),
        ("DMA: 1*4kB", "= 4kB", "DMA: 1*4kB = 4kB"),
        ("DMA: 1*4kB = 4kB", "8kB of it", None),
        ("DMA: 1*4kB", "There are no larger pages", None),
    ],
)
def test_wrapped_free_lists(pending: str, text: str, joined: str | None) -> None:
    assert meminfo.continue_blocks(pending, text) == joined

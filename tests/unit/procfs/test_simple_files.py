from collections.abc import Callable
from pathlib import Path
from textwrap import indent

import pytest

from pagewarden.errors import ParseError
from pagewarden.procfs.buddyinfo import parse_buddyinfo
from pagewarden.procfs.fields import check_text
from pagewarden.procfs.hugepages import parse_choice, parse_size, parse_switch
from pagewarden.procfs.meminfo import parse_meminfo
from pagewarden.procfs.numa import parse_distances, parse_id_list
from pagewarden.procfs.pagetypeinfo import parse_pagetypeinfo
from pagewarden.procfs.pressure import parse_pressure
from pagewarden.procfs.swaps import parse_swaps
from pagewarden.procfs.sysctl import SYSCTL_SHAPES, parse_sysctl, parse_sysctl_dump, sysctl_path
from pagewarden.procfs.types import Pressure, PressureLine
from pagewarden.procfs.vmstat import parse_vmstat

DATA = Path(__file__).parents[2] / "data" / "proc"
BUDDY = (DATA / "buddyinfo-6.18").read_text()
TYPES = (DATA / "pagetypeinfo-6.18").read_text()
MEMINFO = (DATA / "meminfo-6.18").read_text()
PSI = "some avg10=0.12 avg60=3.40 avg300=100.00 total=123456\nfull avg10=0.00 avg60=0.01 avg300=0.00 total=99\n"


def test_buddyinfo() -> None:
    blocks = parse_buddyinfo(BUDDY)
    assert list(blocks) == [(0, "DMA"), (0, "DMA32"), (1, "Normal")]
    assert blocks[0, "DMA32"] == (100120, 22133, 413, 20, 3, 1, 0, 0, 0, 0, 40)


@pytest.mark.parametrize("orders", [1, 9, 14])
def test_buddyinfo_with_any_number_of_orders(orders: int) -> None:
    counts = " ".join(str(order) for order in range(orders))
    assert parse_buddyinfo(f"Node 0, zone Normal {counts}\n") == {(0, "Normal"): tuple(range(orders))}


def test_pagetypeinfo() -> None:
    info = parse_pagetypeinfo(TYPES)
    assert (info.pageblock_order, info.pageblock_pages) == (9, 512)
    assert info.free_blocks[0, "DMA32", "Movable"] == (100000, 22100, 411, 20, 3, 1, 0, 0, 0, 0, 40)
    assert info.free_blocks[1, "Normal", "Unmovable"][10] == 11
    assert info.truncated == {(0, "DMA32", "Movable", 0)}
    assert info.blocks == {
        (0, "DMA"): {"Unmovable": 1, "Movable": 7},
        (0, "DMA32"): {"Unmovable": 20, "Movable": 990},
        (1, "Normal"): {"Unmovable": 12, "Movable": 2036},  # not the table of mixed blocks
    }


def test_pagetypeinfo_of_2_6_24_has_a_type_without_a_name() -> None:
    text = (
        "Page block order: 10\nPages per block:  1024\n\n"
        "Free pages count per migrate type at order       0      1\n"
        "Node    0, zone      DMA, type    Unmovable      1      2\n"
        "Node    0, zone      DMA, type       <NULL>      0      0\n\n"
        "Number of blocks type     Unmovable  Reclaimable      Movable      Reserve       <NULL>\n"
        "Node 0, zone      DMA            1            0            2            1            0\n"
    )
    info = parse_pagetypeinfo(text)
    assert info.free_blocks[0, "DMA", "<NULL>"] == (0, 0)
    assert info.blocks[0, "DMA"] == {"Unmovable": 1, "Reclaimable": 0, "Movable": 2, "Reserve": 1, "<NULL>": 0}


@pytest.mark.parametrize(
    ("parse", "text"), [(parse_buddyinfo, BUDDY), (parse_meminfo, MEMINFO), (parse_pagetypeinfo, TYPES)]
)
def test_blanks_before_every_line_change_nothing(parse: Callable[[str], object], text: str) -> None:
    assert parse(indent(text, "    ")) == parse(text)
    assert parse(indent(text, "  ").replace("\n", "\r\n")) == parse(text)


def test_lines_are_not_counted_at_every_poll() -> None:
    """Of the usual text nothing is asked but whether something odd is in it: that takes longer than all the rest."""

    class Uncounted(str):
        def count(self, *_: object) -> int:
            raise AssertionError

    text = Uncounted(MEMINFO)
    assert check_text(text, "proc/meminfo", "") is text


def test_vmstat_keeps_all_counters() -> None:
    text = "nr_free_pages 1024\nallocstall_normal 0\nnever_heard_of_2 18446744073709551615\n"
    assert parse_vmstat(text) == {"nr_free_pages": 1024, "allocstall_normal": 0, "never_heard_of_2": 2**64 - 1}
    assert parse_vmstat(text.replace("\n", "\r\n")) == parse_vmstat(text)
    assert parse_vmstat("\n" + text) == parse_vmstat(text)


def test_meminfo() -> None:
    fields = parse_meminfo(MEMINFO)
    assert fields["MemTotal"] == 6087364
    assert fields["Active(anon)"] == 88012
    assert fields["HugePages_Total"] == 4
    assert list(fields)[-1] == "DirectMap2M"


SWAPS = (
    "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    "/swap/my\\040file                          file\t\t16224856\t0\t\t-2\n"
    "/dev/zram0                              partition\t16223228\t592024\t\t100\n"
)


def test_swaps() -> None:
    found = parse_swaps(SWAPS)
    assert found == {"/swap/my\\040file": 16224856, "/dev/zram0": 16223228}
    assert parse_swaps(SWAPS.splitlines()[0] + "\n") == {}
    assert list(parse_swaps(SWAPS.replace("my", "größe")).values()) == [16224856, 16223228]


def test_pressure() -> None:
    some = PressureLine(0.12, 3.4, 100.0, 123456)
    assert parse_pressure(PSI) == Pressure(some, PressureLine(0.0, 0.01, 0.0, 99))
    assert parse_pressure(PSI.split("full")[0]) == Pressure(some, None)


@pytest.mark.parametrize(
    ("text", "ids"),
    [("0\n", (0,)), ("0-3,8\n", (0, 1, 2, 3, 8)), ("\n", ()), ("", ()), ("1,3-4,65535", (1, 3, 4, 65535))],
)
def test_id_list(text: str, ids: tuple[int, ...]) -> None:
    assert parse_id_list(text, "cpulist") == ids


def test_distances() -> None:
    assert parse_distances("10 21  31\n", "distance") == (10, 21, 31)


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("[always] madvise never\n", "always"),
        ("always [madvise] never", "madvise"),
        ("always within_size advise [never] deny force\n", "never"),
    ],
)
def test_choice(text: str, choice: str) -> None:
    assert parse_choice(text, "enabled") == choice


@pytest.mark.parametrize(("text", "on"), [("1\n", True), ("0\n", False), ("[yes] no\n", True), ("yes [no]\n", False)])
def test_switch(text: str, on: bool) -> None:
    assert parse_switch(text, "defrag") is on


def test_size() -> None:
    assert parse_size("2097152\n", "hpage_pmd_size") == 2097152


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("vm.min_free_kbytes", "67584\n", "67584"),
        ("vm.min_free_kbytes", "-1\n", "-1"),  # accepted and printed until 3.13
        ("vm.lowmem_reserve_ratio", "256\t256\t32\t0\t0\n", "256 256 32 0 0"),
        ("vm.lowmem_reserve_ratio", "256\n", "256"),
        ("vm.numa_zonelist_order", "Node\n", "Node"),
        ("vm.never_heard_of", "some  words\t7\n", "some words 7"),
    ],
)
def test_sysctl(key: str, text: str, value: str) -> None:
    assert parse_sysctl(key, text, "x") == value


def test_sysctl_order_ends_with_the_file_whose_reading_changes_zoneinfo() -> None:
    assert list(SYSCTL_SHAPES)[-1] == "vm.lowmem_reserve_ratio"
    assert sysctl_path("vm.min_free_kbytes") == "proc/sys/vm/min_free_kbytes"
    assert not {"vm.compact_memory", "vm.drop_caches", "vm.stat_refresh"} & SYSCTL_SHAPES.keys()


def test_sysctl_dump() -> None:
    text = (
        'sysctl: reading key "net.ipv6.conf.all.stable_secret"\n'
        "kernel.core_pattern = |/usr/lib/x %P = 2\n"
        "vm.lowmem_reserve_ratio = 256\t256\t32\n"
        "vm.min_free_kbytes = 67584\n"
        "vm.min_free_kbytes = 1\n"
        "net.ipv4.tcp_fastopen_key =\r\n"
    )
    assert parse_sysctl_dump(text, "x") == {
        "kernel.core_pattern": "|/usr/lib/x %P = 2",
        "vm.lowmem_reserve_ratio": "256 256 32",
        "vm.min_free_kbytes": "67584",
        "net.ipv4.tcp_fastopen_key": "",
    }


def fails(parse: Callable[..., object], *arguments: str) -> tuple[int, str]:
    with pytest.raises(ParseError) as caught:
        parse(*arguments)
    assert "\n" not in str(caught.value)
    return caught.value.line_number, caught.value.expected


@pytest.mark.parametrize(
    ("parse", "text", "line_number", "expected"),
    [
        (parse_buddyinfo, "", 0, "empty"),
        (parse_buddyinfo, "Node 0, zone DMA\n", 1, "free blocks"),
        (parse_buddyinfo, BUDDY + "Node 1, zone Nor", 4, "free blocks"),
        (parse_buddyinfo, BUDDY + "Node 1, zone Movable 1 2 3\n", 4, "11 orders"),
        (parse_buddyinfo, BUDDY + BUDDY, 4, "once"),
        (parse_buddyinfo, BUDDY.replace("22133", "-22133"), 2, "free blocks"),
        (parse_buddyinfo, BUDDY.replace("22133", str(2**64)), 2, "2^64"),
        (parse_buddyinfo, BUDDY.replace("22133", "2213x"), 2, "free blocks"),
        (parse_buddyinfo, BUDDY.replace("22133", "22\x0033"), 2, "binary"),
        (parse_buddyinfo, BUDDY.replace("\n", "\r\n", 1), 1, "line end"),
        (parse_pagetypeinfo, "", 0, "empty"),
        (parse_pagetypeinfo, BUDDY, 1, "Page block order"),
        (parse_pagetypeinfo, TYPES.replace("order: 9\n", "order: nine\n", 1), 1, "Page block order"),
        (parse_pagetypeinfo, "Page block order: 9\nPages per block:  512\n", 0, "free pages by migrate type"),
        (parse_pagetypeinfo, TYPES.partition("\n")[2].replace("Page block order: 9\n", ""), 0, "Page block order"),
        (parse_pagetypeinfo, TYPES.replace("  22100 ", " ", 1), 8, "11 counts"),
        (parse_pagetypeinfo, TYPES.replace(">100000", ">10000x"), 8, "11 counts"),
        (parse_pagetypeinfo, TYPES.replace(" 7 \n", "\n"), 11, "2 counts"),
        (parse_pagetypeinfo, TYPES.replace("type      Movable", "type    Unmovable", 1), 6, "once"),
        (parse_pagetypeinfo, TYPES.replace("Pages per block:  512", "Pages per block:  256", 1), 14, "every node"),
        (parse_pagetypeinfo, TYPES[: TYPES.index("22100")], 8, "11 counts"),
        (parse_swaps, "", 0, "empty"),
        (parse_swaps, SWAPS.partition("\n")[2], 1, "Filename"),
        (parse_swaps, SWAPS.replace("592024", "59x"), 3, "SIZE"),
        (parse_vmstat, "", 0, "empty"),
        (parse_vmstat, "nr_free_pages 1\nnr_mapped\n", 2, "'nr_mapped'"),
        (parse_vmstat, "nr_free_pages 1\nnr_mapped -5\n", 2, "'nr_mapped'"),
        (parse_vmstat, "nr_free_pages 1\nnr_mapped 1_0\n", 2, "'nr_mapped'"),
        (parse_vmstat, f"nr_free_pages {2**64}\n", 1, "2^64"),
        (parse_vmstat, "nr_free_pages " + "7" * 5000, 1, "2^64"),
        (parse_vmstat, "nr_free_pages 1\nnr_free_pages 1\n", 2, "once"),
        (parse_vmstat, "nr free pages 1\n", 1, "'nr'"),
        (parse_vmstat, "5 6\n", 1, "name value"),
        (parse_vmstat, "nr_free_pages 1\x00\n", 1, "binary"),
        (parse_meminfo, "", 0, "empty"),
        (parse_meminfo, "        total:    used:\n", 1, "Name: value"),
        (parse_meminfo, MEMINFO.replace("6087364 kB", "6087364 MB"), 1, "Name: value"),
        (parse_meminfo, MEMINFO.replace("6087364", "-6087364"), 1, "Name: value"),
        (parse_meminfo, MEMINFO.replace("6087364", str(2**64)), 1, "2^64"),
        (parse_meminfo, MEMINFO[:40], 2, "Name: value"),
        (parse_meminfo, MEMINFO + MEMINFO, 10, "once"),
        (parse_pressure, "", 0, "empty"),
        (parse_pressure, "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", 0, "some"),
        (parse_pressure, PSI + PSI, 3, "some"),
        (parse_pressure, PSI.replace("3.40", "nan"), 1, "some"),
        (parse_pressure, PSI.replace("123456", "-1"), 1, "some"),
    ],
)
def test_refuses(parse: Callable[[str, str], object], text: str, line_number: int, expected: str) -> None:
    number, told = fails(parse, text, "f")
    assert number == line_number
    assert expected in told


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_id_list, "0-"),
        (parse_id_list, "3-1"),
        (parse_id_list, "1,1"),
        (parse_id_list, "0-4294967295"),
        (parse_id_list, "0-99999999999"),
        (parse_id_list, "a"),
        (parse_id_list, "0,,1"),
        (parse_distances, ""),
        (parse_distances, "10 -1"),
        (parse_distances, "10,20"),
        (parse_choice, ""),
        (parse_choice, "always madvise never"),
        (parse_choice, "[always] [madvise] never"),
        (parse_choice, "[alw"),
        (parse_switch, ""),
        (parse_switch, "2"),
        (parse_switch, "[maybe] no"),
        (parse_size, "2MB"),
        (parse_size, "-1"),
        (parse_sysctl_dump, "command not found\n"),
    ],
)
def test_one_line_files_refuse(parse: Callable[[str, str], object], text: str) -> None:
    fails(parse, text, "f")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("vm.min_free_kbytes", ""),
        ("vm.min_free_kbytes", "\n"),
        ("vm.min_free_kbytes", "67584 1"),
        ("vm.min_free_kbytes", "much"),
        ("vm.min_free_kbytes", "1e5"),
        ("vm.min_free_kbytes", "+5"),
        ("vm.lowmem_reserve_ratio", "256,256,32"),
        ("vm.lowmem_reserve_ratio", ""),
        ("vm.numa_zonelist_order", "N\x00de"),
    ],
)
def test_sysctl_refuses(key: str, text: str) -> None:
    fails(parse_sysctl, key, text, "f")

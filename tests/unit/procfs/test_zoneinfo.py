import time
from pathlib import Path
from textwrap import indent

import pytest

from pagewarden.errors import ParseError
from pagewarden.procfs.types import Node, Zone
from pagewarden.procfs.zoneinfo import count_cpus, parse_zoneinfo

DATA = Path(__file__).parents[2] / "data" / "proc"
FORMATS = sorted(path.name for path in DATA.glob("zoneinfo-*"))


def text_of(name: str) -> str:
    return (DATA / name).read_text()


def zone_of(nodes: tuple[Node, ...], node: int, name: str) -> Zone:
    return next(zone for each in nodes for zone in each.zones if (zone.node, zone.name) == (node, name))


def test_newest_format_field_by_field() -> None:
    nodes = parse_zoneinfo(text_of("zoneinfo-6.18"))
    assert [(node.node, [zone.name for zone in node.zones]) for node in nodes] == [
        (0, ["DMA", "DMA32", "Normal", "Movable"]),
        (1, ["Normal"]),
    ]
    assert zone_of(nodes, 0, "DMA32") == Zone(
        node=0,
        name="DMA32",
        free_pages=100020,
        min_pages=2512,
        low_pages=3012,
        high_pages=3512,
        spanned_pages=520192,
        present_pages=520192,
        managed_pages=487001,
        boost_pages=512,
        promo_pages=4012,
        cma_pages=4096,
        reserved_highatomic_pages=1024,
        free_highatomic_pages=700,
        protection_pages=(0, 0, 0, 0),
        start_pfn=4096,
        counters={"nr_free_pages": 100020, "numa_hit": 910, "node_unreclaimable": 0},
    )
    assert [node.counters for node in nodes] == [
        {"nr_inactive_anon": 11, "nr_active_anon": 22},
        {"nr_inactive_anon": 33, "nr_active_anon": 44},
    ]


@pytest.mark.parametrize(
    ("name", "node", "zone", "high", "present", "managed", "protection", "start_pfn"),
    [
        ("zoneinfo-2.6.16", 0, "DMA", 115, 4096, None, (0, 0, 1200, 1200), 0),
        ("zoneinfo-2.6.16", 0, "Normal", 1420, 126976, None, (0, 0, 0, 0), 4096),
        ("zoneinfo-2.6.32", 0, "DMA32", 25050, 768160, None, (0, 0, 1010, 1010), 4096),
        ("zoneinfo-4.9", 0, "Normal", 31500, 1277952, 1255670, (0, 0, 0, 0, 0), 1048576),
        ("zoneinfo-4.18", 0, "DMA", 49, 3998, 3977, (0, 2800, 15800, 15800, 15800), 1),
        ("zoneinfo-4.18", 0, "Device", 0, 0, 0, (0, 0, 0, 0, 0), None),
        ("zoneinfo-5.8", 0, "Movable", 0, 0, 0, None, None),
        ("zoneinfo-6.18", 0, "Movable", 32, 0, 0, (0, 0, 0, 0), None),
        ("zoneinfo-6.18", 1, "Normal", 6000, 1048576, 1031000, (0, 0, 0, 0), 524288),
    ],
)
def test_formats(
    name: str,
    node: int,
    zone: str,
    high: int,
    present: int,
    managed: int | None,
    protection: tuple[int, ...] | None,
    start_pfn: int | None,
) -> None:
    found = zone_of(parse_zoneinfo(text_of(name)), node, zone)
    assert found.high_pages == high  # not one of the `high:` of the per-CPU lists
    assert (found.present_pages, found.managed_pages) == (present, managed)
    assert (found.protection_pages, found.start_pfn) == (protection, start_pfn)


def test_lines_of_old_kernels_are_kept_as_counters() -> None:
    oldest = zone_of(parse_zoneinfo(text_of("zoneinfo-2.6.16")), 0, "DMA").counters
    assert oldest["scanned"] == 12
    assert (oldest["active"], oldest["inactive"]) == (412, 388)
    assert (oldest["prev_priority"], oldest["temp_priority"]) == (12, 11)
    later = zone_of(parse_zoneinfo(text_of("zoneinfo-2.6.32")), 0, "DMA32").counters
    assert (later["scanned"], later["inactive_ratio"]) == (32, 5)
    node = parse_zoneinfo(text_of("zoneinfo-4.18"))[0]
    assert node.counters == {"nr_inactive_anon": 105, "nr_written": 260861}  # the nameless counter is nobody's


def test_one_zone_cut_out_by_hand() -> None:
    text = """Node 3, zone   Normal
  pages free     2761
        boost    1459
        min      1946
        low      2189
        high     2432
        spanned  262144
        present  262144
        managed  243597
"""
    (node,) = parse_zoneinfo(text)
    assert node.node == 3
    assert node.zones[0].protection_pages is None
    assert node.zones[0].managed_pages == 243597


@pytest.mark.parametrize("name", FORMATS)
def test_crlf_and_blank_lines_change_nothing(name: str) -> None:
    text = text_of(name)
    assert parse_zoneinfo(text.replace("\n", "\r\n")) == parse_zoneinfo(text)
    assert parse_zoneinfo("\n\n" + text.replace("\nNode", "\n\nNode") + "\n") == parse_zoneinfo(text)


@pytest.mark.parametrize("name", FORMATS)
def test_lost_indentation_changes_nothing(name: str) -> None:
    text = text_of(name)
    flat = "\n".join(line.strip() for line in text.split("\n"))
    if name == "zoneinfo-2.6.16":  # its NUMA counters are told from the zone's by indentation alone
        flat = "\n".join(line for line in flat.split("\n") if not line.startswith(("numa_", "inter", "local", "other")))
    assert parse_zoneinfo(flat) == parse_zoneinfo(text)


@pytest.mark.parametrize("name", FORMATS)
def test_blanks_before_every_line_change_nothing(name: str) -> None:
    assert parse_zoneinfo(indent(text_of(name), "    ")) == parse_zoneinfo(text_of(name))


@pytest.mark.parametrize("dots", ["...", "[...]", "      [...]", "<...>", "  ..", "--"])
def test_dots_stand_for_lines_that_were_left_out(dots: str) -> None:
    zone = (
        "Node 0, zone   Normal\n  pages free     5\n        min      1\n        low      2\n        high     3\n"
        f"        spanned  9\n        present  8\n        managed  7\n        protection: (0, 0)\n{dots}\n"
        f"  start_pfn:           4096\n{dots}\n"
    )
    found = zone_of(parse_zoneinfo(zone), 0, "Normal")
    assert (found.high_pages, found.start_pfn, found.counters) == (3, 4096, {})


def test_unknown_names_are_kept() -> None:
    text = text_of("zoneinfo-6.18").replace("zone  Movable", "zone  Tier42-x")
    text = text.replace(
        "      numa_hit     910\n", "      numa_hit     910\n      nr_never_seen 18446744073709551615\n"
    )
    text = text.replace("  node_unreclaimable:  0\n", "  node_unreclaimable:  0\n  brand_new:  7\n")
    nodes = parse_zoneinfo(text)
    assert zone_of(nodes, 0, "Tier42-x").min_pages == 32
    assert zone_of(nodes, 0, "DMA32").counters["nr_never_seen"] == 2**64 - 1
    assert zone_of(nodes, 1, "Normal").counters["brand_new"] == 7


NEWEST = text_of("zoneinfo-6.18")


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        pytest.param("", "", "empty", id="empty"),
        pytest.param(" \n\n", " \n\n", "empty", id="blank"),
        pytest.param("permission denied\n", "permission denied", "Node N, zone NAME", id="other text"),
        pytest.param(
            "MemTotal: 5 kB\n" + NEWEST, "MemTotal: 5 kB", "Node N, zone NAME", id="text before the first zone"
        ),
        pytest.param(NEWEST.replace("high     3512", "high     -1"), "        high     -1", "'high'", id="negative"),
        pytest.param(
            NEWEST.replace("high     3512", "high     18446744073709551616"),
            "        high     18446744073709551616",
            "2^64",
            id="2^64",
        ),
        pytest.param(
            NEWEST.replace("min      2512", "min      " + "9" * 5000),
            "        min      " + "9" * 5000,
            "2^64",
            id="5000 digits",
        ),
        pytest.param(
            NEWEST.replace("min      2512", "min      0x9d0"), "        min      0x9d0", "'min'", id="hexadecimal"
        ),
        pytest.param(
            NEWEST.replace("min      2512", "min      2_512"), "        min      2_512", "'min'", id="underscore"
        ),
        pytest.param(
            NEWEST.replace("min      2512", "min      2512 9"), "        min      2512 9", "name value", id="two values"
        ),
        pytest.param(
            NEWEST.replace("        min      2512\n", ""), "Node 0, zone    DMA32", "'min'", id="a mark is missing"
        ),
        pytest.param(
            NEWEST.replace("        low ", "        min "), "        min      18", "'min' once", id="a mark twice"
        ),
        pytest.param(
            NEWEST.replace("Node 1, zone   Normal", "Node 0, zone   Normal"),
            "Node 0, zone   Normal",
            "once",
            id="zone twice",
        ),
        pytest.param(NEWEST + NEWEST, "Node 0, zone      DMA", "once", id="file twice"),
        pytest.param(
            NEWEST.replace("Node 1, zone   Normal", "Node 1, zone"), "Node 1, zone", "Node N, zone NAME", id="no name"
        ),
        pytest.param(
            NEWEST.replace("Node 1, zone", "Node x, zone"),
            "Node x, zone   Normal",
            "Node N, zone NAME",
            id="node is no number",
        ),
        pytest.param(
            NEWEST.replace("(0, 1900, 1900, 1900)", "(0, 1900, , 1900)"),
            "        protection: (0, 1900, , 1900)",
            "protection",
            id="hole",
        ),
        pytest.param(
            NEWEST.replace("(0, 1900, 1900, 1900)", "()"), "        protection: ()", "protection", id="no protection"
        ),
        pytest.param(
            NEWEST.replace("(0, 1900,", "(0, -1900,"),
            "        protection: (0, -1900, 1900, 1900)",
            "protection",
            id="negative protection",
        ),
        pytest.param(
            NEWEST.replace("(0, 1900,", f"(0, {2**64},"),
            f"        protection: (0, {2**64}, 1900, 1900)",
            "protection",
            id="absurd protection",
        ),
        pytest.param(
            NEWEST.replace("nr_free_pages 100020", "nr_free_pages"), "      nr_free_pages", "name value", id="no value"
        ),
        pytest.param(
            NEWEST.replace("start_pfn:           4096", "start_pfn:           4o96"),
            "  start_pfn:           4o96",
            "start_pfn",
            id="letter",
        ),
        pytest.param("\0" + NEWEST, "\0Node 0, zone      DMA", "binary", id="NUL first"),
        pytest.param(
            NEWEST.replace("batch:    63", "batch:\0   63", 1),
            "              batch:\0   63",
            "binary",
            id="NUL in the lists",
        ),
        pytest.param(NEWEST.replace("low ", "lőw ", 1), "        lőw      18", "ASCII", id="not ASCII"),
        pytest.param(NEWEST.replace("\n", "\r\n", 5), "Node 0, zone      DMA\r", "line end", id="mixed line ends"),
        pytest.param(NEWEST.replace("\n", "\r"), None, "line end", id="lone carriage returns"),
    ],
)
def test_refuses(text: str, line: str | None, expected: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_zoneinfo(text, "dir/zoneinfo")
    assert caught.value.path == "dir/zoneinfo"
    assert line is None or caught.value.line == line
    number = caught.value.line_number
    assert number == 0 or text.split("\n")[number - 1] == caught.value.line
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_a_cut_file_is_refused_or_read_right(name: str) -> None:
    text = text_of(name)
    whole = {(zone.node, zone.name): zone for node in parse_zoneinfo(text) for zone in node.zones}
    refused = 0
    for length in range(0, len(text), 5):
        try:
            nodes = parse_zoneinfo(text[:length])
        except ParseError:
            refused += 1
            continue
        for zone in (zone for node in nodes for zone in node.zones):
            full = whole[zone.node, zone.name]
            assert (zone.free_pages, zone.min_pages, zone.low_pages) == (
                full.free_pages,
                full.min_pages,
                full.low_pages,
            )
            assert (zone.high_pages, zone.present_pages) == (full.high_pages, full.present_pages)
            assert zone.managed_pages in (full.managed_pages, None)
            assert zone.protection_pages in (full.protection_pages, None)
    assert refused > len(text) / 5 * 0.7


@pytest.mark.parametrize(
    "last_line",
    ["        managed  24359", "        present  262144", "        pres", "      nr_free_pages 12", "Node 1, zo"],
)
def test_refuses_a_last_line_without_its_end(last_line: str) -> None:
    whole = """Node 0, zone   Normal
  pages free     2761
        min      1946
        low      2189
        high     2432
        spanned  262144
        present  262145
        managed  243597
"""
    parse_zoneinfo(whole)
    cut = whole.replace("        managed  243597\n", "") if "present" in last_line else whole
    cut = cut.replace("        present  262145\n", "") if "present" in last_line else cut
    with pytest.raises(ParseError):
        parse_zoneinfo(cut + last_line)


def test_a_last_line_may_lack_its_end_where_nothing_can_be_lost() -> None:
    for name in ("zoneinfo-4.18", "zoneinfo-5.8", "zoneinfo-6.18", "zoneinfo-2.6.32"):
        text = text_of(name)
        assert parse_zoneinfo(text.rstrip("\n")) == parse_zoneinfo(text)


def test_error_after_the_lists_names_its_line() -> None:
    with pytest.raises(ParseError) as caught:
        parse_zoneinfo(NEWEST.replace("free_highatomic:     700", "free_highatomic:     7-0"))
    assert caught.value.line_number == NEWEST.split("\n").index("  free_highatomic:     700") + 1
    assert caught.value.line == "  free_highatomic:     7-0"


@pytest.mark.parametrize(
    ("name", "cpus"), [("zoneinfo-2.6.16", 2), ("zoneinfo-2.6.32", 2), ("zoneinfo-4.9", 1), ("zoneinfo-6.18", 2)]
)
def test_count_cpus(name: str, cpus: int) -> None:
    assert count_cpus(text_of(name)) == cpus


def test_count_cpus_without_lists() -> None:
    assert count_cpus("Node 0, zone Normal\n") is None


def test_step_over_lists_without_reading_them() -> None:
    # The lists are the bulk of the file: 200 times as many CPUs must not take 20 times as long.
    def seconds(cpus: int) -> float:
        lists = "".join(f"    cpu: {cpu}\n              count:    {cpu}\n" for cpu in range(cpus))
        text = NEWEST.replace("    cpu: 0\n              count:    0\n", lists)
        best = 1.0
        for _ in range(7):
            start = time.process_time()
            parse_zoneinfo(text)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(2000) < 20 * seconds(10)

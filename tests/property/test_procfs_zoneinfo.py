from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from pagewarden.errors import ParseError
from pagewarden.procfs.types import Node, Zone
from pagewarden.procfs.zoneinfo import parse_zoneinfo

NAMES = ("DMA", "DMA32", "Normal", "HighMem", "Movable", "Device")
PAGES = st.one_of(st.integers(0, 4096), st.integers(0, 2**64 - 1))


@dataclass(frozen=True)
class Era:
    """What a kernel prints."""

    name: str
    managed: bool = True
    cma: bool = False
    boost: bool = False
    promo: bool = False
    highatomic: bool = False
    node_statistics: bool = True
    protection_last: bool = False
    empty_zones: bool = True
    empty_protection: bool = True
    indent: str = "      "
    tail: tuple[str, ...] = ("node_unreclaimable",)
    threshold: bool = True
    two_lists: bool = False


OLD = {"node_statistics": False, "protection_last": True, "empty_zones": False, "indent": "    "}
ERAS = (
    Era("2.6.18", managed=False, threshold=False, two_lists=True, tail=("all_unreclaimable", "temp_priority"), **OLD),
    Era("2.6.32", managed=False, tail=("all_unreclaimable", "prev_priority"), **OLD),
    Era("3.10", tail=("all_unreclaimable", "inactive_ratio"), **OLD),
    Era("4.9", protection_last=True, empty_zones=False, tail=("node_unreclaimable", "node_inactive_ratio")),
    Era("4.18"),
    Era("5.8", empty_protection=False),
    Era("6.1", boost=True, cma=True),
    Era("6.12", boost=True, cma=True, promo=True),
    Era("6.19", boost=True, cma=True, promo=True, highatomic=True),
)

COUNTER_NAMES = st.lists(
    st.from_regex(r"(nr|numa|workingset)_[a-z]{1,12}[0-9]?", fullmatch=True), max_size=4, unique=True
)


@st.composite
def machines(draw: st.DrawFn) -> tuple[Era, tuple[Node, ...]]:
    era = draw(st.sampled_from(ERAS))
    zone_names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    nodes = []
    for number in sorted(draw(st.sets(st.integers(0, 1023), min_size=1, max_size=3))):
        zones = [
            zone for name in zone_names if (zone := draw(zones_of(era, number, name))).populated or era.empty_zones
        ]
        named = draw(COUNTER_NAMES) if era.node_statistics and any(zone.populated for zone in zones) else []
        if zones:
            nodes.append(Node(number, tuple(zones), {name: draw(PAGES) for name in named}))
    return era, tuple(nodes)


@st.composite
def zones_of(draw: st.DrawFn, era: Era, node: int, name: str) -> Zone:
    present = draw(st.one_of(st.just(0), st.integers(1, 2**40)))

    def optional(printed: bool) -> int | None:
        return draw(PAGES) if printed else None

    protection = present or era.empty_protection
    counters = {}
    if present:
        counters = {counter: draw(PAGES) for counter in (*draw(COUNTER_NAMES), *era.tail)}
    return Zone(
        node,
        name,
        draw(PAGES),
        draw(PAGES),
        draw(PAGES),
        draw(PAGES),
        draw(PAGES),
        present,
        optional(era.managed),
        optional(era.boost),
        optional(era.promo),
        optional(era.cma),
        optional(era.highatomic and present > 0),
        optional(era.highatomic and present > 0),
        tuple(draw(st.lists(PAGES, min_size=1, max_size=6))) if protection else None,
        draw(PAGES) if present else None,
        counters,
    )


def outcome(text: str) -> tuple[Node, ...] | ParseError:
    try:
        return parse_zoneinfo(text)
    except ParseError as error:
        return error


def render(era: Era, nodes: tuple[Node, ...], cpus: int) -> str:
    lines: list[str] = []
    for node in nodes:
        statistics = node.counters
        for zone in node.zones:
            lines.append(f"Node {node.node}, zone {zone.name:>8}")
            if statistics and zone.populated:
                lines += ["  per-node stats", *(f"      {name:<12} {value}" for name, value in statistics.items())]
                statistics = {}
            lines += zone_lines(era, zone, cpus)
    return "\n".join(lines) + "\n"


def zone_lines(era: Era, zone: Zone, cpus: int) -> list[str]:
    fields = ("boost", "min", "low", "high", "promo", "spanned", "present", "managed", "cma")
    printed = {field: getattr(zone, f"{field}_pages") for field in fields}
    lines = [f"  pages free     {zone.free_pages}"]
    lines += [f"        {field:<8} {value}" for field, value in printed.items() if value is not None]
    protection = zone.protection_pages
    guard = [f"        protection: ({', '.join(map(str, protection))})"] if protection is not None else []
    counters = [f"{era.indent}{name:<12} {value}" for name, value in zone.counters.items() if name not in era.tail]
    if not zone.populated:
        return lines + guard
    lines += counters + guard if era.protection_last else guard + counters
    lines.append("  pagesets")
    for cpu in range(cpus):
        for which in (" pcp: 0", " pcp: 1") if era.two_lists else ("",):
            lines.append(f"    cpu: {cpu}{which}")
            lines += [f"              {name} {cpu * 7}" for name in ("count:", "high: ", "batch:")]
        lines += ["  vm stats threshold: 24"] if era.threshold else []
    lines += [f"  {name}: {zone.counters[name]}" for name in era.tail] + [f"  start_pfn:           {zone.start_pfn}"]
    if zone.reserved_highatomic_pages is not None:
        lines.append(f"  reserved_highatomic: {zone.reserved_highatomic_pages}")
        lines.append(f"  free_highatomic:     {zone.free_highatomic_pages}")
    return lines


@given(machines(), st.integers(1, 3))
def test_reads_what_a_kernel_prints(machine: tuple[Era, tuple[Node, ...]], cpus: int) -> None:
    era, nodes = machine
    if not nodes:
        return
    text = render(era, nodes, cpus)
    assert parse_zoneinfo(text) == nodes
    assert parse_zoneinfo(text.replace("\n", "\r\n")) == nodes


@given(machines(), st.data())
def test_a_prefix_is_read_or_refused(machine: tuple[Era, tuple[Node, ...]], data: st.DataObject) -> None:
    era, nodes = machine
    if not nodes:
        return
    text = render(era, nodes, 2)
    cut = text[: data.draw(st.integers(0, len(text)))]
    whole = {(zone.node, zone.name): zone for node in nodes for zone in node.zones}
    found = outcome(cut)
    if isinstance(found, ParseError):
        assert found.line_number <= cut.count("\n") + 1
        return
    for zone in (zone for node in found for zone in node.zones):
        full = whole[zone.node, zone.name]
        for field in ("free", "min", "low", "high", "spanned", "present"):
            assert getattr(zone, f"{field}_pages") == getattr(full, f"{field}_pages")
        for field in ("managed", "boost", "promo", "cma", "protection"):
            assert getattr(zone, f"{field}_pages") in (getattr(full, f"{field}_pages"), None)


@given(machines(), st.data())
def test_a_mangled_file_is_read_or_refused(machine: tuple[Era, tuple[Node, ...]], data: st.DataObject) -> None:
    text = render(*machine, 1)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        gone = data.draw(st.integers(0, 40))
        text = text[:at] + data.draw(st.text(max_size=6)) + text[at + gone :]
    found = outcome(text)
    if isinstance(found, ParseError):
        return
    assert found
    for zone in (zone for node in found for zone in node.zones):
        assert min(zone.free_pages, zone.min_pages, zone.present_pages, *zone.counters.values(), 0) == 0


@settings(max_examples=120)
@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    found = outcome(text)
    assert found
    assert not isinstance(found, ParseError) or "\n" not in str(found)

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagewarden.errors import ParseError
from pagewarden.procfs.buddyinfo import parse_buddyinfo
from pagewarden.procfs.capture_notes import parse_notes
from pagewarden.procfs.hugepages import parse_choice, parse_size, parse_switch
from pagewarden.procfs.meminfo import parse_meminfo
from pagewarden.procfs.numa import parse_distances, parse_id_list
from pagewarden.procfs.pagetypeinfo import parse_pagetypeinfo
from pagewarden.procfs.pressure import parse_pressure
from pagewarden.procfs.sysctl import parse_sysctl_dump
from pagewarden.procfs.sysctl_files import parse_command_line, parse_sysctl_file
from pagewarden.procfs.vmstat import parse_vmstat

COUNTS = st.integers(0, 2**64 - 1)
ZONES = st.tuples(st.integers(0, 1023), st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,9}", fullmatch=True))
TYPES = ("Unmovable", "Movable", "Reclaimable", "HighAtomic", "CMA", "Isolate")

PARSERS: tuple[Callable[[str, str], object], ...] = (
    parse_buddyinfo,
    parse_pagetypeinfo,
    parse_vmstat,
    parse_meminfo,
    parse_pressure,
    parse_id_list,
    parse_distances,
    parse_choice,
    parse_switch,
    parse_size,
    parse_notes,
    parse_sysctl_dump,
)


def outcome(parse: Callable[[str, str], object], text: str) -> object:
    try:
        return parse(text, "f")
    except ParseError as error:
        return error


@pytest.mark.parametrize("parse", PARSERS)
@given(text=st.one_of(st.text(), st.text(alphabet='0123456789 \n,-abNode:[]kB{}"')))
def test_any_text_is_read_or_refused(parse: Callable[[str, str], object], text: str) -> None:
    found = outcome(parse, text)
    assert found is not None
    assert not isinstance(found, ParseError) or "\n" not in str(found)


@given(st.text())
def test_settings_are_always_read(text: str) -> None:
    lines = parse_sysctl_file(text, "f")
    read = len(lines.assignments) + len(lines.excluded) + len(lines.invalid)
    assert read <= sum(map(text.count, "\n\r\0")) + 1
    for assignment in lines.assignments:
        assert 1 <= assignment.line_number <= text.count("\n") + 1
    assert all(assignment.key for assignment in parse_command_line(text))


@given(st.integers(1, 15).flatmap(lambda orders: st.dictionaries(ZONES, st.tuples(*[COUNTS] * orders), min_size=1)))
def test_buddyinfo_round_trip(blocks: dict[tuple[int, str], tuple[int, ...]]) -> None:
    text = "".join(
        f"Node {node}, zone {zone:>8} " + "".join(f"{count:>6} " for count in counts) + "\n"
        for (node, zone), counts in blocks.items()
    )
    assert parse_buddyinfo(text) == blocks


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True), COUNTS, min_size=1))
def test_vmstat_round_trip(counters: dict[str, int]) -> None:
    assert parse_vmstat("".join(f"{name} {value}\n" for name, value in counters.items())) == counters


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Za-z0-9_]{0,20}(\(anon\))?", fullmatch=True), COUNTS, min_size=1))
def test_meminfo_round_trip(fields: dict[str, int]) -> None:
    lines = [f"{name + ':':<16}{value:>8}{'' if name[0] == 'H' else ' kB'}\n" for name, value in fields.items()]
    assert parse_meminfo("".join(lines)) == fields


@given(
    st.integers(1, 13),
    st.lists(ZONES, min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from(TYPES), min_size=1, unique=True),
    st.data(),
)
def test_pagetypeinfo_round_trip(
    orders: int, zones: list[tuple[int, str]], types: list[str], data: st.DataObject
) -> None:
    free: dict[tuple[int, str, str], tuple[int, ...]] = {}
    blocks: dict[tuple[int, str], dict[str, int]] = {}
    cut: set[tuple[int, str, str, int]] = set()
    text = ""
    for node, zone in zones:
        text += "Page block order: 9\nPages per block:  512\n\nFree pages count per migrate type at order "
        text += "".join(f"{order:>6} " for order in range(orders)) + "\n"
        for kind in types:
            counts = data.draw(st.tuples(*[st.integers(0, 100000)] * orders))
            free[node, zone, kind] = counts
            cut |= {(node, zone, kind, order) for order, count in enumerate(counts) if count == 100000}
            shown = "".join(f"{'>' if count == 100000 else ''}{count} ".rjust(7) for count in counts)
            text += f"Node {node:>4}, zone {zone:>8}, type {kind:>12} {shown}\n"
        blocks[node, zone] = {kind: data.draw(COUNTS) for kind in types}
        text += "\nNumber of blocks type " + "".join(f"{kind:>12} " for kind in types) + "\n"
        text += f"Node {node}, zone {zone:>8} " + "".join(f"{blocks[node, zone][kind]:>12} " for kind in types) + "\n"
    info = parse_pagetypeinfo(text)
    assert (info.free_blocks, info.blocks, info.truncated) == (free, blocks, cut)


@given(st.sets(st.integers(0, 300)))
def test_id_list_round_trip(ids: set[int]) -> None:
    ranges: list[list[int]] = []
    for number in sorted(ids):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    text = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
    assert parse_id_list(text + "\n", "f") == tuple(sorted(ids))

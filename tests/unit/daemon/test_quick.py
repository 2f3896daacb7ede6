"""The quick readers give what the parsers give, or leave the text to them."""

from pathlib import Path

import pytest
from tests.conftest import DATA

from pagewarden.daemon.counters import followed
from pagewarden.daemon.observe import _quick_zone
from pagewarden.daemon.quick import QuickCounters, quick_pressure, quick_zones
from pagewarden.errors import ParseError
from pagewarden.procfs.pressure import parse_pressure
from pagewarden.procfs.vmstat import parse_vmstat
from pagewarden.procfs.zoneinfo import parse_zoneinfo

FILES = sorted(path for path in DATA.rglob("zoneinfo*") if path.is_file())
LEFT = {"zoneinfo-2.6.16", "zoneinfo-2.6.32", "zoneinfo-5.8"}
"""Older than the quick reader's shapes, or cut down by hand."""
MACHINE = (DATA / "machines" / "db1-16g" / "proc" / "zoneinfo").read_text()
PSI = "some avg10=0.00 avg60=1.50 avg300=0.00 total=7\n"


@pytest.mark.parametrize("path", [*FILES, Path("/proc/zoneinfo")], ids=str)
def test_zones_are_those_of_the_parser(path: Path) -> None:
    text = path.read_text()
    found = quick_zones(text)
    assert (found is None) == (path.name in LEFT)
    if found is not None:
        later = {zone.name: zone for zone in found}
        whole = [_quick_zone(zone) for node in parse_zoneinfo(text) for zone in node.zones]
        if path == Path("/proc/zoneinfo"):  # free pages may change between two readings, not within one text
            assert set(later) == {zone.name for zone in whole}
        assert found == whole


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(MACHINE[: len(MACHINE) // 2], id="cut"),
        pytest.param(MACHINE.removesuffix("\n"), id="cut in the last line"),
        pytest.param(MACHINE.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(MACHINE.replace("pages free", "pages fred", 1), id="a line of another name"),
        pytest.param(MACHINE.replace("protection:", "protecting:", 1), id="no reserves"),
        pytest.param("x\n" + MACHINE, id="something before"),
    ],
)
def test_other_shapes_are_left_to_the_parser(text: str) -> None:
    assert quick_zones(text) is None


def test_counters_are_those_of_the_parser_at_every_poll() -> None:
    reader = QuickCounters()
    for text in (
        "nr_free_pages 5\nallocstall_dma 1\nallocstall_normal 2\noom_kill 0\nnuma_hit 3\n",
        "nr_free_pages 6\nallocstall_dma 2\nallocstall_normal 9\noom_kill 1\nnuma_hit 4\n",
        "nr_free_pages 6\nallocstall_normal 9\nallocstall_dma 2\noom_kill 1\nnuma_hit 4\n",
        "allocstall 7\noom_kill 1\n",
        "",
    ):
        expected = followed(parse_vmstat(text)) if text else None
        if expected is None:
            with pytest.raises(ParseError):
                reader.read(text, "vmstat")
        else:
            assert reader.read(text, "vmstat") == expected


@pytest.mark.parametrize("line", ["oom_kill x", "oom_kill", "oom_kill -1", "oom_kill 1 2", "oom_kill ²"])
def test_a_counter_that_is_damaged_later_is_an_error(line: str) -> None:
    reader = QuickCounters()
    reader.read("nr_free_pages 5\noom_kill 0\n", "vmstat")
    with pytest.raises(ParseError):
        reader.read(f"nr_free_pages 5\n{line}\n", "vmstat")


@pytest.mark.parametrize("full", ["", "full avg10=99.00 avg60=0.12 avg300=0.00 total=18446744073709551\n"])
def test_pressure_is_that_of_the_parser(full: str) -> None:
    pressure = parse_pressure(PSI + full)
    expected = pressure.some.total_us, None if pressure.full is None else pressure.full.total_us
    assert quick_pressure(PSI + full) == expected


@pytest.mark.parametrize("text", ["", "some avg10=0.00 avg60=0.00 avg300=0.00 total=x\n", "full\nsome\n", PSI * 2])
def test_other_pressure_is_left_to_the_parser(text: str) -> None:
    assert quick_pressure(PSI) == (7, None)
    assert quick_pressure(text) is None

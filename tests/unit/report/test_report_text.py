"""What is laid out for people: from hostile values, on narrow terminals, without losing a number."""

import os
import re
from collections.abc import Iterable
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType
from tests.machines import GIB, snapshot, zone

from pagewarden.advise.advice import advise
from pagewarden.advise.effect import predict_effect
from pagewarden.diagnose.settings import settings_of
from pagewarden.kernel.machine import machine_of
from pagewarden.kernel.simulate import Write
from pagewarden.klog.types import LogRead
from pagewarden.procfs.types import Snapshot
from pagewarden.report.advice import render_advice
from pagewarden.report.console import NARROWEST, PLAIN_WIDTH, WIDEST, console
from pagewarden.report.simulation import render_simulation
from pagewarden.report.status import render_status
from pagewarden.report.words import Folded, count_text, lines_read, pages_text, plain_table, zone_name
from pagewarden.units import human_bytes, human_count

EMPTY = (0, 0, 0, 0, 0)


def text(parts: Iterable[RenderableType], width: int = 80) -> str:
    output = Console(width=width, markup=False, highlight=False, no_color=True, force_terminal=False)
    with output.capture() as captured:
        for part in parts:
            output.print(part, crop=False)
    return captured.get()


def status(found: Snapshot, width: int = 80) -> str:
    machine = machine_of(found)
    return text(render_status(found, machine, settings_of(found, machine)), width)


def guest(nodes: int = 1) -> Snapshot:
    zones = [
        zone("DMA", 3840, marks=(71, 88, 105, 122), protection=(0, 3019, 3531, 3531, 3531)),
        zone("DMA32", 772917, marks=(14385, 17981, 21577, 25173), protection=(0, 0, 512, 512, 512)),
        zone("Normal", 131072, marks=(2439, 3048, 3657, 4266), protection=EMPTY),
        zone("Movable", 0, marks=(32, 32, 32, 32), protection=EMPTY),
    ]
    more = [replace(entry, node=node) for node in range(nodes) for entry in zones]
    sysctls = {"min_free_kbytes": "67584", "watermark_scale_factor": "10", "lowmem_reserve_ratio": "256 256 32 0 0"}
    return snapshot(more, sysctls, kernel="6.18.44")


def test_status_names_what_was_inferred() -> None:
    found = guest()
    sysctls = {key: value for key, value in found.sysctls.items() if key != "vm.min_free_kbytes"}
    assert "inferred from the marks: vm.min_free_kbytes 67584." in status(replace(found, sysctls=sysctls))
    assert "inferred" not in status(found)
    cut = replace(found.nodes[0], zones=found.nodes[0].zones[:1])
    assert "Zones are missing" in status(replace(found, sysctls={}, nodes=(cut,)))


def test_pages_that_nobody_manages_are_not_below_a_mark() -> None:
    found = guest()
    reserved = zone("Device", 0, present=65536, free=0, protection=EMPTY)
    zones = [*found.zones, reserved]
    shown = status(replace(found, nodes=(replace(found.nodes[0], zones=tuple(zones)),)))
    assert "below min" not in shown
    assert "empty: Movable, Device" in shown


@pytest.mark.parametrize(
    ("free", "state", "note"),
    [
        (2439, "below min", "direct reclaim"),
        (2440, "below low", "kswapd is awake"),
        (3048, "below low", "kswapd is awake"),
        (3049, "below high", None),
        (3657, "below high", None),
        (3658, "1.0 x high", None),
        (365700, "100 x high", None),
    ],
)
def test_state_of_a_zone(free: int, state: str, note: str | None) -> None:
    found = guest()
    nodes = tuple(
        replace(node, zones=tuple(replace(z, free_pages=free) if z.name == "Normal" else z for z in node.zones))
        for node in found.nodes
    )
    shown = status(replace(found, nodes=nodes))
    line = next(line for line in shown.splitlines() if re.match(r"Normal +512 MiB", line))
    assert line.rstrip().endswith(state)
    assert ("direct reclaim" in shown) is (note == "direct reclaim")
    assert ("kswapd is awake" in shown) is (note == "kswapd is awake")


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("nodes", [1, 2, 16])
def test_no_width_breaks_it(width: int, nodes: int) -> None:
    shown = status(guest(nodes), width)
    assert max(map(len, shown.splitlines())) <= max(width, 40), "two columns are never parted"
    assert "\u2026" not in shown
    if width >= 80:
        assert "2.9 GiB" in shown
        assert "\n  after" not in shown


def test_80_columns_hold_two_nodes_with_promo() -> None:
    lines = status(guest(2)).splitlines()
    row = next(line for line in lines if line.startswith("node 1 DMA32"))
    assert "56.2 MiB" in row
    assert row.rstrip().endswith("x high")


def test_a_reason_is_said_once_for_all_its_zones() -> None:
    zones = [
        zone("DMA", 3840, marks=(64, 80, 96), protection=(0, 2990, 3902, 3902, 3902)),
        zone("DMA32", 765920, marks=(12899, 16123, 19347), protection=(0, 0, 911, 911, 911)),
        zone("Normal", 235498, marks=(3931, 4913, 5895), protection=EMPTY),
    ]
    sysctls = {"min_free_kbytes": "67584", "watermark_scale_factor": "10", "lowmem_reserve_ratio": "256 256 32 0 0"}
    shown = status(snapshot(zones, sysctls), 200)
    assert shown.count("marks date from an earlier count") == 1
    assert "- node 0 DMA32, node 0 Normal: marks date" in shown
    assert "- node 0 DMA, node 0 DMA32: protection dates" in shown


def test_a_misfit_shows_its_numbers_but_not_all_of_them() -> None:
    found = guest(16)
    nodes = tuple(
        replace(node, zones=tuple(replace(z, low_pages=z.low_pages + 1) for z in node.zones)) for node in found.nodes
    )
    shown = status(replace(found, nodes=nodes))
    assert "does NOT reproduce" in shown
    assert shown.count("predicted") == 8
    assert "and 200 more" in shown


def test_what_is_torn_and_absent_is_said() -> None:
    found = replace(
        guest(),
        torn=("zones came or went",),
        absent={
            "/proc/vmstat": "no such file",
            "/proc/uptime": "no such file",
            "/proc/sys/vm/defrag_mode": "no such file",
        },
    )
    shown = status(found, 200)
    assert "Torn: zones came or went" in shown
    assert "Not read (no such file): /proc/vmstat, /proc/uptime\n" in shown


def test_text_of_the_machine_is_not_taken_for_markup() -> None:
    found = replace(guest(), host="[bold]x[/bold]", arch=":smile:")
    assert "[bold]x[/bold]" in status(found)
    assert ":smile:" in status(found)


@pytest.mark.parametrize("width", [20, 80])
def test_simulation_and_advice_on_any_width(width: int) -> None:
    found = guest(2)
    machine = machine_of(found)
    effect = predict_effect(found, machine, Write("vm.min_free_kbytes", "1"), Write("vm.lowmem_reserve_ratio", "1 1"))
    shown = text(render_simulation(effect.simulation, effect.projection), width)
    assert max(map(len, shown.splitlines())) <= max(width, 40)
    assert "67584 -> 1" in " ".join(shown.split())
    assert max(map(len, text(render_advice(advise(found, machine)), width).splitlines())) <= width


def test_rewriting_what_is_there_changes_nothing() -> None:
    found = guest()
    effect = predict_effect(found, machine_of(found), Write("vm.min_free_kbytes", "67584"))
    assert "No mark and no reserve of any zone changes" in text(render_simulation(effect.simulation, effect.projection))


def test_a_pipe_has_the_width_of_a_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console().width == PLAIN_WIDTH == 80
    monkeypatch.setitem(os.environ, "COLUMNS", "132")
    assert console().width == 132


@pytest.mark.parametrize(
    ("columns", "width"),
    [
        ("0", PLAIN_WIDTH),
        ("00", PLAIN_WIDTH),
        ("", PLAIN_WIDTH),
        ("-5", PLAIN_WIDTH),
        ("80x", PLAIN_WIDTH),
        ("\u00b2", PLAIN_WIDTH),
        ("1", NARROWEST),
        ("40", 40),
        ("9" * 12, WIDEST),
    ],
)
def test_columns_that_are_no_width(monkeypatch: pytest.MonkeyPatch, columns: str, width: int) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert console().width == width


@pytest.mark.parametrize("width", [20, 40, 60])
def test_a_table_that_is_too_wide_is_split_and_keeps_every_number(width: int) -> None:
    table = plain_table("zone", "free", "min", "low", "said of it")
    table.columns[-1].overflow = "fold"
    table.add_row("node 0 Normal", "15.5 MiB", "132 KiB", "100%", "/etc/sysctl.d/90-a-long-name.conf:12")
    table.add_row("node 1 Movable", "1023 MiB", "0.98", "12345", "")
    table.caption = "a caption"
    shown = text([Folded(table)], width)
    for cell in ("15.5 MiB", "132 KiB", "100%", "1023 MiB", "0.98", "12345"):
        assert len(re.findall(rf"(?<!\S){cell}(?!\S)", shown)) == 1
    assert "\u2026" not in shown
    assert shown.count("a caption") == 1
    assert "90-a-long-name.conf:12" in re.sub(r"\s", "", shown)
    assert shown.count("node 0 Normal") == shown.count("node 1 Movable") == shown.count("zone") >= 1
    assert max(map(len, shown.splitlines())) <= max(width, len("node 1 Movable  1023 MiB"), len("node 1 Movable") + 16)


def test_zone_names() -> None:
    assert zone_name(machine_of(guest()), 0, "DMA") == "DMA"
    assert zone_name(machine_of(guest(2)), 1, "DMA") == "node 1 DMA"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (102400, "100 KiB"),
        (1047552, "1023 KiB"),
        (1048063, "1023 KiB"),
        (1048575, "1 MiB"),
        (-4096, "-4 KiB"),
        (GIB * 4096 * 1024, "1 TiB"),
        (2**64, "16777216 TiB"),
    ],
)
def test_human_bytes(count: int, shown: str) -> None:
    assert human_bytes(count) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0"), (9999, "9999"), (10000, "10k"), (999999, "999k"), (10**6, "1M")]
)
def test_human_count(count: int, shown: str) -> None:
    assert human_count(count) == count_text(count) == shown


def test_pages_are_bytes_for_people() -> None:
    assert pages_text(3840, 4096) == "15 MiB"
    assert pages_text(1, 65536) == "64 KiB"


@pytest.mark.parametrize(
    ("log", "text"),
    [
        (LogRead("a", None), "not read, or not to the end"),
        (LogRead("a", 0), "empty: no line was read"),
        (LogRead("a", 1), "1 line read"),
        (LogRead("a", 9, 1, 4), "9 lines read; line 4 speaks of memory trouble without a report"),
        (LogRead("a", 9, 2, 4), "9 lines read; 2 lines speak of memory trouble without a report, the first in line 4"),
        (
            LogRead("a", 9, 1, 4, trouble_whole=False),
            "9 lines read; at least 1 line speaks of memory trouble without a report, the first in line 4",
        ),
    ],
)
def test_how_much_of_a_log_was_read(log: LogRead, text: str) -> None:
    assert lines_read(log) == text

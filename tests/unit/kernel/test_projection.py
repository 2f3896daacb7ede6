"""What a change would mean for a machine in use, and when to warn."""

from dataclasses import replace

import pytest
from tests.machines import snapshot, zone

from pagewarden.kernel.machine import machine_of
from pagewarden.kernel.projection import Projection, project
from pagewarden.kernel.simulate import Write, simulate

MEMINFO = {"MemFree": 80000, "Active(file)": 40000, "Inactive(file)": 40000, "SReclaimable": 8000}


def projected(
    value: str, meminfo: dict[str, int] | None = MEMINFO, free: int = 20000, key: str = "min_free_kbytes"
) -> Projection:
    """One zone of 100000 pages with min_free_kbytes 4000: marks 1000, 1250, 1500."""
    zones = [zone("Normal", 100000, free=free, marks=(1000, 1250, 1500)), zone("Movable", 0)]
    sysctls = {"min_free_kbytes": "4000", "watermark_scale_factor": "10"}
    if meminfo is not None and free != 20000:
        meminfo = {**meminfo, "MemFree": free * 4}
    facts = replace(snapshot(zones, sysctls, kernel="6.1.0"), meminfo_kb=meminfo)
    return project(simulate(machine_of(facts), [Write(f"vm.{key}", value)]), facts)


def test_headroom_is_free_against_the_new_marks() -> None:
    (room,) = projected("8000").headroom
    assert (room.node, room.zone, room.free_pages) == (0, "Normal", 20000)
    assert (room.above_min_pages, room.above_low_pages, room.above_high_pages) == (18000, 17500, 17000)


def test_no_change_no_warning() -> None:
    same = projected("4000", free=10)
    assert same.warnings == ()
    assert same.to_free_bytes == (1500 - 10) * 4096


@pytest.mark.parametrize("value", ["2100", "4000", "8000", "16000"])
def test_within_reason_no_warning(value: str) -> None:
    assert projected(value).warnings == ()


def test_mem_available_falls_by_high_and_twice_low() -> None:
    found = projected("8000")
    assert found.available_bytes is not None
    before, after = found.available_bytes
    # high 1500 -> 3000; page cache 20000 less low, 1250 -> 2500; slab 2000 less half of it, 1000 both times
    assert before == (20000 - 1500 + 20000 - 1250 + 2000 - 1000) * 4096
    assert before - after == (1500 + 1250) * 4096


@pytest.mark.parametrize("lacking", ["MemFree", "Active(file)", "Inactive(file)"])
def test_what_is_not_known_is_none(lacking: str) -> None:
    meminfo = {key: value for key, value in MEMINFO.items() if key != lacking}
    found = projected("8000", meminfo)
    assert found.available_bytes is None
    assert found.reclaimable_bytes is None
    assert projected("8000", None).reclaimable_bytes is None


def test_reclaimable_is_page_cache_and_slab() -> None:
    assert projected("8000").reclaimable_bytes == 88000 * 1024
    assert projected("8000", {**MEMINFO, "KReclaimable": 9000}).reclaimable_bytes == 89000 * 1024


def test_beyond_five_percent() -> None:
    (warning,) = projected("20400").warnings
    assert "5.1 %" in warning
    assert projected("20000").warnings == ()


def test_free_below_the_new_min_starts_direct_reclaim_at_once() -> None:
    warnings = projected("16000", free=3000).warnings
    assert any("below the new min" in text and "3.9 MiB" in text for text in warnings)
    assert not any("below the new min" in text for text in projected("16000", free=500).warnings), "it is below already"


def test_more_to_free_than_there_is() -> None:
    warnings = projected("300000", free=20000).warnings
    assert warnings[0].startswith("DANGER")
    assert any("must be swapped or killed for" in text for text in warnings)


def test_more_than_half_of_what_there_is() -> None:
    warnings = projected("60000", {**MEMINFO, "Inactive(file)": 0, "SReclaimable": 0}, free=16000).warnings
    assert any("more than half" in text and not text.startswith("DANGER") for text in warnings)


def test_mem_available_of_nothing() -> None:
    warnings = projected("200000", {"MemFree": 80000, "Active(file)": 0, "Inactive(file)": 0}).warnings
    assert any(text.startswith("DANGER: MemAvailable would fall") for text in warnings)


@pytest.mark.parametrize(("value", "blocked"), [("399996", False), ("400000", True), ("2147483647", True)])
def test_a_min_as_large_as_the_zone(value: str, blocked: bool) -> None:
    warnings = projected(value).warnings
    assert warnings[0].startswith("DANGER")
    assert ("as large as the zone itself" in warnings[0]) is blocked


def test_empty_zones_are_not_spoken_of() -> None:
    assert [room.zone for room in projected("400000").headroom] == ["Normal"]


def test_without_meminfo_what_must_be_freed_is_said_all_the_same() -> None:
    (warning,) = projected("4400", None, free=1600).warnings
    assert "nothing that was read of proc/vmstat and proc/meminfo tells" in warning
    assert projected("4400", None, free=2600).warnings == ()


def test_lowering_starts_no_reclaim_even_on_an_exhausted_machine() -> None:
    nothing_to_reclaim = {"MemFree": 400, "Active(file)": 0, "Inactive(file)": 0}
    assert projected("3000", nothing_to_reclaim, free=100).warnings == ()


def test_five_percent_are_of_low_memory() -> None:
    zones = [
        zone("Normal", 100000, free=90000, marks=(1000, 1250, 1500)),
        zone("HighMem", 800000, marks=(128, 2128, 4128)),
    ]
    facts = snapshot(zones, {"min_free_kbytes": "4000", "watermark_scale_factor": "10"}, kernel="6.1.0")
    warnings = project(simulate(machine_of(facts), [Write("vm.min_free_kbytes", "24000")]), facts).warnings
    assert any("6.0 % of low memory" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param("0", "DANGER: vm.min_free_kbytes=0 leaves next to nothing", id="nothing"),
        pytest.param("1000", "warns of deadlocks", id="below what the kernel's documentation allows"),
        pytest.param("2000", "less than 80 % of the kernel's own formula (2529)", id="below the formula"),
    ],
)
def test_lowering_takes_the_reserve_of_those_who_cannot_wait(value: str, words: str) -> None:
    assert any(words in text for text in projected(value).warnings)


def test_every_knob_that_takes_much_is_warned_of() -> None:
    warnings = projected("3000", key="watermark_scale_factor").warnings
    assert any("of memory, would be withdrawn" in text for text in warnings)


def test_every_zone_closed_at_once() -> None:
    assert any("no zone would have a page" in text for text in projected("60000", free=9000).warnings)
    assert not any("no zone would have a page" in text for text in projected("60000").warnings)


def test_a_misfit_comes_first() -> None:
    zones = [zone("Normal", 100000, free=20000, marks=(1007, 1250, 1500)), zone("Movable", 0)]
    facts = snapshot(zones, {"min_free_kbytes": "4000", "watermark_scale_factor": "10"}, kernel="6.1.0")
    warnings = project(simulate(machine_of(facts), [Write("vm.min_free_kbytes", "8000")]), facts).warnings
    assert "cannot be trusted" in warnings[0]


def test_vmstat_is_believed_before_meminfo() -> None:
    zones = [zone("Normal", 100000, free=20000, marks=(1000, 1250, 1500)), zone("Movable", 0)]
    facts = replace(
        snapshot(zones, {"min_free_kbytes": "4000", "watermark_scale_factor": "10"}, kernel="6.1.0"),
        vmstat={"nr_active_file": 10, "nr_inactive_file": 20, "nr_slab_reclaimable": 3},
        meminfo_kb={"MemFree": 999999999, "Active(file)": 999999999, "Inactive(file)": 0},
    )
    assert project(simulate(machine_of(facts), []), facts).reclaimable_bytes == 33 * 4096


def test_a_meminfo_of_another_machine_is_not_believed() -> None:
    assert projected("8000", {**MEMINFO, "MemFree": 800000}).available_bytes is None


def test_before_4_6_the_low_marks_were_subtracted() -> None:
    zones = [zone("Normal", 100000, free=20000, marks=(1000, 1250, 1500)), zone("Movable", 0)]
    facts = replace(snapshot(zones, {"min_free_kbytes": "4000"}, kernel="4.1.0"), meminfo_kb=MEMINFO)
    found = project(simulate(machine_of(facts), []), facts).available_bytes
    assert found is not None
    assert found[0] == (20000 - 1250 + 20000 - 1250 + 2000 - 1000) * 4096
    older = replace(facts, kernel="3.10.0", banner=None)
    assert project(simulate(machine_of(older), []), older).available_bytes is None, "no such field before 3.14"

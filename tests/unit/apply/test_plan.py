"""Plans: bounds with their reasons, order and steps, who wins, and the text of the file. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.machines import GIB, applied, snapshot, zone

from pagewarden.apply.plan import Scene, plan_changes, plan_revert
from pagewarden.apply.record_text import parse_record, record_text
from pagewarden.apply.snippet import digest, render_snippet
from pagewarden.apply.steps import without_boost
from pagewarden.apply.types import Change, Owned, Plan, Record, Retired, Snippet
from pagewarden.apply.verify import differences
from pagewarden.kernel.machine import MIN_FREE, RATIO, RECLAIM_MODE, SCALE_FACTOR, machine_of
from pagewarden.kernel.simulate import Write, simulate
from pagewarden.procfs.types import Snapshot, SysctlFile, Zone

SYSCTLS = {
    "min_free_kbytes": "16384",
    "watermark_scale_factor": "10",
    "lowmem_reserve_ratio": "256 256 32 0 0",
    "zone_reclaim_mode": "0",
    "watermark_boost_factor": "15000",
    "compaction_proactiveness": "20",
    "vfs_cache_pressure": "100",
    "swappiness": "60",
}


def settled(free: Mapping[str, int] | None = None, *files: SysctlFile, scale: int = 1) -> Snapshot:
    """A machine of 4 GB times SCALE whose marks and reserves are those of its settings."""
    managed = {"DMA": 3840, "DMA32": 750_000, "Normal": 250_000 * scale, "Movable": 0, "Device": 0}
    zones = [
        zone(name, pages, marks=(0, 0, 0), protection=(0,) * 5, free=(free or {}).get(name, pages * 2 // 3))
        for name, pages in managed.items()
    ]
    usage = {
        "MemFree": sum(entry.free_pages for entry in zones) * 4,
        "Active(file)": 800_000,
        "Inactive(file)": 800_000,
    }
    first = snapshot(zones, SYSCTLS, kernel="6.1.0", meminfo_kb=usage)
    writes = [Write(MIN_FREE, "16384"), Write(RATIO, "256 256 32 0 0")]
    return replace(applied(first, simulate(machine_of(first), writes)), sysctl_files=files)


def usage(zones: Sequence[Zone], cache_kb: int) -> dict[str, int]:
    """What meminfo says of these zones."""
    free = sum(entry.free_pages for entry in zones) * 4
    return {"MemFree": free, "Active(file)": cache_kb, "Inactive(file)": cache_kb}


def scene(of: Snapshot | None = None, record: Record | None = None, snippet: str | None = None) -> Scene:
    found = of or settled()
    return Scene(
        found, machine_of(found), record or Record(), Snippet(snippet), "boot-1", "2026-11-25T12:00:00+00:00", "1"
    )


def plan(key: str, value: str, of: Snapshot | None = None, *, force: bool = False) -> Plan:
    return plan_changes(scene(of), [Change(key, value, "a test")], force=force)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (MIN_FREE, "1000000", "the limit is 200768 kB: the kernel itself never holds back more than a twentieth"),
        (MIN_FREE, "200769", "the limit is 200768 kB"),
        (MIN_FREE, "512", "below 1024 kB the kernel's documentation warns of deadlocks"),
        (MIN_FREE, "-1", "refuse it (EINVAL); it takes a whole number from 0 to 2147483647"),
        (MIN_FREE, "2147483648", "refuse it (EINVAL); it takes a whole number from 0 to 2147483647"),
        (MIN_FREE, "131072junk", "refuse it (EINVAL); it takes a whole number from 0 to 2147483647"),
        (MIN_FREE, "1 2", "expected 1 number, as the kernel prints it"),
        (SCALE_FACTOR, "0", "refuse it (EINVAL); it takes a whole number from 1 to 3000"),
        (SCALE_FACTOR, "3000", "the high marks would take"),
        (RATIO, "0 256 32 0 0", "0 for DMA would leave it without any reserve; the kernel's own value is 256"),
        (RATIO, "256 256 32", "expected 5 numbers, as the kernel prints it"),
        (RATIO, "-3 256 32 0 0", "0 for DMA would leave it without any reserve"),
        (RECLAIM_MODE, "1", "this machine has one node"),
        (RECLAIM_MODE, "8", "expected a sum of the bits 1, 2 and 4"),
        ("vm.watermark_boost_factor", "15001", "expected 0 to 15000"),
        ("vm.compaction_proactiveness", "81", "expected 0 to 80"),
        ("vm.compaction_proactiveness", "101", "refuse it (EINVAL); it takes a whole number from 0 to 100"),
        ("vm.vfs_cache_pressure", "0", "the kernel never gives dentries and inodes back"),
        ("vm.vfs_cache_pressure", "1001", "the limit is 1000"),
        ("vm.swappiness", "10", "not a setting that pagewarden changes"),
        ("vm.extra_free_kbytes", "10", "not a setting that pagewarden changes"),
    ],
)
def test_what_is_out_of_bounds_is_refused_with_its_reason(key: str, value: str, reason: str) -> None:
    made = plan(key, value)
    assert reason in made.refused[0].reason
    assert (made.changes, made.steps, made.snippet) == ((), (), None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (MIN_FREE, "200768"),
        (MIN_FREE, "0x8000"),
        (MIN_FREE, "1024"),
        (SCALE_FACTOR, "100"),
        (RATIO, "1 256 32 0 0"),
        (RATIO, "256 256 32 1 1"),
        (RECLAIM_MODE, "0"),
        ("vm.watermark_boost_factor", "0"),
        ("vm.compaction_proactiveness", "80"),
        ("vm.vfs_cache_pressure", "1000"),
    ],
)
def test_what_is_in_bounds_is_planned(key: str, value: str) -> None:
    made = plan(key, value)
    assert made.refused == ()
    assert made.changes[0].key == key


def test_a_kernel_without_the_setting_is_said() -> None:
    old = settled()
    sysctls = {key: value for key, value in old.sysctls.items() if key != SCALE_FACTOR}
    found = replace(old, sysctls={**sysctls, "vm.watermark_scale_factor": "10"})
    assert plan(SCALE_FACTOR, "20", found).refused == ()
    without = replace(old, sysctls={key: v for key, v in old.sysctls.items() if key != "vm.compaction_proactiveness"})
    assert "this kernel has no such setting" in plan("vm.compaction_proactiveness", "20", without).refused[0].reason


def test_nothing_is_planned_where_the_model_does_not_fit() -> None:
    good = settled()
    zones = tuple(replace(entry, low_pages=entry.low_pages + 7 * entry.min_pages) for entry in good.nodes[0].zones)
    bad = replace(good, nodes=(replace(good.nodes[0], zones=zones),))
    assert not machine_of(bad).fit.usable
    assert "the model does not reproduce" in plan(MIN_FREE, "20000", bad).refused[0].reason
    torn = replace(good, torn=("min_free_kbytes was written meanwhile",))
    assert "not of one instant" in plan(MIN_FREE, "20000", torn).refused[0].reason


def test_a_raise_that_memory_cannot_bear_is_refused() -> None:
    poor = settled({"DMA32": 5000, "Normal": 2200})
    made = plan(MIN_FREE, "150000", replace(poor, meminfo_kb=usage(poor.zones, 20_000)))
    assert "would have to be freed" in made.refused[0].reason or "MemAvailable" in made.refused[0].reason


def test_writes_are_ordered_whatever_the_order_of_the_changes() -> None:
    wanted = [(RATIO, "128 256 32 0 0"), ("vm.vfs_cache_pressure", "90"), (MIN_FREE, "30000"), (SCALE_FACTOR, "20")]
    made = plan_changes(scene(), [Change(key, value, "a test") for key, value in wanted])
    assert [step.write.key for step in made.steps] == [SCALE_FACTOR, MIN_FREE, "vm.vfs_cache_pressure", RATIO]
    assert [write.key for write in made.undo] == [RATIO, "vm.vfs_cache_pressure", MIN_FREE, SCALE_FACTOR]
    assert {write.key: write.text for write in made.undo}[MIN_FREE] == "16384"


def test_every_step_predicts_what_a_kernel_prints_after_it() -> None:
    here = settled()
    made = plan_changes(scene(here), [Change(SCALE_FACTOR, "20", ""), Change(MIN_FREE, "30000", "")])
    for step in made.steps:
        here = applied(here, simulate(machine_of(here), [step.write]))
        assert differences(without_boost(machine_of(here)), step, here.nodes) == ()
    wrong = replace(here.nodes[0], zones=tuple(replace(z, high_pages=z.high_pages + 1) for z in here.nodes[0].zones))
    assert {entry.what for entry in differences(without_boost(machine_of(here)), made.steps[-1], [wrong])} == {"high"}


@given(st.integers(100, 800_000), st.integers(100, 250_000), st.integers(1024, 200_768), st.integers(0, 1_000_000))
def test_no_step_pushes_a_zone_under_its_new_min(dma32: int, normal: int, target: int, cache_kb: int) -> None:
    found = settled({"DMA32": min(dma32, 740_000), "Normal": normal})
    usage = {
        "MemFree": sum(z.free_pages for z in found.zones) * 4,
        "Active(file)": cache_kb,
        "Inactive(file)": cache_kb,
    }
    made = plan(MIN_FREE, str(target), replace(found, meminfo_kb=usage))
    if made.refused or not made.steps:
        return
    assert made.steps[-1].write == Write(MIN_FREE, str(target))
    available = {z.name: z.free_pages for z in found.zones}
    counts = {z.name for z in found.zones if z.name in ("DMA32", "Normal") and z.free_pages > z.min_pages}
    for step in made.steps:
        for state in step.zones:
            if state.zone in counts:
                assert state.marks.min_pages < available[state.zone]
                available[state.zone] = max(available[state.zone], state.marks.low_pages)


def file(path: str, text: str) -> SysctlFile:
    return SysctlFile(path, text)


@pytest.mark.parametrize(
    ("path", "force", "refused"),
    [
        ("/etc/sysctl.d/50-local.conf", False, "50-local.conf:2 sets it to 65536: change it there, or override it"),
        ("/etc/sysctl.d/50-local.conf", True, ""),
        ("/usr/lib/sysctl.d/50-vendor.conf", True, ""),
        ("/etc/sysctl.d/99-local.conf", False, "applied after /etc/sysctl.d/60-pagewarden.conf: change it there"),
        ("/etc/sysctl.d/99-local.conf", True, "applied after /etc/sysctl.d/60-pagewarden.conf: change it there"),
        ("/etc/sysctl.conf", True, "applied after /etc/sysctl.d/60-pagewarden.conf: change it there"),
    ],
)
def test_settings_in_other_files_are_their_owners(path: str, force: bool, refused: str) -> None:
    here = settled(None, file(path, "# mine\nvm/min_free_kbytes = 65536\n"))
    made = plan(MIN_FREE, "30000", here, force=force)
    assert made.winners[0].place == f"{path}:2"
    if refused:
        assert refused in made.refused[0].reason
        assert made.overridden == ()
    else:
        assert made.refused == ()
        assert [winner.value for winner in made.overridden] == ["65536"]


def owned(key: str, value: str, original: str, why: str = "a test") -> Owned:
    return Owned(key, value, original, why, (), "", "2026-11-25T11:00:00+00:00", "boot-1", "1")


def test_a_reason_cannot_become_a_setting() -> None:
    hostile = "a\nvm.overcommit_memory = 2\r\x0bkernel.core_pattern=|/x\x00 " + "word " * 60
    text = render_snippet([replace(owned(MIN_FREE, "30000", "16384", hostile), evidence=(hostile,))], "1")
    settings = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert settings == ["vm.min_free_kbytes = 30000"]
    assert max(map(len, text.splitlines())) <= 78


@given(st.text(), st.text(), st.text())
def test_no_text_becomes_a_setting_or_breaks_the_record(why: str, evidence: str, identifier: str) -> None:
    entry = replace(owned(MIN_FREE, "30000", "16384", why), evidence=(evidence,), identifier=identifier)
    text = render_snippet([entry], "1")
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == ["vm.min_free_kbytes = 30000"]
    record = Record((entry,), (Retired(RATIO, why, evidence),), digest(text))
    assert parse_record(record_text(record)) == record


def test_a_revert_without_a_model_writes_all_the_same() -> None:
    good = settled()
    zones = tuple(replace(entry, low_pages=entry.low_pages + 7 * entry.min_pages) for entry in good.nodes[0].zones)
    bad = replace(good, nodes=(replace(good.nodes[0], zones=zones),))
    text = "x\n"
    record = Record((owned(MIN_FREE, "16384", "20000"),), (), digest(text))
    made = plan_revert(scene(bad, record, text))
    assert [step.write for step in made.steps] == [Write(MIN_FREE, "20000")]
    assert made.snippet is None


def test_a_large_machine_is_planned_in_reasonable_time() -> None:
    here = settled({"DMA32": 700_000, "Normal": 40 * GIB}, scale=1000)
    assert plan(MIN_FREE, "4000000", here).refused == ()

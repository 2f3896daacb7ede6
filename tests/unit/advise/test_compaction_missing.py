"""A kernel that was built without compaction is not told to compact."""

from dataclasses import replace

import pytest
from tests.scenario import SCENARIOS, Scenario, advice_of, load, snapshot_of

from pagewarden.klog.types import Report

COUNTERS = {"pgfault": 5, "unevictable_pgs_culled": 0}


def asked_for(scenario: Scenario, counters: dict[str, int]) -> set[str]:
    machine = snapshot_of(scenario)
    now = replace(machine, vmstat={**(machine.vmstat or {}), **counters})
    return {entry.key for entry in advice_of(scenario, now).recommendations}


@pytest.mark.parametrize(
    ("counters", "expected"),
    [
        ({}, "action:compact-memory"),
        (COUNTERS, "action:kernel-upgrade"),
        ({**COUNTERS, "compact_stall": 0}, "action:compact-memory"),
    ],
)
@pytest.mark.parametrize("name", ["nfs-mount-order-4", "usb-order-4-boost-and-compaction-off"])
def test_the_counters_tell(name: str, counters: dict[str, int], expected: str) -> None:
    found = asked_for(load(SCENARIOS / f"{name}.toml"), counters)
    assert found & {"action:compact-memory", "action:kernel-upgrade"} == {expected}


def test_the_report_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Report, "no_compaction", property(lambda _: True))
    scenario = load(SCENARIOS / "nfs-mount-order-4.toml")
    assert "action:kernel-upgrade" in asked_for(scenario, {})
    assert "action:compact-memory" in asked_for(scenario, {**COUNTERS, "compact_stall": 0}), "that was another kernel"

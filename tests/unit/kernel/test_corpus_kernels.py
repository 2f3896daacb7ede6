"""Every write to every booted kernel of the reference corpus: each number the model predicts, against the kernel's own.

The boots are read from disk once; the state before each step is laid over them in memory.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from tests.machines import CORPUS

from pagewarden.advise.advice import advise
from pagewarden.advise.effect import assigned_min_free
from pagewarden.kernel.lowmem_reserve import mem_available_pages
from pagewarden.kernel.machine import HUGE_SWITCH, MIN_FREE, machine_of
from pagewarden.kernel.simulate import Simulation, Write, simulate
from pagewarden.procfs.snapshot import read_snapshot
from pagewarden.procfs.types import Snapshot, Zone

SWITCH = "/sys/kernel/mm/transparent_hugepage/enabled"
BOOTS = sorted(path.parent for path in (CORPUS / "kernels").glob("*/steps.jsonl"))

pytestmark = pytest.mark.skipif(not BOOTS, reason="no reference corpus: ../shared/corpus is not here")
every_boot = pytest.mark.parametrize("boot", BOOTS, ids=lambda boot: boot.name)

Step = Mapping[str, Any]


@lru_cache(maxsize=len(BOOTS))
def baseline_of(boot: Path) -> Snapshot:
    return read_snapshot(str(boot))


def steps_of(boot: Path) -> list[Step]:
    return [json.loads(line) for line in (boot / "steps.jsonl").read_text().splitlines() if line]


def state_after(baseline: Snapshot, step: Step | None) -> Snapshot:
    """The baseline with the zones, settings and switch that a step left behind."""
    if step is None:
        return baseline
    printed = {(zone["node"], zone["zone"]): zone for zone in step["zones"]}
    nodes = tuple(
        replace(node, zones=tuple(zone_after(zone, printed.get((zone.node, zone.name), {})) for zone in node.zones))
        for node in baseline.nodes
    )
    sysctls = {f"vm.{key}": " ".join(str(value).split()) for key, value in step["sysctl"].items()}
    huge = baseline.huge_pages
    if huge is not None and step.get("thp"):
        huge = replace(huge, enabled=step["thp"])
    return replace(baseline, nodes=nodes, sysctls={**baseline.sysctls, **sysctls}, huge_pages=huge)


def zone_after(zone: Zone, printed: Mapping[str, Any]) -> Zone:
    names = ("free", "boost", "min", "low", "high", "promo", "spanned", "present", "managed", "cma")
    changes: dict[str, Any] = {f"{name}_pages": printed[name] for name in names if printed.get(name) is not None}
    if printed.get("protection") is not None:
        changes["protection_pages"] = tuple(printed["protection"])
    return replace(zone, **changes)


def write_of(step: Step) -> Write | None:
    """The step's write, where it is one of a setting; the corpus also unplugs memory."""
    if len(step["write"]) != 1:
        return None
    ((key, text),) = step["write"].items()
    if key.startswith("/"):
        return Write(HUGE_SWITCH, text) if key == SWITCH else None
    return Write(f"vm.{key}", str(text))


def differences(step: Step, done: Simulation) -> Iterator[str]:
    """Every number that is not the kernel's."""
    found = {(state.node, state.zone): state for state in done.after}
    assert set(found) == {(zone["node"], zone["zone"]) for zone in step["zones"]}
    for zone in step["zones"]:
        state = found[zone["node"], zone["zone"]]
        for name in ("min", "low", "high", "promo"):
            if zone.get(name) is not None and getattr(state.marks, f"{name}_pages") != zone[name]:
                yield f"{zone['node']} {zone['zone']} {name}: {getattr(state.marks, f'{name}_pages')}, not {zone[name]}"
        if zone.get("protection") is not None and state.protection_pages != tuple(zone["protection"]):
            yield f"{zone['node']} {zone['zone']} protection: {state.protection_pages}, not {zone['protection']}"
    for key, value in step["sysctl"].items():
        if done.sysctls.get(f"vm.{key}", "").split() != str(value).split():
            yield f"{key}: {done.sysctls.get(f'vm.{key}')}, not {value}"
    if [refusal.error for refusal in done.refusals] != ([step["error"]] if step["error"] else []):
        yield f"refusals {done.refusals}, not {step['error']}"


@every_boot
def test_every_number_of_every_step(boot: Path) -> None:
    baseline, before, asked = baseline_of(boot), None, 0
    for number, step in enumerate(steps_of(boot)):
        write = write_of(step)
        if write is not None:
            state = state_after(baseline, before)
            done = simulate(machine_of(state), [write], assigned_min_free(state))
            assert not list(differences(step, done)), f"step {number}: {write}"
            asked += 1
        before = step
    assert asked > 10


@every_boot
def test_the_boot_fits_and_nothing_is_wrong_with_it(boot: Path) -> None:
    """These machines are healthy: the kernels' own choices, but for one whose command line asks for too much."""
    baseline = baseline_of(boot)
    machine = machine_of(baseline)
    assert machine.fit.usable
    assert machine.fit.exact or machine.fit.reasons
    assert len({reason.split(":")[0] for reason in machine.fit.reasons}) >= len(
        {(difference.node, difference.zone) for difference in machine.fit.differences}
    )
    advice = advise(baseline, machine)
    if baseline.cmdline is not None and "sysctl.vm.min_free_kbytes=200000" in baseline.cmdline:
        assert [(r.key, r.current, r.cause) for r in advice.recommendations] == [(MIN_FREE, "200000", "too-high")]
    else:
        assert advice.recommendations == ()
        assert [finding for finding in advice.findings if finding.severity != "info"] == []


@every_boot
def test_mem_available_is_the_kernels(boot: Path) -> None:
    """An idle machine just booted: to the page, as far as kB tell pages."""
    baseline = baseline_of(boot)
    machine, meminfo = machine_of(baseline), baseline.meminfo_kb
    assert meminfo is not None
    now = simulate(machine, [])
    kb = baseline.page_size // 1024
    predicted = mem_available_pages(
        meminfo["MemFree"] // kb,
        (meminfo["Active(file)"] + meminfo["Inactive(file)"]) // kb,
        meminfo["KReclaimable"] // kb,
        now.totalreserve_pages[0],
        now.low_sum_pages[0],
    )
    assert predicted == meminfo["MemAvailable"] // kb

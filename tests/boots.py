"""Boots that were recorded: the state after every write, and every number that the model predicts otherwise.

A record is a folder that `--root` reads, with the files as they were before the first write, and `steps.jsonl`: one
line for each write, with the zones and settings after it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pagewarden.advise.effect import assigned_min_free
from pagewarden.kernel.machine import HUGE_SWITCH, machine_of
from pagewarden.kernel.simulate import Simulation, Write, simulate
from pagewarden.procfs.types import Snapshot, Zone

SWITCH = "/sys/kernel/mm/transparent_hugepage/enabled"

Step = Mapping[str, Any]


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


def compared(baseline: Snapshot, steps: Sequence[Step]) -> tuple[int, list[str]]:
    """How many writes of settings were asked of the model, and what it said that the kernel did not."""
    asked, wrong = 0, []
    before: Step | None = None
    for number, step in enumerate(steps):
        write = write_of(step)
        if write is not None:
            state = state_after(baseline, before)
            done = simulate(machine_of(state), [write], assigned_min_free(state))
            wrong += [f"step {number}, {write.key}={write.text!r}: {text}" for text in differences(step, done)]
            asked += 1
        before = step
    return asked, wrong

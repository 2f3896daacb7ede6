"""Which writes a change takes, in which order, and what every zone prints after each. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pagewarden.apply.bounds import KEYS
from pagewarden.apply.types import Step
from pagewarden.kernel.machine import MIN_FREE, Machine
from pagewarden.kernel.simulate import Write, ZoneState, simulate
from pagewarden.kernel.watermarks import zone_size
from pagewarden.procfs.types import Zone

WEIGHTY_PERCENT = 1
"""Zones below this share of memory decide nothing: DMA hardly ever has a page beyond its reserve."""

MOST_STEPS = 40


def without_boost(machine: Machine) -> Machine:
    """Give the machine with every boost taken off its marks: boosts come and go, and a write clears them."""
    hidden = {(node, zone): pages for node, zone, pages in machine.fit.hidden_boost_pages}
    nodes = tuple(
        replace(node, zones=tuple(_lowered(zone, hidden.get((zone.node, zone.name), 0)) for zone in node.zones))
        for node in machine.nodes
    )
    return replace(machine, nodes=nodes)


def _lowered(zone: Zone, hidden_pages: int) -> Zone:
    boost = (zone.boost_pages or 0) + hidden_pages
    if not boost:
        return zone
    return replace(
        zone,
        min_pages=zone.min_pages - boost,
        low_pages=zone.low_pages - boost,
        high_pages=zone.high_pages - boost,
        promo_pages=None if zone.promo_pages is None else zone.promo_pages - boost,
        boost_pages=None if zone.boost_pages is None else 0,
    )


def weighty(machine: Machine) -> tuple[bool, ...]:
    """Tell for each zone, in the order of zoneinfo, whether it holds enough memory to matter."""
    size = machine.rules.watermarks.size
    total = sum(zone_size(zone, size) for zone in machine.zones)
    return tuple(
        zone.populated and zone_size(zone, size) * 100 >= total * WEIGHTY_PERCENT > 0 for zone in machine.zones
    )


def plan_steps(machine: Machine, values: Mapping[str, str], assigned_min_free: int | None) -> tuple[Step, ...]:
    """Order the writes, and split a raise that would push zones under their new min mark.

    What a step needs is what was waited for after the step before: free memory above its low marks.

    :param machine: without boosts (`without_boost`).
    :param values: key -> value; those in force already take no write.
    """
    writes: list[Write] = []
    for key in KEYS:
        if key not in values or values[key] == machine.sysctls[key]:
            continue
        if key == MIN_FREE:
            writes += _min_free_writes(machine, writes, int(values[key]), assigned_min_free)
        else:
            writes.append(Write(key, values[key]))
    return tuple(_step(machine, writes[: count + 1], assigned_min_free, values) for count in range(len(writes)))


def _step(machine: Machine, writes: Sequence[Write], assigned: int | None, values: Mapping[str, str]) -> Step:
    simulation = simulate(machine, writes, assigned)
    return Step(writes[-1], simulation.after, {key: simulation.sysctls[key] for key in values})


def _min_free_writes(machine: Machine, earlier: Sequence[Write], target: int, assigned: int | None) -> list[Write]:
    """Take the largest safe value each time, until the target is reached; where none nears it, it is taken at once.

    A first step may lie a little below the value in force: where the marks are stale, writing that again moves them.
    """
    available = [zone.free_pages for zone in machine.zones]
    matters = _above_min(machine)
    found: list[Write] = []
    reached = 0

    def after(value: int) -> tuple[ZoneState, ...]:
        return simulate(machine, [*earlier, Write(MIN_FREE, str(value))], assigned).after

    def safe(value: int) -> bool:
        states = zip(after(value), available, matters, strict=True)
        return all(state.marks.min_pages < pages for state, pages, matter in states if matter)

    while not safe(target) and len(found) < MOST_STEPS:
        step = _largest(reached, target, safe)
        if step == reached or (not found and _sum_min(after(step)) * 4 < _sum_min_now(machine) * 3):
            break
        reached = step
        found.append(Write(MIN_FREE, str(reached)))
        # Waited for before the next write: free memory above the new low marks, wherever it was not yet.
        available = [max(pages, state.marks.low_pages) for pages, state in zip(available, after(reached), strict=True)]
    return [*found, Write(MIN_FREE, str(target))]


def _sum_min(states: Sequence[ZoneState]) -> int:
    return sum(state.marks.min_pages for state in states)


def _sum_min_now(machine: Machine) -> int:
    return sum(zone.min_pages for zone in machine.zones)


def unsafe_step(machine: Machine, steps: Sequence[Step]) -> str:
    """Say which step would push a zone under its new min mark; empty where none does.

    :param machine: the one the steps were planned for.
    """
    available = [zone.free_pages for zone in machine.zones]
    for step in steps:
        for zone, state, pages, matters in zip(machine.zones, step.zones, available, _above_min(machine), strict=True):
            if matters and state.marks.min_pages >= pages:
                return (
                    f"{step.write.key}={step.write.text} would push node {zone.node} {zone.name} under its new min "
                    f"mark ({state.marks.min_pages} pages; free are {zone.free_pages}), and no smaller step leads "
                    "there; free memory first"
                )
        # Waited for before the next write: free memory above the new low marks, wherever it was not yet.
        available = [max(pages, state.marks.low_pages) for pages, state in zip(available, step.zones, strict=True)]
    return ""


def _above_min(machine: Machine) -> list[bool]:
    # A zone below its mark already is not pushed there by the change.
    return [
        heavy and zone.free_pages > zone.min_pages for zone, heavy in zip(machine.zones, weighty(machine), strict=True)
    ]


def _largest(low: int, high: int, safe: Callable[[int], bool]) -> int:
    """Bisect for the largest safe value from LOW (taken as safe) to HIGH (not safe)."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if safe(middle) else (low, middle)
    return low

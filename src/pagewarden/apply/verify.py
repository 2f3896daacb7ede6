"""Every zone as the kernel prints it after a write, beside what was predicted. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pagewarden.apply.steps import without_boost
from pagewarden.apply.types import Step
from pagewarden.kernel.fit_causes import Difference, hidden_boosts
from pagewarden.kernel.machine import Machine
from pagewarden.kernel.simulate import ZoneState, simulate
from pagewarden.kernel.watermarks import zone_size
from pagewarden.procfs.types import Node, Zone


def differences(machine: Machine, step: Step, nodes: Sequence[Node]) -> tuple[Difference, ...]:
    """Compare all zones with what this step predicted.

    Where memory came or went since (a balloon, hot-plug) the prediction is made again from what is managed now. A
    boost is taken off where it is printed; where the kernel does not print it (5.0 to 5.15), marks that all exceed the
    prediction by one same number are no difference.

    :param machine: the one the step was planned for.
    """
    now = without_boost(replace(machine, nodes=tuple(nodes)))
    expected = step.zones if _sizes(machine) == _sizes(now) else _predicted_again(now, step)
    if [(state.node, state.zone) for state in expected] != [(zone.node, zone.name) for zone in now.zones]:
        return (Difference(-1, "all", "number of zones", len(expected), len(now.zones)),)
    found = [
        difference
        for state, zone in zip(expected, now.zones, strict=True)
        for difference in _zone_differences(state, zone)
    ]
    boosted = {(node, zone) for node, zone, _ in hidden_boosts(now.zones, found, machine.rules.watermarks)}
    return tuple(entry for entry in found if (entry.node, entry.zone) not in boosted)


def _sizes(machine: Machine) -> list[tuple[int, str, int]]:
    size = machine.rules.watermarks.size
    return [(zone.node, zone.name, zone_size(zone, size)) for zone in machine.zones]


def _predicted_again(machine: Machine, step: Step) -> tuple[ZoneState, ...]:
    in_force = replace(machine, sysctls={**machine.sysctls, **step.sysctls})
    return simulate(in_force, [step.write]).after


def _zone_differences(state: ZoneState, zone: Zone) -> Iterator[Difference]:
    marks = state.marks
    pairs: list[tuple[str, int | None, int | None]] = [
        ("min", marks.min_pages, zone.min_pages),
        ("low", marks.low_pages, zone.low_pages),
        ("high", marks.high_pages, zone.high_pages),
        ("promo", marks.promo_pages, zone.promo_pages),
    ]
    if state.protection_pages is not None and zone.protection_pages is not None:
        both = zip(state.protection_pages, zone.protection_pages, strict=False)
        pairs += [(f"protection[{index}]", predicted, printed) for index, (predicted, printed) in enumerate(both)]
    for what, predicted, printed in pairs:
        if predicted is not None and printed is not None and predicted != printed:
            yield Difference(zone.node, zone.name, what, predicted, printed)


def in_words(found: Sequence[Difference]) -> str:
    """Name the first differences in one line."""
    named = [
        f"node {entry.node} {entry.zone} {entry.what} is {entry.printed}, predicted {entry.predicted}"
        for entry in found[:3]
    ]
    more = f", and {len(found) - 3} more" if len(found) > 3 else ""
    return "; ".join(named) + more

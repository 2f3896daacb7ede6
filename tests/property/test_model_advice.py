"""Advice answers what it found: applied to the model, it removes the finding and proposes nothing more."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.machines import applied
from tests.property.test_model_marks import Box, examples

from pagewarden.advise.advice import advise
from pagewarden.advise.types import Advice, Recommendation
from pagewarden.kernel.machine import machine_of
from pagewarden.kernel.simulate import Write, simulate
from pagewarden.procfs.types import HugePages, Snapshot

Draw = Callable[[st.SearchStrategy[Any]], Any]


@st.composite
def snapshots(draw: Draw) -> Snapshot:
    """A machine with any settings, any amount free, and perhaps marks of an earlier memory size."""
    box = Box(draw)
    computed = None
    if box.release >= (3, 9, 0) and draw(st.booleans()):
        share = draw(st.integers(2, 100))
        computed = [{**z, "managed": z["managed"] - z["managed"] // share} for z in box.zones]
    before = box.printed(computed)
    free = draw(st.sampled_from([0, 1, 20, 95]))
    nodes = tuple(
        replace(node, zones=tuple(replace(z, free_pages=(z.managed_pages or 0) * free // 100) for z in node.zones))
        for node in before.nodes
    )
    sysctls = {**before.sysctls, "vm.zone_reclaim_mode": str(draw(st.sampled_from([0, 1, 3, 4, 8, 255])))}
    huge = draw(st.sampled_from(["always", "never"]))
    distances = {node.node: (10, 21, 40, 255) for node in nodes}
    return replace(before, nodes=nodes, sysctls=sysctls, huge_pages=HugePages(huge), distances=distances)


def advice_on(snapshot: Snapshot) -> Advice:
    return advise(snapshot, machine_of(snapshot))


def followed(snapshot: Snapshot, recommendation: Recommendation) -> Snapshot:
    """What the machine would print had the recommendation been carried out."""
    machine = machine_of(snapshot)
    if recommendation.key == "action:rewrite":
        (command,) = recommendation.commands
        key, _, value = command.removeprefix("sysctl -w ").partition("=")
        assert machine.sysctls[key] == value
        return applied(snapshot, simulate(machine, [Write(key, value)]))
    simulation = simulate(machine, [Write(recommendation.key, recommendation.recommended)])
    assert simulation.refusals == ()
    assert simulation.sysctls[recommendation.key] == recommendation.recommended
    return applied(snapshot, simulation)


@given(snapshots())
@examples(60)
def test_each_recommendation_removes_what_it_answers(before: Snapshot) -> None:
    for recommendation in advice_on(before).recommendations:
        after = advice_on(followed(before, recommendation))
        assert recommendation.cause not in {other.cause for other in after.recommendations}
        assert recommendation.cause not in {f.cause for f in after.findings if f.severity != "info"}


@given(snapshots())
@examples(60)
def test_following_all_of_it_comes_to_an_end(before: Snapshot) -> None:
    """One change may uncover the next (free pages do not follow the marks here), but nothing goes in circles."""
    snapshot = before
    for _ in range(4):
        recommendations = advice_on(snapshot).recommendations
        for recommendation in recommendations:
            snapshot = followed(snapshot, recommendation)
    assert recommendations == ()


@given(snapshots())
@examples(60)
def test_what_is_recommended_is_a_change_with_its_price(before: Snapshot) -> None:
    machine = machine_of(before)
    for recommendation in advice_on(before).recommendations:
        assert recommendation.current != recommendation.recommended
        assert recommendation.reason
        assert recommendation.against
        assert recommendation.evidence
        assert not recommendation.auto
        effect = recommendation.effect
        assert effect is not None
        assert recommendation.cost_bytes == effect.simulation.cost_bytes
        assert effect.simulation.before == simulate(machine, []).before
        if recommendation.key.startswith("vm."):
            assert machine.sysctls[recommendation.key] == recommendation.current
            assert effect.simulation.sysctls[recommendation.key] == recommendation.recommended


@given(snapshots())
@examples(60)
def test_every_recommendation_has_a_finding_of_its_cause(before: Snapshot) -> None:
    advice = advice_on(before)
    worth = {finding.cause for finding in advice.findings if finding.severity != "info"}
    assert {recommendation.cause for recommendation in advice.recommendations} <= worth
    assert advice.quiet is (not worth and not advice.recommendations)

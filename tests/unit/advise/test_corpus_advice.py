"""Real reports: what is proposed for the machine they are of makes them pass, or it is said that nothing does."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from tests.machines import CORPUS, applied
from tests.report_machines import machine_of_report

from pagewarden.advise.advice import advise
from pagewarden.advise.observed import Observed
from pagewarden.advise.policy import AdvicePolicy
from pagewarden.advise.types import Advice, Recommendation
from pagewarden.diagnose.diagnosis import Diagnosis
from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.log_evidence import Here, gather_evidence
from pagewarden.diagnose.replay import zone_state
from pagewarden.diagnose.types import Cause
from pagewarden.kernel.allocation import Verdict, check_zone
from pagewarden.kernel.allocation_rules import allocation_rules
from pagewarden.kernel.machine import MIN_FREE, SCALE_FACTOR, machine_of
from pagewarden.kernel.simulate import Write, simulate
from pagewarden.klog.sources import reports_in
from pagewarden.klog.types import Report
from pagewarden.procfs.types import Snapshot

LOGS = sorted(path for folder in ("logs", "logs-vm") for path in (CORPUS / folder).glob("*.log"))

pytestmark = pytest.mark.skipif(not LOGS, reason="no reference corpus: ../shared/corpus is not here")
every_log = pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)


@cache
def on_its_machine(path: Path) -> tuple[tuple[Diagnosis, Snapshot, Advice], ...]:
    """Each complete report with the machine its zones describe, and the advice for that with the report as evidence."""
    diagnoses = [diagnose(report) for report in reports_in(path.read_bytes()) if report.complete]
    machines = [(diagnosis, machine_of_report(diagnosis)) for diagnosis in diagnoses]
    return tuple(
        (diagnosis, snapshot, advice_for(snapshot, diagnosis.report))
        for diagnosis, snapshot in machines
        if snapshot is not None
    )


def advice_for(snapshot: Snapshot, *reports: Report) -> Advice:
    machine = machine_of(snapshot)
    logs = gather_evidence([("a log", report) for report in reports], Here(snapshot, machine))
    return advise(snapshot, machine, AdvicePolicy(), Observed(logs=logs))


def passes_after(diagnosis: Diagnosis, snapshot: Snapshot, recommendation: Recommendation) -> list[str]:
    """The zones that would have granted the request, had the setting been so: the kernel's check on marks and free
    pages worked out here, from the report's numbers and the simulation alone.
    """
    replay = diagnosis.replay
    assert replay.version is not None
    assert replay.request is not None
    rules = allocation_rules(replay.version)
    simulation = simulate(machine_of(snapshot), [Write(recommendation.key, recommendation.recommended)])
    assert simulation.refusals == ()
    marks = {(state.node, state.zone): state.marks for state in simulation.after}
    found = []
    for zone in replay.zones:
        key = zone.dump.node or 0, zone.dump.zone
        if zone.check is None or key not in marks:
            continue
        state = zone_state(zone.dump, replay.page_size, rules)
        boost = state.boost_pages or 0
        cma = min(state.cma_pages, zone.check.withheld_pages)  # neither this caller nor kswapd's low mark counts it
        burst = max(0, state.low_pages - (state.free_pages - cma))
        low = marks[key].low_pages + boost
        changed = replace(
            state,
            free_pages=max(state.free_pages, low + cma - burst),
            min_pages=marks[key].min_pages + boost,
            low_pages=low,
            high_pages=marks[key].high_pages + boost,
        )
        if check_zone(changed, replay.request, rules, zone.check.reserve_pages).verdict is Verdict.WOULD_PASS:
            found.append(zone.name)
    return found


@every_log
def test_the_value_proposed_makes_the_report_pass(path: Path) -> None:
    for diagnosis, snapshot, advice in on_its_machine(path):
        for recommendation in advice.recommendations:
            if recommendation.key in (MIN_FREE, SCALE_FACTOR) and recommendation.cause in (
                Cause.ATOMIC_RESERVE_EXHAUSTED,
                Cause.RECLAIM_TOO_SLOW,
            ):
                assert passes_after(diagnosis, snapshot, recommendation)


@every_log
def test_a_shortage_of_the_reserve_is_answered_or_said_to_have_no_answer(path: Path) -> None:
    for diagnosis, _, advice in on_its_machine(path):
        if diagnosis.judgement.cause is not Cause.ATOMIC_RESERVE_EXHAUSTED or advice.withheld:
            continue
        keys = {r.key: r for r in advice.recommendations if r.cause == Cause.ATOMIC_RESERVE_EXHAUSTED}
        assert keys
        if MIN_FREE not in keys:
            reasons = " ".join(recommendation.reason for recommendation in keys.values())
            assert "No vm.min_free_kbytes up to" in reasons or "not raised further" in reasons


@every_log
def test_no_reserve_is_raised_for_what_it_does_not_answer(path: Path) -> None:
    for diagnosis, _, advice in on_its_machine(path):
        if diagnosis.judgement.cause is not Cause.ATOMIC_RESERVE_EXHAUSTED:
            raised = [r for r in advice.recommendations if r.key == MIN_FREE and int(r.recommended) > int(r.current)]
            assert [r.cause for r in raised if r.cause != "below-kernel-default"] == []


@every_log
def test_the_advice_followed_is_the_end_of_it(path: Path) -> None:
    for diagnosis, snapshot, advice in on_its_machine(path):
        for recommendation in advice.recommendations:
            if recommendation.key.startswith("vm."):
                write = Write(recommendation.key, recommendation.recommended)
                after = applied(snapshot, simulate(machine_of(snapshot), [write]))
                again = advice_for(after, diagnosis.report)
                assert recommendation.key not in {other.key for other in again.recommendations}


def test_enough_of_them_could_be_tried() -> None:
    found = [(diagnosis, advice) for path in LOGS for diagnosis, _, advice in on_its_machine(path)]
    raised = [r for _, advice in found for r in advice.recommendations if r.key == MIN_FREE]
    assert len(found) >= 40
    assert len(raised) >= 7

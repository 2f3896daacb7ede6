"""Changes without a person: the plan of the service, judged again by the half that may write, and made on probation.

Nothing in the plan is believed but its wish: the zones are read anew, the effect is computed anew, the policy and our
own bounds are applied anew. What the plan alone knows, since when its evidence has stood, is a claim; a service that
lies about it gets no further than the policy's other limits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pagewarden.advise.effect import assigned_min_free
from pagewarden.apply.bounds import key_refusal, value_refusal
from pagewarden.apply.owners import owners
from pagewarden.apply.plan import Scene
from pagewarden.apply.plan_file import PlannedChange
from pagewarden.apply.plan_reader import ReadPlan, read_plan
from pagewarden.apply.policy import Policy, Proposal, Situation, Trial, Verdict, judge
from pagewarden.apply.probation import Sign
from pagewarden.apply.probation_file import load_probation, load_trials
from pagewarden.apply.probation_run import CountRefusals, Terms, apply_on_probation, moment
from pagewarden.apply.state import load_record
from pagewarden.apply.transaction import System, read_scene, recover
from pagewarden.apply.types import Change, Outcome, Plan
from pagewarden.errors import ApplyError
from pagewarden.kernel.simulate import Write, simulate


class NotAllowed(ApplyError):
    """The policy, or what was found, stands against a change: nothing was changed."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One change of a plan, and what stands against it."""

    change: PlannedChange
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Unattended:
    """What came of a plan. :ivar outcome: None where nothing of it was allowed. :ivar notes: of an earlier run."""

    judged: tuple[Judged, ...]
    outcome: Outcome | None
    notes: tuple[str, ...]


def apply_plan_file(
    system: System, path: Path, policy: Policy, count_refusals: CountRefusals, local_now: datetime
) -> Unattended:
    """Make the first change of a plan that is allowed, on probation.

    :param local_now: the machine's own wall clock, for the maintenance windows.
    :raises PlanRefused: the file is not what the service leaves.
    :raises ApplyError: it could not be begun, or the machine changed while it was looked at.
    :raises ChangeUndone: it failed, and everything is as before.
    :raises ChangeNotUndone: it failed, and so did a part of the undo.
    """
    notes = recover(system)
    plan = read_plan(path, system.clock.now(), system.kernel.boot_id())
    judged = _judge_all(system, read_scene(system, load_record(system.paths)), plan, policy, local_now)
    allowed = next((each.change for each in judged if each.verdict.allowed), None)
    if allowed is None:
        return Unattended(judged, None, notes)

    def review(scene: Scene, planned: Plan) -> None:
        """Judge once more, now that nobody else can change anything, and what is really about to be written."""
        if planned.refused:
            raise NotAllowed(f"{allowed.key}: {planned.refused[0].reason}")
        verdict = judge_change(system, scene, allowed, policy, local_now)
        if not verdict.allowed:
            raise NotAllowed(f"{allowed.key}: {verdict.reasons[0]}")

    terms = Terms(
        seconds=policy.probation_minutes * 60.0,
        unattended=True,
        promised=Sign(allowed.promised) if allowed.promised else None,
        count_refusals=count_refusals,
    )
    change = Change(allowed.key, allowed.value, allowed.why, allowed.evidence, allowed.identifier, auto=True)
    outcome = apply_on_probation(system, [change], terms, all_or_nothing=True, review=review)
    return Unattended(judged, outcome, notes)


def _judge_all(system: System, scene: Scene, plan: ReadPlan, policy: Policy, local_now: datetime) -> tuple[Judged, ...]:
    return tuple(Judged(change, judge_change(system, scene, change, policy, local_now)) for change in plan.changes)


def judge_change(system: System, scene: Scene, change: PlannedChange, policy: Policy, local_now: datetime) -> Verdict:
    """Judge one change of a plan by what is found now."""
    refused = key_refusal(scene.machine, change.key)
    if refused:
        return Verdict((refused,))
    current = scene.snapshot.sysctls.get(change.key)
    if current != change.current:
        return Verdict((f"it is {current} now, not {change.current} as when the plan was made",))
    write = simulate(scene.machine, [Write(change.key, change.value)], assigned_min_free(scene.snapshot))
    if write.refusals or write.sysctls[change.key] != change.value:
        return Verdict((f"the kernel would not take '{change.value}' as it stands",))
    reasons = [value_refusal(scene.machine, change.key, change.value) or ""]
    found = owners(scene.tuners, [change.key])
    reasons += [f"{owner.name} sets it: {owner.evidence}" for owner in found]
    proposal = Proposal(
        key=change.key,
        current=change.current,
        value=change.value,
        risk=change.risk,
        confidence=change.confidence,
        evidence_since=moment(change.evidence_since),
        evidence_latest=moment(change.evidence_latest),
        simulation=write,
    )
    verdict = judge(proposal, policy, situation_of(system, scene, local_now))
    return Verdict((*(reason for reason in reasons if reason), *verdict.reasons))


def situation_of(system: System, scene: Scene, local_now: datetime) -> Situation:
    """Give what the policy looks at besides the change itself."""
    trials: Sequence[Trial] = load_trials(system.paths)
    pressure = scene.snapshot.pressure
    return Situation(
        now=system.clock.now(),
        local=local_now,
        uptime_seconds=scene.snapshot.uptime_seconds,
        pressure_percent=None if pressure is None else pressure.some.avg60_percent,
        trials=tuple(trials),
        on_probation=load_probation(system.paths) is not None,
    )

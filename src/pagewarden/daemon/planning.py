"""Which recommendations go into the plan that the privileged half may carry out. Runs in the adviser's child."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pagewarden.advise.types import Recommendation
from pagewarden.apply.looking import scene_of, stands_against
from pagewarden.apply.paths import Paths
from pagewarden.apply.plan import Scene
from pagewarden.apply.plan_file import MOST_CHANGES, PLAN_NAME, PlannedChange, leave_plan, plan_text, withdraw_plan
from pagewarden.apply.policy import Policy, Proposal, Situation, judge
from pagewarden.apply.probation_file import load_probation, load_trials
from pagewarden.apply.probation_run import promise_of
from pagewarden.apply.winners import unknown_files
from pagewarden.daemon.work import Question
from pagewarden.errors import ApplyError, PermissionDenied
from pagewarden.kernel.machine import machine_of
from pagewarden.procfs.types import Snapshot

_LONGEST = 1000
"""The reader of the plan takes no longer line, and no more than so many pieces of evidence."""
_MOST_EVIDENCE = 20


def make_plan(
    question: Question, recommendations: Sequence[Recommendation], snapshot: Snapshot, now: datetime
) -> tuple[tuple[PlannedChange, ...], str]:
    """Leave a plan of what the policy lets pass, or take away the one that stands there.

    :param now: in universal time.
    :return: what is planned; and why nothing can be ("" where all is well).
    """
    try:
        situation = situation_of(question.root, snapshot, now)
        scene = _scene(question.root, snapshot) if recommendations else None
        # What `apply` would refuse is not planned: it would be refused every hour.
        possible = [one for one in recommendations if scene is None or not stands_against(scene, one)]
        changes = plan_changes(possible, situation, policy_of(question.apply), question.since)
        if question.run_folder is not None:
            keep_plan(changes, question.run_folder, now, question.boot_id)
    except ApplyError as error:
        if question.run_folder is not None:
            withdraw_plan(Path(question.run_folder, PLAN_NAME))
        return (), str(error)
    except OSError as error:
        return (), f"{question.run_folder}/{PLAN_NAME}: {error.strerror}"
    return changes, ""


def situation_of(root: str, snapshot: Snapshot, now: datetime) -> Situation:
    """Say how things stand: pressure, time since boot, what was tried and what is being watched.

    What `apply` recorded and does not let us read is left to the half that carries the plan out and judges anew.

    :raises ApplyError: a record is damaged.
    """
    paths = Paths(Path(root))
    return Situation(
        now=now,
        local=now.astimezone(),
        uptime_seconds=snapshot.uptime_seconds,
        pressure_percent=None if snapshot.pressure is None else snapshot.pressure.some.avg60_percent,
        trials=load_trials(paths) if _may_read(paths.trials) else (),
        on_probation=paths.probation.exists(),
    )


def _scene(root: str, snapshot: Snapshot) -> Scene | None:
    """Give what `apply` itself would judge by; None where it is not all to be read here, which is left to `apply`.

    :raises ApplyError: the record is damaged.
    """
    if snapshot.torn or unknown_files(snapshot):
        return None
    try:
        return scene_of(root, snapshot, machine_of(snapshot))
    except PermissionDenied:
        return None


def watched(root: str, now: datetime) -> list[tuple[str, str, str, float]]:
    """Give what is on probation as `Advices.probation`; nothing where that cannot be read."""
    paths = Paths(Path(root))
    try:
        probation = load_probation(paths) if _may_read(paths.probation) else None
    except ApplyError:
        return []  # said already: no plan is made beside a damaged record
    if probation is None:
        return []
    until = now.timestamp() + max(0.0, probation.seconds - probation.watched_seconds)
    return [(change.key, change.value, change.before, until) for change in probation.changes]


def _may_read(path: Path) -> bool:
    return os.access(path, os.R_OK)


def policy_of(settings: Mapping[str, Any]) -> Policy:
    """Take the policy from the section [apply] of the configuration."""
    values: dict[str, Any] = {name: tuple(it) if isinstance(it, list) else it for name, it in settings.items()}
    return Policy(**values)


def plan_changes(
    recommendations: Sequence[Recommendation], situation: Situation, policy: Policy, since: Mapping[str, float]
) -> tuple[PlannedChange, ...]:
    """Choose the recommendations that the policy lets pass.

    :param since: identity of a finding -> seconds since 1970 at which it was first seen.
    """
    chosen = []
    for one in recommendations:
        began = _stands_since(one, since)
        latest = one.evidence_latest or situation.now
        simulation = one.effect.simulation if one.effect is not None else None
        proposal = Proposal(
            one.key, one.current, one.recommended, one.risk.value, one.confidence.value, began, latest, simulation
        )
        if judge(proposal, policy, situation).allowed:
            chosen.append(_planned(one, began, latest))
    return tuple(chosen[:MOST_CHANGES])


def _stands_since(one: Recommendation, since: Mapping[str, float]) -> datetime | None:
    """Since when the evidence stands: the first report, or the moment when the service first found the same."""
    found = since.get(f"{one.cause}/{one.key}")
    known = [] if found is None else [datetime.fromtimestamp(found, UTC)]
    if one.evidence_since is not None:
        known.append(one.evidence_since)
    return min(known, default=None)


def _planned(one: Recommendation, began: datetime | None, latest: datetime) -> PlannedChange:
    promised = promise_of(one.cause)
    evidence = [f"{entry.what}: {entry.value} ({entry.source})"[:_LONGEST] for entry in one.evidence]
    return PlannedChange(
        key=one.key,
        current=one.current,
        value=one.recommended,
        risk=one.risk.value,
        confidence=one.confidence.value,
        identifier=one.identifier,
        why=one.reason[:_LONGEST],
        evidence=tuple(evidence[:_MOST_EVIDENCE]),
        evidence_since=None if began is None else began.isoformat(),
        evidence_latest=latest.isoformat(),
        promised=None if promised is None else promised.value,
    )


def keep_plan(changes: Sequence[PlannedChange], run_folder: str, now: datetime, boot_id: str) -> None:
    """Leave the plan, or take it away where there is nothing to change.

    :raises OSError: what the kernel said.
    """
    path = Path(run_folder, PLAN_NAME)
    if changes:
        leave_plan(path, plan_text(changes, now.isoformat(), boot_id))
    else:
        withdraw_plan(path)

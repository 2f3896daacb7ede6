"""Which recommendations go into the plan that the privileged half may carry out. Runs in the adviser's child."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pagewarden.advise.types import Recommendation
from pagewarden.apply.plan_file import MOST_CHANGES, PLAN, PlannedChange, leave_plan, plan_text, withdraw_plan
from pagewarden.apply.policy import Policy, Proposal, Situation, judge
from pagewarden.procfs.types import Snapshot

PLAN_NAME = PLAN.rpartition("/")[2]


def policy_of(settings: Mapping[str, Any]) -> Policy:
    """Take the policy from the section [apply] of the configuration."""
    values: dict[str, Any] = {name: tuple(it) if isinstance(it, list) else it for name, it in settings.items()}
    return Policy(**values)


def plan_changes(
    recommendations: Sequence[Recommendation],
    snapshot: Snapshot,
    policy: Policy,
    since: Mapping[str, float],
    now: datetime,
) -> tuple[PlannedChange, ...]:
    """Choose the recommendations that the policy lets pass.

    :param since: identity of a finding -> seconds since 1970 at which it was first seen: how long its evidence stands.
    :param now: in universal time.
    """
    pressure = None if snapshot.pressure is None else snapshot.pressure.some.avg60_percent
    situation = Situation(now, now.astimezone(), snapshot.uptime_seconds, pressure)
    chosen = []
    for one in recommendations:
        identity = f"{one.cause}/{one.key}"
        began = one.evidence_since
        if began is None and identity in since:
            began = datetime.fromtimestamp(since[identity], UTC)
        latest = one.evidence_latest or now
        simulation = one.effect.simulation if one.effect is not None else None
        proposal = Proposal(
            one.key, one.current, one.recommended, one.risk.value, one.confidence.value, began, latest, simulation
        )
        if judge(proposal, policy, situation).allowed:
            chosen.append(_planned(one, began, latest))
    return tuple(chosen[:MOST_CHANGES])


def _planned(one: Recommendation, began: datetime | None, latest: datetime) -> PlannedChange:
    return PlannedChange(
        key=one.key,
        current=one.current,
        value=one.recommended,
        risk=one.risk.value,
        confidence=one.confidence.value,
        identifier=one.identifier,
        why=one.reason,
        evidence=tuple(f"{entry.what}: {entry.value} ({entry.source})" for entry in one.evidence),
        evidence_since=None if began is None else began.isoformat(),
        evidence_latest=latest.isoformat(),
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

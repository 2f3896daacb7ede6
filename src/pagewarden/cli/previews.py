"""What `advise` says of each recommendation: would it be applied unattended, and if not, why."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pagewarden.advise.types import Recommendation
from pagewarden.apply.bounds import key_refusal
from pagewarden.apply.looking import scene_of, stands_against
from pagewarden.apply.paths import Paths
from pagewarden.apply.policy import Policy, Proposal, Situation, Verdict, judge
from pagewarden.apply.probation_file import load_probation, load_trials
from pagewarden.cli.status import service_state
from pagewarden.errors import PermissionDenied
from pagewarden.history.types import ServiceState
from pagewarden.kernel.machine import Machine
from pagewarden.procfs.types import Snapshot


def previews(
    recommendations: Sequence[Recommendation], snapshot: Snapshot, machine: Machine, policy: Policy
) -> Mapping[str, Verdict]:
    """Judge each recommendation for this machine as it is now: key -> verdict.

    :raises ApplyError: the record of earlier changes is damaged.
    """
    try:
        return _judged(recommendations, snapshot, machine, policy)
    except PermissionDenied as error:  # advice is for everybody; what was changed here may be root's to know
        return {entry.key: Verdict((f"it is not known what pagewarden changed: {error}",)) for entry in recommendations}


def _judged(
    recommendations: Sequence[Recommendation], snapshot: Snapshot, machine: Machine, policy: Policy
) -> Mapping[str, Verdict]:
    paths, now = Paths(), datetime.now(UTC)
    situation = Situation(
        now=now,
        local=datetime.now().astimezone(),
        uptime_seconds=snapshot.uptime_seconds,
        pressure_percent=snapshot.pressure.some.avg60_percent if snapshot.pressure else None,
        trials=load_trials(paths),
        on_probation=load_probation(paths) is not None,
    )
    since, scene = _standing_since(), scene_of("/", snapshot, machine)
    found: dict[str, Verdict] = {}
    for entry in recommendations:
        against = stands_against(scene, entry)
        if key_refusal(machine, entry.key) is None:
            against = (*against, *judge(_proposal(entry, since, now), policy, situation).reasons)
        found[entry.key] = Verdict(tuple(against))
    return found


def _proposal(entry: Recommendation, since: Mapping[str, datetime], now: datetime) -> Proposal:
    return Proposal(
        key=entry.key,
        current=entry.current,
        value=entry.recommended,
        risk=entry.risk.value,
        confidence=entry.confidence.value,
        evidence_since=entry.evidence_since or since.get(entry.cause),
        evidence_latest=entry.evidence_latest or (now if entry.cause in since else None),
        simulation=entry.effect.simulation if entry.effect else None,
    )


def _standing_since() -> dict[str, datetime]:
    """Give since when the service has seen each cause; nothing where it does not run."""
    state = service_state("/")
    if not isinstance(state, ServiceState):
        return {}
    return {found.cause: datetime.fromtimestamp(found.since_seconds, UTC) for found in state.findings}

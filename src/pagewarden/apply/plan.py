"""From what is wanted to everything that will be done, before anything is done. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pagewarden.advise.effect import assigned_min_free
from pagewarden.advise.types import Recommendation
from pagewarden.apply.bounds import KEYS, effect_refusal, key_refusal, value_refusal
from pagewarden.apply.owners import owners
from pagewarden.apply.paths import SNIPPET
from pagewarden.apply.snippet import render_snippet
from pagewarden.apply.standing import retire, snippet_state, standings, state_note
from pagewarden.apply.steps import plan_steps, unsafe_step, without_boost
from pagewarden.apply.types import Change, Owned, Plan, Record, Refused, Snippet, SnippetState, Step, Winner
from pagewarden.apply.winners import unknown_files, winner_of
from pagewarden.kernel.machine import Machine
from pagewarden.kernel.projection import project
from pagewarden.kernel.simulate import Simulation, Write, simulate
from pagewarden.procfs.tuners import TunerFacts
from pagewarden.procfs.types import Snapshot

TORN = "the files are not of one instant"
"""How a refusal begins that another reading may end."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a plan is made from: the machine, and what we did to it before.

    :ivar now: UTC, ISO 8601, for the stamps.
    :ivar tuners: what was seen of other programs that set these keys.
    """

    snapshot: Snapshot
    machine: Machine
    record: Record
    snippet: Snippet
    boot_id: str
    now: str
    version: str
    tuners: TunerFacts = field(default_factory=TunerFacts)


def changes_of(recommendations: Iterable[Recommendation], keys: Sequence[str] = ()) -> tuple[Change, ...]:
    """Take the changes out of recommendations; those for other keys, and for what is no sysctl, are left out.

    :param keys: only these; empty for all.
    """
    return tuple(
        Change(
            key=entry.key,
            value=entry.recommended,
            why=entry.reason,
            evidence=tuple(f"{fact.what}: {fact.value} ({fact.source})" for fact in entry.evidence),
            identifier=getattr(entry, "identifier", ""),
        )
        for entry in recommendations
        if entry.key.startswith("vm.") and (not keys or entry.key in keys)
    )


def plan_changes(scene: Scene, changes: Sequence[Change], *, force: bool = False) -> Plan:
    """Plan these changes; what may not be made is in `refused`, and the rest is planned without it.

    :param force: also where a file that is applied before ours sets the key; the result says what is overridden.
    """
    machine = without_boost(scene.machine)
    winners = tuple(
        winner for change in changes if (winner := winner_of(scene.snapshot, change.key, change.value)) is not None
    )
    accepted: list[Change] = []
    refused: list[Refused] = []
    for change in changes:
        taken, reason = _judge(scene, machine, change, winners, force=force)
        if reason:
            refused.append(Refused(change.key, change.value, reason))
        else:
            accepted.append(replace(change, value=taken))
    values = {change.key: change.value for change in accepted}
    simulation, steps, reason, warnings = _effect(scene, machine, values)
    if reason:
        refused += [Refused(change.key, change.value, reason) for change in accepted]
        accepted, steps, simulation = [], (), None
    unread = tuple(f"{path} could not be read: what it sets is not known" for path in unknown_files(scene.snapshot))
    return _assemble(scene, machine, accepted, refused, steps, simulation, winners, (*warnings, *unread))


def _judge(
    scene: Scene, machine: Machine, change: Change, winners: Sequence[Winner], *, force: bool
) -> tuple[str, str]:
    """Give the value as the kernel would print it, and why the change may not be made (empty where it may)."""
    reason = _model_refusal(scene) or key_refusal(machine, change.key) or _file_refusal(scene)
    if reason:
        return change.value, reason
    trial = simulate(machine, [Write(change.key, change.value)], assigned_min_free(scene.snapshot))
    if trial.refusals:
        refusal = trial.refusals[0]
        return change.value, f"the kernel would refuse it ({refusal.error}); it takes {refusal.accepted}"
    taken = trial.sysctls[change.key]
    if len(change.value.split()) != len(taken.split()):
        slots = len(taken.split())
        return (
            taken,
            f"expected {slots} number{'s' if slots > 1 else ''}, as the kernel prints it: {taken} would be set",
        )
    reason = value_refusal(machine, change.key, taken) or _foreign_refusal(scene, change, winners, force=force)
    return taken, reason or ""


def _model_refusal(scene: Scene) -> str | None:
    if scene.snapshot.torn:
        return f"{TORN} ({scene.snapshot.torn[0]}); try again"
    if not scene.machine.fit.usable:
        return "the model does not reproduce what this kernel prints (see pagewarden status): no effect can be checked"
    return None


def _file_refusal(scene: Scene) -> str | None:
    state = snippet_state(scene.record, scene.snippet)
    if state in (SnippetState.EDITED, SnippetState.FOREIGN):
        return f"{state_note(state, scene.snippet)}; take it away if pagewarden may set values again"
    return None


def _foreign_refusal(scene: Scene, change: Change, winners: Sequence[Winner], *, force: bool) -> str | None:
    retired = next((entry for entry in scene.record.retired if entry.key == change.key), None)
    if change.auto and retired is not None:
        return f"left alone since {retired.since}: {retired.reason}"
    others = owners(scene.tuners, [change.key])
    if others:
        return f"{others[0].name} sets it while the machine runs ({others[0].evidence}): stop that first"
    unread = unknown_files(scene.snapshot)
    if unread and not force:
        return f"{unread[0]} could not be read: whether it sets {change.key} is not known"
    winner = next((entry for entry in winners if entry.key == change.key), None)
    if winner is None or winner.value == change.value:
        return None
    if winner.last_word:
        return f"{winner.place} sets it to {winner.value} and is applied after {SNIPPET}: change it there"
    if not force:
        return f"{winner.place} sets it to {winner.value}: change it there, or override it with --force"
    return None


def _effect(
    scene: Scene, machine: Machine, values: Mapping[str, str]
) -> tuple[Simulation | None, tuple[Step, ...], str, tuple[str, ...]]:
    """Simulate all of it: (simulation, steps, why it may not be done, warnings)."""
    assigned = assigned_min_free(scene.snapshot)
    steps = plan_steps(machine, values, assigned)
    if not steps:
        return None, (), "", ()
    simulation = simulate(machine, [step.write for step in steps], assigned)
    projection = project(simulation, scene.snapshot)
    reason = effect_refusal(simulation, projection) or unsafe_step(machine, steps)
    # What the steps are for needs no warning any more.
    return simulation, steps, reason, tuple(line for line in projection.warnings if not line.endswith("in steps."))


def _assemble(
    scene: Scene,
    machine: Machine,
    accepted: Sequence[Change],
    refused: Sequence[Refused],
    steps: tuple[Step, ...],
    simulation: Simulation | None,
    winners: tuple[Winner, ...],
    warnings: tuple[str, ...],
) -> Plan:
    named = {change.key: change for change in accepted}
    judged = standings(scene.record, scene.snippet, scene.snapshot.sysctls, scene.boot_id)
    if snippet_state(scene.record, scene.snippet) is SnippetState.REMOVED:
        # Whoever took the file away does not want its lines back.
        gone = state_note(SnippetState.REMOVED, scene.snippet)
        judged = tuple(replace(entry, foreign=entry.foreign or gone) for entry in judged)
    lost = [entry for entry in judged if entry.foreign and entry.owned.key not in named]
    kept = [entry.owned for entry in judged if not entry.foreign and entry.owned.key not in named]
    owned = (*kept, *(_owned(scene, change) for change in accepted))
    retired = tuple(entry for entry in retire(scene.record, lost, scene.now) if entry.key not in named)
    return Plan(
        changes=tuple(accepted),
        refused=tuple(refused),
        before={change.key: machine.sysctls[change.key] for change in accepted},
        steps=steps,
        snippet=render_snippet(owned, scene.version) or None,
        snippet_before=scene.snippet.text,
        simulation=simulation,
        owned_after=owned,
        retired_after=retired,
        notes=tuple(f"{entry.owned.key} is left alone from now on: {entry.foreign}" for entry in lost),
        winners=winners,
        overridden=tuple(entry for entry in winners if entry.key in named and entry.value != named[entry.key].value),
        warnings=warnings,
    )


def _owned(scene: Scene, change: Change) -> Owned:
    """Record a change; a setting that is ours and unchanged keeps its first value, its date and its reason."""
    current = scene.snapshot.sysctls[change.key]
    earlier = scene.record.owns(change.key)
    ours = earlier is not None and earlier.value == current
    if earlier is not None and ours and change.value == current:
        return earlier
    return Owned(
        key=change.key,
        value=change.value,
        original=earlier.original if earlier is not None and ours else current,
        why=change.why,
        evidence=change.evidence,
        identifier=change.identifier,
        applied_at=scene.now,
        boot_id=scene.boot_id,
        version=scene.version,
    )


def _steps_back(scene: Scene, machine: Machine, values: Mapping[str, str]) -> tuple[Step, ...]:
    if scene.machine.fit.usable:
        return plan_steps(machine, values, assigned_min_free(scene.snapshot))
    # A way back there must be, also where nothing can be predicted and so nothing compared.
    return tuple(
        Step(Write(key, values[key]), (), values)
        for key in reversed(KEYS)
        if key in values and values[key] != machine.sysctls[key]
    )


def plan_revert(scene: Scene, keys: Sequence[str] = ()) -> Plan:
    """Plan the way back: old values where ours are still in force, and our lines out of the file.

    What somebody else set since is left alone, and said. An edited file is somebody else's as well.

    :param keys: only these; empty for all that is ours.
    """
    machine = without_boost(scene.machine)
    judged = standings(scene.record, scene.snippet, scene.snapshot.sysctls, scene.boot_id)
    chosen = [entry for entry in judged if not keys or entry.owned.key in keys]
    lost = [entry for entry in judged if entry.foreign]
    values = {entry.owned.key: entry.owned.original for entry in chosen if not entry.foreign}
    kept = tuple(entry.owned for entry in judged if entry not in chosen and not entry.foreign)
    steps = _steps_back(scene, machine, values)
    writes = [step.write for step in steps if step.zones]
    state = snippet_state(scene.record, scene.snippet)
    # An edited file stays as it is, and one that somebody took away is not made again for what is left of ours.
    ours = state in (SnippetState.OURS, SnippetState.ABSENT)
    text = render_snippet(kept, scene.version) or None if ours else scene.snippet.text
    notes = [f"{entry.owned.key} is left alone: {entry.foreign}" for entry in lost]
    note = state_note(state, scene.snippet)
    return Plan(
        changes=tuple(Change(key, value, "put back") for key, value in values.items()),
        refused=(),
        before={key: machine.sysctls[key] for key in values},
        steps=steps,
        snippet=text,
        snippet_before=scene.snippet.text,
        simulation=simulate(machine, writes, assigned_min_free(scene.snapshot)) if writes else None,
        owned_after=kept,
        retired_after=retire(scene.record, lost, scene.now),
        notes=tuple([*notes, note] if note else notes),
    )

"""The JSON of `apply`, `revert` and `rollback-status`. Contracts, as `report/wire.py` says."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pagewarden.apply.types import Outcome, Owned, Plan, Record, Refused, SnippetState, Standing, Winner
from pagewarden.kernel.simulate import ZoneState
from pagewarden.report.document import PAGES, Document, said


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedZone(Document):
    """One zone's marks (boost left out) and reserves."""

    node: int
    zone: str
    min_pages: int = field(metadata=PAGES)
    low_pages: int = field(metadata=PAGES)
    high_pages: int = field(metadata=PAGES)
    promo_pages: int | None = field(metadata=PAGES)
    protection_pages: list[int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyChange(Document):
    """One setting that is changed."""

    key: str
    before: str
    value: str
    why: str
    evidence: list[str]
    identifier: str | None = field(metadata=said("of the recommendation; null for an administrator's own value"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRefused(Document):
    """One change that is not made."""

    key: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyStep(Document):
    """One write, in order, and every zone after it."""

    key: str
    value: str
    zones: list[AppliedZone]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyWrite(Document):
    """One write."""

    key: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyWinner(Document):
    """What sets a key at boot today, outside our file."""

    key: str
    value: str
    place: str = field(metadata=said("file and line, or the kernel command line"))
    last_word: bool = field(metadata=said("applied after our file: ours would lose"))
    overridden: bool = field(metadata=said("by --force"))
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyDocument(Document):
    """`pagewarden apply --format json`."""

    schema: Literal["pagewarden.apply/1"] = "pagewarden.apply/1"
    outcome: Literal["planned", "applied", "nothing", "refused"]
    changes: list[ApplyChange]
    refused: list[ApplyRefused]
    steps: list[ApplyStep]
    zones_before: list[AppliedZone]
    cost_bytes: int = field(metadata=said("memory withdrawn from ordinary use; negative where some is given back"))
    winners: list[ApplyWinner]
    snippet_path: str
    snippet: str | None = field(metadata=said("the whole file afterwards; null where it will not exist"))
    snippet_before: str | None
    undo: list[ApplyWrite] = field(metadata=said("what an undo writes, in its order"))
    warnings: list[str]
    notes: list[str] = field(metadata=said("what was found, finished, undone or left alone on the way"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertDocument(Document):
    """`pagewarden revert --format json`."""

    schema: Literal["pagewarden.revert/1"] = "pagewarden.revert/1"
    outcome: Literal["reverted", "nothing"]
    restored: list[ApplyWrite]
    snippet_path: str
    snippet: str | None = field(metadata=said("the whole file afterwards; null where it does not exist"))
    notes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedSetting(Document):
    """One setting that pagewarden changed."""

    key: str
    value: str
    original: str = field(metadata=said("what revert writes"))
    current: str | None
    applied_at: str
    why: str
    evidence: list[str]
    identifier: str | None
    version: str
    foreign: str | None = field(metadata=said("why it is somebody else's now; null where it is still ours"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredSetting(Document):
    """One setting that is left alone since somebody else set it."""

    key: str
    reason: str
    since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedRun(Document):
    """A run that did not come to its end; the next one undoes or finishes it."""

    intent: Literal["apply", "revert"]
    started_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackStatusDocument(Document):
    """`pagewarden rollback-status --format json`."""

    schema: Literal["pagewarden.rollback-status/1"] = "pagewarden.rollback-status/1"
    snippet_path: str
    snippet_state: SnippetState
    snippet_note: str | None
    owned: list[OwnedSetting]
    retired: list[RetiredSetting]
    unfinished: UnfinishedRun | None


def apply_document(outcome: Outcome, snippet_path: str, *, dry_run: bool) -> ApplyDocument:
    """Build the document of an apply."""
    plan = outcome.plan
    simulation = plan.simulation
    return ApplyDocument(
        outcome=_apply_word(outcome, dry_run=dry_run),
        changes=[
            ApplyChange(
                key=change.key,
                before=plan.before[change.key],
                value=change.value,
                why=change.why,
                evidence=list(change.evidence),
                identifier=change.identifier or None,
            )
            for change in plan.changes
        ],
        refused=[_refused(entry) for entry in plan.refused],
        steps=[ApplyStep(key=step.write.key, value=step.write.text, zones=_zones(step.zones)) for step in plan.steps],
        zones_before=_zones(simulation.before) if simulation else [],
        cost_bytes=simulation.cost_bytes if simulation else 0,
        winners=[_winner(winner, overridden=winner in plan.overridden) for winner in plan.winners],
        snippet_path=snippet_path,
        snippet=plan.snippet,
        snippet_before=plan.snippet_before,
        undo=[ApplyWrite(key=write.key, value=write.text) for write in plan.undo],
        warnings=list(plan.warnings),
        notes=list(outcome.notes),
    )


def _apply_word(outcome: Outcome, *, dry_run: bool) -> Literal["planned", "applied", "nothing", "refused"]:
    if outcome.done:
        return "applied"
    if outcome.plan.refused and not (dry_run and outcome.plan.changes):
        return "refused"
    return "nothing" if outcome.plan.idle else "planned"


def _refused(entry: Refused) -> ApplyRefused:
    return ApplyRefused(key=entry.key, value=entry.value, reason=entry.reason)


def _winner(winner: Winner, *, overridden: bool) -> ApplyWinner:
    return ApplyWinner(
        key=winner.key,
        value=winner.value,
        place=winner.place,
        last_word=winner.last_word,
        overridden=overridden,
        note=winner.note or None,
    )


def _zones(states: Iterable[ZoneState]) -> list[AppliedZone]:
    return [
        AppliedZone(
            node=state.node,
            zone=state.zone,
            min_pages=state.marks.min_pages,
            low_pages=state.marks.low_pages,
            high_pages=state.marks.high_pages,
            promo_pages=state.marks.promo_pages,
            protection_pages=None if state.protection_pages is None else list(state.protection_pages),
        )
        for state in states
    ]


def revert_document(outcome: Outcome, snippet_path: str) -> RevertDocument:
    """Build the document of a revert."""
    plan: Plan = outcome.plan
    return RevertDocument(
        outcome="reverted" if outcome.done else "nothing",
        restored=[ApplyWrite(key=change.key, value=change.value) for change in plan.changes] if outcome.done else [],
        snippet_path=snippet_path,
        snippet=plan.snippet,
        notes=list(outcome.notes),
    )


def rollback_document(
    record: Record, standings: Sequence[Standing], state: SnippetState, note: str, snippet_path: str
) -> RollbackStatusDocument:
    """Build the document of what is changed."""
    pending = record.pending
    return RollbackStatusDocument(
        snippet_path=snippet_path,
        snippet_state=state,
        snippet_note=note or None,
        owned=[owned_setting(entry.owned, entry.current, entry.foreign) for entry in standings],
        retired=[RetiredSetting(key=e.key, reason=e.reason, since=e.since) for e in record.retired],
        unfinished=None
        if pending is None
        else UnfinishedRun(intent=pending.intent.value, started_at=pending.started_at),
    )


def owned_setting(owned: Owned, current: str | None, foreign: str) -> OwnedSetting:
    """Build the part of one setting."""
    return OwnedSetting(
        key=owned.key,
        value=owned.value,
        original=owned.original,
        current=current,
        applied_at=owned.applied_at,
        why=owned.why,
        evidence=list(owned.evidence),
        identifier=owned.identifier or None,
        version=owned.version,
        foreign=foreign or None,
    )

"""The JSON of `pagewarden probation`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pagewarden.apply.policy import Trial
from pagewarden.apply.probation import Counts, Probation, Sign
from pagewarden.report.document import Document, said


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbationCounts(Document):
    """Events; null where this kernel, or nobody, counts them."""

    direct_reclaims: int
    oom_kills: int | None
    some_stall_us: int | None = field(metadata=said("time in which some task waited for memory, in microseconds"))
    full_stall_us: int | None = field(metadata=said("time in which every task waited for memory, in microseconds"))
    refused_allocations: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbationChange(Document):
    """One setting on probation."""

    key: str
    before: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningProbation(Document):
    """The change that is being watched."""

    changes: list[ProbationChange]
    started_at: str
    unattended: bool
    seconds: float = field(metadata=said("how long it is watched at least"))
    watched_seconds: float
    promised: str | None = field(metadata=said("stalls, failures, or null"))
    expected: float | None = field(
        metadata=said("how many of what was promised the old rate would have brought by now")
    )
    before_seconds: float = field(metadata=said("over how long the counts before were taken"))
    before: ProbationCounts
    since: ProbationCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbationTrial(Document):
    """A change made earlier, and what became of it."""

    key: str
    before: str
    value: str
    at: str
    ended_at: str | None
    unattended: bool
    undone: str | None = field(metadata=said("why it was given up: taken back, or left to others; null where it stays"))
    promised: str | None
    bought: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbationDocument(Document):
    """`pagewarden probation --format json`."""

    schema: Literal["pagewarden.probation/1"] = "pagewarden.probation/1"
    probation: RunningProbation | None
    trials: list[ProbationTrial] = field(metadata=said("oldest first"))


def probation_document(probation: Probation | None, trials: Sequence[Trial]) -> ProbationDocument:
    """Build the document."""
    return ProbationDocument(
        probation=None if probation is None else _running(probation), trials=[_trial(trial) for trial in trials]
    )


def _running(probation: Probation) -> RunningProbation:
    sign = probation.promised
    return RunningProbation(
        changes=[ProbationChange(key=each.key, before=each.before, value=each.value) for each in probation.changes],
        started_at=probation.started_at,
        unattended=probation.unattended,
        seconds=probation.seconds,
        watched_seconds=probation.watched_seconds,
        promised=None if sign is None else sign.value,
        expected=None if sign is None else probation.baseline.expected(Sign(sign), probation.watched_seconds),
        before_seconds=probation.baseline.seconds,
        before=_counts(probation.baseline.counts, probation.baseline.failures),
        since=_counts(probation.counts, probation.counts.failures),
    )


def _counts(counts: Counts, failures: int | None) -> ProbationCounts:
    return ProbationCounts(
        direct_reclaims=counts.stalls,
        oom_kills=counts.oom_kills,
        some_stall_us=counts.some_us,
        full_stall_us=counts.full_us,
        refused_allocations=failures,
    )


def _trial(trial: Trial) -> ProbationTrial:
    return ProbationTrial(
        key=trial.key,
        before=trial.before,
        value=trial.value,
        at=trial.at.isoformat(timespec="seconds"),
        ended_at=None if trial.ended_at is None else trial.ended_at.isoformat(timespec="seconds"),
        unattended=trial.unattended,
        undone=trial.undone or None,
        promised=trial.promised or None,
        bought=trial.bought or None,
    )

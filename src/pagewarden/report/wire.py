"""The JSON of `pagewarden simulate` and `pagewarden advise`, which carries simulations."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pagewarden.advise.types import Advice, Effect, Recommendation
from pagewarden.apply.policy import Verdict
from pagewarden.diagnose.types import Cause, Evidence, Finding, FindingCause
from pagewarden.kernel.projection import Projection
from pagewarden.kernel.simulate import Simulation, ZoneState
from pagewarden.procfs.types import Zone
from pagewarden.report.document import PAGES, Document, listed, said


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneNumbers(Document):
    """The numbers of one zone that settings decide."""

    managed_pages: int | None = field(metadata=PAGES)
    min_pages: int = field(metadata=PAGES)
    low_pages: int = field(metadata=PAGES)
    high_pages: int = field(metadata=PAGES)
    promo_pages: int | None = field(metadata=PAGES)
    protection_pages: list[int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedZone(ZoneNumbers):
    """One zone after the change, with the same numbers before it."""

    node: int
    zone: str
    free_pages: int = field(metadata=PAGES)
    before: ZoneNumbers


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationError(Document):
    """A write the kernel refuses."""

    key: str
    error: str = field(metadata=said("name of the errno"))
    value: str | None = None
    accepted: str | None = field(
        default=None, metadata=said("what the kernel takes, in words; null where it has no such setting")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationDocument(Document):
    """`pagewarden simulate --format json`."""

    schema: Literal["pagewarden.simulation/1"] = "pagewarden.simulation/1"
    kernel: str | None
    sysctls: dict[str, str] = field(metadata=said("every setting of the snapshot with its value afterwards"))
    zones: list[SimulatedZone]
    cost_bytes: int = field(metadata=said("memory withdrawn from ordinary use; negative where some is given back"))
    mem_available_bytes: dict[str, int] | None = field(metadata=said("before and after, by the kernel's formula"))
    to_free_bytes: int = field(metadata=said("what must be freed until every zone is above its new high mark"))
    errors: list[SimulationError]
    warnings: list[str]
    notes: list[str] = field(metadata=said("what a new value does that changes no zone"))
    assumptions: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceDefaults(Document):
    """What the kernel itself would choose."""

    lowmem_formula: int | None
    hugepage_formula: int | None
    effective: int | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceEvidence(Document):
    """One number or fact, and where it came from."""

    what: str
    value: int | float | str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceRecommendation(Document):
    """One setting to change."""

    key: str
    current: str
    recommended: str
    reason: str
    cause: FindingCause | Cause
    evidence: list[AdviceEvidence]
    effect: SimulationDocument | None
    cost_bytes: int
    risk: Literal["low", "medium", "high"]
    confidence: Literal["low", "medium", "high"]
    auto: bool
    reference: str
    against: str = field(metadata=said("what would make this wrong"))
    keep: str = field(metadata=said("what to do so that the change outlives a reboot"))
    identifier: str = field(metadata=said("stays the same as long as the same is proposed for the same reason"))
    set_by: str | None = field(metadata=said("who gave the setting its present value"))
    steps: list[str] = field(metadata=said("the arithmetic, line by line"))
    worse: str | None = field(metadata=said("what gets worse, beside the memory it costs"))
    commands: list[str] = field(metadata=said("what to type; empty for what is not done by a command"))
    undo: list[str] = field(metadata=said("what to type to take it back"))


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceFinding(Document):
    """A named cause."""

    cause: FindingCause | Cause
    severity: Literal["info", "notice", "warning", "critical"]
    text: str
    evidence: list[AdviceEvidence]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceUnattended(Document):
    """Whether one setting would be changed without a person."""

    key: str
    allowed: bool
    reasons: list[str] = field(metadata=said("what stands against it; empty where it is allowed"))


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceDocument(Document):
    """`pagewarden advise --format json`."""

    schema: Literal["pagewarden.advice/1"] = "pagewarden.advice/1"
    host: str | None
    kernel: str
    defaults: dict[str, AdviceDefaults]
    recommendations: list[AdviceRecommendation]
    findings: list[AdviceFinding]
    withheld: list[str] = field(metadata=said("why nothing can be recommended; empty where the model fits"))
    not_judged: dict[str, str] = field(metadata=said("settings that could not be judged, and why"))
    declined: list[str] = field(metadata=said("identifiers of what is not recommended because it was declined"))
    unseen: list[str] = field(metadata=said("evidence that was not looked at: logs, counters"))
    unattended: list[AdviceUnattended] = field(
        default_factory=list, metadata=said("of this machine only, not of a capture")
    )


def unattended_document(verdicts: Mapping[str, Verdict]) -> list[AdviceUnattended]:
    """Build the part of what would be applied without a person."""
    return [
        AdviceUnattended(key=key, allowed=verdict.allowed, reasons=list(verdict.reasons))
        for key, verdict in verdicts.items()
    ]


def simulation_document(simulation: Simulation, projection: Projection) -> SimulationDocument:
    """Build the simulation document."""
    machine = simulation.machine
    return SimulationDocument(
        kernel=machine.version.release if machine.version else None,
        sysctls=dict(simulation.sysctls),
        zones=[
            SimulatedZone(
                node=zone.node,
                zone=zone.name,
                free_pages=zone.free_pages,
                before=ZoneNumbers(**_numbers(zone, before)),
                **_numbers(zone, after),
            )
            for zone, before, after in zip(machine.zones, simulation.before, simulation.after, strict=True)
        ],
        cost_bytes=simulation.cost_bytes,
        mem_available_bytes=None
        if projection.available_bytes is None
        else dict(zip(("before", "after"), projection.available_bytes, strict=True)),
        to_free_bytes=projection.to_free_bytes,
        errors=[
            SimulationError(key=r.key, error=r.error, value=r.text, accepted=r.accepted) for r in simulation.refusals
        ],
        warnings=list(projection.warnings),
        notes=list(projection.notes),
        assumptions=list(simulation.assumptions),
    )


def _numbers(zone: Zone, state: ZoneState) -> dict[str, Any]:
    return {
        "managed_pages": zone.managed_pages,
        "min_pages": state.marks.min_pages,
        "low_pages": state.marks.low_pages,
        "high_pages": state.marks.high_pages,
        "promo_pages": state.marks.promo_pages,
        "protection_pages": listed(state.protection_pages),
    }


def advice_document(advice: Advice) -> AdviceDocument:
    """Build the advice document."""
    return AdviceDocument(
        host=advice.host,
        kernel=advice.kernel,
        defaults={
            key: AdviceDefaults(
                lowmem_formula=default.lowmem_formula,
                hugepage_formula=default.hugepage_formula,
                effective=_number_or_text(default.effective),
            )
            for key, default in advice.defaults.items()
        },
        recommendations=[_recommendation(recommendation) for recommendation in advice.recommendations],
        findings=[_finding(finding) for finding in advice.findings],
        withheld=list(advice.withheld),
        not_judged=dict(advice.not_judged),
        declined=list(advice.declined),
        unseen=list(advice.unseen),
    )


def _cause(text: str) -> FindingCause | Cause:
    return Cause(text) if text in set(Cause) else FindingCause(text)


def _number_or_text(value: str | None) -> int | str | None:
    return int(value) if value is not None and value.isdigit() else value


def _recommendation(recommendation: Recommendation) -> AdviceRecommendation:
    return AdviceRecommendation(
        key=recommendation.key,
        current=recommendation.current,
        recommended=recommendation.recommended,
        reason=recommendation.reason,
        cause=_cause(recommendation.cause),
        evidence=_evidence(recommendation.evidence),
        effect=_effect(recommendation.effect),
        cost_bytes=recommendation.cost_bytes,
        risk=recommendation.risk.value,
        confidence=recommendation.confidence.value,
        auto=recommendation.auto,
        reference=recommendation.reference,
        against=recommendation.against,
        keep=recommendation.keep,
        identifier=recommendation.identifier,
        set_by=recommendation.set_by,
        steps=list(recommendation.steps),
        worse=recommendation.worse or None,
        commands=list(recommendation.commands),
        undo=list(recommendation.undo),
    )


def _effect(effect: Effect | None) -> SimulationDocument | None:
    return None if effect is None else simulation_document(effect.simulation, effect.projection)


def _evidence(evidence: Iterable[Evidence]) -> list[AdviceEvidence]:
    return [AdviceEvidence(what=entry.what, value=entry.value, source=entry.source) for entry in evidence]


def _finding(finding: Finding) -> AdviceFinding:
    return AdviceFinding(
        cause=_cause(finding.cause),
        severity=finding.severity.value,
        text=finding.text,
        evidence=_evidence(finding.evidence),
    )

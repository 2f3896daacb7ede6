"""The JSON the commands print: one dataclass a document, published by `pagewarden schema NAME`.

Contracts: fields are added within a schema number, never renamed or given another meaning. A value that is not known
is null, never 0.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from pagewarden.advise.types import Advice, Effect, Recommendation
from pagewarden.diagnose.settings import Setting
from pagewarden.diagnose.types import Cause, Evidence, Finding, FindingCause
from pagewarden.kernel.fit import Difference, Fit
from pagewarden.kernel.machine import Machine
from pagewarden.kernel.projection import Projection
from pagewarden.kernel.simulate import Simulation, ZoneState
from pagewarden.procfs.types import Snapshot, Zone


def said(text: str) -> dict[str, str]:
    """What the schema says of a field."""
    return {"description": text}


PAGES = said("pages")


class Document:
    """Base of all documents: dataclasses, as importing pydantic takes longer than most commands do.

    `pagewarden schema` and the tests have pydantic make the schema and a validator of them.
    """

    __slots__ = ()
    __pydantic_config__: ClassVar = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusZone(Document):
    """One zone as the kernel prints it; boost is contained in min, low, high and promo."""

    node: int
    zone: str
    free_pages: int = field(metadata=PAGES)
    min_pages: int = field(metadata=PAGES)
    low_pages: int = field(metadata=PAGES)
    high_pages: int = field(metadata=PAGES)
    promo_pages: int | None = field(metadata=PAGES)
    boost_pages: int | None = field(metadata=PAGES)
    present_pages: int = field(metadata=PAGES)
    managed_pages: int | None = field(metadata=PAGES)
    spanned_pages: int = field(metadata=PAGES)
    protection_pages: list[int] | None = field(
        metadata=said("pages, by the index of the zone a request could have used")
    )
    free_blocks: list[int] | None = field(metadata=said("number of free blocks, by order"))


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSetting(Document):
    """One setting beside the kernel's own choice."""

    key: str
    value: str
    kernel_default: str | None
    set_by: str | None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusDifference(Document):
    """One number the model does not reproduce."""

    node: int
    zone: str
    what: str
    predicted: int
    printed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusFit(Document):
    """How well the model equals this kernel."""

    exact: bool
    stale: bool
    variant: str | None
    differences: list[StatusDifference]
    reasons: list[str] = field(metadata=said("why each zone that differs may do so"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Document):
    """`pagewarden status --format json`."""

    schema: Literal["pagewarden.status/1"] = "pagewarden.status/1"
    host: str | None
    kernel: str | None
    page_size: int = field(metadata=said("bytes"))
    page_size_assumed: bool
    torn: list[str] = field(metadata=said("why the files cannot be of one instant"))
    absent: dict[str, str] = field(metadata=said("files that could not be used, and why"))
    zones: list[StatusZone]
    settings: list[StatusSetting]
    fit: StatusFit


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceFinding(Document):
    """A named cause."""

    cause: FindingCause | Cause
    severity: Literal["info", "notice", "warning", "critical"]
    text: str
    evidence: list[AdviceEvidence]


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


def status_document(snapshot: Snapshot, machine: Machine, settings: Iterable[Setting]) -> Status:
    """Build the status document."""
    return Status(
        host=snapshot.host,
        kernel=snapshot.kernel,
        page_size=snapshot.page_size,
        page_size_assumed=snapshot.page_size_assumed,
        torn=list(snapshot.torn),
        absent=dict(snapshot.absent),
        zones=[_status_zone(zone, snapshot.free_blocks) for zone in machine.zones],
        settings=[
            StatusSetting(
                key=setting.key,
                value=setting.value,
                kernel_default=setting.kernel_default,
                set_by=setting.set_by,
                note=setting.note or None,
            )
            for setting in settings
        ],
        fit=_status_fit(machine.fit),
    )


def _status_zone(zone: Zone, blocks: Mapping[tuple[int, str], tuple[int, ...]] | None) -> StatusZone:
    free_blocks = (blocks or {}).get((zone.node, zone.name))
    return StatusZone(
        node=zone.node,
        zone=zone.name,
        free_pages=zone.free_pages,
        min_pages=zone.min_pages,
        low_pages=zone.low_pages,
        high_pages=zone.high_pages,
        promo_pages=zone.promo_pages,
        boost_pages=zone.boost_pages,
        present_pages=zone.present_pages,
        managed_pages=zone.managed_pages,
        spanned_pages=zone.spanned_pages,
        protection_pages=_listed(zone.protection_pages),
        free_blocks=_listed(free_blocks),
    )


def _listed(values: Iterable[int] | None) -> list[int] | None:
    return None if values is None else list(values)


def _status_fit(fit: Fit) -> StatusFit:
    return StatusFit(
        exact=fit.exact,
        stale=fit.stale,
        variant=fit.variant,
        differences=[_difference(difference) for difference in fit.differences],
        reasons=list(fit.reasons),
    )


def _difference(difference: Difference) -> StatusDifference:
    return StatusDifference(
        node=difference.node,
        zone=difference.zone,
        what=difference.what,
        predicted=difference.predicted,
        printed=difference.printed,
    )


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
        errors=[SimulationError(key=r.key, error=r.error, value=r.text) for r in simulation.refusals],
        warnings=list(projection.warnings),
        assumptions=list(simulation.assumptions),
    )


def _numbers(zone: Zone, state: ZoneState) -> dict[str, Any]:
    return {
        "managed_pages": zone.managed_pages,
        "min_pages": state.marks.min_pages,
        "low_pages": state.marks.low_pages,
        "high_pages": state.marks.high_pages,
        "promo_pages": state.marks.promo_pages,
        "protection_pages": _listed(state.protection_pages),
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


def to_json(document: Document) -> str:
    """Render a document as one JSON text. What is no Unicode, in a file's name, becomes an escape like `\\udcff`."""
    text = json.dumps(document, default=_members, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace").decode()


def _members(document: Any) -> dict[str, Any]:
    return {member.name: getattr(document, member.name) for member in fields(document)}

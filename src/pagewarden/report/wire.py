"""The JSON the commands print: one pydantic model a document, published by `pagewarden schema NAME`.

Contracts: fields are added within a schema number, never renamed or given another meaning. A value that is not known
is null, never 0.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pagewarden.advise.types import Advice, Effect, Recommendation
from pagewarden.apply.types import Standing
from pagewarden.diagnose.settings import Setting
from pagewarden.diagnose.types import Cause, Evidence, Finding, FindingCause
from pagewarden.history.types import ServiceState
from pagewarden.kernel.fit import Difference, Fit
from pagewarden.kernel.machine import Machine
from pagewarden.kernel.projection import Projection
from pagewarden.kernel.simulate import Simulation, ZoneState
from pagewarden.procfs.types import Snapshot, Zone

Pages = Annotated[int, Field(description="pages")]


class Document(BaseModel):
    """Base of all documents: nothing unknown passes, nothing changes after it was made."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)


class StatusZone(Document):
    """One zone as the kernel prints it; boost is contained in min, low, high and promo."""

    node: int
    zone: str
    free_pages: Pages
    min_pages: Pages
    low_pages: Pages
    high_pages: Pages
    promo_pages: Pages | None
    boost_pages: Pages | None
    present_pages: Pages
    managed_pages: Pages | None
    spanned_pages: Pages
    protection_pages: list[int] | None = Field(description="pages, by the index of the zone a request could have used")
    free_blocks: list[int] | None = Field(description="number of free blocks, by order")


class StatusSetting(Document):
    """One setting beside the kernel's own choice."""

    key: str
    value: str
    kernel_default: str | None
    set_by: str | None
    note: str | None = None


class StatusChange(Document):
    """One setting that `pagewarden apply` changed."""

    key: str
    value: str
    original: str = Field(description="what revert writes")
    applied_at: str
    why: str
    foreign: str | None = Field(description="why it is somebody else's now; null where it is still ours")


class StatusDifference(Document):
    """One number the model does not reproduce."""

    node: int
    zone: str
    what: str
    predicted: int
    printed: int


class StatusFit(Document):
    """How well the model equals this kernel."""

    exact: bool
    stale: bool
    variant: str | None
    differences: list[StatusDifference]
    reasons: list[str] = Field(description="why each zone that differs may do so")


class ServiceFinding(Document):
    """A finding that the service has open."""

    identity: str
    cause: str
    severity: str
    text: str
    since_time: float


class ServiceProbation(Document):
    """A change that is being watched."""

    key: str
    value: str
    old_value: str
    until_time: float


class StatusService(Document):
    """What the service says of itself. Times are seconds since 1970."""

    version: str
    pid: int
    since_time: float
    last_poll_time: float
    next_poll_time: float
    poll_count: int
    report_count: int
    findings: list[ServiceFinding]
    plan: list[str]
    probation: list[ServiceProbation]
    degraded: list[str]


class Status(Document):
    """`pagewarden status --format json`."""

    schema_name: Literal["pagewarden.status/1"] = Field("pagewarden.status/1", alias="schema")
    host: str | None
    kernel: str | None
    page_size: int = Field(description="bytes")
    page_size_assumed: bool
    torn: list[str] = Field(description="why the files cannot be of one instant")
    absent: dict[str, str] = Field(description="files that could not be used, and why")
    zones: list[StatusZone]
    settings: list[StatusSetting]
    fit: StatusFit
    changes: list[StatusChange] = Field(description="what pagewarden changed and did not revert")
    service: StatusService | None = Field(None, description="null where the service does not run or may not be asked")


class ZoneNumbers(Document):
    """The numbers of one zone that settings decide."""

    managed_pages: Pages | None
    min_pages: Pages
    low_pages: Pages
    high_pages: Pages
    promo_pages: Pages | None
    protection_pages: list[int] | None


class SimulatedZone(ZoneNumbers):
    """One zone after the change, with the same numbers before it."""

    node: int
    zone: str
    free_pages: Pages
    before: ZoneNumbers


class SimulationError(Document):
    """A write the kernel refuses."""

    key: str
    error: str = Field(description="name of the errno")
    value: str | None = None


class SimulationDocument(Document):
    """`pagewarden simulate --format json`."""

    schema_name: Literal["pagewarden.simulation/1"] = Field("pagewarden.simulation/1", alias="schema")
    kernel: str | None
    sysctls: dict[str, str] = Field(description="every setting of the snapshot with its value afterwards")
    zones: list[SimulatedZone]
    cost_bytes: int = Field(description="memory withdrawn from ordinary use; negative where some is given back")
    mem_available_bytes: dict[str, int] | None = Field(description="before and after, by the kernel's formula")
    to_free_bytes: int = Field(description="what must be freed until every zone is above its new high mark")
    errors: list[SimulationError]
    warnings: list[str]
    assumptions: list[str]


class AdviceDefaults(Document):
    """What the kernel itself would choose."""

    lowmem_formula: int | None
    hugepage_formula: int | None
    effective: int | str | None


class AdviceEvidence(Document):
    """One number or fact, and where it came from."""

    what: str
    value: int | float | str
    source: str


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
    against: str = Field(description="what would make this wrong")
    keep: str = Field(description="what to do so that the change outlives a reboot")
    identifier: str = Field(description="stays the same as long as the same is proposed for the same reason")
    set_by: str | None = Field(description="who gave the setting its present value")
    steps: list[str] = Field(description="the arithmetic, line by line")
    worse: str | None = Field(description="what gets worse, beside the memory it costs")
    commands: list[str] = Field(description="what to type; empty for what is not done by a command")
    undo: list[str] = Field(description="what to type to take it back")


class AdviceFinding(Document):
    """A named cause."""

    cause: FindingCause | Cause
    severity: Literal["info", "notice", "warning", "critical"]
    text: str
    evidence: list[AdviceEvidence]


class AdviceDocument(Document):
    """`pagewarden advise --format json`."""

    schema_name: Literal["pagewarden.advice/1"] = Field("pagewarden.advice/1", alias="schema")
    host: str | None
    kernel: str
    defaults: dict[str, AdviceDefaults]
    recommendations: list[AdviceRecommendation]
    findings: list[AdviceFinding]
    withheld: list[str] = Field(description="why nothing can be recommended; empty where the model fits")
    not_judged: dict[str, str] = Field(description="settings that could not be judged, and why")
    declined: list[str] = Field(description="identifiers of what is not recommended because it was declined")


def status_document(
    snapshot: Snapshot, machine: Machine, settings: Iterable[Setting], changes: Iterable[Standing] = ()
) -> Status:
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
        changes=[_status_change(entry) for entry in changes],
    )


def _status_change(entry: Standing) -> StatusChange:
    return StatusChange(
        key=entry.owned.key,
        value=entry.owned.value,
        original=entry.owned.original,
        applied_at=entry.owned.applied_at,
        why=entry.owned.why,
        foreign=entry.foreign or None,
    )


def service_document(state: ServiceState | str | None) -> StatusService | None:
    """Build the service's part of the status document; None where nothing could be read."""
    if not isinstance(state, ServiceState):
        return None
    return StatusService(
        version=state.version,
        pid=state.pid,
        since_time=state.since_seconds,
        last_poll_time=state.last_poll_seconds,
        next_poll_time=state.next_poll_seconds,
        poll_count=state.poll_count,
        report_count=state.report_count,
        findings=[
            ServiceFinding(
                identity=finding.identity,
                cause=finding.cause,
                severity=finding.severity,
                text=finding.text,
                since_time=finding.since_seconds,
            )
            for finding in state.findings
        ],
        plan=list(state.plan),
        probation=[
            ServiceProbation(key=p.key, value=p.value, old_value=p.old_value, until_time=p.until_seconds)
            for p in state.probation
        ],
        degraded=list(state.degraded),
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
        declined=list(advice.declined),
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


def to_json(document: Document) -> str:
    """Render a document as one JSON text, by the names of the contract."""
    return document.model_dump_json(by_alias=True)

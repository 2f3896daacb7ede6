"""The JSON of `pagewarden status`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pagewarden.apply.types import Standing
from pagewarden.diagnose.settings import Setting
from pagewarden.history.types import ServiceState
from pagewarden.kernel.fit import Difference, Fit
from pagewarden.kernel.fragmentation import fragmentation_indexes
from pagewarden.kernel.machine import Machine
from pagewarden.procfs.types import Snapshot, Zone
from pagewarden.report.document import PAGES, Document, listed, said


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
    fragmentation_index: list[int] | None = field(
        metadata=said(
            "by order, thousandths: towards 0 memory is short, towards 1000 broken up; -1000: a block is there"
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSetting(Document):
    """One setting beside the kernel's own choice."""

    key: str
    value: str
    kernel_default: str | None
    set_by: str | None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChange(Document):
    """One setting that `pagewarden apply` changed."""

    key: str
    value: str
    original: str = field(metadata=said("what revert writes"))
    applied_at: str
    why: str
    foreign: str | None = field(metadata=said("why it is somebody else's now; null where it is still ours"))


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
class ServiceFinding(Document):
    """A finding that the service has open."""

    identity: str
    cause: str
    severity: str
    text: str
    since_time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceProbation(Document):
    """A change that is being watched."""

    key: str
    value: str
    old_value: str
    until_time: float


@dataclass(frozen=True, slots=True, kw_only=True)
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
    changes: list[StatusChange] = field(metadata=said("what pagewarden changed and did not revert"))
    service: StatusService | None = field(
        default=None, metadata=said("null where the service does not run or may not be asked")
    )


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
        protection_pages=listed(zone.protection_pages),
        free_blocks=listed(free_blocks),
        fragmentation_index=listed(free_blocks and fragmentation_indexes(free_blocks)),
    )


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

"""The JSON of `pagewarden history`."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from pagewarden.history.types import Event, OpenFinding, Overview, Sample, ZoneSample
from pagewarden.report.document import PAGES, Document, said


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryZone(Document):
    """One zone of one reading."""

    node: int
    zone: str
    free_pages: int = field(metadata=PAGES)
    lowest_free_pages: int = field(metadata=said("pages; the lowest in the time that the reading stands for"))
    min_pages: int = field(metadata=PAGES)
    low_pages: int = field(metadata=PAGES)
    high_pages: int = field(metadata=PAGES)
    managed_pages: int | None = field(metadata=PAGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySample(Document):
    """One reading, or several thinned to one."""

    time: float = field(metadata=said("seconds since 1970; of several readings the last"))
    span_seconds: float = field(metadata=said("the time that it stands for; 0 for a single reading"))
    boot_id: str
    page_size: int = field(metadata=said("bytes"))
    zones: list[HistoryZone]
    counters: dict[str, int] = field(metadata=said("of /proc/vmstat, since boot"))
    pressure_some_us: int | None
    pressure_full_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEvent(Document):
    """Something that happened."""

    kind: str
    cause: str | None
    subject: str | None
    severity: str
    count: int
    first_time: float
    last_time: float
    text: str
    details: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFinding(Document):
    """A finding that is open."""

    identity: str
    cause: str
    severity: str
    text: str
    since_time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryDocument(Document):
    """`pagewarden history --format json`."""

    schema: Literal["pagewarden.history/1"] = "pagewarden.history/1"
    kept: bool = field(metadata=said("there is a history; false where the service has not run yet"))
    since_time: float
    until_time: float
    totals: dict[str, int] = field(metadata=said("what each counter gained in this time"))
    samples: list[HistorySample]
    events: list[HistoryEvent]
    findings: list[HistoryFinding]


def history_document(
    overview: Overview,
    samples: Iterable[Sample],
    events: Iterable[Event],
    findings: Iterable[OpenFinding],
    *,
    kept: bool = True,
) -> HistoryDocument:
    """Build the history document."""
    names = sorted({name for part in overview.slices for name in part.counts})
    return HistoryDocument(
        kept=kept,
        since_time=overview.since_seconds,
        until_time=overview.until_seconds,
        totals={name: overview.total(name) or 0 for name in names},
        samples=[_sample(sample) for sample in samples],
        events=[_event(event) for event in events],
        findings=[_finding(finding) for finding in findings],
    )


def _sample(sample: Sample) -> HistorySample:
    return HistorySample(
        time=sample.at_seconds,
        span_seconds=sample.span_seconds,
        boot_id=sample.boot_id,
        page_size=sample.page_size,
        zones=[_zone(zone) for zone in sample.zones],
        counters=dict(sample.counters),
        pressure_some_us=sample.pressure_some_us,
        pressure_full_us=sample.pressure_full_us,
    )


def _zone(zone: ZoneSample) -> HistoryZone:
    return HistoryZone(
        node=zone.node,
        zone=zone.zone,
        free_pages=zone.free_pages,
        lowest_free_pages=zone.lowest_free_pages,
        min_pages=zone.min_pages,
        low_pages=zone.low_pages,
        high_pages=zone.high_pages,
        managed_pages=zone.managed_pages,
    )


def _event(event: Event) -> HistoryEvent:
    return HistoryEvent(
        kind=event.kind.value,
        cause=event.cause or None,
        subject=event.subject or None,
        severity=event.severity,
        count=event.count,
        first_time=event.first_seconds,
        last_time=event.last_seconds,
        text=event.text,
        details=dict(event.details),
    )


def _finding(finding: OpenFinding) -> HistoryFinding:
    return HistoryFinding(
        identity=finding.identity,
        cause=finding.cause,
        severity=finding.severity,
        text=finding.text,
        since_time=finding.since_seconds,
    )

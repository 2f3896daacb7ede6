"""The JSON of `pagewarden explain`: one document a report (JSON Lines)."""

from dataclasses import dataclass, field
from typing import Literal

from pagewarden.diagnose.diagnosis import Diagnosis, Remedy
from pagewarden.diagnose.replay import ZoneReplay
from pagewarden.diagnose.types import Cause
from pagewarden.klog.types import ReportGroup, ReportKind
from pagewarden.report.document import Document, said


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSource(Document):
    """Where the report stands."""

    file: str
    line: int = field(metadata=said("of its first line, from 1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportCaller(Document):
    """The innermost function past the allocator's own."""

    function: str | None
    module: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportZone(Document):
    """One zone of the report and what the kernel's check says of it."""

    node: int | None
    zone: str
    free_kb: int | None
    min_kb: int | None
    low_kb: int | None
    high_kb: int | None
    managed_kb: int | None
    present_kb: int | None
    lowmem_reserve_pages: list[int] | None
    free_blocks: list[int | None] | None = field(metadata=said("number of free blocks, by order"))
    usable: bool | None
    verdict: Literal["would-pass", "below-mark", "lowmem-reserve", "no-block", "not-eligible", "unknown"]
    mark: str | None = field(metadata=said("which watermark, with which discounts"))
    required_pages: int | None = field(metadata=said("fewest pages with which the first comparison would have passed"))
    available_pages: int | None = field(metadata=said("free pages that counted for it"))
    reason: str | None = field(metadata=said("why the verdict is unknown"))
    steps: list[str] = field(metadata=said("the arithmetic, line by line"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRemedy(Document):
    """Something to do, or not to bother with."""

    action: str
    key: str | None
    value: str | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDocument(Document):
    """`pagewarden explain --format json`, one line each."""

    schema: Literal["pagewarden.report/1"] = "pagewarden.report/1"
    source: ReportSource
    kind: ReportKind
    timestamp: str | None
    last_timestamp: str | None = field(metadata=said("of the last of several repeats"))
    kernel: str | None
    arch: str | None
    comm: str | None
    pid: int | None
    count: int
    suppressed_count: int | None = field(metadata=said("messages the kernel says it held back"))
    order: int | None
    gfp_mask: int | None
    gfp_flags: list[str]
    gfp_name: str | None
    context: Literal["atomic", "sleeping"] | None
    complete: bool
    missing: list[str]
    notes: list[str]
    caller: ReportCaller
    zones: list[ReportZone]
    cause: Cause
    inferred: bool
    explanation: str
    harm: Literal["none", "degraded", "failed", "killed"]
    remedies: list[ReportRemedy]
    raw: str | None = field(metadata=said("the text, where the format is not known"))


def report_document(file: str, group: ReportGroup, diagnosis: Diagnosis) -> ReportDocument:
    """Build the document of one report, or of several that are alike."""
    report, replay = diagnosis.report, diagnosis.replay
    flags, frame = replay.flags, diagnosis.caller.frame
    return ReportDocument(
        source=ReportSource(file=file, line=group.line_numbers[0]),
        kind=report.kind,
        timestamp=group.first_timestamp,
        last_timestamp=group.last_timestamp if group.count > 1 else None,
        kernel=report.release,
        arch=report.arch,
        comm=report.comm,
        pid=report.pid,
        count=group.count,
        suppressed_count=group.suppressed_count,
        order=report.order,
        gfp_mask=report.gfp_mask,
        gfp_flags=sorted(flags.flags) if flags else [],
        gfp_name=replay.gfp_name,
        context=None if flags is None else "sleeping" if flags.can_direct_reclaim else "atomic",
        complete=report.complete,
        missing=list(report.missing),
        notes=list(report.notes),
        caller=ReportCaller(function=frame.function if frame else None, module=frame.module if frame else None),
        zones=[_zone(zone) for zone in replay.zones],
        cause=diagnosis.judgement.cause,
        inferred=diagnosis.judgement.inferred,
        explanation=diagnosis.explanation,
        harm=diagnosis.harm.value,
        remedies=[_remedy(remedy) for remedy in diagnosis.remedies],
        raw=report.raw,
    )


def _zone(zone: ZoneReplay) -> ReportZone:
    dump, check = zone.dump, zone.check
    reserve, blocks = dump.lowmem_reserve_pages, dump.free_blocks
    return ReportZone(
        node=dump.node,
        zone=dump.zone,
        free_kb=dump.free_kb,
        min_kb=dump.min_kb,
        low_kb=dump.low_kb,
        high_kb=dump.high_kb,
        managed_kb=dump.managed_kb,
        present_kb=dump.present_kb,
        lowmem_reserve_pages=None if reserve is None else list(reserve),
        free_blocks=None if blocks is None else [block.count for block in blocks],
        usable=zone.usable,
        verdict=zone.verdict.value,
        mark=check.mark if check else None,
        required_pages=check.required_pages if check else None,
        available_pages=check.available_pages if check else None,
        reason=zone.reason or None,
        steps=list(check.steps) if check else [],
    )


def _remedy(remedy: Remedy) -> ReportRemedy:
    return ReportRemedy(action=remedy.action, key=remedy.key, value=remedy.value, why=remedy.why)

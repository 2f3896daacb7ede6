"""What a kernel log says of one machine: its reports diagnosed, less those that do not speak of the machine as it is.

A report counts if it is of this host, this kernel and these zones, young enough, and written under the marks in force.
What does not count is not dropped in silence: it comes back with the reason and how often.

Of equal reports a log may hold a million. Those are replayed of which no other was harder, zone for zone; a report
that left every zone at least as much as another one needs no larger reserve than that one, so nothing is lost.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pagewarden.diagnose.diagnosis import Diagnosis, Harm
from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.types import Cause, FindingCause
from pagewarden.kernel.machine import Machine
from pagewarden.kernel.watermarks import zone_size
from pagewarden.klog.repeats import repeat_key
from pagewarden.klog.timestamps import parse_timestamp
from pagewarden.klog.types import LogRead, Report, ReportKind, ZoneDump
from pagewarden.procfs.types import Snapshot, Zone
from pagewarden.units import kb_to_pages, pages_to_kb

KEPT = 32
"""Reports of one kind that are replayed; more than this many, none of which is the hardest in every zone, are rare."""

SAME_PERCENT = 5
"""Marks and reserves follow the managed pages, which move a little: a change of a setting shows as more than this."""

SIZE_PERCENT = 10
"""Zones of one machine differ less than this in size between reports, unless memory was plugged."""

NO_ANSWER = frozenset({Cause.RECOVERED, Cause.INCOMPLETE})


@dataclass(frozen=True, slots=True)
class Here:
    """The machine that the logs are to speak of.

    :ivar now: the time of the snapshot; None where it is not known: then no age is judged.
    :ivar days: older reports do not count.
    """

    snapshot: Snapshot
    machine: Machine
    now: datetime | None = None
    days: int = 30


@dataclass(frozen=True, slots=True)
class Failure:
    """Reports of one kind, order, mask, caller and cause that count.

    :ivar count: reports in the logs; `held_back` those the kernel says it did not print, None where it says nothing.
    :ivar source: "FILE:LINE" of the first.
    :ivar first: stamps as printed, of the first and the last.
    :ivar first_at: when the first was written; `last_at` the last. None where no stamp tells.
    :ivar recent: the last is of the day before the snapshot, or may be.
    :ivar example: the one that tells most about the cause.
    :ivar replayed: those of which no other was harder in every zone, the example among them.
    :ivar not_replayed: reports that would have belonged to these and were too many.
    """

    count: int
    held_back: int | None
    source: str
    first: str | None
    last: str | None
    first_at: datetime | None
    last_at: datetime | None
    recent: bool
    example: Diagnosis
    replayed: tuple[Diagnosis, ...]
    not_replayed: int = 0

    @property
    def cause(self) -> Cause:
        """Why they were refused."""
        return self.example.judgement.cause

    @property
    def harm(self) -> Harm:
        """What they did."""
        return self.example.harm


@dataclass(frozen=True, slots=True)
class Rejected:
    """Reports that do not count, and why."""

    cause: FindingCause
    why: str
    count: int
    source: str


@dataclass(frozen=True, slots=True)
class LogEvidence:
    """Everything the logs say.

    :ivar undated: reports whose age is not known; they count.
    :ivar read: the logs themselves, in the order they were read.
    """

    failures: tuple[Failure, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    undated: int = 0
    read: tuple[LogRead, ...] = ()

    def of(self, *causes: Cause) -> tuple[Failure, ...]:
        """The failures of these causes."""
        return tuple(failure for failure in self.failures if failure.cause in causes)

    @property
    def before_a_raise(self) -> Rejected | None:
        """Reports written under smaller marks, which do not count now: the raise since may be the answer to them."""
        return next((rejected for rejected in self.rejected if rejected.why.endswith(_RAISED)), None)


_RAISED = "a setting was raised since"


@dataclass(slots=True)
class _Group:
    source: str
    first: str | None
    last: str | None = None
    first_at: datetime | None = None
    last_at: datetime | None = None
    count: int = 0
    held_back: int | None = None
    hardest: list[Report] = field(default_factory=list)
    dropped: int = 0

    def add(self, report: Report, at: datetime | None) -> None:
        self.count += 1
        self.last = report.timestamp or self.last
        if at is not None:
            self.first_at = at if self.first_at is None else min(at, self.first_at)
            self.last_at = at if self.last_at is None else max(at, self.last_at)
        if report.suppressed:
            self.held_back = (self.held_back or 0) + sum(entry.count for entry in report.suppressed)
        if any(_at_least_as_hard(kept, report) for kept in self.hardest):
            return
        self.hardest = [kept for kept in self.hardest if not _at_least_as_hard(report, kept)]
        if len(self.hardest) < KEPT:
            self.hardest.append(report)
        else:
            self.dropped += 1


def _at_least_as_hard(harder: Report, report: Report) -> bool:
    """Every zone of the one had no more free than in the other, under the same marks and reserves."""
    if len(harder.zones) != len(report.zones):
        return len(harder.zones) > len(report.zones)
    return all(_zone_as_hard(one, other) for one, other in zip(harder.zones, report.zones, strict=True))


def _zone_as_hard(one: ZoneDump, other: ZoneDump) -> bool:
    if one.free_kb is None or other.free_kb is None:
        return other.free_kb is None
    return _terms(one) == _terms(other) and one.free_kb <= other.free_kb


def _terms(dump: ZoneDump) -> tuple[object, ...]:
    return dump.node, dump.zone, dump.min_kb, dump.low_kb, dump.boost_kb, dump.lowmem_reserve_pages, dump.free_cma_kb


def gather_evidence(reports: Iterable[tuple[str, Report]], here: Here) -> LogEvidence:
    """Sort reports into those that speak of this machine as it is, diagnosed, and those that do not.

    :param reports: each with the name of the log it is from; read once, in order, and not kept.
    """
    groups: dict[tuple[object, ...], _Group] = {}
    rejected: dict[tuple[FindingCause, str], tuple[int, str]] = {}
    undated = 0
    for name, report in reports:
        if report.kind in (ReportKind.MEMORY_DUMP, ReportKind.UNRECOGNISED):
            continue
        at = written_at(report, here)
        objection = _objection(report, at, here)
        source = f"{name}:{report.line_number}"
        if objection is not None:
            count, first = rejected.get(objection, (0, source))
            rejected[objection] = count + 1, first
            continue
        undated += here.now is not None and at is None
        groups.setdefault(repeat_key(report), _Group(source, report.timestamp)).add(report, at)
    return LogEvidence(
        failures=tuple(failure for group in groups.values() for failure in _failures(group, here.now)),
        rejected=tuple(Rejected(cause, why, count, source) for (cause, why), (count, source) in rejected.items()),
        undated=undated,
    )


def _failures(group: _Group, now: datetime | None) -> Iterator[Failure]:
    """One for each cause: the same request can fail for several. Which of them the reports not replayed had is not
    known; they are counted with the most frequent.
    """
    diagnoses = [diagnose(report) for report in group.hardest]
    by_cause: dict[Cause, list[Diagnosis]] = {}
    for diagnosis in diagnoses:
        by_cause.setdefault(diagnosis.judgement.cause, []).append(diagnosis)
    if not NO_ANSWER.issuperset(by_cause):
        by_cause = {cause: some for cause, some in by_cause.items() if cause not in NO_ANSWER}
    most = max(by_cause, key=lambda cause: len(by_cause[cause]))
    others = sum(len(some) for cause, some in by_cause.items() if cause is not most)
    for cause, some in by_cause.items():
        yield Failure(
            count=group.count - others if cause is most else len(some),
            held_back=group.held_back if cause is most else None,
            source=group.source,
            first=group.first,
            last=group.last,
            first_at=group.first_at,
            last_at=group.last_at,
            recent=now is None or group.last_at is None or now - group.last_at <= timedelta(days=1),
            example=next((diagnosis for diagnosis in some if diagnosis.report.complete), some[0]),
            replayed=tuple(some),
            not_replayed=group.dropped if cause is most else 0,
        )


def written_at(report: Report, here: Here) -> datetime | None:
    """When a report was written: by its stamp, or by the seconds since boot where they can be of this boot."""
    if here.now is None:
        return None
    at = parse_timestamp(report.timestamp, here.now) if report.timestamp else None
    uptime = here.snapshot.uptime_seconds
    if at is None and report.seconds is not None and uptime is not None and report.seconds <= uptime + 1:
        at = here.now - timedelta(seconds=uptime - report.seconds)
    return at


def _objection(report: Report, at: datetime | None, here: Here) -> tuple[FindingCause, str] | None:
    """Why a report does not count, or None."""
    why = " and ".join(_elsewhere(report, here))
    if why:
        return FindingCause.LOG_MISMATCH, why
    if at is not None and here.now is not None and here.now - at > timedelta(days=here.days):
        return FindingCause.EVIDENCE_OUTDATED, f"older than {here.days} days"
    changed = _changed_since(report, here)
    return None if changed is None else (FindingCause.EVIDENCE_OUTDATED, changed)


def _elsewhere(report: Report, here: Here) -> Iterator[str]:
    """What tells that a report is of another machine, or of this one under another kernel."""
    snapshot = here.snapshot
    if report.host and snapshot.host and _short(report.host) != _short(snapshot.host):
        yield f"host {report.host}, not {snapshot.host}"
    if report.release and snapshot.kernel and report.release != snapshot.kernel:
        yield f"kernel {report.release}, not {snapshot.kernel}"
    if report.page_size and not snapshot.page_size_assumed and report.page_size != snapshot.page_size:
        yield f"pages of {report.page_size} bytes, not {snapshot.page_size}"
    zones = {(zone.node, zone.name): zone for zone in here.machine.zones if zone.populated}
    for dump in report.zones:
        zone = zones.get((dump.node or 0, dump.zone))
        size_kb = dump.present_kb if dump.managed_kb is None else dump.managed_kb
        if not size_kb:
            continue
        if zone is None:
            yield f"a zone {dump.zone} with memory on node {dump.node or 0}"
            return
        mine = pages_to_kb(zone.present_pages if dump.managed_kb is None else _managed(zone), snapshot.page_size)
        if abs(mine - size_kb) * 100 > max(mine, size_kb) * SIZE_PERCENT:
            yield f"zone {dump.zone} of {size_kb} kB, not {mine}"
            return


def _short(host: str) -> str:
    return host.partition(".")[0].lower()


def _managed(zone: Zone) -> int:
    return zone.present_pages if zone.managed_pages is None else zone.managed_pages


def _changed_since(report: Report, here: Here) -> str | None:
    """The marks or reserves in force were raised since: what failed then may not fail now."""
    machine = here.machine
    total = sum(zone_size(zone, machine.rules.watermarks.size) for zone in machine.zones)
    for zone in machine.zones:
        dump = next((d for d in report.zones if (d.node or 0, d.zone) == (zone.node, zone.name)), None)
        if dump is None or zone_size(zone, machine.rules.watermarks.size) * 100 < total:
            continue
        if dump.min_kb is not None and dump.low_kb is not None:
            then = kb_to_pages(dump.low_kb - (dump.boost_kb or 0), machine.page_size)
            now = zone.low_pages - (zone.boost_pages or 0)
            if _grew(then, now):
                return f"the low mark of {zone.name} was {then} pages then and is {now} now: {_RAISED}"
        reserve = dump.lowmem_reserve_pages
        if reserve and zone.protection_pages and _differs(max(reserve), max(zone.protection_pages)):
            return (
                f"{zone.name} kept {max(reserve)} pages from higher requests then and keeps "
                f"{max(zone.protection_pages)} now: vm.lowmem_reserve_ratio was changed since"
            )
    return None


def _grew(then: int, now: int) -> bool:
    return (now - then) * 100 > then * SAME_PERCENT and now - then > 1


def _differs(then: int, now: int) -> bool:
    return abs(now - then) * 100 > max(then, now) * SIZE_PERCENT

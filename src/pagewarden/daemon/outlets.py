"""Where the service's words go: the journal (or standard error), the history, the state file. Each may fail alone."""

import os
import sys
from collections.abc import Callable, Mapping

from pagewarden import __version__
from pagewarden.daemon import findings as life
from pagewarden.daemon.counters import NUMA
from pagewarden.daemon.findings import RESTORED, Findings, Seen, Tracked
from pagewarden.daemon.libsystemd import sendv
from pagewarden.daemon.state import UNDECODED, State
from pagewarden.daemon.types import SECOND_NS, Degraded, Entry, Happened, Kind, Phase, Reading, Summary
from pagewarden.history.types import Event, EventKind, OpenFinding, Probation, Sample, ServiceState, ZoneSample
from pagewarden.report.journal import finding_fields, plain_line, service_fields

JOURNAL_SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "pagewarden"
_REPORT_KINDS = (
    "page-allocation-failure",
    "oom",
    "memcg-oom",
    "allocation-stall",
    "vmalloc-failure",
    "deadlock-warning",
    "nommu-failure",
    "memory-dump",
    "unrecognised",
)

Fields = Mapping[str, str]
Speak = Callable[[Fields], None]


def open_voice(environment: Mapping[str, str] = os.environ) -> Speak:
    """Choose where entries go: the journal as structured entries where there is one, else standard error.

    A service started by hand on a terminal speaks to the terminal.
    """
    if environment.get("JOURNAL_STREAM") or (os.path.exists(JOURNAL_SOCKET) and not sys.stderr.isatty()):  # noqa: PTH110
        try:
            send = sendv()
        except ImportError:
            return _to_stderr
        return lambda fields: _to_journal(send, fields)
    return _to_stderr


def _to_journal(send: Callable[..., object], fields: Fields) -> None:
    try:
        send(f"SYSLOG_IDENTIFIER={IDENTIFIER}", *(f"{name}={value}" for name, value in fields.items()))
    except OSError:
        _to_stderr(fields)  # journald is being restarted


def _to_stderr(fields: Fields) -> None:
    line = plain_line(fields)
    if not os.environ.get("JOURNAL_STREAM"):
        line = f"pagewarden: {line.partition('>')[2]}"
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        return  # nobody listens (a closed pipe, a full disk); the history has it


class Times:
    """From the monotonic clock to the wall clock, for display and for what is kept."""

    def __init__(self, now_ns: int, wall_seconds: float) -> None:
        self.now_ns = now_ns
        self.wall_seconds = wall_seconds

    def seconds(self, at_ns: int) -> float:
        """Give seconds since 1970, never negative: a clock that is not set yet must not break the files."""
        return max(0.0, self.wall_seconds - (self.now_ns - at_ns) / SECOND_NS)

    def text(self, at_ns: int) -> str:
        """Give a date for people, in universal time."""
        import time

        return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(self.seconds(at_ns)))


def fields_of(action: Entry | Summary | Degraded, times: Times) -> dict[str, str]:
    """Write an action as fields for the journal."""
    if isinstance(action, Entry):
        return finding_fields(
            phase=action.phase,
            cause=action.cause,
            severity=action.severity,
            text=action.text,
            identity=action.identity,
            count=action.count,
            since=times.text(action.since_ns),
            key=action.key,
            details=action.details,
        )
    if isinstance(action, Degraded):
        if action.reason is None:
            return service_fields("service-recovered", f"{action.function} works again", FUNCTION=action.function)
        message = f"{action.function} does not work: {action.reason}. The rest goes on."
        return service_fields("service-degraded", message, "warning", FUNCTION=action.function)
    return service_fields("service-summary", _summary_text(action))


def _summary_text(summary: Summary) -> str:
    parts = [f"{summary.polls} readings", f"{summary.reports} kernel reports", f"{summary.open_findings} findings open"]
    if summary.lowest:
        parts.append(f"lowest {summary.lowest}")
    if summary.entries_held_back:
        parts.append(f"{summary.entries_held_back} entries held back (pagewarden history has them)")
    return f"Last 24 hours: {', '.join(parts)}."


_EVENT_OF = {
    Phase.APPEARED: EventKind.FINDING_OPENED,
    Phase.CHANGED: EventKind.FINDING_CHANGED,
    Phase.ENDED: EventKind.FINDING_ENDED,
}


def event_of(action: Entry | Happened | Degraded, times: Times) -> Event:
    """Write an action as an event for the history."""
    now = times.seconds(times.now_ns)
    if isinstance(action, Entry):
        return Event(
            _EVENT_OF[action.phase], now, now, action.text, action.cause, action.identity, action.severity,
            details=dict(action.details),
        )  # fmt: skip
    if isinstance(action, Degraded):
        kind = EventKind.RECOVERED if action.reason is None else EventKind.DEGRADED
        text = f"{action.function} works again" if action.reason is None else action.reason
        return Event(kind, now, now, text, subject=action.function, severity="warning" if action.reason else "info")
    kind = EventKind.REPORT if action.kind in (Kind.REPORT, Kind.KILLS) else EventKind.STALLS
    return Event(
        kind, now, now, action.text, action.cause, action.subject, action.severity, action.count, dict(action.details)
    )


def sample_of(reading: Reading, at_seconds: float, boot_id: str, page_size: int) -> Sample:
    """Write a reading as a sample for the history."""
    return Sample(
        at_seconds=at_seconds,
        boot_id=boot_id,
        page_size=page_size,
        zones=tuple(
            ZoneSample(
                zone.node, zone.name, zone.free_pages, zone.free_pages,
                zone.min_pages, zone.low_pages, zone.high_pages, zone.managed_pages,
            )
            for zone in reading.zones
        ),
        counters={name: value for name, value in (reading.counters or {}).items() if name not in NUMA},
        pressure_some_us=reading.pressure_some_us,
        pressure_full_us=reading.pressure_full_us,
    )  # fmt: skip


def open_findings_of(findings: Findings, began: Callable[[Tracked], float]) -> tuple[OpenFinding, ...]:
    """Write what is open for the history and the state file.

    :param began: gives when a finding appeared, in seconds since 1970.
    """
    return tuple(
        OpenFinding(
            identity=tracked.seen.identity,
            cause=tracked.seen.cause,
            severity=tracked.seen.severity,
            text=tracked.seen.text,
            since_seconds=began(tracked),
        )
        for tracked in life.open_findings(findings)
    )


def restored(findings: tuple[OpenFinding, ...], times: Times) -> Findings:
    """Take up the findings that were open when the service ended: they have been said already."""
    known: dict[str, Tracked] = {}
    for finding in findings:
        ago_ns = max(0, int((times.wall_seconds - finding.since_seconds) * SECOND_NS))
        seen = Seen(_kind_of(finding.identity), finding.identity, finding.cause, finding.severity, finding.text)
        known[finding.identity] = Tracked(
            seen,
            first_ns=times.now_ns - ago_ns,
            last_ns=times.now_ns,
            told_ns=times.now_ns,
            told_mark=RESTORED,
            told_severity=finding.severity,
        )
    return known


def _kind_of(identity: str) -> Kind:
    if identity == UNDECODED or identity.partition("/")[0] in _REPORT_KINDS:
        return Kind.REPORT
    named = {"direct-reclaim-stalls": Kind.STALLS, "fragmentation-rising": Kind.COMPACTION, "kills": Kind.KILLS}
    return named.get(identity, Kind.ADVICE)


def service_state(state: State, findings: tuple[OpenFinding, ...], times: Times) -> ServiceState:
    """Write what the service says of itself. :param findings: those that are open."""
    return ServiceState(
        version=__version__,
        pid=os.getpid(),
        since_seconds=times.seconds(state.started_ns),
        last_poll_seconds=times.seconds(state.last_ns),
        next_poll_seconds=times.seconds(state.next_poll_ns),
        poll_count=state.polls,
        report_count=state.reports,
        findings=findings,
        plan=state.plan,
        probation=tuple(Probation(*change) for change in state.probation),
        degraded=tuple(f"{function}: {reason}" for function, reason in state.faults.items()),
    )


def status_line(state: State, remark: str = "") -> str:
    """Write the one line that `systemctl status` shows.

    :param remark: what else is worth knowing of how the service works here.
    """
    parts = [_worst(state)]
    if state.reports:
        parts.append(f"{state.reports} kernel report{'s' if state.reports != 1 else ''}")
    if state.plan:
        parts.append(f"{len(state.plan)} change{'s' if len(state.plan) != 1 else ''} planned")
    if state.faults:
        parts.append("without " + ", ".join(state.faults))
    parts.append(f"read every {max(1, (state.next_poll_ns - state.last_ns) // SECOND_NS)} s{remark}")
    return "; ".join(parts)


def _worst(state: State) -> str:
    open_now = life.open_findings(state.findings)
    if not open_now:
        return "Quiet"
    more = f" and {len(open_now) - 1} more" if len(open_now) > 1 else ""
    return f"{open_now[0].seen.severity.capitalize()}: {open_now[0].seen.cause}{more}"

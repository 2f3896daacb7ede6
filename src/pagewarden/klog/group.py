"""From a stream of lines to the reports in it.

Lines of other origin inside a report are tolerated; reports of two processors that print at once are told apart by
the caller id where the kernel prints one, else by what each report still lacks. What is kept is bounded: a handful
of open reports, each bounded itself.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pagewarden.klog import decode_header, decode_meminfo, decode_oom, decode_trace
from pagewarden.klog.assign import BACK_SECONDS, OpenReports, same_caller
from pagewarden.klog.builder import OOM_KINDS, Builder
from pagewarden.klog.decode_header import Header
from pagewarden.klog.slots import DUMP_SLOTS, Slot, classify
from pagewarden.klog.types import LogLine, Report, ReportKind, Suppressed

# The tail of a report whose head is not in the log counts only if no whole report follows within this distance.
LEADING_LINES = 5000
LEADING_SECONDS = 3600.0
MAX_LEADING = 32
MAX_QUEUE = 128
# A deadlock warning and a report with the same mask belong together within this distance.
RELATED_LINES = 2000
RELATED_SECONDS = 600.0
_MAX_RECENT = 32
_MAX_RELATED = 8
_SUPPRESSED_LINES = 20
_LEAD_LINES = 12
_LONGEST_SPLIT = 400
# Lines of other origin (a reviewer's remark) between the parts of a wrapped line.
_MAX_BETWEEN = 12


class Grouper:
    """Takes lines in order and gives each report once it is over, in the order of their first lines.

    :ivar last_taken: number of the last line that belonged to a report, or may come to.
    :param hold_leading: hold back the tail of a report whose head is not in the log until it is known whether whole
        reports follow; such a tail then only becomes a note on the next report. A live log passes False.
    """

    def __init__(self, *, hold_leading: bool = True, release: str | None = None) -> None:
        self._open = OpenReports()
        self._current: Builder | None = None
        self._lead: Builder | None = None
        self._previous: LogLine | None = None
        self._name: tuple[int, LogLine] | None = None
        self._suppressed: deque[tuple[LogLine, Suppressed]] = deque(maxlen=_MAX_RELATED)
        self._recent: deque[tuple[Header, LogLine]] = deque(maxlen=_MAX_RECENT)
        self._release = release
        self._leading = hold_leading
        self._next_notes: list[str] = []
        self.last_taken = 0

    def feed(self, line: LogLine) -> list[Report]:
        """Take one line; give the reports that are over now."""
        self._open.step(line)
        header = decode_header.parse_header(line.text, line.prefixed)
        previous, self._previous = self._previous, None
        rejoined = _rejoin_header(previous, line, header) or self._rejoin_apart(line)
        if rejoined is not None:
            header, line = rejoined
        if header is not None:
            self.last_taken = line.number
            self._open.expire(line)
            self._start(header, line)
            return self._drain()
        if previous is not None and decode_meminfo.starts_apart(previous.text, line.text):
            line = replace(line, text=f"{previous.text} {line.text}")
        slot = classify(line.text)
        if slot is Slot.BLANK:
            return []
        if slot is Slot.UNKNOWN or (self._current is not None and self._current.awaits_rest(line)):
            self._take_unknown(previous, line)
            return []
        self._open.expire(line)
        self._dispatch(slot, line)
        return self._drain()

    def finish(self) -> list[Report]:
        """Give the reports that are still open at the end of the log."""
        self._open.close_all()
        self._leading = False
        return self._drain()

    def _take_unknown(self, previous: LogLine | None, line: LogLine) -> None:
        """More of a wrapped line, the first half of one, or somebody else's line."""
        builder = self._current
        near = builder is not None and self._open.place - builder.last_place <= _MAX_BETWEEN and not builder.closed
        if near and builder is not None and same_caller(builder, line) and builder.extend(line):
            self._taken(builder, line)
            return
        wrapped = previous is not None and not line.prefixed and _lost_start(previous.text)
        if previous is not None and (wrapped or decode_meminfo.starts_apart(previous.text, line.text)):
            whole = replace(previous, text=f"{previous.text} {line.text}")
            slot = classify(whole.text)
            if slot in DUMP_SLOTS or slot is Slot.CPU:
                self._dispatch(slot, whole)
                return
        if self._open.trace_owner is not None:
            self._open.trace_owner.clue(line.text)
        if line.prefixed and decode_header.is_task_name(line.text):
            self._name = (self._open.place, line)
        if len(line.text) < _LONGEST_SPLIT:
            self._previous = line

    def _rejoin_apart(self, line: LogLine) -> tuple[Header, LogLine] | None:
        """An opening line without its task, whose name the kernel printed apart and other lines got between."""
        if self._name is None or not line.prefixed or not decode_header.lacks_task(line.text):
            return None
        (place, name), self._name = self._name, None
        if self._open.place - place > _MAX_BETWEEN or name.caller_id != line.caller_id:
            return None
        whole = decode_header.join_wrapped(name.text, line.text)
        again = decode_header.parse_header(whole, True)
        return None if again is None else (again, replace(line, text=whole))

    def _start(self, header: Header, line: LogLine) -> None:
        """Open a report at its opening line."""
        self._name = None
        self._drop_leading(line)
        if header.kind is ReportKind.DEADLOCK_WARNING:
            builder = Builder.open(header.kind, line, header)
            builder.closed = True
            self._open.queue.append(builder)
        else:
            builder = self._open_at(header, line)
        builder.suppressed = self._take_suppressed(line)
        builder.related = self._relate(header, line)

    def _open_at(self, header: Header, line: LogLine) -> Builder:
        lead = self._take_lead(header, line)
        self._open.supersede(line, lead)
        if lead is not None:
            lead.set_header(header, line)
            self._open.trace_owner = builder = lead
        else:
            builder = self._open.add(Builder.open(header.kind, line, header))
        for note in self._next_notes:
            builder.note(note)
        self._next_notes.clear()
        self._current = builder
        return builder

    def _take_lead(self, header: Header, line: LogLine) -> Builder | None:
        """The report that a line about kernel addresses began just before, if this opening line goes with it.

        3.0 to 4.8 print `vmalloc: allocation failure: N bytes` and then `X: page allocation failure: order:0, ...`.
        """
        lead, self._lead = self._lead, None
        if lead is None or lead.closed or lead.header is None or line.number - lead.first.number > _LEAD_LINES:
            return None
        by_vmalloc = (lead.header.detail or "").startswith("vmalloc: ")
        plain = header.kind is ReportKind.PAGE_ALLOCATION_FAILURE and by_vmalloc
        return lead if plain or header.kind is ReportKind.VMALLOC_FAILURE else None

    def _take_suppressed(self, line: LogLine) -> tuple[Suppressed, ...]:
        """What the rate limit held back just before, of the same caller where callers are named."""
        near = [(there, what) for there, what in self._suppressed if line.number - there.number <= _SUPPRESSED_LINES]
        own = near if line.caller_id is None else [e for e in near if e[0].caller_id in (None, line.caller_id)]
        self._suppressed = deque((entry for entry in near if entry not in own), maxlen=_MAX_RELATED)
        return tuple(what for _, what in own)

    def _relate(self, header: Header, line: LogLine) -> tuple[int, ...]:
        """Earlier reports with the same mask, where one of the two is a deadlock warning."""
        if header.gfp_mask is None:
            return ()
        warning = header.kind is ReportKind.DEADLOCK_WARNING
        found = tuple(
            there.number
            for earlier, there in self._recent
            if earlier.gfp_mask == header.gfp_mask
            and warning != (earlier.kind is ReportKind.DEADLOCK_WARNING)
            and line.number - there.number <= RELATED_LINES
            and (there.seconds is None or line.seconds is None or line.seconds - there.seconds <= RELATED_SECONDS)
        )
        self._recent.append((header, line))
        return found[-_MAX_RELATED:]

    def _dispatch(self, slot: Slot, line: LogLine) -> None:
        """Give a line to the report it belongs to, if any."""
        if slot is Slot.SUPPRESSED:
            what = decode_oom.parse_suppressed(line.text)
            if what is not None:
                self._suppressed.append((line, what))
        elif slot is Slot.EVENT:
            self._take_event(line)
        elif slot in (Slot.VMAP, Slot.VMALLOC_LEAD):
            self._start_lead(slot, line)
        else:
            builder = self._open.owner(slot, line)
            if builder is not None:
                builder.put(slot, line)
                self._current = builder
                self._taken(builder, line)

    def _taken(self, builder: Builder, line: LogLine) -> None:
        self.last_taken = line.number
        builder.last_place = self._open.place

    def _take_event(self, line: LogLine) -> None:
        """Another kernel message of many lines begins: a trace that follows is its own."""
        release = decode_trace.parse_banner(line.text)
        if release is not None:
            self._release = release
            self._open.close_all()
            return
        if line.text.startswith("Kernel panic"):
            return
        self._open.close_speculative()
        owner = self._open.trace_owner
        if owner is not None and owner.trace_marks > 0:
            self._open.trace_owner = None

    def _start_lead(self, slot: Slot, line: LogLine) -> None:
        """A vmalloc failure begins with a line before its opening line, or consists of it."""
        self._drop_leading(line)
        lead = self._lead
        if lead is not None and (lead.closed or line.number - lead.first.number > _LEAD_LINES):
            lead = None
        header = _lead_header(slot, line.text)
        if header is None:
            return
        if lead is not None and slot is Slot.VMALLOC_LEAD:
            lead.set_header(replace(header, address_space=True), line)
            return
        self.last_taken = line.number
        builder = Builder.open(ReportKind.VMALLOC_FAILURE, line, header)
        builder.suppressed = self._take_suppressed(line)
        self._open.supersede(line, None)
        self._lead = self._current = self._open.add(builder)

    def _drop_leading(self, line: LogLine) -> None:
        """A whole report follows: what the log began with is the tail of one that is not in it, and only noted."""
        if not self._leading:
            return
        self._leading = False
        for builder in self._open.queue:
            if builder.starts_inside and _is_near(builder, line):
                builder.confirmed = False
                builder.closed = True
                self._next_notes.append(_tail_note(builder.build()))

    def _drain(self) -> list[Report]:
        """Finish the closed reports at the front of the queue."""
        queue = self._open.queue
        reports: list[Report] = []
        while queue:
            waits = self._leading and queue[0].starts_inside and self._may_wait()
            if waits or not (queue[0].closed or len(queue) > MAX_QUEUE):
                break
            builder = queue.popleft()
            builder.closed = True
            report = self._finished(builder)
            if report is not None:
                reports.append(report)
        return reports

    def _may_wait(self) -> bool:
        """Whether what the log begins with may still turn out to be the tail of a report before it."""
        queue = self._open.queue
        near = queue[-1].last_number - queue[0].last_number <= LEADING_LINES
        self._leading = len(queue) <= MAX_LEADING and near
        return self._leading

    def _finished(self, builder: Builder) -> Report | None:
        if not builder.confirmed:
            return None
        report = builder.build()
        if report.release is None and self._release is not None:
            missing = tuple(name for name in report.missing if name != "release")
            report = replace(report, release=self._release, missing=missing)
        empty = not report.zones and not (report.counters_pages and builder.has_mem_info)
        return None if report.kind is ReportKind.MEMORY_DUMP and empty else report


def group_lines(lines: Iterable[LogLine]) -> Iterator[Report]:
    """Give the reports in a stream of lines, in the order of their first lines."""
    grouper = Grouper()
    for line in lines:
        yield from grouper.feed(line)
    yield from grouper.finish()


def _rejoin_header(previous: LogLine | None, line: LogLine, header: Header | None) -> tuple[Header, LogLine] | None:
    """An opening line that was wrapped inside the words by which it is known, put together again."""
    if previous is None or not line.text or line.number - previous.number > 2:
        return None
    piece = previous.prefixed and line.caller_id == previous.caller_id and decode_header.is_task_name(previous.text)
    if (header is not None and header.comm is not None) or not (piece or decode_header.wraps_before(previous.text)):
        return None
    if line.prefixed and previous.prefixed and not piece:
        return None
    whole = decode_header.join_wrapped(previous.text, line.text)
    again = decode_header.parse_header(whole, True)
    return None if again is None else (again, replace(previous, text=whole))


def _lost_start(text: str) -> bool:
    """Whether a line that is known by its first words may have been wrapped inside these."""
    return decode_meminfo.is_lost_start(text) or decode_trace.is_lost_start(text)


def _lead_header(slot: Slot, text: str) -> Header | None:
    if slot is Slot.VMALLOC_LEAD:
        return decode_header.parse_vmalloc_lead(text)
    parsed = decode_header.parse_vmap(text)
    if parsed is None:
        return None
    return Header(
        ReportKind.VMALLOC_FAILURE, request_bytes=parsed[0], detail=parsed[1], address_space=True, complete=True
    )


def _is_near(builder: Builder, line: LogLine) -> bool:
    if line.number - builder.last_number > LEADING_LINES:
        return False
    if line.seconds is None or builder.last_seconds is None:
        return True
    return -BACK_SECONDS <= line.seconds - builder.last_seconds <= LEADING_SECONDS


def _tail_note(report: Report) -> str:
    if report.kind in OOM_KINDS:
        names = ", ".join(f"{victim.pid} ({victim.comm})" for victim in report.victims)
        return f"the log begins with the end of an earlier OOM report, which killed {names or 'nobody named'}"
    return f"the log begins with the end of an earlier report (line {report.line_number})"

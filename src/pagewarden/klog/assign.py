"""Which of the open reports a line belongs to."""

import re
from collections import deque
from collections.abc import Iterator

from pagewarden.klog import decode_meminfo, decode_oom, decode_trace
from pagewarden.klog.builder import Builder
from pagewarden.klog.slots import DUMP_SLOTS, KILL_SLOTS, SLAB_SLOTS, TABLE_SLOTS, TRACE_SLOTS, Slot, cpuset_comm
from pagewarden.klog.types import LogLine, ReportKind

# A report is over when this many lines passed without one of its own; fewer once another has opened.
IDLE_LINES = 400
SUPERSEDED_LINES = 60
# ... or when the kernel's own clock jumped this far between two lines of it, or back (a reboot).
IDLE_SECONDS = 120.0
BACK_SECONDS = 5.0

_LONGEST_RECORD = 100

# A trace of the OOM killer is known by its first functions where the log has lost the mark above it.
_OOM_FRAME = re.compile(r"\b(?:dump_header|oom_kill_process|out_of_memory|mem_cgroup_out_of_memory)\+0x")

_MIXED = "printed while another report was: their call traces may be mixed"


class OpenReports:
    """The reports that are open or not yet given out, in the order of their first lines.

    :ivar place: how many of the kernel's lines have passed, those of a part of the log that was not read included.
    :ivar trace_owner: whose call trace is being printed, as the last `CPU:` line or opening line tells.
    """

    def __init__(self) -> None:
        self.place = 0
        self._number = 0
        self.queue: deque[Builder] = deque()
        self.trace_owner: Builder | None = None
        self._dump_owner: Builder | None = None

    def step(self, line: LogLine) -> None:
        """The next line has come. Records that take several lines each (a journal export) count once."""
        passed = line.number - self._number
        self.place += passed if passed > _LONGEST_RECORD else 1
        self._number = line.number

    def add(self, builder: Builder) -> Builder:
        """Take a new report; its trace and its memory dump are what comes next."""
        self.queue.append(builder)
        builder.last_place = self.place
        if builder.headed:
            self.trace_owner = builder
            self._dump_owner = None
        return builder

    def owner(self, slot: Slot, line: LogLine) -> Builder | None:
        """The report that a line of this kind belongs to; opened here where the log has lost its beginning."""
        if slot is Slot.CPU:
            return self._of_cpu(line)
        if slot in TRACE_SLOTS:
            return self._of_trace(slot, line)
        if slot is Slot.MEM_INFO:
            return self._of_mem_info(line)
        if slot in DUMP_SLOTS:
            return self._of_dump(slot, line)
        if slot in (Slot.CPUSET, Slot.HEADER_MORE):
            return self._of_cpuset(slot, line)
        if slot is Slot.NO_COMPACTION:
            return next((builder for builder in self._candidates(line) if builder.is_oom and builder.headed), None)
        if slot in KILL_SLOTS:
            return self._of_kill(slot, line)
        if slot in TABLE_SLOTS:
            return next((builder for builder in self._candidates(line) if builder.is_oom), None)
        return self._nearest(line) if slot in SLAB_SLOTS else None

    def supersede(self, line: LogLine, keep: Builder | None) -> None:
        """Another report opens at `line`: those open belong to the past unless something says otherwise.

        Where both name their callers they can be told apart, and only the same caller's is over.
        """
        for other in self.queue:
            if other.closed or other is keep:
                continue
            if line.caller_id is None or other.first.caller_id is None:
                other.superseded = True
            elif line.caller_id == other.first.caller_id:
                other.closed = True

    def expire(self, line: LogLine) -> None:
        """Close what has been silent too long."""
        for builder in self.queue:
            if builder.closed:
                continue
            idle = self.place - builder.last_place
            builder.closed = idle > (SUPERSEDED_LINES if builder.superseded else IDLE_LINES)
            if line.seconds is not None and builder.last_seconds is not None:
                gap = line.seconds - builder.last_seconds
                builder.closed = builder.closed or gap > IDLE_SECONDS or gap < -BACK_SECONDS

    def close_all(self) -> None:
        """The log ends, or the machine has started again."""
        for builder in self.queue:
            builder.closed = True

    def close_speculative(self) -> None:
        """What looked like the trace of a report was another's."""
        for builder in self.queue:
            builder.closed = builder.closed or not builder.confirmed

    def _candidates(self, line: LogLine) -> Iterator[Builder]:
        """Reports that are open and may have printed this line, newest first."""
        for builder in reversed(self.queue):
            if not builder.closed and same_caller(builder, line):
                yield builder

    def _nearest(self, line: LogLine) -> Builder | None:
        """The newest report, of the same caller if there is one: a slab's own note follows what it is about."""
        confirmed = [builder for builder in reversed(self.queue) if builder.confirmed and not builder.closed]
        own = (b for b in confirmed if line.caller_id is not None and b.first.caller_id == line.caller_id)
        return next(own, confirmed[0] if confirmed else None)

    def _of_cpu(self, line: LogLine) -> Builder | None:
        parsed = decode_trace.parse_cpu_line(line.text)
        if parsed is None:
            return None
        for builder in self._candidates(line):
            past = builder.kind is ReportKind.MEMORY_DUMP or builder.has_mem_info or builder.starts_inside
            if past and not builder.panicked:
                continue
            if builder.matches_task(parsed.comm_text, parsed.pid):
                if builder.superseded:
                    self._interleave(builder)
                if builder.cpu_by_place:
                    builder.forget_trace()
                self.trace_owner = builder
                return builder
        return self._just_headed(line) or self._open_speculative(line)

    def _just_headed(self, line: LogLine) -> Builder | None:
        """The report whose opening line is the line before this one: the task's name was changed in one of them."""
        builder = next(self._candidates(line), None)
        if builder is None or not builder.at_header or self.place - builder.last_place > 1:
            return None
        builder.cpu_by_place = True
        return builder

    def _interleave(self, builder: Builder) -> None:
        """Two reports are printed at once: from now on lines go to the one that lacks them."""
        for other in self.queue:
            if not other.closed and other.confirmed and (other is builder or not other.superseded):
                other.interleaved = True
                if builder.first.caller_id is None:
                    other.note(_MIXED)
        builder.superseded = False

    def _open_speculative(self, line: LogLine) -> Builder:
        """A trace of unknown purpose: it becomes a report if an OOM kill or a memory dump follows."""
        self.close_speculative()
        builder = Builder.open(ReportKind.MEMORY_DUMP, line)
        builder.confirmed = False
        self.trace_owner = self.add(builder)
        return builder

    def _of_trace(self, slot: Slot, line: LogLine) -> Builder | None:
        owner = self.trace_owner
        if line.caller_id is not None:
            owner = next((b for b in self._candidates(line) if b.first.caller_id == line.caller_id), owner)
        usable = owner is not None and not owner.closed and not owner.has_mem_info and same_caller(owner, line)
        second = slot is Slot.TRACE_MARK and owner is not None and owner.trace_marks > 0 and bool(owner.frames)
        if usable and not second:
            return owner
        opens = slot is Slot.TRACE_MARK or (not usable and _OOM_FRAME.search(line.text) is not None)
        return self._open_speculative(line) if opens else None

    def _of_mem_info(self, line: LogLine) -> Builder:
        builder = self._choose_for_mem_info(line) or self.add(Builder.open(ReportKind.MEMORY_DUMP, line))
        builder.has_mem_info = builder.confirmed = True
        self._dump_owner = builder
        return builder

    def _choose_for_mem_info(self, line: LogLine) -> Builder | None:
        lacking = [b for b in self._candidates(line) if not (b.has_mem_info or b.dump.has_zones or b.starts_inside)]
        confirmed = [b for b in lacking if b.confirmed and b.kind is not ReportKind.MEMORY_DUMP]
        interleaved = [b for b in confirmed if b.interleaved]
        if interleaved:
            return interleaved[-1]
        current = next((b for b in confirmed if not b.superseded), None)
        if current is not None:
            return current
        for builder in confirmed:
            if builder.frames and self.place - builder.last_place <= SUPERSEDED_LINES:
                self._interleave(builder)
                return builder
        return next((b for b in lacking if not b.confirmed and b.frames), None)

    def _of_dump(self, slot: Slot, line: LogLine) -> Builder | None:
        owner = self._live_dump_owner(line)
        if slot in (Slot.ZONE, Slot.LIST):
            return self._of_zone(slot, line, owner)
        if slot is Slot.RESERVE:
            return self._of_reserve(line, owner)
        starts = slot in (Slot.NODE, Slot.COUNTERS) or (slot is Slot.DUMP_OTHER and "per-cpu:" in line.text)
        if owner is None and starts:
            return self._adopt_dump(line)
        return owner

    def _live_dump_owner(self, line: LogLine) -> Builder | None:
        owner = self._dump_owner
        if line.caller_id is not None and (owner is None or owner.first.caller_id != line.caller_id):
            own = (b for b in self._candidates(line) if b.first.caller_id == line.caller_id and b.has_mem_info)
            owner = next(own, owner)
        if owner is None or owner.closed or not same_caller(owner, line):
            return None
        return owner if self.place - owner.last_place <= IDLE_LINES else None

    def _of_zone(self, slot: Slot, line: LogLine, owner: Builder | None) -> Builder:
        key = (decode_meminfo.zone_key if slot is Slot.ZONE else decode_meminfo.list_key)(line.text) or (None, "")
        mixed = [b for b in self._candidates(line) if b.interleaved and b.has_mem_info]
        for builder in (*reversed(mixed), *([owner] if owner is not None else [])):
            if builder.lacks(slot, key):
                self._dump_owner = builder
                return builder
        if owner is not None and not owner.has_totals:
            return owner
        return self._adopt_dump(line) or self._open_inside(line)

    def _of_reserve(self, line: LogLine, owner: Builder | None) -> Builder:
        mixed = [builder for builder in self._candidates(line) if builder.interleaved and builder.lacks_reserve]
        return mixed[-1] if mixed else owner or self._open_inside(line)

    def _adopt_dump(self, line: LogLine) -> Builder | None:
        """A report whose `Mem-Info:` line is not in the log gets the zones that follow it."""
        for builder in self._candidates(line):
            if builder.kind is ReportKind.MEMORY_DUMP or builder.has_mem_info or builder.superseded:
                continue
            if self.place - builder.last_place <= SUPERSEDED_LINES:
                builder.has_mem_info = True
                self._dump_owner = builder
                return builder
        return None

    def _open_inside(self, line: LogLine) -> Builder:
        """The log begins, or goes on after a gap, inside a memory dump."""
        builder = Builder.open(ReportKind.MEMORY_DUMP, line)
        builder.starts_inside = builder.has_mem_info = True
        self._dump_owner = self.add(builder)
        return builder

    def _of_cpuset(self, slot: Slot, line: LogLine) -> Builder | None:
        comm = cpuset_comm(line.text) if slot is Slot.CPUSET else None
        for builder in self._candidates(line):
            header = builder.header
            if header is None or header.cpuset is not None or builder.has_mem_info:
                continue
            if comm is None or header.comm is None or header.comm == comm:
                return builder
        return None

    def _of_kill(self, slot: Slot, line: LogLine) -> Builder | None:
        candidates = list(self._candidates(line))
        killed = _killed_pid(slot, line.text)
        for builder in candidates:
            if killed is not None and builder.is_oom and builder.awaits_kill(killed):
                return builder
        for builder in candidates:
            if builder.is_oom and not _is_other_kill(builder, slot, line.text):
                return builder
        for builder in candidates:
            dump = builder.kind is ReportKind.MEMORY_DUMP and builder.has_mem_info and not builder.superseded
            if not builder.headed and (dump or builder.has_oom_frames):
                builder.confirmed = True
                builder.kind = ReportKind.OOM
                return builder
        if not line.prefixed and decode_oom.names_no_victim(line.text):
            return None  # alone and without a log prefix: a title, or a sentence that quotes it
        headless = Builder.open(ReportKind.OOM, line)
        headless.starts_inside = True
        return self.add(headless)


def same_caller(builder: Builder, line: LogLine) -> bool:
    """Whether the line may come from where the report comes from, as far as caller ids tell."""
    ours = builder.first.caller_id
    return ours is None or line.caller_id is None or ours == line.caller_id


def _killed_pid(slot: Slot, text: str) -> int | None:
    kill = decode_oom.parse_kill(text) if slot is Slot.KILL else None
    return kill.victim.pid if kill is not None and kill.killed and kill.victim is not None else None


def _is_other_kill(builder: Builder, slot: Slot, text: str) -> bool:
    """Whether a kill without a report of its own belongs to another than this one."""
    if not builder.starts_inside:
        return False
    if slot in (Slot.LIMIT, Slot.MEMCG_COUNTER):
        return bool(builder.killed_pids())  # they stand before the kill
    pid = None
    if slot is Slot.KILL:
        kill = decode_oom.parse_kill(text)
        pid = kill.victim.pid if kill is not None and kill.victim is not None else None
        if kill is not None and builder.killed_pids() and builder.oom.continues(kill):
            return False
    elif slot is Slot.KILL_SUMMARY:
        summary = decode_oom.parse_kill_summary(text)
        if summary is not None and summary.pid is None:
            return bool(builder.killed_pids())  # cut short: it stands before the kill as well
        pid = summary.pid if summary is not None else None
    return pid is not None and builder.killed_another(pid)

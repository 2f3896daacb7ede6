"""One report in the making: takes the lines that belong to it and gives a `Report`."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pagewarden.klog import decode_header, decode_meminfo, decode_trace
from pagewarden.klog.build_dump import DumpBuilder, ZoneKey, is_whole, list_is_whole
from pagewarden.klog.build_oom import OomBuilder, SlabBuilder
from pagewarden.klog.decode_header import Header
from pagewarden.klog.slots import Slot
from pagewarden.klog.types import NO_COMPACTION, NONE_KILLABLE, PANICKED, Frame, LogLine, Report, ReportKind, Suppressed
from pagewarden.klog.wrapping import join_continuation

MAX_FRAMES = 256
MAX_NOTES = 24
MAX_RAW = 4000
_MAX_JOINED = 16 * 1024
_CONFIRMING = (Slot.CPU, Slot.FRAMES, Slot.MEM_INFO, Slot.NODE, Slot.ZONE)
_MAX_WRAPS = 40

OOM_KINDS = (ReportKind.OOM, ReportKind.MEMCG_OOM)
_MEMCG_FRAMES = re.compile(r"mem_cgroup_(?:out_of_memory|oom_synchronize|oom|handle_oom|oom_notify)(?:\.|$)")
_OOM_FRAMES = re.compile(r"(?:_*out_of_memory|oom_kill_process|(?:mem_cgroup|pagefault)_out_of_memory)(?:\.|$)")


@dataclass(slots=True)
class Builder:
    """A report in the making. `put` takes a line that is known to belong to it, `extend` more of a wrapped one.

    :ivar confirmed: it is a report; False for a trace that may turn out to be one.
    :ivar headed: its opening line is there.
    :ivar superseded: another report opened since, and nothing says that the two are interleaved.
    :ivar last_place: `OpenReports.place` of the last line that belonged to it.
    :ivar starts_inside: the log has only the end of it.
    :ivar cpu_by_place: its processor's line is the one after its opening line, and names another task.
    """

    kind: ReportKind
    first: LogLine
    header: Header | None = None
    confirmed: bool = True
    headed: bool = False
    superseded: bool = False
    interleaved: bool = False
    closed: bool = False
    starts_inside: bool = False
    cpu_by_place: bool = False
    has_mem_info: bool = False
    has_totals: bool = False
    trace_marks: int = 0
    release: str | None = None
    last_number: int = 0
    last_place: int = 0
    last_seconds: float | None = None
    suppressed: tuple[Suppressed, ...] = ()
    related: tuple[int, ...] = ()
    frames: list[Frame] = field(default_factory=list)
    dump: DumpBuilder = field(default_factory=DumpBuilder)
    oom: OomBuilder = field(default_factory=OomBuilder)
    _cpu: decode_trace.CpuLine | None = None
    _slot: Slot | None = None
    _text: str = ""
    _wraps: int = 0
    _prefixed: bool = False
    _section: str | None = None
    _hardware: str | None = None
    _workqueue: str | None = None
    _slabs: SlabBuilder = field(default_factory=SlabBuilder)
    _clues: set[str] = field(default_factory=set)
    _notes: list[str] = field(default_factory=list)
    _raw: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, kind: ReportKind, line: LogLine, header: Header | None = None) -> "Builder":
        """Start a report at `line`."""
        builder = cls(kind, line, header=header, headed=header is not None)
        builder._touch(line)
        if header is not None:
            # Words before the task's name on a line without a prefix may be a title: more lines must follow.
            nameless = header.comm is None and header.kind is ReportKind.PAGE_ALLOCATION_FAILURE
            builder.confirmed = line.prefixed or not (nameless or header.long_comm is not None)
            builder._slot, builder._text = Slot.HEADER, line.text
            builder._raw.append(line.text[:MAX_RAW])
        return builder

    @property
    def is_oom(self) -> bool:
        """Whether it is an OOM kill's report."""
        return self.kind in OOM_KINDS

    @property
    def at_header(self) -> bool:
        """Whether nothing but its opening line has come, and that names the task and no process."""
        header = self.header
        named = header is not None and header.comm is not None and header.pid is None and header.long_comm is None
        return named and self._slot is Slot.HEADER

    @property
    def panicked(self) -> bool:
        """Whether the kernel panicked at its end, and names processor and task once more."""
        if self._slot is Slot.KILL:
            self._flush()
        return self.oom.panicked

    @property
    def has_oom_frames(self) -> bool:
        """Whether its trace goes through the OOM killer."""
        return any(_OOM_FRAMES.match(frame.function) for frame in self.frames)

    def set_header(self, header: Header, line: LogLine) -> None:
        """Take an opening line for a report that began with a line before it (vmalloc)."""
        self._flush()
        self.header = _with_lead(header, self.header)
        self.headed = True
        self.first = replace(line, timestamp=line.timestamp or self.first.timestamp)
        self._touch(line)
        self._slot, self._text, self._wraps = Slot.HEADER, line.text, 0

    def note(self, text: str) -> None:
        """Add a remark."""
        if len(self._notes) < MAX_NOTES:
            self._notes.append(text)

    def clue(self, text: str) -> None:
        """Look at a line for what it says about the architecture."""
        found = decode_trace.arch_clue(text)
        if found is not None:
            self._clues.add(found)

    def matches_task(self, comm_text: str, pid: int) -> bool:
        """Whether a `CPU:` line naming this task may be this report's: names agree, and there is none yet."""
        if (self._cpu is not None or self._slot is Slot.CPU) and not self.cpu_by_place:
            return False
        if self.header is None or not comm_text:
            return True
        if self.header.pid is not None and self.header.pid != pid:
            return False
        if self.header.long_comm is not None:
            return self.header.long_comm.endswith(comm_text)
        comm = self.header.comm
        return comm is None or f"{comm} ".startswith(f"{comm_text} ") or comm_text.startswith(f"{comm} ")

    def forget_trace(self) -> None:
        """The processor's line that came first was another's, and so was what followed it."""
        self._flush()
        self._cpu = self._hardware = self._workqueue = self._section = None
        self.cpu_by_place, self.trace_marks = False, 0
        self.frames.clear()

    def lacks(self, slot: Slot, key: ZoneKey) -> bool:
        """Whether a zone's line (or its free list) would be new to this report."""
        if self._slot is slot:
            pending = decode_meminfo.zone_key if slot is Slot.ZONE else decode_meminfo.list_key
            if pending(self._text) == key:
                return False
        return self.dump.lacks_zone(key) if slot is Slot.ZONE else self.dump.lacks_list(key)

    @property
    def lacks_reserve(self) -> bool:
        """Whether the reserve of its last zone is still to come."""
        return self._slot is Slot.ZONE or (self._slot is not Slot.RESERVE and self.dump.lacks_reserve)

    def killed_another(self, pid: int) -> bool:
        """Whether it names a process killed already, and that is another."""
        known = self.killed_pids()
        return bool(known) and pid not in known

    def awaits_kill(self, pid: int) -> bool:
        """Whether it has chosen this process, and the line that says who was killed is still to come."""
        self._flush()
        return self.oom.awaits(pid)

    def killed_pids(self) -> set[int]:
        """The processes that it names as killed."""
        self._flush()
        return self.oom.killed_pids()

    def put(self, slot: Slot, line: LogLine) -> None:
        """Take a line that belongs here."""
        self._flush()
        self._touch(line)
        self._slot, self._text, self._prefixed, self._wraps = slot, line.text, line.prefixed, 0
        self.has_totals = self.has_totals or slot is Slot.TOTAL
        self.confirmed = self.confirmed or (self.headed and slot in _CONFIRMING)
        if self.kind is ReportKind.UNRECOGNISED and sum(map(len, self._raw)) < MAX_RAW:
            self._raw.append(line.text[:MAX_RAW])

    def extend(self, line: LogLine) -> bool:
        """Take a line that may be more of the one before; False where it is not."""
        if self._slot is None or self._wraps >= _MAX_WRAPS or len(self._text) + len(line.text) > _MAX_JOINED:
            return False
        joined = join_continuation(self._slot, self._text, self._prefixed, line)
        if joined is None:
            return False
        self._text = joined
        self._wraps += 1
        self._touch(line)
        return True

    def awaits_rest(self, line: LogLine) -> bool:
        """Whether the pending line of a trace was cut inside a word, so that what looks like a frame is its rest."""
        cut = self._slot is Slot.FRAMES and self._text.count("(") > self._text.count(")")
        return cut and not line.prefixed and line.text[:1] not in ("[", "(")

    def _touch(self, line: LogLine) -> None:
        self.last_number = max(self.last_number, line.number)
        self.release = self.release or line.release
        if line.seconds is not None:
            self.last_seconds = line.seconds

    def _flush(self) -> None:
        """Read the line that is pending: nothing more of it can come."""
        slot, text = self._slot, self._text
        self._slot, self._text = None, ""
        if slot is None:
            return
        apply = _APPLY.get(slot)
        if apply is not None:
            apply(self, text)

    def _apply_header(self, text: str) -> None:
        again = decode_header.parse_header(text, True)
        if again is not None and self.header is not None and again.kind is not ReportKind.UNRECOGNISED:
            self.header = _with_lead(again, self.header)

    def _apply_cpuset(self, text: str) -> None:
        cpuset = decode_header.parse_cpuset(text)
        if self.header is not None and cpuset is not None:
            self.header = replace(self.header, cpuset=cpuset[0], mems_allowed=cpuset[1])

    def _apply_cpu(self, text: str) -> None:
        cpu = decode_trace.parse_cpu_line(text)
        if cpu is None:
            return
        self._cpu = cpu
        self.release = cpu.release or self.release
        header = self.header
        if header is not None and header.long_comm is not None and header.long_comm.endswith(cpu.comm_text):
            self.header = replace(header, comm=cpu.comm_text, long_comm=None, notes=header.notes[:1])

    def _apply_frames(self, text: str) -> None:
        self.clue(text)
        marker = decode_trace.parse_sections(text)
        if marker is not None:
            self._section, text = marker
        decode_trace.add_frames(self.frames, text, self._section, MAX_FRAMES)

    def _apply_mark(self, text: str) -> None:
        self.trace_marks += 1
        self._section = None
        self.clue(text)
        self._apply_frames(text.partition(":")[2].strip())

    def _apply_hardware(self, text: str) -> None:
        self._hardware = self._hardware or decode_trace.parse_hardware(text)

    def _apply_workqueue(self, text: str) -> None:
        self._workqueue = self._workqueue or decode_trace.parse_workqueue(text)

    def build(self) -> Report:
        """The report, of whatever came."""
        self._flush()
        header, cpu, oom, dump = self.header or Header(self.kind), self._cpu, self.oom, self.dump
        summary, zones = oom.summary, dump.zones()
        kind = self._final_kind()
        if oom.panicked:
            self.note(PANICKED)
        elif oom.unkillable:
            self.note(NONE_KILLABLE)
        report = Report(
            kind=kind,
            line_number=self.first.number,
            last_line_number=max(self.last_number, self.first.number),
            timestamp=self.first.timestamp,
            seconds=self.first.seconds,
            host=self.first.host,
            release=self.release,
            arch=decode_trace.infer_arch(self.release, self.frames, self._clues, {zone.zone for zone in zones}),
            comm=header.comm or (cpu.comm_text or None if cpu is not None and self.header is None else None),
            pid=header.pid if header.pid is not None else cpu.pid if cpu is not None else None,
            cpu=cpu.cpu if cpu is not None else None,
            order=header.order,
            gfp_mask=header.gfp_mask,
            gfp_names=header.gfp_names,
            nodemask=header.nodemask or (summary.nodemask if summary is not None else None),
            cpuset=header.cpuset or (summary.cpuset if summary is not None else None),
            mems_allowed=header.mems_allowed or (summary.mems_allowed if summary is not None else None),
            oom_score_adj=header.oom_score_adj,
            stall_ms=header.stall_ms,
            request_bytes=header.request_bytes,
            wording=header.wording,
            detail=header.detail,
            address_space=header.address_space,
            function=header.function,
            hardware=self._hardware,
            workqueue=self._workqueue,
            trace=tuple(self.frames),
            counters_pages=dump.counters_pages,
            nodes=dump.nodes(),
            zones=zones,
            page_size=dump.page_size(),
            hugepages=dump.hugepages,
            totals=dump.totals,
            constraint=summary.constraint if summary is not None else None,
            memcg=oom.memcg(),
            victims=tuple(oom.victims),
            task_count=oom.task_count,
            largest_tasks=oom.largest_tasks,
            slab_failures=self._slabs.failures(),
            suppressed=self.suppressed,
            related_lines=self.related,
            complete=bool(zones) and all(is_whole(zone) for zone in zones),
            notes=tuple(dict.fromkeys((*header.notes, *self._notes, *dump.notes)))[:MAX_NOTES],
            raw="\n".join(self._raw)[:MAX_RAW] if kind is ReportKind.UNRECOGNISED else None,
        )
        return replace(report, missing=_missing(report, self.headed))

    def _final_kind(self) -> ReportKind:
        """Whether an OOM was a control group's: said outright, or shown by the trace."""
        headless = self.kind is ReportKind.MEMORY_DUMP and (self.oom.victims or self.has_oom_frames)
        if not self.is_oom and not headless:
            return self.kind
        memcg = self.oom.names_memcg()
        if memcg is None:
            found = [frame for frame in self.frames if _MEMCG_FRAMES.match(frame.function)]
            memcg = any(frame.reliable for frame in found) or (bool(found) and not self.dump.has_zones)
        return ReportKind.MEMCG_OOM if memcg else ReportKind.OOM


def _with_lead(header: Header, lead: Header | None) -> Header:
    """A header with what an earlier line of the same report said and this one does not."""
    if lead is None:
        return header
    return replace(
        header,
        request_bytes=header.request_bytes if header.request_bytes is not None else lead.request_bytes,
        detail=header.detail or lead.detail,
        address_space=header.address_space or lead.address_space,
    )


def _missing(report: Report, headed: bool) -> tuple[str, ...]:
    """What a report of this kind has and this one lacks, in the order of its lines."""
    if report.kind in (ReportKind.DEADLOCK_WARNING, ReportKind.UNRECOGNISED):
        return ()
    request = report.kind not in (ReportKind.MEMORY_DUMP, ReportKind.NOMMU_FAILURE)
    global_dump = report.kind is not ReportKind.MEMCG_OOM
    zones = report.zones
    checks = (
        ("header", not headed and request),
        ("order", request and report.kind is not ReportKind.VMALLOC_FAILURE and report.order is None),
        ("gfp-mask", request and report.gfp_mask is None),
        ("comm", request and report.comm is None),
        ("release", report.release is None),
        ("trace", report.kind is not ReportKind.MEMORY_DUMP and not report.trace),
        ("memory-dump", global_dump and not zones and not report.counters_pages),
        ("zones", global_dump and not any(zone.free_kb is not None for zone in zones)),
        ("watermarks", any(None in (zone.min_kb, zone.low_kb, zone.high_kb) for zone in zones)),
        ("lowmem-reserve", any(zone.lowmem_reserve_pages is None for zone in zones)),
        ("free-lists", not all(list_is_whole(zone) for zone in zones)),
        ("victim", report.kind in OOM_KINDS and not report.victims),
    )
    return tuple(name for name, lacks in checks if lacks)


_APPLY: dict[Slot, Callable[[Builder, str], None]] = {
    Slot.HEADER: Builder._apply_header,
    Slot.HEADER_MORE: Builder._apply_cpuset,
    Slot.CPUSET: Builder._apply_cpuset,
    Slot.CPU: Builder._apply_cpu,
    Slot.FRAMES: Builder._apply_frames,
    Slot.TRACE_MARK: Builder._apply_mark,
    Slot.NO_COMPACTION: lambda builder, _: builder.note(NO_COMPACTION),
    Slot.HARDWARE: Builder._apply_hardware,
    Slot.WORKQUEUE: Builder._apply_workqueue,
    Slot.ZONE: lambda builder, text: builder.dump.add_zone(text, builder.last_number),
    Slot.LIST: lambda builder, text: builder.dump.add_list(text, builder.last_number),
    Slot.RESERVE: lambda builder, text: builder.dump.add_reserve(text),
    Slot.NODE: lambda builder, text: builder.dump.add_node(text),
    Slot.COUNTERS: lambda builder, text: builder.dump.add_counters(text),
    Slot.HUGE: lambda builder, text: builder.dump.add_huge(text),
    Slot.TOTAL: lambda builder, text: builder.dump.add_total(text),
    Slot.KILL: lambda builder, text: builder.oom.add_kill(text),
    Slot.KILL_SUMMARY: lambda builder, text: builder.oom.add_summary(text),
    Slot.LIMIT: lambda builder, text: builder.oom.add_limit(text),
    Slot.MEMCG_COUNTER: lambda builder, text: builder.oom.add_counter(text),
    Slot.TASK: lambda builder, text: builder.oom.add_task(text),
    Slot.SLAB: lambda builder, text: builder._slabs.add_failure(text),
    Slot.SLAB_CACHE: lambda builder, text: builder._slabs.add_cache(text),
}

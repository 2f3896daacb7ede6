"""Kernel log lines and the memory reports among them, as values. Frozen; imports nothing of ours.

Numbers are the kernel's numbers in the unit it printed them in: `_kb` (1024 bytes) on zone and process lines,
`_pages` in the counters. None means that the report does not print it, or that what it prints there cannot be read
(a note then says so); it never means zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

PANICKED = "the kernel panicked instead of killing a process"
NONE_KILLABLE = "no process was left that the kernel may kill"
NO_COMPACTION = "the kernel was built without compaction (COMPACTION is disabled!!!)"
"""Notes of reports."""

_NO_LIMIT_KB = 9_007_199_254_740_000
_NO_LIMIT_32_BIT_KB = 8_589_934_588

_ARCH_64_BIT = {
    **dict.fromkeys(("x86_64", "arm64", "ppc64", "ppc64le", "s390x"), True),
    **dict.fromkeys(("i386", "arm", "ppc"), False),
}


class ReportKind(StrEnum):
    """What a report is about. The values are the contract of the JSON output."""

    PAGE_ALLOCATION_FAILURE = "page-allocation-failure"
    OOM = "oom"
    MEMCG_OOM = "memcg-oom"
    ALLOCATION_STALL = "allocation-stall"
    VMALLOC_FAILURE = "vmalloc-failure"
    DEADLOCK_WARNING = "deadlock-warning"
    NOMMU_FAILURE = "nommu-failure"
    MEMORY_DUMP = "memory-dump"
    UNRECOGNISED = "unrecognised"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line as the kernel wrote it, freed from whatever the log's journey put in front of it.

    :ivar number: 1-based line number in the source. Lines that travelled joined in one record share a number.
    :ivar text: the kernel's own text, without blanks at either end and without control characters.
    :ivar timestamp: the wall clock or the seconds as printed; the wall clock where both are there.
    :ivar seconds: since boot, where the kernel's own stamp is there.
    :ivar caller_id: "T123" (task) or "C0" (processor): who printed it, where the kernel was told to say so.
    :ivar level: 0 (emergency) to 7 (debug).
    :ivar release: the kernel release where the transport carries it (netconsole).
    :ivar prefixed: the line carried a prefix of its own; one without, among others that have one, continues the
        line before it or comes from somewhere else.
    :ivar cut: the line was longer than we keep.
    """

    number: int
    text: str
    timestamp: str | None = None
    seconds: float | None = None
    host: str | None = None
    caller_id: str | None = None
    level: int | None = None
    facility: int | None = None
    release: str | None = None
    prefixed: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of a call trace, innermost first.

    :ivar offset: bytes into the function; None where the architecture does not print it for this frame.
    :ivar module: None for the kernel itself.
    :ivar reliable: False for what the kernel marked with "?" or "(unreliable)": found on the stack, perhaps stale.
    :ivar section: "IRQ", "NMI", ... while in such a stack; None in the task's own.
    """

    function: str
    offset: int | None = None
    size: int | None = None
    module: str | None = None
    reliable: bool = True
    section: str | None = None


@dataclass(frozen=True, slots=True)
class FreeBlocks:
    """The free blocks of one order in one zone.

    :ivar count: None where the number printed cannot be one (a counter that wrapped around).
    :ivar migrate_types: the letters printed ("UME"); "" both where there are none free and before 3.8.
    """

    order: int
    count: int | None
    migrate_types: str = ""


@dataclass(frozen=True, slots=True)
class ZoneDump:
    """One zone of a report: its `free:` line, its `lowmem_reserve[]:` line and its free list, as far as printed.

    :ivar node: None where the kernel prints no node (built without NUMA).
    :ivar free_kb: None where the zone's own line is missing and only its free list is there.
    :ivar min_kb: with low and high: the boost (5.0 and later) is contained in each.
    :ivar boost_kb: printed since 5.16.
    :ivar lowmem_reserve_pages: entry j holds against requests that could have used zone j.
    :ivar protections_pages: the line `protections[]:` that 2.6.10 and before print instead; its values may contain the
        low watermark and are no reserve to compute with.
    :ivar values_kb: every `name:...kB` of the zone's line, those above included.
    :ivar free_blocks: by order from 0, as far as the line goes; None where there is no free list.
    :ivar free_list_total_kb: the sum that the kernel prints behind the list; it and `free_kb` are read at different
        moments and often differ. None where the list is cut off.
    :ivar cut: the zone's line ends early, so that a value that is None may have been printed.
    """

    zone: str
    node: int | None = None
    line_number: int = 0
    free_kb: int | None = None
    boost_kb: int | None = None
    min_kb: int | None = None
    low_kb: int | None = None
    high_kb: int | None = None
    reserved_highatomic_kb: int | None = None
    free_highatomic_kb: int | None = None
    present_kb: int | None = None
    managed_kb: int | None = None
    free_cma_kb: int | None = None
    pages_scanned: int | None = None
    all_unreclaimable: bool | None = None
    lowmem_reserve_pages: tuple[int, ...] | None = None
    protections_pages: tuple[int, ...] | None = None
    values_kb: Mapping[str, int] = field(default_factory=dict)
    free_blocks: tuple[FreeBlocks, ...] | None = None
    free_list_total_kb: int | None = None
    cut: bool = False


@dataclass(frozen=True, slots=True)
class NodeDump:
    """The `Node N active_anon:...` line of 4.8 and later."""

    node: int
    values_kb: Mapping[str, int] = field(default_factory=dict)
    all_unreclaimable: bool | None = None


@dataclass(frozen=True, slots=True)
class HugePages:
    """One `hugepages_total=...` line: the pool of one size on one node."""

    node: int | None
    size_kb: int
    total: int
    free: int
    surplus: int


@dataclass(frozen=True, slots=True)
class Totals:
    """The closing lines of a memory dump, about the whole machine."""

    ram_pages: int | None = None
    highmem_pages: int | None = None
    reserved_pages: int | None = None
    cma_reserved_pages: int | None = None
    hwpoisoned_pages: int | None = None
    pagecache_pages: int | None = None
    swap_cache_pages: int | None = None
    swap_free_kb: int | None = None
    swap_total_kb: int | None = None


@dataclass(frozen=True, slots=True)
class Victim:
    """A process that the kernel said it killed."""

    pid: int
    comm: str | None = None
    uid: int | None = None
    score: int | None = None
    total_vm_kb: int | None = None
    anon_rss_kb: int | None = None
    file_rss_kb: int | None = None
    shmem_rss_kb: int | None = None
    pgtables_kb: int | None = None
    oom_score_adj: int | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One row of the process table that an OOM report prints."""

    pid: int
    rss_pages: int
    comm: str | None = None


@dataclass(frozen=True, slots=True)
class MemcgCounter:
    """`memory: usage ..kB, limit ..kB, failcnt N` and its kin."""

    name: str
    usage_kb: int
    limit_kb: int
    failcnt: int | None = None

    @property
    def has_limit(self) -> bool:
        """Whether there is one: as many pages as can be counted, or bytes as until 3.18, mean that there is none."""
        return self.limit_kb < _NO_LIMIT_KB and self.limit_kb != _NO_LIMIT_32_BIT_KB


@dataclass(frozen=True, slots=True)
class Memcg:
    """What an OOM report says of control groups.

    :ivar limited: the group whose limit was reached (`as a result of limit of`, `oom_memcg=`).
    :ivar task: the group of the victim.
    """

    limited: str | None = None
    task: str | None = None
    counters: tuple[MemcgCounter, ...] = ()


@dataclass(frozen=True, slots=True)
class SlabFailure:
    """`SLUB: Unable to allocate memory on node`: a cache that felt the failure. Equal ones are counted, not kept."""

    cache: str | None
    gfp_mask: int | None
    gfp_names: str | None = None
    node: int | None = None
    object_bytes: int | None = None
    buffer_bytes: int | None = None
    default_order: int | None = None
    min_order: int | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Suppressed:
    """`NAME: N callbacks suppressed`, `printk: N messages suppressed`: printed with the next that is let through."""

    source: str
    count: int


@dataclass(frozen=True, slots=True)
class Report:
    """One memory report of the kernel.

    :ivar line_number: of the header, 1-based, with `last_line_number` of the last line that belongs to it.
    :ivar timestamp: of the header, as printed; `seconds` is the kernel's own clock (since boot).
    :ivar release: the kernel's release, from the report's own lines or the banner before it.
    :ivar arch: only where something printed is conclusive ("x86_64", "i386", "arm64", "arm", "ppc", "ppc64", "ppc64le",
        "mips", "s390x", ...).
    :ivar comm: the task that was running; for an interrupt it says nothing about the cause.
    :ivar order: None where the report does not print it (2.6.11's OOM, address-space failures); -1: asked for by sysrq.
    :ivar gfp_names: the names behind the mask as printed; "" for a mask printed as `0x0()`, None where there are none.
    :ivar request_bytes: what was asked for in bytes, where the report says that and not an order (vmalloc, nommu, XFS).
    :ivar wording: what of the opening line's wording tells its kernel's age: "failure." (until 2.6.39, and Red Hat 6),
        "failure:" (since 3.0), "oomkilladj" (until 2.6.31), "oom_adj", "oom_adj,oom_score_adj" (2.6.36 to 3.7, and
        Red Hat 6), "oom_score_adj".
    :ivar detail: the wording that tells failures of one kind apart ("vm_struct allocation failed").
    :ivar address_space: a vmalloc failure for want of addresses, not of pages.
    :ivar function: where the line itself names a function (XFS).
    :ivar constraint: of an OOM, "CONSTRAINT_NONE" and so on.
    :ivar counters_pages: the global counters of the memory dump.
    :ivar page_size: bytes, from the unit of the free lists.
    :ivar task_count: rows of the process table; `largest_tasks` the few with the most memory.
    :ivar related_lines: earlier reports of this log that ask with the same mask shortly before, by line number.
    :ivar complete: zones are there, and each with its watermarks, its reserve and its whole free list.
    :ivar missing: what such a report has and this one lacks: "header", "order", "gfp-mask", "comm", "release", "trace",
        "memory-dump", "zones", "watermarks", "lowmem-reserve", "free-lists" (a cut one too), "victim".
    :ivar notes: what is odd about it, in words.
    :ivar raw: the text of an unrecognised report, bounded.
    """

    kind: ReportKind
    line_number: int
    last_line_number: int
    timestamp: str | None = None
    seconds: float | None = None
    host: str | None = None
    release: str | None = None
    arch: str | None = None
    comm: str | None = None
    pid: int | None = None
    cpu: int | None = None
    order: int | None = None
    gfp_mask: int | None = None
    gfp_names: str | None = None
    nodemask: str | None = None
    cpuset: str | None = None
    mems_allowed: str | None = None
    oom_score_adj: int | None = None
    stall_ms: int | None = None
    request_bytes: int | None = None
    wording: str | None = None
    detail: str | None = None
    address_space: bool = False
    function: str | None = None
    hardware: str | None = None
    workqueue: str | None = None
    trace: tuple[Frame, ...] = ()
    counters_pages: Mapping[str, int] = field(default_factory=dict)
    nodes: tuple[NodeDump, ...] = ()
    zones: tuple[ZoneDump, ...] = ()
    page_size: int | None = None
    hugepages: tuple[HugePages, ...] = ()
    totals: Totals = field(default_factory=Totals)
    constraint: str | None = None
    memcg: Memcg | None = None
    victims: tuple[Victim, ...] = ()
    task_count: int = 0
    largest_tasks: tuple[Task, ...] = ()
    slab_failures: tuple[SlabFailure, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    related_lines: tuple[int, ...] = ()
    complete: bool = False
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    raw: str | None = None

    @property
    def victim(self) -> Victim | None:
        """The first process killed."""
        return self.victims[0] if self.victims else None

    @property
    def panicked(self) -> bool:
        """The kernel panicked instead of killing a process."""
        return PANICKED in self.notes

    @property
    def none_killable(self) -> bool:
        """No process was left that the kernel may kill."""
        return NONE_KILLABLE in self.notes

    @property
    def no_compaction(self) -> bool:
        """The kernel says that it cannot move pages together; only OOM reports of 4.9 and later say so."""
        return NO_COMPACTION in self.notes

    @property
    def is_64_bit(self) -> bool | None:
        """Whether the kernel was one of 64 bits; None where the report does not tell."""
        if self.arch in _ARCH_64_BIT:
            return _ARCH_64_BIT[self.arch]
        zones = {zone.zone for zone in self.zones}
        return False if "HighMem" in zones else True if "DMA32" in zones else None


@dataclass(frozen=True, slots=True)
class ReportGroup:
    """Repeats of one report: same kind, order, mask and caller.

    :ivar key: what they have in common.
    :ivar example: the most complete of them, the earliest among equals.
    :ivar count: reports in the log; `suppressed_count` those the kernel says it held back, None where it says nothing.
    :ivar line_numbers: where they begin, the first thousand of them.
    """

    key: tuple[object, ...]
    example: Report
    count: int
    first_timestamp: str | None
    last_timestamp: str | None
    line_numbers: tuple[int, ...]
    suppressed_count: int | None = None


@dataclass(frozen=True, slots=True)
class LogRead:
    """How much of a log was read.

    :ivar name: a path, "-" for standard input, "journal".
    :ivar lines: lines or entries; None where it could not be read to its end.
    :ivar trouble_lines: how many lines of a log without a report speak of memory trouble; `first_trouble` is the first.
    :ivar trouble_whole: all of it was looked through for these.
    """

    name: str
    lines: int | None
    trouble_lines: int = 0
    first_trouble: int | None = None
    trouble_whole: bool = True

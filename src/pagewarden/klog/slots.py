"""What a line is by its first words."""

import re
from enum import IntEnum, auto

from pagewarden.klog import decode_meminfo, decode_oom, decode_trace


class Slot(IntEnum):
    """The kinds of lines that reports are made of, and those that stand around them."""

    HEADER = auto()
    HEADER_MORE = auto()
    VMAP = auto()
    VMALLOC_LEAD = auto()
    CPU = auto()
    CPUSET = auto()
    NO_COMPACTION = auto()
    HARDWARE = auto()
    WORKQUEUE = auto()
    TRACE_MARK = auto()
    FRAMES = auto()
    MEM_INFO = auto()
    ZONE = auto()
    NODE = auto()
    RESERVE = auto()
    LIST = auto()
    COUNTERS = auto()
    HUGE = auto()
    TOTAL = auto()
    DUMP_OTHER = auto()
    KILL = auto()
    KILL_SUMMARY = auto()
    LIMIT = auto()
    MEMCG_COUNTER = auto()
    MEMCG_STAT = auto()
    TABLE = auto()
    TASK = auto()
    REAPED = auto()
    SLAB = auto()
    SLAB_CACHE = auto()
    SLAB_OTHER = auto()
    SUPPRESSED = auto()
    EVENT = auto()
    BLANK = auto()
    UNKNOWN = auto()


DUMP_SLOTS = frozenset(
    {Slot.ZONE, Slot.NODE, Slot.RESERVE, Slot.LIST, Slot.COUNTERS, Slot.HUGE, Slot.TOTAL, Slot.DUMP_OTHER}
)
TRACE_SLOTS = frozenset({Slot.FRAMES, Slot.TRACE_MARK, Slot.HARDWARE, Slot.WORKQUEUE})
KILL_SLOTS = frozenset({Slot.KILL, Slot.KILL_SUMMARY, Slot.LIMIT, Slot.MEMCG_COUNTER})
TABLE_SLOTS = frozenset({Slot.TABLE, Slot.TASK, Slot.REAPED, Slot.MEMCG_STAT})
SLAB_SLOTS = frozenset({Slot.SLAB, Slot.SLAB_CACHE, Slot.SLAB_OTHER})

_NODE = r"(?:Node \d{1,5},? )?"
_ZONE = r"[A-Za-z]\w{1,19}"
_BLOCKS = r"\d{1,20} ?\* ?\d{1,12} ?[kK]|\d{1,20}_\d{1,12}kB [\d(=]"
_ROWS: tuple[tuple[Slot, str], ...] = (
    (Slot.MEM_INFO, r"Mem-[Ii]nfo:.{0,15}$"),
    (Slot.ZONE, rf"{_NODE}{_ZONE} free: ?\d"),
    (Slot.NODE, r"Node \d{1,5} (?:active_anon|active|inactive_anon|active_file):\d"),
    (Slot.RESERVE, r"(?:lowmem_reserve|protections)\[\]:"),
    (Slot.LIST, rf"{_NODE}{_ZONE}: {{0,3}}(?:{_BLOCKS}|empty$|<?\.\.\.>? = )"),
    (Slot.HUGE, rf"{_NODE}hugepages_total="),
    (Slot.TOTAL, r"\d{1,20} (?:pages |total pagecache|reserved pages$)|(?:Free|Total) swap"),
    (Slot.CPU, r"(?:CPU: \d{1,6} (?:UID: \d{1,10} )?)?(?:PID|Pid): ?\d{1,10},? (?:Comm|comm):"),
    (Slot.TRACE_MARK, r"Call [Tt]race:|Backtrace:"),
    (Slot.FRAMES, r"(?:\? )?[A-Za-z_.$][\w.$]{0,127}\+0x[0-9a-f]{1,8}/0x"),
    (Slot.FRAMES, decode_trace.PLACED),
    (Slot.FRAMES, r"\(?\[<[0-9a-f]{8,16}>\] |\[[0-9a-f]{8,16}\] \[[0-9a-f]{8,16}\] "),
    (Slot.NO_COMPACTION, r"COMPACTION is disabled!!!$"),
    (Slot.HARDWARE, r"Hardware name: "),
    (Slot.WORKQUEUE, r"Workqueue: "),
    (Slot.HEADER_MORE, r",? ?cpuset=.{0,512}mems_allowed="),
    (Slot.KILL_SUMMARY, r"oom-kill: ?constraint="),
    (
        Slot.KILL,
        r"(?:Out of [Mm]emory|Memory cgroup out of memory|No available memory).{0,48}: [Kk]ill\w{0,3} process \d",
    ),
    (Slot.KILL, r"Kill(?:ed)? process \d{1,10}(?:,| \()|Out of memory and no killable processes\.\.\.$"),
    (Slot.KILL, r"Kernel panic - not syncing: (?:[Oo]ut of memory|System is deadlocked on memory)"),
    (Slot.LIMIT, r"Task in \S{1,1024} killed as a result of limit of |Memory cgroup stats for "),
    (Slot.MEMCG_COUNTER, r"(?:memory|memory\+swap|swap|kmem): usage \d"),
    (Slot.TABLE, r"Tasks state \(memory|\[ {0,4}pid {0,4}\] {1,4}uid"),
    (Slot.TASK, r"\[ {0,10}\d{1,10}\] {1,10}\d{1,10} {1,10}\d{1,10} {1,16}\d"),
    (Slot.REAPED, r"oom_reaper: "),
    (Slot.SLAB, r"SL[UAO]B: Unable to allocate memory on "),
    (Slot.SLAB_CACHE, r"cache: \S{1,100}, object size: \d"),
    (Slot.SLAB_OTHER, r"node \d{1,5}: slabs: |\S{1,100} debugging increased min order"),
    (Slot.SUPPRESSED, r"\w{1,64}: \d{1,12} (?:callbacks|messages) suppressed"),
    (Slot.VMAP, r"vmap allocation for size |vmalloc_node_range for size |allocation failed: out of vmalloc space"),
    (Slot.VMALLOC_LEAD, r"vmalloc: allocation failure"),
    (Slot.EVENT, r"BUG: |WARNING: |INFO: |watchdog: |-{6,}\[ cut here|Oops|general protection|rcu: INFO|Kernel panic"),
    (Slot.EVENT, r"Unable to handle kernel|(?:SysRq|sysrq) ?: |page:[0-9a-f]{8}|Linux version \d"),
)
_SNIFF = re.compile("|".join(f"({pattern})" for _, pattern in _ROWS))
_CPUSET_LINE = re.compile(r"^(.{1,40}?) cpuset=(?:.{0,512} mems_allowed=|[^ ]{0,512}$)")


def classify(text: str) -> Slot:
    """What a line is; opening lines are not told here but by `decode_header.parse_header`."""
    if not text:
        return Slot.BLANK
    sniffed = _SNIFF.match(text)
    if sniffed is not None:
        return _ROWS[(sniffed.lastindex or 1) - 1][0]
    if decode_meminfo.is_counters(text):
        return Slot.COUNTERS
    if decode_trace.parse_sections(text) is not None:
        return Slot.FRAMES
    if ("+" in text or " from" in text) and decode_trace.parse_frames(text):
        return Slot.FRAMES
    if decode_meminfo.is_other_meminfo(text):
        return Slot.DUMP_OTHER
    if "cpuset=" in text and _CPUSET_LINE.match(text):
        return Slot.CPUSET
    return Slot.MEMCG_STAT if decode_oom.is_memcg_stat(text) else Slot.UNKNOWN


def cpuset_comm(text: str) -> str | None:
    """The task's name on a line of its own that names its cpuset (`python cpuset=/ mems_allowed=0`)."""
    match = _CPUSET_LINE.match(text)
    return match[1] if match else None

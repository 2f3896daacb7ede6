"""What an OOM report says beside the memory dump: who was killed, which control group, the process table; and the
SLUB lines and rate-limit notices that stand around reports.

    Out of memory: Killed process 350 (polkitd) total-vm:78084kB, anon-rss:2976kB, file-rss:8288kB, ...
    oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a,...

Kernel: mm/oom_kill.c, mm/memcontrol.c:mem_cgroup_print_oom_context(), mm/slub.c:slab_out_of_memory()
"""

import re
from dataclasses import dataclass

from pagewarden.klog.types import MemcgCounter, SlabFailure, Suppressed, Task, Victim

_KILL = re.compile(
    r"^(?:(Out of [Mm]emory(?: \([a-z_ ]{1,40}\))?|Memory cgroup out of memory|"
    r"No available memory \([A-Z_]{1,20}\)): )?"
    r"[Kk]ill(?:ed|ing)? process (\d{1,10})(?:, UID (\d{1,10}),?)?(?: \((.{0,64}?)\)(?=[,. ]|$))?"
)
_BARE_KILL = re.compile(r"^Kill(?:ed)? process \d{1,10}(?:,| \()")
_KILLED = re.compile(r"[Kk]illed process")
_CHOSEN = re.compile(r"[Kk]ill process")
_SCORE = re.compile(r"\) (?:with )?score (\d{1,10})\b")
_VICTIM_VALUE = re.compile(r"\b(total-vm|vsz|anon-rss|file-rss|shmem-rss|pgtables):(\d{1,20})kB")
_UID = re.compile(r"\bUID:(\d{1,10})\b")
_ADJ = re.compile(r"\boom_score_adj:(-?\d{1,5})(?=\s|$)")
_MORE_VICTIM = re.compile(
    r"^(?:total-vm|vsz|anon-rss|file-rss|shmem-rss|UID|pgtables|oom_score_adj):|^\(.{1,20}\)(?:[ .,]|$)|"
    r"^(?:process \d|score \d|or sacrifice|or a child|sacrifice child|child$|anon-rss|kB)"
)

_PANIC = re.compile(r"^Kernel panic - not syncing: (?:[Oo]ut of memory|System is deadlocked on memory)")
# Since 4.19; a panic follows unless the request was a control group's or an administrator's.
_NO_VICTIM = re.compile(r"^Out of memory and no killable processes\.\.\.$")
_SUMMARY = re.compile(r"^oom-kill: ?constraint=(CONSTRAINT_\w{1,32})")
_SUMMARY_FIELD = re.compile(r"\b(nodemask|cpuset|mems_allowed|oom_memcg|task_memcg|task|pid|uid)=")
_LIMIT = re.compile(
    r"^(?:Task in (\S{1,1024}) killed as a result of limit of (\S{1,1024})|Memory cgroup stats for (\S{1,1024}?):)"
)
_COUNTER = re.compile(
    r"^(memory|memory\+swap|swap|kmem): usage (\d{1,20})kB, limit (\d{1,20})kB(?:, failcnt (\d{1,20}))?"
)
_TASK = re.compile(r"^\[ {0,10}(\d{1,10})\] {1,10}\d{1,10} {1,10}\d{1,10} {1,16}\d{1,20} {1,16}(\d{1,20})(?: |$)(.*)")
_STAT = re.compile(r"^[a-z_0-9]{2,40} \d{1,20}$")

_SLUB = re.compile(
    r"^(?:SLUB|SLAB|SLOB): Unable to allocate memory on (?:CPU \d{1,6} \(of node \d{1,5}\) on )?node (-?\d{1,5}),?"
    r" {0,2}\(?gfp=(?:0x)?([0-9a-f]{1,16})(?:\(([^()]{0,512})\))?"
)
_CACHE = re.compile(r"^cache: (\S{1,100}), object size: (\d{1,12})")
_BUFFER = re.compile(r"\bbuffer size: (\d{1,12})(?=,|$)")
_DEFAULT_ORDER = re.compile(r"(?:\bdefault |, )order: (\d{1,3})(?=,|$)")
_MIN_ORDER = re.compile(r"\bmin order: (\d{1,3})(?=,|$)")

_SUPPRESSED = re.compile(r"^(\w{1,64}): (\d{1,12}) (?:callbacks|messages) suppressed\.?$")
# Whose rate limit holds back memory reports; the second row's holds back everything that uses printk_ratelimit().
_OUR_LIMITS = frozenset(
    {"warn_alloc", "warn_alloc_failed", "__alloc_pages_slowpath", "__alloc_pages_slowpath_nodemask", "oom_kill_process"}
    | {"dump_header", "vmalloc", "__vmalloc_area_node", "__vmalloc_node_range", "check_alloc_stall_warn"}
    | {"printk", "__ratelimit", "kmem_alloc", "xfs_err"}
)


@dataclass(frozen=True, slots=True)
class Kill:
    """A line that names a process killed, or says why none was: there is none that may be, or the kernel panics.

    :ivar memcg: True or False where the line says for which limit; None for a bare `Killed process`.
    :ivar killed: it is dead already (`Killed process`).
    :ivar chosen: the process was only chosen (`Kill process 5 (x) score 9 or sacrifice child`, until 4.20): the line
        after it names who was killed, which may be a child.
    """

    victim: Victim | None
    memcg: bool | None
    allocating: bool = False
    panicked: bool = False
    killed: bool = False
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class KillSummary:
    """The `oom-kill:` line of 5.0 and later."""

    constraint: str
    nodemask: str | None
    cpuset: str | None
    mems_allowed: str | None
    oom_memcg: str | None
    task_memcg: str | None
    task: str | None
    pid: int | None
    uid: int | None


def parse_kill(text: str) -> Kill | None:
    """Read a `Killed process` line in any of its forms, or what replaces it."""
    if _PANIC.match(text):
        return Kill(None, "memcg" in text or "cgroup" in text, panicked=True)
    if _NO_VICTIM.match(text):
        return Kill(None, None)
    if "ill" not in text[:48]:
        return None
    match = _KILL.match(text)
    if match is None or (match[1] is None and _BARE_KILL.match(text) is None):
        return None
    values = {name: int(value) for name, value in _VICTIM_VALUE.findall(text) if len(value) <= 15}
    score, adj, uid = _SCORE.search(text), _ADJ.search(text), _UID.search(text)
    victim = Victim(
        pid=int(match[2]),
        comm=match[4] or _loose_comm(text, match),
        uid=int(match[3]) if match[3] else int(uid[1]) if uid else None,
        score=int(score[1]) if score else None,
        total_vm_kb=values.get("total-vm", values.get("vsz")),
        anon_rss_kb=values.get("anon-rss"),
        file_rss_kb=values.get("file-rss"),
        shmem_rss_kb=values.get("shmem-rss"),
        pgtables_kb=values.get("pgtables"),
        oom_score_adj=int(adj[1]) if adj else None,
    )
    memcg = match[1].startswith("Memory cgroup") if match[1] else None
    chosen = score is not None and _CHOSEN.search(match[0]) is not None
    killed = _KILLED.search(match[0]) is not None
    return Kill(victim, memcg, bool(match[1]) and "(" in match[1], killed=killed, chosen=chosen)


def names_no_victim(text: str) -> bool:
    """Whether the line says why nothing was killed."""
    return _PANIC.match(text) is not None or _NO_VICTIM.match(text) is not None


def _loose_comm(text: str, match: re.Match[str]) -> str | None:
    """The name in a kill line whose name holds brackets itself."""
    rest = text[match.end() :].lstrip()
    if not rest.startswith("("):
        return None
    inner = rest[1:80].partition(") total-vm")[0].partition(") score")[0].partition(") vsz")[0]
    return inner.rstrip(").") if len(inner) <= 20 else None


def continues_kill(text: str) -> bool:
    """Whether the line is the rest of a wrapped kill line."""
    return _MORE_VICTIM.match(text) is not None


def parse_kill_summary(text: str) -> KillSummary | None:
    """Read an `oom-kill:constraint=` line."""
    match = _SUMMARY.match(text)
    if match is None:
        return None
    fields = _split_fields(text[match.end() :])
    return KillSummary(
        constraint=match[1],
        nodemask=fields.get("nodemask"),
        cpuset=fields.get("cpuset"),
        mems_allowed=fields.get("mems_allowed"),
        oom_memcg=fields.get("oom_memcg"),
        task_memcg=fields.get("task_memcg"),
        task=fields.get("task"),
        pid=_number(fields.get("pid")),
        uid=_number(fields.get("uid")),
    )


def _split_fields(text: str) -> dict[str, str]:
    """`a=1,b=x,y,c=2` with commas inside values: a value ends where the next known name begins."""
    marks = list(_SUMMARY_FIELD.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    fields: dict[str, str] = {}
    for mark, end in zip(marks, ends, strict=False):  # a line cut behind its constraint has no field
        value = text[mark.end() : end].strip(", ").removesuffix(",global_oom")
        fields.setdefault(mark[1], value[:512])
    return fields


def parse_limit(text: str) -> tuple[str | None, str | None] | None:
    """Read the line that names the control group: (the task's group, the group whose limit was reached)."""
    match = _LIMIT.match(text)
    if match is None:
        return None
    return (match[1], match[2]) if match[1] else (None, match[3])


def parse_memcg_counter(text: str) -> MemcgCounter | None:
    """Read `memory: usage ..kB, limit ..kB, failcnt N`."""
    match = _COUNTER.match(text)
    if match is None:
        return None
    return MemcgCounter(match[1], int(match[2]), int(match[3]), int(match[4]) if match[4] else None)


def continues_memcg_counter(pending: str, text: str) -> bool:
    """Whether `text` is the rest of a wrapped counter line."""
    return _COUNTER.match(f"{pending} {text}") is not None and "failcnt" not in pending


def parse_task(text: str) -> Task | None:
    """Read a row of the process table; the name is None where the row was wrapped before it."""
    if text[:1] != "[":
        return None
    match = _TASK.match(text)
    if match is None or len(match[2]) > 15:
        return None
    words = match[3].split(None, 8)
    numbers = 0
    while numbers < len(words) and words[numbers].lstrip("-").isdigit():
        numbers += 1
    name = " ".join(words[numbers:])
    return Task(int(match[1]), int(match[2]), name[:32] or None)


def is_memcg_stat(text: str) -> bool:
    """Whether the line is one statistic of a control group (`anon 8110080`)."""
    return _STAT.match(text) is not None


def parse_slab_failure(text: str) -> SlabFailure:
    """Read the first line of a SLUB or SLAB block; what cannot be read is None."""
    match = _SLUB.match(text)
    if match is None:
        return SlabFailure(None, None)
    return SlabFailure(None, int(match[2], 16), match[3], int(match[1]))


def parse_slab_cache(text: str) -> SlabFailure | None:
    """Read the second line of a SLUB or SLAB block: the cache, without the mask of the first."""
    match = _CACHE.match(text)
    if match is None:
        return None
    return SlabFailure(
        match[1],
        None,
        object_bytes=int(match[2]),
        buffer_bytes=_found_number(_BUFFER, text),
        default_order=_found_number(_DEFAULT_ORDER, text),
        min_order=_found_number(_MIN_ORDER, text),
    )


def parse_suppressed(text: str) -> Suppressed | None:
    """Read a rate-limit notice that may be about memory reports."""
    if not text.endswith(("suppressed", "suppressed.")):
        return None
    match = _SUPPRESSED.match(text)
    if match is None or match[1] not in _OUR_LIMITS:
        return None
    return Suppressed(match[1], int(match[2]))


def _found_number(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    return int(found[1]) if found is not None else None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() and len(text) <= 10 else None

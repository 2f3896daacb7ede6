"""The line that opens a report: who asked for how much, with which mask.

    swapper: page allocation failure. order:1, mode:0x20
    cat: page allocation failure: order:5, mode:0x40cc0(GFP_KERNEL|__GFP_COMP), nodemask=(null),cpuset=/,mems_allowed=0
    python invoked oom-killer: gfp_mask=0xd0, order=0, oom_score_adj=0
    qemu: vmalloc error: size 0, page order 9, failed to allocate pages, mode:0xdc2(GFP_KERNEL|__GFP_HIGHMEM|__GFP_ZERO)

Kernel: mm/page_alloc.c:warn_alloc(), mm/oom_kill.c:dump_header(), mm/vmalloc.c, mm/nommu.c, fs/xfs/kmem.c
"""

import re
from dataclasses import dataclass, replace

from pagewarden.klog.types import ReportKind

# TASK_COMM_LEN less the terminator: no name the kernel prints for a task is longer, in bytes.
COMM_BYTES = 15
# Larger than any order, size or time a kernel can mean; what is beyond was garbled on the way.
_MAX_ORDER = 64
_MAX_NUMBER = (1 << 64) - 1

_FAILURE = ": page allocation failure"
_STALL = re.compile(r": page allocation stalls? for (\d{1,12}) ?(ms|secs)[,:]")
_VMALLOC = re.compile(r"(?:^|: )vmalloc(?:: allocation failure| error: size| size (?=\d{1,20} allocation failure))")
_OOM = re.compile(r"(?:^|^(.*?) invoked )oom-killer: ?gfp_mask=")
_NOMMU = re.compile(r"^(?:nommu: )?Allocation of length (\d{1,20}) from process (\d{1,10})(?: \((.{0,32})\))? failed")
_DEADLOCK = re.compile(
    r"^(?:XFS|xfs)(?: \([^)]{0,64}\))?: (?:(.{0,32}?)\((\d{1,10})\) )?possible memory allocation deadlock"
    r"(?: size (\d{1,20}))? in (\w{1,64}) ?\(mode: ?0x([0-9a-f]{1,16})(?:\)|$)"
)
# warn_alloc() prints for other callers too; what stands before the mask is theirs.
_OTHER_WARNING = re.compile(
    r"^([^:]{1,15}): ([a-z][^:]{2,60}?(?:: order: ?\d{1,3})?), ?(?=mode:0x[0-9a-f]{1,16}\(.{0,400}\), ?nodemask=)"
)
_VMAP = re.compile(
    r"^(?:vmap allocation for size (\d{1,20}) failed|vmalloc_node_range for size (\d{1,20}) failed|"
    r"allocation failed: out of vmalloc space)"
)
_ANCIENT = re.compile(r"^__alloc_pages: (\d{1,3})-order allocation failed")

_ORDER = re.compile(r"(?<!page )\border[:=] ?(-?\d{1,20})(?=[\s,]|$)")
_PAGE_ORDER = re.compile(r"\bpage order (\d{1,20}),")
_MASK = re.compile(r"\b(?:mode:|gfp_mask=) ?(?:0x)?([0-9a-f]{1,17})(?:\(([^()]{0,1024})(\))?)?(?=[\s,]|$)")
_NODEMASK = re.compile(r"\bnodemask=(\(null\)|[\d,-]*\d)(?=[\s,]|$)")
_NODES = re.compile(r"(?:\(null\)|[\d,-]{1,64})(?:,|$)")
_CPUSET = re.compile(r"\bcpuset=(.{0,512}?),? ?mems_allowed=([\d,-]*)")
_SCORE = re.compile(r"\b(?:oom_score_adj|oom_adj|oomkilladj)=(-?\d{1,6})(?=[\s,]|$)")
_SCORE_NAME = re.compile(r"\b(oom_score_adj|oom_adj|oomkilladj)=")
_SCORE_NEW = re.compile(r"\boom_score_adj=(-?\d{1,6})(?=[\s,]|$)")
_BYTES = re.compile(
    r"(?:allocated \d{1,20} of (\d{1,20}) bytes|failure: (\d{1,20}) bytes|error: size (\d{1,20})|"
    r"vmalloc size (\d{1,20}))"
)

_STAMPED = re.compile(r"^.*\[ {0,8}\d{1,10}\.\d{1,9}\](?:\[ {0,8}[TC]\d{1,10}\])? ")
_OTHER_TAG = re.compile(r"[\w.-]{1,64}\[\d{1,10}\]: ")
_QUOTED = re.compile(r"(?:^|[\s:=(,])[\"'`]")
_TITLE = re.compile(r"^(?:subject|re|fwd?|title|summary) ?:", re.IGNORECASE)
_PROSE_AFTER = re.compile(r"^[\"'`.;!?)\]]|^[ ,]*\(?[A-Za-z]{2,12}(?: |[.,;!?)]|$)")
_NUMBERED = re.compile(r"\b\w{1,32} ?[:=] ?(?:0x)?[0-9a-f]{1,16}\b")
_CUT_IN_WORDS = re.compile(r"^[:.,]? {0,2}(?:o|or|ord|orde|order|order:)?$")
_CUT_IN_FIELDS = re.compile(
    r"^[:.,]? {0,2}order: ?-?\d{1,20}(?:,? ?(?:m|mo|mod|mode|mode:(?:0|0x|0x[0-9a-f]{1,17}(?:\([\w|]{0,512})?)?)?)?$"
)

_FIELD_START = re.compile(
    r"^[,|]? {0,2}(?:order[:=]|mode:|gfp_mask=|nodemask=|cpuset=|mems_allowed=|oom_score_adj=|oom_adj=|oomkilladj=|"
    r"(?:__)?GFP_[A-Z]|page order|failed to|vm_struct|allocation failed|exceeds|size \d)"
)
_LEAD_LOST = re.compile(
    r"(?:^|\W)(?:invoked|invoked oom-killer:|vmalloc:?|vmalloc: allocation)$|: page(?: alloc\w{0,6})?$|"
    r": page allocation failure[.:]?$|: page allocation stalls(?: for(?: \d{1,12}ms,?)?)?$|"
    r"[:)] possible memory(?: allocation(?: deadlock(?: size(?: \d{1,20})?)?(?: in(?: \w{1,64})?)?)?)?$"
)


@dataclass(frozen=True, slots=True)
class Header:
    """What an opening line says; see the fields of the same names in `Report`.

    :ivar long_comm: the text before the anchor where it is too long for a task's name: a program's output stands
        before the name. `comm` is then the best guess.
    :ivar complete: nothing more can follow on a wrapped line.
    """

    kind: ReportKind
    comm: str | None = None
    long_comm: str | None = None
    pid: int | None = None
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
    complete: bool = False
    notes: tuple[str, ...] = ()


def parse_header(text: str, prefixed: bool = False) -> Header | None:
    """Read an opening line.

    :param prefixed: the line carried a log prefix, so it is less likely to be prose.
    :return: None where the line opens no report. Kind "unrecognised" where it starts like one and goes on unlike any.
    """
    if "failure" in text or "vmalloc" in text or "page allocation stall" in text:
        header = _parse_failure(text, prefixed)
        if header is not None:
            return header
    if "oom-killer:" in text:
        return _parse_oom(text, prefixed)
    if "Allocation of length" in text:
        return _parse_nommu(text)
    if "allocation deadlock" in text:
        return _parse_deadlock(text)
    if text.startswith("__alloc_pages:") and _ANCIENT.match(text):
        return Header(ReportKind.UNRECOGNISED, notes=("a report of a 2.4 kernel, which is not decoded",), complete=True)
    return _parse_other_warning(text) if "), nodemask=" in text or "),nodemask=" in text else None


def parse_vmap(text: str) -> tuple[int | None, str] | None:
    """Read the line that a failed search for kernel addresses prints on its own: bytes with the guard page, wording."""
    match = _VMAP.match(text)
    if match is None:
        return None
    size = match[1] or match[2]
    return (int(size) if size else None), text[:160]


def parse_vmalloc_lead(text: str) -> Header | None:
    """Read `vmalloc: allocation failure: N bytes`, which 3.0 to 4.8 print on a line before the header."""
    return _parse_vmalloc(text, True) if text.startswith("vmalloc") else None


def parse_cpuset(text: str) -> tuple[str, str | None] | None:
    """Read `cpuset=/ mems_allowed=0` wherever it stands on a line."""
    match = _CPUSET.search(text)
    return (match[1], match[2].strip(",") or None) if match else None


def wraps_before(text: str) -> bool:
    """Whether a line may end inside the words that make an opening line, so that the next one completes it."""
    return _LEAD_LOST.search(text) is not None


def is_task_name(text: str) -> bool:
    """Whether a line is only a task's name and a colon: the kernel prints these apart from the rest of the line."""
    return text.endswith(":") and 1 < len(text.encode()) <= COMM_BYTES + 1


def lacks_task(text: str) -> bool:
    """Whether a line is what follows the task's name where the kernel printed that apart."""
    return text.startswith(("page allocation failure", "page allocation stall"))


def continues_header(pending: str, text: str, prefixed: bool) -> bool:
    """Whether `text` is more of the wrapped opening line `pending`."""
    if pending.endswith("nodemask=") and _NODES.match(text):
        return True
    if _FIELD_START.match(text):
        return not prefixed or text.startswith(",")
    if prefixed:
        return False
    if _MASK.search(pending) is None and _MASK.search(text) is not None:
        return True
    if pending.count("(") > pending.count(")"):
        return re.match(r"[A-Za-z_|0-9]{1,200}\)?", text) is not None
    return bool(re.match(r"(?:\d{1,4},|[0-9a-fA-F]{1,8}\(|\d{1,6}$|\((?:null|__GFP|GFP))", text))


def join_wrapped(left: str, right: str) -> str:
    """Join the two halves of a wrapped opening line: with a blank where it was wrapped at one."""
    if left.count("(") > left.count(")") or right.startswith(("|", ",", "(")) or left.endswith(("|", "=", "mode:")):
        return left + right.lstrip(" ")
    if re.search(r"0x[0-9a-f]{0,16}$|[:=]$|\d$", left) and re.match(r"[0-9a-f]{1,8}\(|\d{1,4},", right):
        return left + right
    return f"{left} {right}"


def _parse_failure(text: str, prefixed: bool) -> Header | None:
    stall = _STALL.search(text)
    if stall is not None:
        return _parse_stall(text, stall, prefixed)
    vmalloc = _VMALLOC.search(text)
    if vmalloc is not None and vmalloc.start() > 0:
        return _parse_vmalloc(text, prefixed)
    if text.startswith(_FAILURE[2:]):
        text = f": {text}"
    at = text.find(_FAILURE)
    if at < 0:
        return None
    tail = text[at + len(_FAILURE) :]
    lead = text[:at]
    if _is_prose(lead, prefixed) or "%" in tail[:40]:
        return None
    if _ORDER.search(tail) is None or _MASK.search(tail) is None:
        return _parse_odd_failure(lead, tail, prefixed)
    if _prose_follows(tail):
        return None
    header = _with_fields(ReportKind.PAGE_ALLOCATION_FAILURE, lead, tail)
    return replace(header, wording=f"failure{tail[0]}" if tail[0] in ".:" else None)


def _parse_odd_failure(lead: str, tail: str, prefixed: bool) -> Header | None:
    """A header that is cut off, or that goes on as no kernel we know does."""
    if not lead or len(lead.encode()) > COMM_BYTES:
        return None
    if _CUT_IN_WORDS.match(tail) or _CUT_IN_FIELDS.match(tail):
        if not prefixed and _CUT_IN_WORDS.match(tail):
            return None
        return _with_fields(ReportKind.PAGE_ALLOCATION_FAILURE, lead, tail)
    if tail[:1] not in (".", ":", ",") or _ORDER.search(tail) or _NUMBERED.search(tail) is None:
        return None
    return Header(ReportKind.UNRECOGNISED, comm=lead, complete=True)


def _parse_stall(text: str, match: re.Match[str], prefixed: bool) -> Header | None:
    lead, tail = text[: match.start()], text[match.end() :]
    if _is_prose(lead, prefixed) or _prose_follows(tail):
        return None
    header = _with_fields(ReportKind.ALLOCATION_STALL, lead, tail)
    stall_ms = int(match[1]) * (1000 if match[2] == "secs" else 1)
    return replace(header, stall_ms=stall_ms)


def _parse_vmalloc(text: str, prefixed: bool) -> Header | None:
    match = _VMALLOC.search(text)
    if match is None:
        return None
    lead, tail = text[: match.start()], text[match.start() :].removeprefix(": ")
    if _is_prose(lead, prefixed) or "%" in tail[:60]:
        return None
    header = _with_fields(ReportKind.VMALLOC_FAILURE, lead, tail)
    size = _BYTES.search(tail)
    if size is None:
        return None
    page_order = _PAGE_ORDER.search(tail)
    detail = tail.partition(", mode:")[0].strip(" ,")[:120]
    return replace(
        header,
        order=_bounded(page_order[1], _MAX_ORDER) if page_order else header.order,
        request_bytes=_bounded(next(group for group in size.groups() if group), _MAX_NUMBER),
        detail=detail,
        address_space="vm_struct" in detail or detail.startswith("vmalloc: allocation failure: "),
        complete=header.gfp_mask is not None and header.complete,
    )


def _parse_oom(text: str, prefixed: bool) -> Header | None:
    match = _OOM.search(text)
    if match is None:
        lead, anchor, tail = text.partition(" invoked oom-killer:")
        odd = anchor and len(lead.encode()) <= COMM_BYTES and _NUMBERED.search(tail) and not _is_prose(lead, prefixed)
        return Header(ReportKind.UNRECOGNISED, comm=lead, complete=True) if odd else _wrapped_oom(text, prefixed)
    lead = match[1] or ""
    tail = text[match.end() - len("gfp_mask=") :]
    if (lead and _is_prose(lead, prefixed)) or _MASK.match(tail) is None or _prose_follows(tail):
        return None
    header = _with_fields(ReportKind.OOM, lead, tail)
    notes = (*header.notes, "asked for by an administrator (sysrq f)") if header.order == -1 else header.notes
    wording = ",".join(sorted(set(_SCORE_NAME.findall(tail)))) or None
    return replace(header, notes=notes, complete=header.oom_score_adj is not None, wording=wording)


def _wrapped_oom(text: str, prefixed: bool) -> Header | None:
    """`X invoked oom-killer:` with the rest on the next line: a report without its numbers unless that line comes."""
    lead, anchor, tail = text.partition(" invoked oom-killer:")
    if not anchor or tail.strip() or not prefixed or _is_prose(lead, prefixed):
        return None
    comm, long_comm, notes = clean_comm(lead)
    return Header(ReportKind.OOM, comm=comm, long_comm=long_comm, notes=notes)


def _parse_other_warning(text: str) -> Header | None:
    """A warning of the allocator for a caller with words of its own (`vmemmap alloc failure: order:9, mode:...`)."""
    match = _OTHER_WARNING.match(text)
    if match is None:
        return None
    kind = ReportKind.PAGE_ALLOCATION_FAILURE if match[2].startswith("vmemmap alloc") else ReportKind.UNRECOGNISED
    return replace(_with_fields(kind, match[1], text[match.start(2) :]), detail=match[2])


def _parse_nommu(text: str) -> Header | None:
    match = _NOMMU.match(text)
    if match is None:
        return None
    size = _bounded(match[1], _MAX_NUMBER)
    return Header(
        ReportKind.NOMMU_FAILURE, comm=match[3], pid=_bounded(match[2], 1 << 31), request_bytes=size, complete=True
    )


def _parse_deadlock(text: str) -> Header | None:
    match = _DEADLOCK.match(text)
    if match is None:
        return None
    return Header(
        ReportKind.DEADLOCK_WARNING,
        comm=match[1],
        pid=_bounded(match[2], 1 << 31),
        request_bytes=_bounded(match[3], _MAX_NUMBER),
        function=match[4],
        gfp_mask=int(match[5], 16),
        complete=True,
    )


def _with_fields(kind: ReportKind, lead: str, tail: str) -> Header:
    comm, long_comm, notes = clean_comm(lead) if lead else (None, None, ())
    order = _ORDER.search(tail)
    mask = _MASK.search(tail)
    nodemask = _NODEMASK.search(tail)
    cpuset = _CPUSET.search(tail)
    score = _SCORE_NEW.search(tail) or _SCORE.search(tail)
    value, mask_notes = _mask_value(mask)
    order_value = _bounded(order[1], _MAX_ORDER) if order else None
    if order is not None and order_value is None:
        notes = (*notes, f"the order printed, {order[1]}, is impossible")
    names = mask[2].replace(" ", "") if mask is not None and mask[2] is not None and mask[3] else None
    return Header(
        kind,
        comm=comm,
        long_comm=long_comm,
        order=order_value,
        gfp_mask=value,
        gfp_names=names,
        nodemask=nodemask[1] if nodemask else None,
        cpuset=cpuset[1] if cpuset else None,
        mems_allowed=(cpuset[2].strip(",") or None) if cpuset else None,
        oom_score_adj=int(score[1]) if score else None,
        complete=cpuset is not None,
        notes=(*notes, *mask_notes),
    )


def _mask_value(mask: re.Match[str] | None) -> tuple[int | None, tuple[str, ...]]:
    if mask is None:
        return None, ()
    if len(mask[1]) > 16:
        return None, (f"the mask printed, 0x{mask[1]}, is longer than any mask",)
    return int(mask[1], 16), ()


def clean_comm(lead: str) -> tuple[str | None, str | None, tuple[str, ...]]:
    """The task's name out of what stands before the anchor.

    :return: the name; the whole text where it is too long for a name (the name is then a guess); notes.
    """
    stamped = _STAMPED.match(lead)
    name = lead[stamped.end() :] if stamped else lead
    if len(name.encode("utf-8", "replace")) <= COMM_BYTES:
        return name, None, ()
    note = "other text stands before the task's name on the header line"
    for short in (name.rpartition("]")[2], name.rpartition(" ")[2], name.rpartition(">")[2]):
        if short.strip() and len(short.encode("utf-8", "replace")) <= COMM_BYTES:
            return short.strip(), name[-200:], (note,)
    return None, name[-200:], (note, "the task's name cannot be told from it")


def _is_prose(lead: str, prefixed: bool) -> bool:
    """Whether what stands before the anchor is somebody's sentence, a title, or another program's line."""
    if _TITLE.match(lead) or _OTHER_TAG.search(lead) or "%s" in lead:
        return True
    if prefixed:
        return False
    return _QUOTED.search(lead) is not None or lead.count(" ") > 8


def _prose_follows(tail: str) -> bool:
    """Whether a sentence goes on after the last field that we know."""
    end = 0
    for pattern in (_ORDER, _MASK, _NODEMASK, _CPUSET, _SCORE):
        for match in pattern.finditer(tail):
            end = max(end, match.end())
    rest = tail[end:].strip()
    return bool(_PROSE_AFTER.match(rest)) and not rest.startswith(
        ("nodema", "nodem", "cpus", "mems", "oom_", "Pid:", "CPU:")
    )


def _bounded(digits: str | None, limit: int) -> int | None:
    """The number, or None where it is larger than anything that can be meant."""
    if digits is None:
        return None
    value = int(digits)
    return value if -1 <= value <= limit else None

"""Wrapped lines: whether a line is the rest of the one before it, and the two joined again.

Mail programs wrap at blanks, terminals and pagers in the middle of a word; the joint is made with or without a blank
by whether what stands before it is a whole word of the grammar. The kernel itself prints some lines in pieces, and
where another line got between (always, on a network console of 4.10 to 4.19) each piece has a log prefix of its own.
"""

import re

from pagewarden.klog import decode_header, decode_meminfo, decode_oom, decode_trace
from pagewarden.klog.slots import Slot
from pagewarden.klog.types import LogLine

_LONGEST_WORDS = 80
_MORE_SLAB = re.compile(
    r"(?:\(?gfp=|(?:buffer |object )?size: |(?:default |min )?order: |order: |\d{1,12},|\d{1,12}$|(?:on )?node -?\d)"
)
_CPUSET_NAME = re.compile(r"[\w./:@\\-]{1,512}$")
_MORE_TASK = re.compile(r"-?\d{1,10}(?: {1,20}-?\d{1,12}){0,6} {1,4}\S|\S{1,15}$")


def join_continuation(slot: Slot, pending: str, prefixed: bool, line: LogLine) -> str | None:
    """Join `pending`, a line of kind `slot`, with `line`; None where that is not more of it.

    A line with a log prefix of its own continues only what the kernel prints in pieces, and must be just such a piece.

    :param prefixed: `pending` had a prefix of its own; a line of free words is then continued by one without.
    """
    text = line.text
    if slot in (Slot.HARDWARE, Slot.WORKQUEUE):
        return f"{pending} {text}" if prefixed and not line.prefixed and len(text) < _LONGEST_WORDS else None
    if slot is Slot.HEADER:
        ours = decode_header.continues_header(pending, text, line.prefixed)
        return decode_header.join_wrapped(pending, text) if ours else None
    join = (_PIECES if line.prefixed else _JOINS).get(slot)
    return join(pending, text) if join is not None else None


def _join_cpu(pending: str, text: str) -> str | None:
    before = decode_trace.parse_cpu_line(pending)
    if before is None or before.complete:
        return None
    joined = f"{pending} {text}"
    after = decode_trace.parse_cpu_line(joined)
    return joined if after is not None and (after.complete or "ainted" in text) else None


def _join_cpuset(pending: str, text: str) -> str | None:
    if pending.endswith("cpuset=") and _CPUSET_NAME.match(text):
        return pending + text
    return f"{pending} {text}" if "mems_allowed=" not in pending and text.startswith("mems_allowed=") else None


def _join_kill(pending: str, text: str) -> str | None:
    named = pending.count("(") <= pending.count(")")
    return f"{pending} {text}" if not named or decode_oom.continues_kill(text) else None


def _join_task(pending: str, text: str) -> str | None:
    task = decode_oom.parse_task(pending)
    unnamed = task is not None and task.comm is None
    return f"{pending} {text}" if unnamed and _MORE_TASK.match(text) else None


def _join_huge(pending: str, text: str) -> str | None:
    return f"{pending} {text}" if text.startswith("hugepages_") else None


def _join_counter(pending: str, text: str) -> str | None:
    return f"{pending} {text}" if decode_oom.continues_memcg_counter(pending, text) else None


def _join_frames(pending: str, text: str) -> str | None:
    return pending + text if pending.count("(") > pending.count(")") else None


def _join_slab(pending: str, text: str) -> str | None:
    return f"{pending} {text}" if _MORE_SLAB.match(text) else None


_JOINS = {
    Slot.ZONE: decode_meminfo.continue_values,
    Slot.NODE: decode_meminfo.continue_values,
    Slot.LIST: decode_meminfo.continue_blocks,
    Slot.COUNTERS: decode_meminfo.continue_counters,
    Slot.RESERVE: decode_meminfo.continue_numbers,
    Slot.CPU: _join_cpu,
    Slot.CPUSET: _join_cpuset,
    Slot.KILL: _join_kill,
    Slot.TASK: _join_task,
    Slot.HUGE: _join_huge,
    Slot.MEMCG_COUNTER: _join_counter,
    Slot.FRAMES: _join_frames,
    Slot.SLAB: _join_slab,
    Slot.SLAB_CACHE: _join_slab,
}
_PIECES = {
    Slot.LIST: decode_meminfo.add_piece,
    Slot.RESERVE: decode_meminfo.continue_numbers,
    Slot.CPUSET: _join_cpuset,
}

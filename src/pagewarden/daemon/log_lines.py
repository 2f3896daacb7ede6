"""The kernel's log as it comes: reports counted by their opening lines, a few of them kept whole for decoding. Pure.

A flood of a million lines must cost little: each line is matched once, each opening line reduced to a signature that
is the same for repeats, and only so many blocks of lines are kept as the decoder may be asked for.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from pagewarden.daemon.types import MINUTE_NS, SECOND_NS, LogCounts

MAX_BLOCK_LINES = 600
MAX_BLOCK_BYTES = 96 * 1024
MAX_LINE = 4096
MOST_LINES_OF_ENTRY = 256
"""Of an entry or record with line breaks in it."""
MAX_TASK_ROWS = 120
"""Rows of an OOM report's process table that are kept: on large machines there are thousands before the last lines."""
QUIET_LINES = 400
"""A block ends after this many lines without a new report."""
QUIET_NS = 2 * SECOND_NS
"""A block ends when nothing has come for this long: a slow console stretches a report over seconds."""
DECODE_BURST = 8
DECODE_EVERY_NS = MINUTE_NS
"""Blocks that may be decoded at once, and how often another one after that."""
AGAIN_NS = 10 * MINUTE_NS
"""Repeats of a decoded report are decoded anew only after this long: the cause may be another one by now."""
MAX_SIGNATURES = 256
MAX_SIGNATURE = 160

LEAD_LINES = 4
"""A failure to find kernel addresses is told twice, by the function that looked and by vmalloc: one report."""

_LEADS = ("vmap allocation", "vmalloc_node_range")
_INTEREST = re.compile(
    r"alloc[a-z]* (?:fail|stall|deadlock|for size)|oom-killer:|Killed process |vmalloc|nodemask=|callbacks suppressed"
)
_OPENING = re.compile(
    r"(?:^|[:] )(?P<failure>page allocation failure.*)|page allocation stalls? for \d{1,12} ?(?:ms|secs)(?P<stall>.*)"
    r"|(?:^|invoked )(?P<oom>oom-killer: ?gfp_mask=.*)|(?P<deadlock>possible memory allocation deadlock).*"
    r"|(?P<vmalloc>(?:vmalloc error: size|vmalloc size|vmap allocation for size|vmalloc_node_range for size) .*)"
    r"|^[^:]{1,15}: (?P<other>[a-z][^:]{2,60}(?:: order: ?\d{1,3})?, ?mode:0x[0-9a-f]{1,16}\(.*), ?nodemask="
)
_KILL = re.compile(r"Killed process \d{1,10}")
_GROUP = re.compile(r"are going to be killed due to memory\.oom\.group")
_SUPPRESSED = re.compile(r"(?:warn_alloc\w*|page_alloc\w*|oom\w*|dump_header): (\d{1,12}) callbacks suppressed")
_TAIL = re.compile(r"[,;]? ?(?:nodemask=|cpuset=|mems_allowed=|oom_score_adj=|oom_adj=|oomkilladj=).*")
_SIZES = re.compile(r"\b(size|process|of|failure:) \d{1,20}")
_TASK_ROW = re.compile(r"\[ *\d{1,10}\] +\d{1,10} ")


@dataclass(frozen=True, slots=True)
class RawLine:
    """One line of the kernel's log, free of prefixes.

    :ivar seconds_now: gives the kernel's stamp, in seconds since boot; asked only for the few lines that are kept.
    """

    text: str
    seconds_now: Callable[[], float | None] | None = None


@dataclass(frozen=True, slots=True)
class KeptLine:
    """A line that is kept for the decoder, with the kernel's stamp (None: not known)."""

    text: str
    seconds: float | None = None


Block = tuple[KeptLine, ...]


def signature_of(text: str) -> str | None:
    """Reduce the opening line of a report to what its repeats share (kind, order, mask); None for other lines."""
    match = _OPENING.search(text) if _INTEREST.search(text) is not None else None
    if match is None or match.lastgroup is None:
        return None
    kind = match.lastgroup
    rest = _SIZES.sub(r"\1 N", _TAIL.sub("", match[kind] or ""))
    return f"{'stall' if kind == 'stall' else ''}{rest}"[:MAX_SIGNATURE].strip()


class LogCollector:
    """Takes lines, counts reports, keeps blocks for the decoder. Bounded in everything.

    :param now_ns: the monotonic clock when it begins.
    """

    def __init__(self, now_ns: int) -> None:
        self._counts: dict[str, int] = {}
        self._suppressed = self._lost = self._lines = 0
        self._block: list[KeptLine] = []
        self._block_bytes = self._quiet = self._rows = 0
        self._blocks: list[Block] = []
        self._fed_ns = now_ns
        self._tokens, self._refilled_ns = DECODE_BURST, now_ns
        self._decoded_ns: dict[str, int] = {}
        self._kill_expected = self._group = False
        self._lead, self._lead_at = "", 0

    def feed(self, line: RawLine, now_ns: int) -> None:
        """Take the next line."""
        text = line.text
        self._lines += 1
        self._fed_ns = now_ns
        if _INTEREST.search(text) is not None:
            self._look(text, now_ns)
        elif _GROUP.search(text) is not None:
            self._group = True
        if self._block or self._quiet < 0:
            self._keep(line)

    def lost(self, lines: int) -> None:
        """Lines were overwritten before they could be read."""
        self._lost += lines

    def take(self, now_ns: int) -> tuple[LogCounts | None, tuple[Block, ...]]:
        """Give what has been counted since the last time (None: no lines), and the blocks that are complete."""
        if self._block and now_ns - self._fed_ns >= QUIET_NS:
            self._close()
        blocks, self._blocks = tuple(self._blocks), []
        if not (self._lines or self._lost):
            return None, blocks
        counts = LogCounts(self._counts, self._suppressed, self._lost, self._lines)
        self._counts, self._suppressed, self._lost, self._lines = {}, 0, 0, 0
        return counts, blocks

    def due_ns(self, now_ns: int) -> int | None:
        """Give the time until a block that is being collected is complete; None where there is none."""
        return max(0, self._fed_ns + QUIET_NS - now_ns) if self._block else None

    @property
    def idle(self) -> bool:
        """Nothing is being collected or waits to be taken."""
        return not (self._block or self._blocks or self._counts)

    def _look(self, text: str, now_ns: int) -> None:
        """A line that may open a report, end one, or tell of others."""
        signature = signature_of(text)
        if signature is None:
            signature = self._look_at_kill(text)
        if signature is None:
            return
        if signature.startswith("vmalloc error") and self._lines - self._lead_at <= LEAD_LINES and self._lead:
            self._counts[self._lead] -= 1
            if not self._counts[self._lead]:
                del self._counts[self._lead]
        self._lead, self._lead_at = (signature, self._lines) if signature.startswith(_LEADS) else ("", 0)
        self._kill_expected = signature.startswith("oom-killer")
        self._group = False
        if signature not in self._counts and len(self._counts) >= MAX_SIGNATURES:
            signature = "others"
        self._counts[signature] = self._counts.get(signature, 0) + 1
        if self._block and len(self._block) > MAX_BLOCK_LINES // 2:
            self._close()
        if self._wanted(signature, now_ns):
            self._quiet = -1
        elif self._block:
            self._quiet = 0

    def _look_at_kill(self, text: str) -> str | None:
        """A kill belongs to the report before it; one without (its report was held back) counts as one."""
        suppressed = _SUPPRESSED.search(text)
        if suppressed is not None:
            self._suppressed += int(suppressed[1])
        if _KILL.search(text) is None:
            return None
        if self._kill_expected or self._group:
            self._kill_expected = False
            return None
        return "kill in a memory cgroup" if "cgroup" in text else "kill"

    def _wanted(self, signature: str, now_ns: int) -> bool:
        """Whether a report with this signature is to be decoded; takes from the budget if so."""
        decoded = self._decoded_ns.get(signature)
        if decoded is not None and now_ns - decoded < AGAIN_NS:
            return False
        refill = (now_ns - self._refilled_ns) // DECODE_EVERY_NS
        if refill > 0:
            self._tokens = min(DECODE_BURST, self._tokens + refill)
            self._refilled_ns += refill * DECODE_EVERY_NS
        if self._tokens <= 0:
            return False
        if not self._block:
            self._tokens -= 1
        if len(self._decoded_ns) >= MAX_SIGNATURES:
            del self._decoded_ns[next(iter(self._decoded_ns))]
        self._decoded_ns[signature] = now_ns
        return True

    def _keep(self, line: RawLine) -> None:
        self._quiet = max(self._quiet, 0)
        if _TASK_ROW.match(line.text) is not None:
            self._rows += 1
            if self._rows > MAX_TASK_ROWS:
                return
        else:
            self._quiet += 1
        self._block_bytes += len(line.text)
        self._block.append(KeptLine(line.text, line.seconds_now() if line.seconds_now is not None else None))
        full = len(self._block) >= MAX_BLOCK_LINES or self._block_bytes >= MAX_BLOCK_BYTES
        if full or self._quiet > QUIET_LINES:
            self._close()

    def _close(self) -> None:
        self._blocks.append(tuple(self._block))
        self._block = []
        self._block_bytes = self._quiet = self._rows = 0

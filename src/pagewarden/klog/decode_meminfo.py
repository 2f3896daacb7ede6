"""The memory dump of a report: zones, free lists, reserves, counters.

    Node 0 DMA32 free:16820kB min:1808kB low:2260kB high:2712kB reserved_highatomic:0KB active_anon:11436kB ...
    lowmem_reserve[]: 0 0 0
    Node 0 DMA32: 508*4kB (UME) 242*8kB (UME) 730*16kB (UM) ... 0*4096kB = 16820kB

Kernel: mm/show_mem.c:show_free_areas() (mm/page_alloc.c before 6.4)
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pagewarden.klog.types import FreeBlocks, HugePages

# More than any machine has, in kB and as a count of blocks: what is beyond wrapped around or was garbled.
MAX_KB = 1 << 44
_MAX_BLOCKS = 1 << 31
_MAX_ORDERS = 24
_PAGE_KB = frozenset({4, 8, 16, 32, 64, 256})

_ZONE = re.compile(r"^(?:Node (\d{1,5}),? )?([A-Za-z]\w{1,19}) free: ?\d")
_ZONE_LOST_START = re.compile(r"^(?:Node \d{1,5}|(?:Node \d{1,5} )?(?:DMA|DMA32|Normal|HighMem|Movable|Device):?)$")
_ONLY_NODE = re.compile(r"^Node \d{1,5}$")
_PIECE = re.compile(r"^(?=.)(?:(?:\d{1,20}[*_]\d{1,12}kB|\([A-Z]{1,8}\))(?: |$)){0,40}(?:= \d{1,25}kB)?$")
_NODE = re.compile(r"^Node (\d{1,5}) (?:active_anon|active|inactive_anon|active_file):\d{1,20} ?kB")
_VALUE = re.compile(r"([a-z_]{1,32}(?:\((?:anon|file)\))?) ?: ?(\d{1,25}) ?[kK] ?B(?=[\s]|$)")
_SCANNED = re.compile(r"\bpages_scanned: ?(\d{1,25})(?=\s|$)")
_UNRECLAIMABLE = re.compile(r"all_unreclaimable\? ?(yes|no)\b")
_RESERVE = re.compile(r"^(lowmem_reserve|protections)\[\]: ?([\d -]{0,400})")
# Markdown that takes asterisks for emphasis may give them back as underscores.
_LIST = re.compile(
    r"^(?:Node (\d{1,5}),? )?([A-Za-z]\w{1,19}): {0,3}"
    r"(?=\d{1,20} ?\* ?\d{1,12} ?[kK]|\d{1,20}_\d{1,12}kB [\d(=]|empty$|<?\.\.\.)"
)
_BLOCK = re.compile(r"(\d{1,20}) ?[*_] ?(\d{1,12}) ?[kK] ?B(?: \(([A-Z]{1,8})\))?(?=\s|$)")
_TOTAL = re.compile(r"= ?(\d{1,25}) ?[kK] ?B")
_ELISION = re.compile(r"<?(?:\.\.\.|…|\[\.\.\.\]|<\.\.\.>|\[snip\]|<snip>)")
_COUNTER = re.compile(r"\b([A-Za-z_]{2,32}):(\d{1,20})(?=\s|$)")
_COUNTERS = re.compile(
    r"^(?:Active|active|inactive|active_anon|Active_anon|active_file|inactive_anon|inactive_file|isolated_anon|"
    r"isolated_file|unevictable|dirty|writeback|unstable|free|slab|slab_reclaimable|slab_unreclaimable|mapped|shmem|"
    r"pagetables|sec_pagetables|bounce|kernel_misc_reclaimable|free_pcp|free_cma|zspages):\d{1,20}(?:\s|$)"
)
_HUGE = re.compile(
    r"^(?:Node (\d{1,5}) )?hugepages_total=(\d{1,20}) hugepages_free=(\d{1,20}) hugepages_surp=(\d{1,20})"
    r" hugepages_size=(\d{1,20})kB"
)
_TOTALS = (
    ("ram_pages", re.compile(r"^(\d{1,20}) pages (?:of )?RAM$")),
    ("highmem_pages", re.compile(r"^(\d{1,20}) pages (?:of )?(?:HighMem|HIGHMEM)(?:/MovableOnly)?$")),
    ("reserved_pages", re.compile(r"^(\d{1,20}) (?:pages reserved|reserved pages)$")),
    ("cma_reserved_pages", re.compile(r"^(\d{1,20}) pages cma reserved$")),
    ("hwpoisoned_pages", re.compile(r"^(\d{1,20}) pages hwpoisoned$")),
    ("pagecache_pages", re.compile(r"^(\d{1,20}) total pagecache pages$")),
    ("swap_cache_pages", re.compile(r"^(\d{1,20}) pages (?:in swap cache|swap cached)$")),
    ("swap_free_kb", re.compile(r"^Free swap ?(?: =|:) {0,20}(\d{1,20})kB")),
    ("swap_total_kb", re.compile(r"^Total swap ?(?: =|:) {0,20}(\d{1,20})kB")),
)
_OTHER = re.compile(
    r"^(?:(?:Node \d{1,5} )?[A-Za-z]\w{1,19} per-cpu:|(?:CPU|cpu) {1,5}\d{1,5}:? {1,2}(?:Hot|hot|cold|hi):?|"
    r"Free pages: |nr_free_swap_pages|Swap cache(?: stats)?: add|\d{1,20} (?:free|slab|pages) ?|Memory allocations:)"
)


@dataclass(frozen=True, slots=True)
class ZoneLine:
    """A zone's `free:` line; see `ZoneDump`."""

    node: int | None
    zone: str
    values_kb: Mapping[str, int]
    pages_scanned: int | None
    all_unreclaimable: bool | None
    cut: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FreeList:
    """A zone's free list; see `ZoneDump`.

    :ivar page_size: bytes, from the unit of the first entry; None where the list is empty or begins elided.
    """

    node: int | None
    zone: str
    blocks: tuple[FreeBlocks, ...]
    total_kb: int | None
    page_size: int | None
    cut: bool
    notes: tuple[str, ...]


def zone_key(text: str) -> tuple[int | None, str] | None:
    """Node and name where the line is a zone's `free:` line."""
    if "free:" not in text:
        return None
    match = _ZONE.match(text)
    return (_optional(match[1]), match[2]) if match else None


def parse_zone(text: str) -> ZoneLine | None:
    """Read a zone's `free:` line, wrapped lines joined already."""
    key = zone_key(text)
    if key is None:
        return None
    values, notes = _values(text, f"zone {key[1]}")
    scanned = _SCANNED.search(text)
    unreclaimable = _UNRECLAIMABLE.search(text)
    whole = "free_cma" in values or unreclaimable is not None or ("present" in values and _ends_whole(text))
    return ZoneLine(
        node=key[0],
        zone=key[1],
        values_kb=values,
        pages_scanned=_count(scanned[1]) if scanned else None,
        all_unreclaimable=unreclaimable[1] == "yes" if unreclaimable else None,
        cut=not whole,
        notes=notes,
    )


def parse_node(text: str) -> tuple[int, Mapping[str, int], bool | None] | None:
    """Read a `Node N active_anon:...` line: node, values in kB, all_unreclaimable."""
    match = _NODE.match(text)
    if match is None:
        return None
    values, _ = _values(text, "node")
    unreclaimable = _UNRECLAIMABLE.search(text)
    return int(match[1]), values, unreclaimable[1] == "yes" if unreclaimable else None


def parse_reserve(text: str) -> tuple[str, tuple[int, ...] | None] | None:
    """Read `lowmem_reserve[]: 0 238 238 238` (pages): which of the two names, and the values; None if one is absurd."""
    match = _RESERVE.match(text)
    if match is None:
        return None
    words = match[2].split()
    if not words or not all(word.isdigit() and len(word) <= 18 for word in words) or len(words) > 16:
        return match[1], None
    return match[1], tuple(int(word) for word in words)


def list_key(text: str) -> tuple[int | None, str] | None:
    """Node and name where the line is a zone's free list."""
    match = _LIST.match(text)
    return (_optional(match[1]), match[2]) if match else None


def parse_free_list(text: str) -> FreeList | None:
    """Read a free list, wrapped lines joined already."""
    match = _LIST.match(text)
    if match is None:
        return None
    body = text[match.end() :]
    total = _TOTAL.search(body)
    listed = body[: total.start()] if total else body
    elided = _ELISION.search(listed)
    entries = _BLOCK.findall(listed[: elided.start()] if elided else listed)
    if body.startswith("empty") or not entries:
        return FreeList(_optional(match[1]), match[2], (), None, None, not body.startswith("empty"), ())
    blocks, notes = _blocks(entries, match[2])
    total_kb = _sane_kb(total[1]) if total else None
    first_kb = int(entries[0][1])
    return FreeList(
        node=_optional(match[1]),
        zone=match[2],
        blocks=blocks,
        total_kb=total_kb,
        page_size=first_kb * 1024 if first_kb in _PAGE_KB else None,
        cut=total is None or elided is not None or len(blocks) < len(entries),
        notes=notes,
    )


def _blocks(entries: list[tuple[str, str, str]], zone: str) -> tuple[tuple[FreeBlocks, ...], tuple[str, ...]]:
    """The entries as far as each is twice the size of the one before; an impossible count is None and noted."""
    blocks: list[FreeBlocks] = []
    notes: list[str] = []
    first_kb = int(entries[0][1])
    for order, (count_text, size_text, letters) in enumerate(entries[:_MAX_ORDERS]):
        if int(size_text) != first_kb << order:
            notes.append(f"the free list of zone {zone} is garbled at order {order}")
            break
        count = int(count_text)
        if count >= _MAX_BLOCKS:
            notes.append(f"impossible counts in the free list of zone {zone}")
        blocks.append(FreeBlocks(order, count if count < _MAX_BLOCKS else None, letters))
    return tuple(blocks), tuple(dict.fromkeys(notes))


def parse_counters(text: str) -> Mapping[str, int] | None:
    """Read a line of the global counters (pages)."""
    if _COUNTERS.match(text) is None:
        return None
    return {name.lower(): int(value) for name, value in _COUNTER.findall(text) if len(value) <= 18}


def is_counters(text: str) -> bool:
    """Whether the line is one of the global counters'."""
    return _COUNTERS.match(text) is not None


def parse_huge(text: str) -> HugePages | None:
    """Read a `hugepages_total=` line."""
    match = _HUGE.match(text)
    if match is None or len(match[5]) > 15:
        return None
    return HugePages(_optional(match[1]), int(match[5]), int(match[2]), int(match[3]), int(match[4]))


def parse_total(text: str) -> tuple[str, int | None] | None:
    """Read a closing line about the whole machine: the field of `Totals`, its value (None where absurd)."""
    if not text[:1].isdigit() and "wap" not in text[:10]:
        return None
    for name, pattern in _TOTALS:
        match = pattern.match(text)
        if match is not None:
            return name, _sane_kb(match[1])
    return None


def is_other_meminfo(text: str) -> bool:
    """Whether the line belongs to a memory dump though we keep nothing of it."""
    return _OTHER.match(text) is not None


def is_lost_start(text: str) -> bool:
    """Whether a zone's line was wrapped right after the zone's name."""
    return _ZONE_LOST_START.match(text) is not None


def starts_apart(before: str, text: str) -> bool:
    """Whether `before` is the start of the zone's line or list `text`, printed by the kernel as a piece of its own."""
    if _ONLY_NODE.match(before) is not None:
        return zone_key(text) is not None or list_key(text) is not None or is_lost_start(text)
    return before.endswith(":") and is_lost_start(before) and _PIECE.match(text) is not None


def add_piece(pending: str, text: str) -> str | None:
    """Join a free list with its next piece; None where `text` is not that."""
    return f"{pending} {text}" if _PIECE.match(text) and not _TOTAL.search(pending) else None


_MORE_VALUES = re.compile(
    r"^(?:[a-z_]{2,32}(?:\((?:anon|file)\))? ?: ?\d{1,20} ?[kK] ?B|pages_scanned:|all_unreclaimable(?:\?|$)|"
    r"(?:[a-z_]{0,16}\?)? ?(?:yes|no)$|\d{1,20} ?[kK] ?B(?:\s|$)|[kK]?B(?:\s|$)|"
    r"[a-z_]{0,20}(?:\((?:anon|file)\))?:\d{1,20}[kK]B)"
)
_WHOLE_END = re.compile(r"(?:[a-z_)]: ?\d{1,20}[kK]B|pages_scanned:\d{1,20}|all_unreclaimable\?|\b(?:yes|no))$")
_MORE_BLOCKS = re.compile(
    r"^(?:\d{0,20} ?[*_]? ?\d{1,12} ?[kK] ?B|\([A-Z]{1,8}\)|[A-Z]{0,7}\)|= ?\d|=$|\d{1,25}[kK]B$|[kK]?B(?:\s|$))"
)
_WHOLE_BLOCK = re.compile(r"(?:\d ?[*_] ?\d{1,12}[kK]B|\([A-Z]{1,8}\)|=)$")
_MORE_COUNTERS = re.compile(r"^\d{1,12}(?: [a-z_]{2,32}:\d{1,20}){0,12}$")
_MORE_NUMBERS = re.compile(r"^\d{1,18}(?: \d{1,18}){0,15}$")


def continue_values(pending: str, text: str) -> str | None:
    """Join a wrapped zone or node line with its next part; None where `text` is not that."""
    if _MORE_VALUES.match(text) is None:
        return None
    return f"{pending} {text}" if _WHOLE_END.search(pending) else pending + text


def continue_blocks(pending: str, text: str) -> str | None:
    """Join a wrapped free list with its next part; None where `text` is not that."""
    if _MORE_BLOCKS.match(text) is None or _TOTAL.search(pending):
        return None
    return f"{pending} {text}" if _WHOLE_BLOCK.search(pending) else pending + text


def continue_numbers(pending: str, text: str) -> str | None:
    """Join a wrapped `lowmem_reserve[]` line with its next part."""
    return f"{pending} {text}" if _MORE_NUMBERS.match(text) else None


def continue_counters(pending: str, text: str) -> str | None:
    """Join a line of counters that was cut inside a number with the rest of it."""
    return pending + text if _MORE_COUNTERS.match(text) and pending[-1:].isdigit() else None


def _ends_whole(text: str) -> bool:
    return _WHOLE_END.search(text) is not None


def _values(text: str, where: str) -> tuple[Mapping[str, int], tuple[str, ...]]:
    values: dict[str, int] = {}
    notes: list[str] = []
    for name, digits in _VALUE.findall(text):
        value = _sane_kb(digits)
        if value is None:
            notes.append(f"impossible value of {name} for {where}: {digits} kB")
        elif name not in values:
            values[name] = value
    return values, tuple(notes)


def _sane_kb(digits: str) -> int | None:
    value = int(digits)
    return value if value <= MAX_KB else None


def _count(digits: str) -> int | None:
    return int(digits) if len(digits) <= 18 else None


def _optional(digits: str | None) -> int | None:
    return int(digits) if digits else None

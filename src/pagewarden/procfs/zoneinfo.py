"""`/proc/zoneinfo`, as printed from 2.6.16 to today.

The file is a nested grammar, and two thirds of it (on large machines nearly all) is per-CPU page lists that nobody here
needs. They are stepped over without looking at their lines, which keeps a poll cheap on hundreds of CPUs.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any

from pagewarden.errors import ParseError
from pagewarden.procfs.fields import UNSIGNED_LIMIT, check_text, error_at, fast_pairs, parse_unsigned
from pagewarden.procfs.types import Node, Zone

_HEADER = re.compile(r"Node +([0-9]{1,9}), zone +(\S+)[ \t]*(?:\n|$)")
_PROTECTION = re.compile(r"protection: *\(([0-9]{1,20}(?:, *[0-9]{1,20})*)\)\s*")
_CPU = re.compile(r"\n\s+cpu: +([0-9]+)")
_TITLE = re.compile(r" {0,2}[a-z][a-z -]*")
# What people write where they leave lines out, and grep between what it found.
_LEFT_OUT = re.compile(r"\s*[\[(<]?\.{2,6}[\])>]?\s*|--")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*:?")
_STATISTICS = "  per-node stats\n"
_LISTS = "pagesets\n"
_THRESHOLD = "  vm stats threshold:"

_REQUIRED = ("free", "min", "low", "high", "spanned", "present")
_OPTIONAL = ("managed", "boost", "promo", "cma", "reserved_highatomic", "free_highatomic", "start_pfn")
# Lines of the per-CPU lists, met one by one only where a capture lost its indentation.
_PER_CPU = frozenset({"cpu:", "pcp:", "count:", "high:", "batch:", "high_min:", "high_max:", "vm"})
# Lines that may be a kernel's last: any other last line without a line end was cut.
_LAST_LINES = frozenset({"protection", "start_pfn", "inactive_ratio", "node_inactive_ratio", "free_highatomic"})


class _TroubleError(Exception):
    """What is wrong in the text of a zone, and at which offset in it."""

    def __init__(self, offset: int, expected: str) -> None:
        super().__init__(expected)
        self.offset = offset
        self.expected = expected


def parse_zoneinfo(text: str, path: str = "/proc/zoneinfo") -> tuple[Node, ...]:
    """Read the zones of all nodes.

    Counters and zone names that are not known are kept. A capture cut down by hand (no statistics, no per-CPU lists,
    fewer zones, dots in place of lines) is read for what it holds.

    :raises ParseError: not a zoneinfo, cut in the middle of a zone, a zone printed twice, or a number that is none.

    Kernel: mm/vmstat.c:zoneinfo_show(), since 2.6.13
    """
    text = check_text(text, path, "zones ('Node 0, zone DMA')")
    zones: dict[int, dict[str, Zone]] = {}
    node_counters: dict[int, Mapping[str, int]] = {}
    start = 0
    for start, end in _zone_spans(text):
        zone, statistics = _zone_at(text, start, end, path)
        of_node = zones.setdefault(zone.node, {})
        if zone.name in of_node:
            raise error_at(text, start, path, "each zone of a node once")
        of_node[zone.name] = zone
        if statistics:
            node_counters[zone.node] = statistics
    _check_not_cut(text, start, [zone for of_node in zones.values() for zone in of_node.values()], path)
    return tuple(Node(node, tuple(of_node.values()), node_counters.get(node, {})) for node, of_node in zones.items())


def count_cpus(text: str) -> int | None:
    """Count the CPUs in the first zone that lists them: the online ones, where nothing else in a capture tells."""
    start = text.find(_LISTS)
    end = text.find("\nNode ", start)
    block = text[start : end if end >= 0 else len(text)] if start >= 0 else ""
    # Kernels before 2.6.29 print two lists a CPU.
    return len(set(_CPU.findall(block))) or None


def _zone_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each zone's text. No line but a header starts with a capital N."""
    start = len(text) - len(text.lstrip())
    while start < len(text):
        at = text.find("N", start + 1)
        while at >= 0 and text[at - 1] != "\n":
            at = text.find("N", at + 1)
        end = at if at >= 0 else len(text)
        yield start, end
        start = end


def _zone_at(text: str, start: int, end: int, path: str) -> tuple[Zone, Mapping[str, int]]:
    """Read the zone at text[start:end] without its per-CPU lists, and the node's statistics if they stand there."""
    title = text.find(_LISTS, start, end)
    lists = _line_start(text, title) if title >= 0 else end
    after = _end_of_lists(text, title, end) if title >= 0 else end
    try:
        if title < 0:
            return _parse_still_zone(text[start:end])
        return _parse_zone(text[start:lists] + text[after:end], listed=True)
    except _TroubleError as trouble:
        offset = trouble.offset + start
        offset = min(offset - lists + after, end - 1) if offset >= lists else offset
        raise error_at(text, offset, path, trouble.expected) from None


def _end_of_lists(text: str, lists: int, end: int) -> int:
    """Find the end of the per-CPU lists: of their last indented line."""
    last = max(text.rfind("\n   ", lists, end), lists)
    line_end = text.find("\n", last + 1, end)
    if text.startswith(_THRESHOLD, line_end + 1, end):
        line_end = text.find("\n", line_end + 1, end)
    return line_end + 1 if line_end >= 0 else end


def _parse_zone(block: str, *, listed: bool) -> tuple[Zone, Mapping[str, int]]:
    """Read the text of one zone.

    :param listed: per-CPU lists stood in it, so it cannot end before `start_pfn`.
    """
    header = _HEADER.match(block)
    if header is None:
        raise _TroubleError(0, "'Node N, zone NAME'")
    body = header.end()
    pages = block.find("pages free", body)
    if pages < 0:
        raise _TroubleError(0, "'pages free' in this zone (the file is cut)")
    statistics = _read_statistics(block, body, _line_start(block, pages))
    pages += len("pages ")
    protection: tuple[int, ...] | None = None
    guard = block.find("protection:", pages)
    if guard < 0:
        names, values = _read_sections(block, ((pages, len(block)),))
    else:
        after = block.find("\n", guard) + 1 or len(block)
        protection = _parse_protection(block[guard:after])
        if protection is None:
            raise _TroubleError(guard, "'protection: (a, b, ...)', each below 2^64")
        names, values = _read_sections(block, ((pages, _line_start(block, guard)), (after, len(block))))
    if listed and "start_pfn" not in names:
        raise _TroubleError(len(block), "'start_pfn' after the per-CPU lists (the file is cut)")
    return _build_zone(int(header[1]), header[2], names, values, protection), statistics


@lru_cache(maxsize=512)
def _parse_still_zone(block: str) -> tuple[Zone, Mapping[str, int]]:
    """Read a zone without per-CPU lists. Those of a live kernel are empty: at every poll the same text."""
    return _parse_zone(block, listed=False)


def _line_start(block: str, offset: int) -> int:
    """Find where the line that holds `offset` starts."""
    return block.rfind("\n", 0, offset) + 1


def _read_statistics(block: str, start: int, end: int) -> Mapping[str, int]:
    """Read the node's statistics; they stand in its first populated zone."""
    if block.startswith(_STATISTICS, start):
        start += len(_STATISTICS)
    return dict(zip(*_read_sections(block, ((start, end),)), strict=True)) if start < end else {}


def _read_sections(block: str, sections: tuple[tuple[int, int], ...]) -> tuple[tuple[str, ...], list[int]]:
    """Read the `name value` lines of these parts of a zone's text: names and values."""
    joined = "".join([block[start:end] for start, end in sections])
    pairs = fast_pairs(joined.replace(":", ""))
    return pairs if pairs is not None else _read_lines(block, sections)


def _read_lines(block: str, sections: tuple[tuple[int, int], ...]) -> tuple[tuple[str, ...], list[int]]:
    """Read the lines one by one: the rare shapes, and the errors."""
    pairs: dict[str, int] = {}
    for start, end in sections:
        offset = start
        for line in block[start:end].split("\n"):
            pair = _read_line(line, offset, cut=offset + len(line) >= len(block))
            if pair is not None:
                if pair[0] in pairs:
                    raise _TroubleError(offset, f"'{pair[0]}' once in a zone")
                pairs[pair[0]] = pair[1]
            offset += len(line) + 1
    return tuple(pairs), list(pairs.values())


def _read_line(line: str, offset: int, *, cut: bool) -> tuple[str, int] | None:
    """Read one line; None for a line without a counter of the zone.

    :param cut: the line has no line end.
    """
    tokens = line.split(None, 2)
    if not tokens or tokens[0] in _PER_CPU or _LEFT_OUT.fullmatch(line) is not None:
        return None
    if not cut and (_TITLE.fullmatch(line) or (len(tokens) == 1 and tokens[0].isdigit())):
        return None  # a section's title, or a counter whose name is empty: 4.18 to 5.x had one
    if len(tokens) < 2 or _NAME.fullmatch(tokens[0]) is None or (len(tokens) == 3 and not tokens[2].startswith("(")):
        raise _TroubleError(offset, "'name value' (pages or events)")
    try:
        return tokens[0].removesuffix(":"), parse_unsigned(tokens[1], "", 0, line)
    except ParseError:
        raise _TroubleError(offset, f"a value of '{tokens[0]}' below 2^64") from None


@lru_cache(maxsize=512)
def _parse_protection(line: str) -> tuple[int, ...] | None:
    """Read `protection: (0, 3019, 4043)`; it changes seldom, so the answer is kept."""
    listed = _PROTECTION.fullmatch(line)
    values = tuple(map(int, listed[1].split(","))) if listed is not None else (UNSIGNED_LIMIT,)
    return values if max(values) < UNSIGNED_LIMIT else None


def _build_zone(
    node: int, name: str, names: tuple[str, ...], values: list[int], protection: tuple[int, ...] | None
) -> Zone:
    """Sort the lines of a zone into the fields everybody uses and the other counters."""
    fields, others = _places(names)
    free, min_mark, low, high, spanned, present, managed, boost, promo, cma, reserved, unreserved, start_pfn = fields(
        [*values, None]
    )
    return Zone(
        node,
        name,
        free,
        min_mark,
        low,
        high,
        spanned,
        present,
        managed,
        boost,
        promo,
        cma,
        reserved,
        unreserved,
        protection,
        start_pfn,
        {key: values[at] for key, at in others},
    )


@lru_cache(maxsize=64)
def _places(
    names: tuple[str, ...],
) -> tuple[Callable[[list[int | None]], tuple[Any, ...]], tuple[tuple[str, int], ...]]:
    """Find where in these lines the fields stand (-1: not printed), and the counters that are none of them."""
    for required in _REQUIRED:
        if required not in names:
            raise _TroubleError(0, f"'{required}' in this zone (the file is cut)")
    fields = (*_REQUIRED, *_OPTIONAL)
    places = [names.index(field) if field in names else -1 for field in fields]
    return itemgetter(*places), tuple((name, at) for at, name in enumerate(names) if name not in fields)


def _check_not_cut(text: str, start: int, zones: list[Zone], path: str) -> None:
    """Refuse a file that ends before its last zone does, as far as the file itself tells.

    The last zone must have the lines that the zones before it have, and a last line without a line end must be one that
    can be a kernel's last: a number there may have lost digits.

    :param start: of the last zone's text.
    """
    last, others = zones[-1], zones[:-1]
    alike = [zone for zone in others if zone.populated == last.populated]
    for what, among in (
        ("managed_pages", others),
        ("boost_pages", others),
        ("promo_pages", others),
        ("cma_pages", others),
        ("protection_pages", alike),
        ("start_pfn", alike),
        ("free_highatomic_pages", alike),
    ):
        if getattr(last, what) is None and any(getattr(zone, what) is not None for zone in among):
            raise error_at(text, start, path, f"'{what.removesuffix('_pages')}' in this zone as in the others")
    words = text[text.rfind("\n") + 1 :].split()
    if words and words[0].removesuffix(":") not in _LAST_LINES and words[-1] != "0":
        raise error_at(text, len(text) - 1, path, "a line end after the last number (the file is cut)")

"""`/proc/zoneinfo`, as printed from 2.6.16 to today.

The file is a nested grammar, and two thirds of it (on large machines nearly all) is per-CPU page lists that nobody here
needs. They are stepped over without looking at their lines, which keeps a poll cheap on hundreds of CPUs.
"""

import re
from collections.abc import Iterator, Mapping

from pagewarden.procfs.fields import UNSIGNED_LIMIT, check_text, error_at, fast_pairs, parse_unsigned
from pagewarden.procfs.types import Node, Zone

_HEADER = re.compile(r"Node +([0-9]{1,9}), zone +(\S+)[ \t]*(?:\n|$)")
_PROTECTION = re.compile(r"\(([0-9]{1,20}(?:, *[0-9]{1,20})*)\)")
_TITLE = re.compile(r"[a-z][a-z -]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*:?")
_STATISTICS = "  per-node stats\n"
_THRESHOLD = "  vm stats threshold:"
_LINE_OF_A_ZONE = "'name value' (pages or events)"

_REQUIRED = ("free", "min", "low", "high", "spanned", "present")
# Lines of the per-CPU lists, met one by one only where a capture lost its indentation.
_PER_CPU = frozenset({"cpu", "pcp", "count", "high", "batch", "high_min", "high_max", "vm"})
# Lines that may be a kernel's last: any other last line without a line end was cut.
_LAST_LINES = frozenset({"protection", "start_pfn", "inactive_ratio", "node_inactive_ratio", "free_highatomic"})


def parse_zoneinfo(text: str, path: str = "/proc/zoneinfo") -> tuple[Node, ...]:
    """Read the zones of all nodes.

    Counters and zone names that are not known are kept. A capture cut down by hand (no statistics, no per-CPU lists,
    fewer zones) is read for what it holds.

    :raises ParseError: not a zoneinfo, cut in the middle of a zone, a zone printed twice, or a number that is none.

    Kernel: mm/vmstat.c:zoneinfo_show(), since 2.6.13
    """
    text = check_text(text, path, "zones ('Node 0, zone DMA')")
    zones: dict[tuple[int, str], Zone] = {}
    node_counters: dict[int, Mapping[str, int]] = {}
    starts: list[int] = []
    for start, end in _zone_spans(text, path):
        zone, statistics = _parse_zone(text, start, end, path)
        if (zone.node, zone.name) in zones:
            raise error_at(text, start, path, "each zone of a node once")
        zones[zone.node, zone.name] = zone
        if statistics:
            node_counters[zone.node] = {**node_counters.get(zone.node, {}), **statistics}
        starts.append(start)
    _check_not_cut(text, starts[-1], tuple(zones.values()), path)
    by_node: dict[int, list[Zone]] = {}
    for zone in zones.values():
        by_node.setdefault(zone.node, []).append(zone)
    return tuple(Node(node, tuple(of_node), node_counters.get(node, {})) for node, of_node in by_node.items())


def count_cpus(text: str) -> int | None:
    """Count the CPUs in the first zone that lists them: the online ones, where nothing else in a capture tells.

    Kernels before 2.6.29 print two lists a CPU.
    """
    start = text.find("pagesets")
    if start < 0:
        return None
    end = text.find("\nNode ", start)
    block = text[start : end if end >= 0 else len(text)]
    return len(set(re.findall(r"\n\s+cpu: +([0-9]+)", block))) or None


def _zone_spans(text: str, path: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each zone's text. No line but a header starts with a capital N."""
    start = len(text) - len(text.lstrip())
    while start < len(text):
        at = text.find("N", start + 1)
        while at >= 0 and text[at - 1] != "\n":
            at = text.find("N", at + 1)
        end = at if at >= 0 else len(text)
        yield start, end
        start = end


def _parse_zone(text: str, start: int, end: int, path: str) -> tuple[Zone, Mapping[str, int]]:
    """Read the zone at text[start:end], and the node's statistics if they are printed there."""
    header = _HEADER.match(text, start, end)
    if header is None:
        raise error_at(text, start, path, "'Node N, zone NAME'")
    body = header.end()
    lists = text.find("pagesets\n", body, end)
    top_end = lists if lists >= 0 else end
    pages = text.find("pages free", body, top_end)
    if pages < 0:
        raise error_at(text, start, path, "'pages free' in this zone")
    if text.startswith(_STATISTICS, body):
        body += len(_STATISTICS)
    statistics = _read_sections(text, [(body, _line_start(text, pages))], path)
    pages += len("pages ")
    protection: tuple[int, ...] | None = None
    sections = [(pages, top_end)]
    guard = text.find("protection:", pages, top_end)
    if guard >= 0:
        after = text.find("\n", guard, top_end) + 1 or top_end
        protection = _parse_protection(text, guard, after, path)
        sections = [(pages, _line_start(text, guard)), (after, top_end)]
    if lists >= 0:
        sections.append((_end_of_lists(text, lists, end), end))
    fields = _read_sections(text, sections, path)
    if lists >= 0 and "start_pfn" not in fields:
        raise error_at(text, end - 1, path, "'start_pfn' after the per-CPU lists (the file is cut)")
    return _build_zone(int(header[1]), header[2], fields, protection, text, start, path), statistics


def _line_start(text: str, offset: int) -> int:
    """Find where the line that holds `offset` starts."""
    return text.rfind("\n", 0, offset) + 1


def _end_of_lists(text: str, pagesets: int, end: int) -> int:
    """Find the end of the per-CPU lists: of their last indented line."""
    last = text.rfind("\n   ", pagesets, end)
    if last < 0:
        last = pagesets
    line_end = text.find("\n", last + 1, end)
    if text.startswith(_THRESHOLD, line_end + 1, end):
        line_end = text.find("\n", line_end + 1, end)
    return line_end + 1 if line_end >= 0 else end


def _read_sections(text: str, sections: list[tuple[int, int]], path: str) -> dict[str, int]:
    """Read the `name value` lines of these parts of a zone."""
    pairs = fast_pairs("".join([text[start:end] for start, end in sections]).replace(":", ""))
    return pairs if pairs is not None else _read_lines(text, sections, path)


def _read_lines(text: str, sections: list[tuple[int, int]], path: str) -> dict[str, int]:
    """Read the lines one by one: the rare shapes, and the errors."""
    pairs: dict[str, int] = {}
    for start, end in sections:
        offset = start
        for raw in text[start:end].split("\n"):
            pair = _read_line(raw, text, offset, path)
            if pair is not None:
                if pair[0] in pairs:
                    raise error_at(text, offset, path, f"'{pair[0]}' once in a zone")
                pairs[pair[0]] = pair[1]
            offset += len(raw) + 1
    return pairs


def _read_line(raw: str, text: str, offset: int, path: str) -> tuple[str, int] | None:
    """Read one line; None for a line without a counter of a zone."""
    tokens = raw.split(None, 2)
    if not tokens:
        return None
    cut = offset + len(raw) >= len(text)
    if len(tokens) == 1 and tokens[0].isdigit() and not cut:
        return None  # a counter whose name is empty: 4.18 to 5.x had one
    if tokens[0].rstrip(":") in _PER_CPU and (tokens[0].endswith(":") or tokens[0] == "vm"):
        return None
    if _TITLE.fullmatch(raw.strip()) and raw.startswith("  ") and not raw.startswith("   ") and not cut:
        return None
    if len(tokens) < 2 or _NAME.fullmatch(tokens[0]) is None or (len(tokens) == 3 and not tokens[2].startswith("(")):
        raise error_at(text, offset, path, _LINE_OF_A_ZONE)
    number = text.count("\n", 0, offset) + 1
    return tokens[0].removesuffix(":"), parse_unsigned(tokens[1], path, number, raw, f"a value of '{tokens[0]}'")


def _parse_protection(text: str, start: int, end: int, path: str) -> tuple[int, ...]:
    """Read `protection: (0, 3019, 4043)`."""
    listed = _PROTECTION.fullmatch(text[start:end].partition(":")[2].strip())
    if listed is None:
        raise error_at(text, start, path, "'protection: (a, b, ...)'")
    values = tuple(map(int, listed[1].split(",")))
    if max(values) >= UNSIGNED_LIMIT:
        raise error_at(text, start, path, "protections below 2^64")
    return values


def _build_zone(
    node: int, name: str, fields: dict[str, int], protection: tuple[int, ...] | None, text: str, start: int, path: str
) -> Zone:
    """Sort the lines of a zone into the fields everybody uses and the other counters."""
    for required in _REQUIRED:
        if required not in fields:
            raise error_at(text, start, path, f"'{required}' in this zone (the file is cut)")
    take = fields.pop
    return Zone(
        node,
        name,
        take("free"),
        take("min"),
        take("low"),
        take("high"),
        take("spanned"),
        take("present"),
        take("managed", None),
        take("boost", None),
        take("promo", None),
        take("cma", None),
        take("reserved_highatomic", None),
        take("free_highatomic", None),
        protection,
        take("start_pfn", None),
        fields,
    )


def _check_not_cut(text: str, start: int, zones: tuple[Zone, ...], path: str) -> None:
    """Refuse a file that ends before its last zone does, as far as the file itself tells.

    The last zone must have the lines that the zones before it have, and a last line without a line end must be one that
    can be a kernel's last: a number there may have lost digits.
    """
    last, others = zones[-1], zones[:-1]
    for what in ("managed_pages", "boost_pages", "promo_pages", "cma_pages"):
        if getattr(last, what) is None and any(getattr(zone, what) is not None for zone in others):
            raise error_at(text, start, path, f"'{what.removesuffix('_pages')}' in this zone as in the others")
    alike = [zone for zone in others if zone.populated == last.populated]
    for what in ("protection_pages", "start_pfn"):
        if getattr(last, what) is None and any(getattr(zone, what) is not None for zone in alike):
            raise error_at(text, start, path, f"'{what.removesuffix('_pages')}' in this zone as in the others")
    if not text.endswith("\n"):
        words = text[text.rfind("\n") + 1 :].split()
        if words[0].removesuffix(":") not in _LAST_LINES and words[-1] != "0":
            raise error_at(text, len(text) - 1, path, "a line end after the last number (the file is cut)")

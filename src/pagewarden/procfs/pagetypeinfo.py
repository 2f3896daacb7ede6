"""`/proc/pagetypeinfo`: free blocks and page blocks by migrate type (2.6.24 and later; root only since 5.4)."""

import re
from collections.abc import Iterable

from pagewarden.errors import ParseError
from pagewarden.procfs.fields import check_text, numbered_lines, parse_unsigned
from pagewarden.procfs.types import PageTypeInfo

_ORDER = re.compile(r"Page block order: *([0-9]{1,3})")
_PAGES = re.compile(r"Pages per block: *([0-9]{1,10})")
_FREE_TITLE = re.compile(r"Free pages count per migrate type at order((?: +[0-9]{1,3})+)")
_FREE_ROW = re.compile(r"Node +([0-9]{1,9}), zone +(\S+), type +(\S+)((?: +>?[0-9]{1,20})*)")
_TABLE_TITLE = re.compile(r"Number of (blocks|mixed blocks) +(?:type +)?([A-Za-z][A-Za-z ]*)")
_TABLE_ROW = re.compile(r"Node +([0-9]{1,9}), zone +(\S+)((?: +[0-9]{1,20})+)")

_Lines = list[tuple[int, str]]


def parse_pagetypeinfo(text: str, path: str = "/proc/pagetypeinfo") -> PageTypeInfo:
    """Read the free blocks by type and order, and how many page blocks each type owns.

    A count cut off by the kernel (`>100000`, since 5.4) is kept as its lower bound and named in `truncated`. The
    table of mixed blocks (page_owner) is not kept.

    :raises ParseError: not a pagetypeinfo, or a row that does not fit its table.

    Kernel: mm/vmstat.c:pagetypeinfo_show(), since 2.6.24
    """
    text = check_text(text, path, "'Page block order: N'")
    lines = [(number, line.strip()) for number, line in numbered_lines(text)]
    order, pages = (_heading(lines, at, pattern, path) for at, pattern in enumerate((_ORDER, _PAGES)))
    orders = _count_orders(lines, path)
    tables = next((at for at, (_, line) in enumerate(lines) if line.startswith("Number of ")), len(lines))
    free, truncated = _free_rows(lines[3:tables], orders, path)
    return PageTypeInfo(order, pages, free, truncated, _block_tables(lines[tables:], path))


def _heading(lines: _Lines, at: int, pattern: re.Pattern[str], path: str) -> int:
    """Read one of the two lines at the top."""
    number, line = lines[at] if at < len(lines) else (lines[-1][0], "")
    match = pattern.fullmatch(line)
    if match is None:
        raise ParseError(path, number, line, f"'{pattern.pattern.partition(':')[0]}: N'")
    return int(match[1])


def _count_orders(lines: _Lines, path: str) -> int:
    """Count the columns named in the title of the first table."""
    number, line = lines[2] if len(lines) > 2 else (lines[-1][0], "")
    match = _FREE_TITLE.fullmatch(line)
    if match is None:
        raise ParseError(path, number, line, "'Free pages count per migrate type at order 0 1 2 ...'")
    return len(match[1].split())


def _free_rows(
    lines: _Lines, orders: int, path: str
) -> tuple[dict[tuple[int, str, str], tuple[int, ...]], frozenset[tuple[int, str, str, int]]]:
    """Read `Node 0, zone DMA, type Unmovable 1 0 ...` rows."""
    free: dict[tuple[int, str, str], tuple[int, ...]] = {}
    truncated: set[tuple[int, str, str, int]] = set()
    for number, line in lines:
        row = _FREE_ROW.fullmatch(line)
        counts = row[4].split() if row else []
        if row is None or len(counts) != orders:
            raise ParseError(path, number, line, f"'Node N, zone NAME, type TYPE' and {orders} counts")
        key = int(row[1]), row[2], row[3]
        if key in free:
            raise ParseError(path, number, line, "each type of a zone once")
        truncated.update((*key, order) for order, count in enumerate(counts) if count.startswith(">"))
        free[key] = tuple(parse_unsigned(count.lstrip(">"), path, number, line) for count in counts)
    return free, frozenset(truncated)


def _block_tables(lines: Iterable[tuple[int, str]], path: str) -> dict[tuple[int, str], dict[str, int]]:
    """Read the table of page blocks by type; the one of mixed blocks is stepped over."""
    blocks: dict[tuple[int, str], dict[str, int]] = {}
    types: list[str] = []
    wanted = False
    for number, line in lines:
        title = _TABLE_TITLE.fullmatch(line)
        if title is not None:
            wanted, types = title[1] == "blocks", title[2].split()
            continue
        row = _TABLE_ROW.fullmatch(line)
        if row is None or len(row[3].split()) != len(types):
            raise ParseError(path, number, line, f"'Node N, zone NAME' and {len(types)} counts")
        if wanted:
            counts = [parse_unsigned(token, path, number, line) for token in row[3].split()]
            blocks[int(row[1]), row[2]] = dict(zip(types, counts, strict=True))
    return blocks

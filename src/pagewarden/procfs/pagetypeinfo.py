"""`/proc/pagetypeinfo`: free blocks and page blocks by migrate type (2.6.24 and later; root only since 5.4)."""

import re

from pagewarden.errors import ParseError
from pagewarden.procfs.fields import check_text, numbered_lines, parse_unsigned
from pagewarden.procfs.types import PageTypeInfo

_HEADING = re.compile(r"(Page block order|Pages per block): *([0-9]{1,10})")
_FREE_TITLE = re.compile(r"Free pages count per migrate type at order((?: +[0-9]{1,3})+)")
_FREE_ROW = re.compile(r"Node +([0-9]{1,9}), zone +(\S+), type +(\S+)((?: +>?[0-9]{1,20})*)")
# 2.6.24 had no name for its last type and printed it as <NULL>.
_TABLE_TITLE = re.compile(r"Number of (blocks|mixed blocks) +(?:type +)?([A-Za-z][A-Za-z<> ]*)")
_TABLE_ROW = re.compile(r"Node +([0-9]{1,9}), zone +(\S+)((?: +[0-9]{1,20})+)")

_EXPECTED_FREE = "'Node N, zone NAME, type TYPE' and {} counts"
_EXPECTED_ROW = "'Node N, zone NAME' and {} counts"


def parse_pagetypeinfo(text: str, path: str = "/proc/pagetypeinfo") -> PageTypeInfo:
    """Read the free blocks by type and order, and how many page blocks each type owns.

    A count cut off by the kernel (`>100000`, since 5.4) is kept as its lower bound and named in `truncated`. The
    table of mixed blocks (page_owner) is not kept. With several nodes the whole file repeats for each.

    :raises ParseError: not a pagetypeinfo, or a row that does not fit its table.

    Kernel: mm/vmstat.c:pagetypeinfo_show(), since 2.6.24
    """
    reader = _Reader(path)
    for number, line in numbered_lines(check_text(text, path, "'Page block order: N'")):
        reader.take(number, line.strip())
    return reader.finish()


class _Reader:
    """What was read so far, and which table the next line belongs to."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.headings: dict[str, int] = {}
        self.free: dict[tuple[int, str, str], tuple[int, ...]] = {}
        self.truncated: set[tuple[int, str, str, int]] = set()
        self.blocks: dict[tuple[int, str], dict[str, int]] = {}
        self.table: str | None = None
        self.types: list[str] = []
        self.orders = 0

    def take(self, number: int, line: str) -> None:
        """Read one line."""
        heading, title = _HEADING.fullmatch(line), _TABLE_TITLE.fullmatch(line)
        free_title = _FREE_TITLE.fullmatch(line)
        if heading is not None:
            value = int(heading[2])
            if self.headings.setdefault(heading[1], value) != value:
                raise ParseError(self.path, number, line, f"the same '{heading[1]}' for every node")
        elif free_title is not None:
            self.table, self.orders = "free", len(free_title[1].split())
        elif title is not None:
            self.table, self.types = title[1], title[2].split()
        elif self.table == "free":
            self._take_free(number, line)
        elif self.table is not None:
            self._take_blocks(number, line)
        else:
            raise ParseError(self.path, number, line, "'Page block order: N'")

    def _take_free(self, number: int, line: str) -> None:
        """Read `Node 0, zone DMA, type Unmovable 1 0 ...`."""
        row = _FREE_ROW.fullmatch(line)
        counts = row[4].split() if row else []
        if row is None or len(counts) != self.orders:
            raise ParseError(self.path, number, line, _EXPECTED_FREE.format(self.orders))
        key = int(row[1]), row[2], row[3]
        if key in self.free:
            raise ParseError(self.path, number, line, "each type of a zone once")
        self.truncated.update((*key, order) for order, count in enumerate(counts) if count.startswith(">"))
        self.free[key] = tuple(parse_unsigned(count.lstrip(">"), self.path, number, line) for count in counts)

    def _take_blocks(self, number: int, line: str) -> None:
        """Read `Node 0, zone DMA 1 7 0 ...`; rows of the table of mixed blocks are checked and dropped."""
        row = _TABLE_ROW.fullmatch(line)
        counts = row[3].split() if row else []
        if row is None or len(counts) != len(self.types):
            raise ParseError(self.path, number, line, _EXPECTED_ROW.format(len(self.types)))
        values = [parse_unsigned(token, self.path, number, line) for token in counts]
        if self.table == "blocks":
            self.blocks[int(row[1]), row[2]] = dict(zip(self.types, values, strict=True))

    def finish(self) -> PageTypeInfo:
        """Give the whole."""
        for name in ("Page block order", "Pages per block"):
            if name not in self.headings:
                raise ParseError(self.path, 0, "", f"'{name}: N'")
        if not self.free:
            raise ParseError(self.path, 0, "", "rows of free pages by migrate type (the file is cut)")
        order, pages = self.headings["Page block order"], self.headings["Pages per block"]
        return PageTypeInfo(order, pages, self.free, frozenset(self.truncated), self.blocks)

"""`/proc/buddyinfo`: free blocks by order."""

import re
from collections.abc import Mapping

from pagewarden.errors import ParseError
from pagewarden.procfs.fields import check_text, numbered_lines, parse_unsigned

_ROW = re.compile(r"\s*Node\s+([0-9]{1,9}), zone\s+(\S+)((?:\s+[0-9]{1,20})+)")
_EXPECTED = "'Node N, zone NAME' and free blocks by order"


def parse_buddyinfo(text: str, path: str = "/proc/buddyinfo") -> Mapping[tuple[int, str], tuple[int, ...]]:
    """Read (node, zone) -> number of free blocks of order 0, 1, 2, ...

    The number of orders is the kernel's own (11 by default, 9 to 14 and more are configured).

    :raises ParseError: not a buddyinfo, rows of different length, or a zone printed twice.

    Kernel: mm/vmstat.c:frag_show(), all
    """
    blocks: dict[tuple[int, str], tuple[int, ...]] = {}
    orders = 0
    for number, line in numbered_lines(check_text(text, path, _EXPECTED)):
        row = _ROW.fullmatch(line)
        if row is None:
            raise ParseError(path, number, line, _EXPECTED)
        key = int(row[1]), row[2]
        counts = tuple(parse_unsigned(token, path, number, line) for token in row[3].split())
        if key in blocks:
            raise ParseError(path, number, line, "each zone of a node once")
        if orders and len(counts) != orders:
            raise ParseError(path, number, line, f"{orders} orders as in the rows before")
        orders, blocks[key] = len(counts), counts
    return blocks

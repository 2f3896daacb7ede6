"""Nodes and CPUs under `/sys/devices/system/`: lists such as `0-3,8` and rows of the distance table."""

import re

from pagewarden.errors import ParseError

# More than any kernel is built for (8192 CPUs, 1024 nodes); keeps "0-4294967295" from filling memory.
_MOST_IDS = 1 << 16
_LIST = re.compile(r"[0-9]{1,9}(?:-[0-9]{1,9})?(?:,[0-9]{1,9}(?:-[0-9]{1,9})?)*")
_ROW = re.compile(r"[0-9]{1,9}(?: +[0-9]{1,9})*")


def parse_id_list(text: str, path: str) -> tuple[int, ...]:
    """Read a list of CPUs or nodes, `0-3,8`; an empty line is an empty list (a node without CPUs).

    :raises ParseError: not such a list, or one that runs backwards.

    Kernel: lib/bitmap.c, format `%*pbl`
    """
    listed = text.strip()
    if not listed:
        return ()
    if _LIST.fullmatch(listed) is None:
        raise ParseError(path, 1, listed, "a list like '0-3,8'")
    ids: list[int] = []
    for part in listed.split(","):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if high < low or high >= _MOST_IDS or (ids and low <= ids[-1]):
            raise ParseError(path, 1, listed, f"a rising list of numbers below {_MOST_IDS}")
        ids.extend(range(low, high + 1))
    return tuple(ids)


def parse_distances(text: str, path: str) -> tuple[int, ...]:
    """Read a row of the distance table, `10 20`: to each online node in order.

    :raises ParseError: not a row of numbers.

    Kernel: drivers/base/node.c:node_read_distance()
    """
    row = text.strip()
    if _ROW.fullmatch(row) is None:
        raise ParseError(path, 1, row, "distances like '10 20'")
    return tuple(int(token) for token in row.split())

"""`/proc/swaps`: where swap lies."""

import re
from collections.abc import Mapping

from pagewarden.errors import ParseError
from pagewarden.procfs.fields import check_text, numbered_lines, parse_unsigned

_ROW = re.compile(r"(\S.*?)\s+(partition|file)\s+([0-9]{1,20})\s+([0-9]{1,20})\s+-?[0-9]{1,6}")
_EXPECTED = "'NAME partition SIZE USED PRIORITY'"


def parse_swaps(text: str, path: str = "/proc/swaps") -> Mapping[str, int]:
    """Read device or file -> size in kB; empty where nothing is swapped to.

    :raises ParseError: no heading, or a line that is no row of the table.

    Kernel: mm/swapfile.c:swap_show(), all
    """
    sizes: dict[str, int] = {}
    text = text.encode("ascii", "backslashreplace").decode()  # the kernel escapes blanks in names, no other letters
    lines = list(numbered_lines(check_text(text, path, "'Filename Type Size Used Priority'")))
    if not lines[0][1].startswith("Filename"):
        raise ParseError(path, lines[0][0], lines[0][1], "'Filename Type Size Used Priority'")
    for number, line in lines[1:]:
        row = _ROW.fullmatch(line)
        if row is None:
            raise ParseError(path, number, line, _EXPECTED)
        sizes[row[1]] = parse_unsigned(row[3], path, number, line)
    return sizes

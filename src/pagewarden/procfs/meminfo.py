"""`/proc/meminfo`."""

import re
from collections.abc import Mapping

from pagewarden.errors import ParseError
from pagewarden.procfs.fields import check_text, numbered_lines, parse_unsigned

_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9_()]*):\s*([0-9]+)( kB)?")
_EXPECTED = "'Name: value kB'"


def parse_meminfo(text: str, path: str = "/proc/meminfo") -> Mapping[str, int]:
    """Read field -> kB (fields without a unit, such as HugePages_Total: their plain number). Unknown fields are kept.

    :raises ParseError: a line that is not `Name: value kB`, or a field printed twice.

    Kernel: fs/proc/meminfo.c:meminfo_proc_show(), since 2.6.0
    """
    fields: dict[str, int] = {}
    for number, line in numbered_lines(check_text(text, path, _EXPECTED)):
        field = _FIELD.fullmatch(line)
        if field is None:
            raise ParseError(path, number, line, _EXPECTED)
        if field[1] in fields:
            raise ParseError(path, number, line, f"'{field[1]}' once")
        fields[field[1]] = parse_unsigned(field[2], path, number, line)
    return fields

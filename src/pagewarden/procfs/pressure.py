"""`/proc/pressure/memory`: pressure stall information (4.20 and later, where it is switched on)."""

import re

from pagewarden.errors import ParseError
from pagewarden.procfs.fields import check_text, numbered_lines, parse_unsigned
from pagewarden.procfs.types import Pressure, PressureLine

_AVERAGE = r"([0-9]{1,3}\.[0-9]{2})"
_LINE = re.compile(rf"(some|full) avg10={_AVERAGE} avg60={_AVERAGE} avg300={_AVERAGE} total=([0-9]{{1,20}})")
_EXPECTED = "'some avg10=0.00 avg60=0.00 avg300=0.00 total=0'"


def parse_pressure(text: str, path: str = "/proc/pressure/memory") -> Pressure:
    """Read the `some` line and, where there is one, the `full` line.

    :raises ParseError: another line, or no `some` line.

    Kernel: kernel/sched/psi.c:psi_show(), since 4.20
    """
    lines: dict[str, PressureLine] = {}
    for number, line in numbered_lines(check_text(text, path, _EXPECTED)):
        match = _LINE.fullmatch(line)
        if match is None or match[1] in lines:
            raise ParseError(path, number, line, _EXPECTED)
        total_us = parse_unsigned(match[5], path, number, line)
        lines[match[1]] = PressureLine(float(match[2]), float(match[3]), float(match[4]), total_us)
    if "some" not in lines:
        raise ParseError(path, 0, text, _EXPECTED)
    return Pressure(lines["some"], lines.get("full"))

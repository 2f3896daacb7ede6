"""What a poll needs of zoneinfo, vmstat and pressure, without reading the rest of them. Pure.

These files are most of what a poll costs. Here the lines that the service judges are picked out of the shapes that
kernels print; whatever does not have such a shape is left to the parsers of `procfs`, which also say what is wrong.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from pagewarden.daemon.counters import followed, followed_names
from pagewarden.procfs.vmstat import parse_vmstat

_ZONE = re.compile(
    r"^Node (\d{1,9}), zone +(\S+)\n"
    r"(?:  per-node stats\n(?: +(?:\w+ +)?\d+\n)+)?"
    r"  pages free +(\d{1,19})\n"
    r"(?: +boost +(\d{1,19})\n)?"
    r" +min +(\d{1,19})\n"
    r" +low +(\d{1,19})\n"
    r" +high +(\d{1,19})\n"
    r"(?: +(?:promo|scanned|node_scanned) +\d+\n)?"
    r" +spanned +\d+\n"
    r" +present +(\d{1,19})\n"
    r"(?: +managed +(\d{1,19})\n)?"
    r"(?: +(?:\w+ +)?\d+\n)*"
    r" +protection: (\([\d, ]+\))\n",
    re.MULTILINE,
)


_TOTALS = re.compile(
    r"some avg10=[\d.]+ avg60=[\d.]+ avg300=[\d.]+ total=(\d{1,19})\n"
    r"(?:full avg10=[\d.]+ avg60=[\d.]+ avg300=[\d.]+ total=(\d{1,19})\n)?"
)


class QuickZone(NamedTuple):
    """One zone, populated or not; quantities in pages. `protection` is the text of its line."""

    node: int
    name: str
    free_pages: int
    boost_pages: int
    min_pages: int
    low_pages: int
    high_pages: int
    present_pages: int
    managed_pages: int | None
    protection: str


def quick_zones(text: str) -> list[QuickZone] | None:
    """Read every zone; None where any part of the text has another shape than kernels since 3.10 print."""
    found = _ZONE.findall(text)
    if not text.startswith("Node ") or not text.endswith("\n") or len(found) != text.count("\nNode ") + 1:
        return None
    return [
        QuickZone(
            int(node),
            name,
            int(free),
            int(boost or 0),
            int(low_min),
            int(low),
            int(high),
            int(present),
            int(managed) if managed else None,
            protection,
        )
        for node, name, free, boost, low_min, low, high, present, managed, protection in found
    ]


def quick_pressure(text: str) -> tuple[int, int | None] | None:
    """Read the totals of /proc/pressure/memory, in us: of some, and of full where it is told; None: another shape."""
    found = _TOTALS.fullmatch(text)
    return None if found is None else (int(found[1]), int(found[2]) if found[2] else None)


class QuickCounters:
    """Reads the counters of vmstat that the service follows.

    A kernel prints the same names in the same order at every poll, so their lines are looked up once.
    """

    def __init__(self) -> None:
        self._places: tuple[tuple[int, str, str], ...] = ()
        self._count = 0

    def read(self, text: str, path: str) -> Mapping[str, int]:
        """Give the counters that are followed; those that are printed by zone are summed.

        :raises ParseError: as `parse_vmstat` does.
        """
        lines = text.split("\n")
        picked = self._pick(lines)
        if picked is None:
            picked = followed(parse_vmstat(text, path))
            self._learn(lines)
        return picked

    def _pick(self, lines: list[str]) -> dict[str, int] | None:
        """Take the known lines; None where they are not known yet, or others stand there."""
        if len(lines) != self._count:
            return None
        picked: dict[str, int] = {}
        for at, begin, name in self._places:
            line = lines[at]
            digits = line[len(begin) :]
            if not (line.startswith(begin) and digits.isascii() and digits.isdigit()):
                return None
            picked[name] = picked.get(name, 0) + int(digits)
        return picked

    def _learn(self, lines: list[str]) -> None:
        places = {line.partition(" ")[0]: at for at, line in enumerate(lines)}
        self._places = tuple((places[printed], f"{printed} ", name) for printed, name in followed_names(places).items())
        self._count = len(lines)

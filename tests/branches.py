"""How many branches of each room the tests took; fails where a pure room has less than LEAST per cent.

Run by bin/coverage. Only branches count: a line is on the way of one, and 95 % of lines hide half of the decisions.
"""

import json
import sys
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

from coverage import Coverage

LEAST = 95.0
PURE = ("kernel/*", "klog/*", "diagnose/*", "advise/*", "procfs/*", "apply/plan*")
"""Rooms without effects of their own; the others meet processes, sockets and whole systems, which are not counted."""


def taken(report: Path) -> dict[str, tuple[int, int]]:
    """Branches taken and branches in all, by the patterns of PURE and by room for the rest."""
    both: Counter[str] = Counter()
    every: Counter[str] = Counter()
    for name, found in json.loads(report.read_text())["files"].items():
        module = name.rpartition("pagewarden/")[2]
        room = next((pattern for pattern in PURE if fnmatch(module, pattern)), module.split("/")[0])
        both[room] += found["summary"]["covered_branches"]
        every[room] += found["summary"]["num_branches"]
    return {room: (both[room], every[room]) for room in every if every[room]}


def main(report: Path) -> int:
    """Print the table; 1 where a pure room lacks branches or was not seen at all."""
    coverage = Coverage()
    coverage.load()
    coverage.json_report(outfile=str(report))
    rooms = taken(report)
    low = [room for room in PURE if room not in rooms]
    for room, (some, every) in sorted(rooms.items(), key=lambda entry: (entry[0] not in PURE, entry[0])):
        share = 100 * some / every
        short = room in PURE and share < LEAST
        low += [room] if short else []
        print(f"{share:6.1f} %  {some:5d} of {every:5d} branches  {room}{f'  below {LEAST:.0f} %' if short else ''}")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""docs/support.md: what the model was compared with, a row a machine, written by the run itself."""

import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from tests.vm.matrix import MACHINES

SUPPORT = Path(__file__).parents[2] / "docs" / "support.md"

PAGE = """\
# Kernels that the model was compared with

Written by the run; do not edit. Once more, a few minutes on two cores, with QEMU installed:

    bin/test -m vm tests/vm/test_kernels.py --vm-all --update-support

Each row is a boot of one of Debian's kernels as it is, in QEMU without KVM. Settings are written one after another:
values in and out of range, values that the kernel refuses, the switch of transparent huge pages, and on some machines
memory that is plugged or taken away in between. Before each write `pagewarden simulate` is asked; after it every mark
and every reserve of every zone, the settings and the error are compared with what the kernel prints. *Exact* counts the
writes after which all of them were equal.

"Newest" in a machine's name is what Debian unstable had on the day of the run. What is not in the table has not been
compared by us; `pagewarden status` says on every machine how well the model fits it.

| machine | kernel | architecture | page size | nodes | zones | writes | numbers compared | exact |
|---|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One boot. `nodes` and `zones` count those that have memory at the end; `exact` counts writes."""

    machine: str
    kernel: str
    arch: str
    page_kb: int
    nodes: str
    zones: int
    writes: int
    numbers: int
    exact: int


def merged(page: str, rows: Sequence[Row]) -> str:
    """The page with these rows in place of earlier ones of the same machines, in the order of the matrix."""
    lines = {found[1]: found[0] for found in re.finditer(r"^\| ([\w.-]+) \| \d.*\|$", page, re.MULTILINE)}
    lines |= {row.machine: _line(row) for row in rows}
    return PAGE + "".join(f"{lines[machine.name]}\n" for machine in MACHINES if machine.name in lines)


def _line(row: Row) -> str:
    machine, kernel, arch, page_kb, nodes, zones, writes, numbers, exact = astuple(row)
    cells = (machine, kernel, arch, f"{page_kb} kB", nodes, zones, writes, numbers, f"{exact} of {writes}")
    return f"| {' | '.join(str(cell) for cell in cells)} |"

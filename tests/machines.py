"""Machines made of plain numbers, for tests of the rooms that do no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pagewarden.kernel.machine import HUGE_SWITCH, Machine, machine_of
from pagewarden.kernel.simulate import Simulation
from pagewarden.procfs.types import HugePages, Node, Snapshot, SysctlAssignment, Zone

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"
"""Reference boots and captures; not part of the project, and not everywhere."""

GIB = 262144
"""Pages of 4 KiB."""


def zone(
    name: str,
    managed: int | None,
    *,
    node: int = 0,
    present: int | None = None,
    spanned: int | None = None,
    free: int | None = None,
    marks: Sequence[int] = (0, 0, 0),
    protection: Sequence[int] | None = None,
    boost: int | None = None,
) -> Zone:
    """A zone of these many managed pages (None: a kernel that prints only present pages)."""
    if present is None:
        present = managed or 0
    return Zone(
        node=node,
        name=name,
        free_pages=(managed or present) // 2 if free is None else free,
        min_pages=marks[0],
        low_pages=marks[1],
        high_pages=marks[2],
        promo_pages=marks[3] if len(marks) > 3 else None,
        boost_pages=boost,
        spanned_pages=present if spanned is None else spanned,
        present_pages=present,
        managed_pages=managed,
        protection_pages=None if protection is None else tuple(protection),
    )


def snapshot(
    zones: Sequence[Zone],
    sysctls: Mapping[str, str] | None = None,
    *,
    kernel: str | None = "6.1.0",
    page_size: int = 4096,
    huge: str | None = None,
    meminfo_kb: Mapping[str, int] | None = None,
    distances: Mapping[int, tuple[int, ...]] | None = None,
    assignments: tuple[SysctlAssignment, ...] = (),
    cmdline: str | None = None,
    arch: str | None = "x86_64",
    live: bool = False,
    torn: tuple[str, ...] = (),
) -> Snapshot:
    """A snapshot of these zones; `sysctls` without the leading `vm.`."""
    numbers = sorted({entry.node for entry in zones})
    nodes = tuple(Node(number, tuple(entry for entry in zones if entry.node == number)) for number in numbers)
    return Snapshot(
        source="a test",
        live=live,
        kernel=kernel,
        banner=None,
        arch=arch,
        page_size=page_size,
        page_size_assumed=False,
        nodes=nodes,
        sysctls={f"vm.{key}": value for key, value in (sysctls or {}).items()},
        huge_pages=None if huge is None else HugePages(huge, pmd_size_bytes=2 << 20),
        meminfo_kb=meminfo_kb,
        distances=distances,
        assignments=assignments,
        cmdline=cmdline,
        torn=torn,
    )


def machine(
    zones: Sequence[Zone], sysctls: Mapping[str, str] | None = None, *, kernel: str = "6.1.0", huge: str | None = None
) -> Machine:
    """A machine of these zones."""
    return machine_of(snapshot(zones, sysctls, kernel=kernel, huge=huge))


def applied(before: Snapshot, simulation: Simulation) -> Snapshot:
    """The snapshot that the machine would give after the simulated writes, if the model is right."""
    states = {(state.node, state.zone): state for state in simulation.after}
    nodes = tuple(
        replace(
            node,
            zones=tuple(
                replace(
                    entry,
                    min_pages=states[entry.node, entry.name].marks.min_pages,
                    low_pages=states[entry.node, entry.name].marks.low_pages,
                    high_pages=states[entry.node, entry.name].marks.high_pages,
                    promo_pages=states[entry.node, entry.name].marks.promo_pages,
                    boost_pages=_boost_after(entry, states[entry.node, entry.name].marks.min_pages),
                    protection_pages=states[entry.node, entry.name].protection_pages,
                )
                for entry in node.zones
            ),
        )
        for node in before.nodes
    )
    sysctls = {key: value for key, value in simulation.sysctls.items() if key != HUGE_SWITCH}
    huge = before.huge_pages
    if huge is not None:
        huge = replace(huge, enabled=simulation.sysctls[HUGE_SWITCH])
    return replace(before, nodes=nodes, sysctls=sysctls, huge_pages=huge)


def _boost_after(entry: Zone, min_pages: int) -> int | None:
    # A recomputation clears the boost; where the marks did not move there was none.
    return entry.boost_pages if entry.boost_pages is None or min_pages == entry.min_pages else 0

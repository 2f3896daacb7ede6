"""docs/advice.md works two bursts through by hand: its numbers, computed again without the program's own arithmetic."""

from pathlib import Path

import pytest
from tests import oracle

from pagewarden.kernel.machine import MIN_FREE, machine_of
from pagewarden.procfs.snapshot import read_snapshot

PROJECT = Path(__file__).parents[1]
PAGE = (PROJECT / "docs" / "advice.md").read_text(encoding="utf-8")
DOCS = PROJECT / "tests" / "data" / "docs"


@pytest.mark.parametrize(
    ("folder", "zone", "value_kb", "boost", "burst", "written"),
    [
        ("receive-6.1", "DMA32", 8468, 964, 1343, "min' {low_min}, low' a quarter more, {low}. The zone's boost"),
        ("receive-2.6.32", "Normal", 4076, 0, 417, "min' {low_min}, low' {low}; {low} - 834 = {left}"),
    ],
)
def test_a_burst_by_hand(folder: str, zone: str, value_kb: int, boost: int, burst: int, written: str) -> None:
    def left_and_limit(kb: int) -> tuple[int, int, int, int]:
        low_min, low = marks_of(folder, zone, kb)
        half = low_min - low_min // 2
        return low_min, low, low + boost - 2 * burst, half - half // 4

    low_min, low, left, limit = left_and_limit(value_kb)
    assert left > limit
    assert written.format(low_min=low_min, low=low, left=left) in PAGE
    assert f"leave {low + boost} - {2 * burst} = {left}" in PAGE or f"= {left}, and" in PAGE
    assert str(limit) in PAGE
    _, _, less_left, less_limit = left_and_limit(value_kb - 4)
    assert less_left <= less_limit


def marks_of(folder: str, name: str, value_kb: int) -> tuple[int, int]:
    """Min and low of a zone, by the oracle of the tests."""
    snapshot = read_snapshot(str(DOCS / folder))
    machine = machine_of(snapshot)
    assert machine.version is not None
    zones = [
        {"node": z.node, "name": z.name, "present": z.present_pages, "managed": z.managed_pages} for z in snapshot.zones
    ]
    marks = oracle.marks(zones, value_kb, 10, machine.version.numbers)
    found = dict(zip([z.name for z in snapshot.zones], marks, strict=True))[name]
    assert int(snapshot.sysctls[MIN_FREE]) < value_kb
    return found[0], found[1]

"""Captures of machines in the wild: whatever they are, the model fits or says of each zone why it does not."""

from collections.abc import Iterator
from functools import cache

import pytest
from tests.machines import CORPUS

from pagewarden.advise.advice import advise
from pagewarden.diagnose.settings import settings_of
from pagewarden.kernel.machine import MIN_FREE, RATIO, machine_of
from pagewarden.kernel.simulate import Write, simulate
from pagewarden.procfs.snapshot import read_snapshot
from pagewarden.procfs.types import Snapshot

CAPTURES = sorted(path.parent for path in (CORPUS / "captures").glob("*/meta.json"))

pytestmark = pytest.mark.skipif(not CAPTURES, reason="no reference corpus: ../shared/corpus is not here")


@cache
def captures() -> tuple[Snapshot, ...]:
    return tuple(read_snapshot(str(path)) for path in CAPTURES)


def read() -> Iterator[Snapshot]:
    """Those with zones."""
    return (snapshot for snapshot in captures() if snapshot.nodes)


def test_every_difference_has_its_reason() -> None:
    seen = 0
    for snapshot in read():
        fit = machine_of(snapshot).fit
        assert fit.exact is (fit.differences == ())
        named = {reason.split(":")[0] for reason in fit.reasons}
        assert {f"node {d.node} {d.zone}" for d in fit.differences} == named, snapshot.source
        seen += 1
    assert seen >= 20


def test_all_that_are_of_one_machine_fit() -> None:
    assert [snapshot.source for snapshot in read() if not machine_of(snapshot).fit.usable] == []


def test_nothing_is_wrong_with_them() -> None:
    loud = {snapshot.source for snapshot in read() if not advise(snapshot, machine_of(snapshot)).quiet}
    assert loud == set()


def test_every_setting_can_be_judged_and_simulated() -> None:
    for snapshot in read():
        machine = machine_of(snapshot)
        assert {setting.key for setting in settings_of(snapshot, machine)} >= set(snapshot.sysctls)
        done = simulate(machine, [Write(MIN_FREE, "131072")])
        assert done.refusals == ()
        assert simulate(machine, [Write(RATIO, "256")]).refusals == () if machine.fit.layout else True


def test_captures_without_zones_are_read() -> None:
    without = [snapshot for snapshot in captures() if not snapshot.nodes]
    assert without
    assert all(snapshot.free_blocks for snapshot in without)

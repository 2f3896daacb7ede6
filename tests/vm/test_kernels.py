"""Unmodified kernels of Debian's: after every write every zone is what `pagewarden simulate` said it would be.

`bin/test -m vm` boots the machines marked `everyday`, with `--vm-all` the whole matrix; `-k NAME` picks one.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.boots import Step, compared, write_of
from tests.vm.archive import KEYRING, ArchiveError
from tests.vm.guest import Boot, BootError, boot, missing_program
from tests.vm.matrix import MACHINES, Machine
from tests.vm.support import Row

from pagewarden.cli.main import main
from pagewarden.kernel.machine import machine_of
from pagewarden.procfs.snapshot import read_snapshot

pytestmark = pytest.mark.vm


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    machines = [machine for machine in MACHINES if machine.everyday or metafunc.config.getoption("--vm-all")]
    metafunc.parametrize("machine", machines, ids=lambda machine: machine.name)


def booted(machine: Machine, cache: Path, folder: Path) -> Boot:
    reason = missing_program(machine)
    if reason is None and not KEYRING.exists():
        reason = f"no {KEYRING} to check Debian's kernels with (package debian-archive-keyring)"
    if reason is not None:
        pytest.skip(reason)
    try:
        return boot(machine, cache, folder)
    except (ArchiveError, BootError) as error:
        pytest.fail(str(error), pytrace=False)


def test_every_zone_after_every_write(
    machine: Machine,
    vm_cache: Path,
    tmp_path: Path,
    note_row: Callable[[Row], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = booted(machine, vm_cache, tmp_path)
    baseline = read_snapshot(str(run.folder))
    assert baseline.page_size == machine.page_size
    assert machine_of(baseline).fit.usable
    asked, wrong = compared(baseline, run.steps)
    note_row(row_of(run, asked, wrong))
    with capsys.disabled():
        print(f" {run.kernel} ({run.package_version}), {asked} writes, {run.seconds:.1f} s ", end="", flush=True)
    assert wrong == []
    assert asked >= 60
    assert {zone["node"] for zone in run.steps[-1]["zones"]} == set(range(len(machine.nodes_mb) or 1))
    the_command_says_the_same(run, capsys)


def the_command_says_the_same(run: Boot, capsys: pytest.CaptureFixture[str]) -> None:
    """The first write once more, as a user asks: the recorded folder, the command line and its JSON."""
    first = run.steps[0]
    write = write_of(first)
    assert write is not None
    assert main(["simulate", "--root", str(run.folder), "--format", "json", f"{write.key}={write.text}"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {(zone["node"], zone["zone"]): numbers_of(zone) for zone in said["zones"]} == {
        (zone["node"], zone["zone"]): (zone["min"], zone["low"], zone["high"], zone["protection"])
        for zone in first["zones"]
    }


def numbers_of(zone: Step) -> tuple[int, int, int, list[int]]:
    return zone["min_pages"], zone["low_pages"], zone["high_pages"], zone["protection_pages"]


def row_of(run: Boot, asked: int, wrong: list[str]) -> Row:
    """The row of docs/support.md."""
    last = [zone for zone in run.steps[-1]["zones"] if zone.get("managed")]
    with_memory = {zone["node"] for zone in last}
    without = (len(run.machine.nodes_mb) or 1) - len(with_memory)
    marks = ("min", "low", "high", "promo")
    numbers = sum(
        sum(mark in zone for mark in marks) + len(zone.get("protection", ()))
        for step in run.steps
        if write_of(step) is not None
        for zone in step["zones"]
    )
    return Row(
        machine=run.machine.name,
        kernel=run.kernel,
        arch=run.machine.arch,
        page_kb=run.machine.page_size // 1024,
        nodes=f"{len(with_memory)}" + (f" and {without} without memory" if without else ""),
        zones=len(last),
        writes=asked,
        numbers=numbers,
        exact=asked - len({text.partition(",")[0] for text in wrong}),
    )

"""A watcher killed at every step of what it decided: the next one ends it as if nothing had been."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from tests.made_machine import MadeKernel, MadeMachine, MadeTime, made_system

from pagewarden.apply import transaction
from pagewarden.apply.probation_file import load_probation, load_trials
from pagewarden.apply.probation_run import Terms, apply_on_probation, watch_once
from pagewarden.apply.state import load_record
from pagewarden.apply.transaction import System, apply_changes, recover
from pagewarden.apply.types import Change

pytestmark = pytest.mark.thorough
MIN, SCALE, CACHE = "vm.min_free_kbytes", "vm.watermark_scale_factor", "vm.vfs_cache_pressure"


class Killed(BaseException):
    """Nothing of the process runs any more."""


class Killer:
    """Counts what is done to files and to the kernel, and ends the process after so many."""

    def __init__(self, patch: pytest.MonkeyPatch, kernel: MadeKernel) -> None:
        self.after: int | None = None
        self.count = 0
        for name in ("rename", "unlink"):
            patch.setattr(Path, name, self._counted(getattr(Path, name)))
        patch.setattr(transaction, "_undo", lambda *args: Killed())
        kernel.after_write = lambda write: self.step()

    def step(self) -> None:
        self.count += 1
        if self.after is not None and self.count > self.after:
            raise Killed

    def _counted(self, real: Callable[..., object]) -> Callable[..., object]:
        def counted(path: Path, *args: object, **named: object) -> object:
            if self.after is not None and self.count > self.after:
                raise Killed
            done = real(path, *args, **named)
            self.step()
            return done

        return counted


def stage(root: Path) -> tuple[MadeMachine, System]:
    """A change of three settings on probation, of which one was ours before."""
    machine = MadeMachine(root)
    system = made_system(machine, MadeTime())
    apply_changes(system, [Change(MIN, "71680", "by hand")])
    changes = [Change(SCALE, "20", "because"), Change(MIN, "75776", "because"), Change(CACHE, "150", "because")]
    apply_on_probation(system, changes, Terms(900.0, True, None, lambda since: 0))
    return machine, system


def hurt(machine: MadeMachine) -> None:
    machine.vmstat["oom_kill"] += 1
    machine.print_counters()


def lose(machine: MadeMachine) -> None:
    machine.write(SCALE, "30")


def all_of_it(system: System, machine: MadeMachine) -> list[object]:
    trials = [(trial.key, trial.ended_at is None, trial.undone) for trial in load_trials(system.paths)]
    probation, record = load_probation(system.paths), load_record(system.paths)
    return [
        {key: machine.value(key) for key in (MIN, SCALE, CACHE)},
        machine.files().get("etc/sysctl.d/60-pagewarden.conf", b"").count(b"\nvm."),
        sorted((entry.key, entry.value, entry.original) for entry in record.owned),
        [entry.key for entry in record.retired],
        record.pending,
        trials,
        probation and ([change.key for change in probation.changes], probation.decision),
    ]


@pytest.mark.parametrize("happens", [hurt, lose])
def test_killed_at_every_step(tmp_path: Path, happens: Callable[[MadeMachine], None]) -> None:
    wanted: list[object] = []
    steps = 0
    for after in [None, *range(100)]:
        machine, system = stage(tmp_path / str(after))
        happens(machine)
        assert isinstance(system.kernel, MadeKernel)
        with pytest.MonkeyPatch.context() as patch:
            killer = Killer(patch, system.kernel)
            killer.after = after
            with suppress(Killed):
                watch_once(system, lambda since: 0)
        system.kernel.after_write = lambda write: None
        if after is None:
            steps, wanted = killer.count, all_of_it(system, machine)
            assert wanted[0] == (
                {MIN: "71680", SCALE: "10", CACHE: "100"}
                if happens is hurt
                else {MIN: "75776", SCALE: "30", CACHE: "150"}
            )
            continue
        if after >= steps:
            break
        recover(system)
        watch_once(system, lambda since: 0)
        assert all_of_it(system, machine) == wanted, f"killed after step {after} of {steps}"
    assert steps > 8

"""A sample of bench/crash_apply.py: kills and failing calls at a few system calls. The bench does all of them."""

import os
import platform
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bench.crash_apply import CHANGES, Case, calls_of, run_case, state_of
from tests.made_machine import MadeKernel, MadeMachine, made_system

from pagewarden.apply.signals import ended_by_signals
from pagewarden.apply.transaction import System, apply_changes, recover
from pagewarden.apply.types import Clock
from pagewarden.errors import ExitStatus, PagewardenError

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the tracer knows x86-64 alone"),
]
EACH = 8


@pytest.mark.parametrize("operation", ["apply", "revert"])
def test_a_killed_run_leaves_the_old_or_the_new(operation: str) -> None:
    calls = calls_of(operation)
    writing = [call for call in calls if call.name in ("write", "rename", "fsync", "unlink") or call.writing]
    assert len(calls) > 100
    assert len(writing) > 10
    cases = [Case(operation, "kill-after", call.index) for call in writing[:: max(1, len(writing) // EACH)]]
    cases += [Case(operation, "EIO", call.index) for call in writing[1 :: max(1, len(writing) // EACH)]]
    cases.append(Case(operation, "EROFS from here on", writing[len(writing) // 2].index))
    cases.append(Case(operation, "kill-after", writing[-1].index))  # whatever the steps above hit: the end
    outcomes = [run_case(case)[1] for case in cases]
    assert not [outcome for outcome in outcomes if outcome.startswith("WRONG")]
    assert {outcome.rpartition(" ")[2] for outcome in outcomes} == {"old", "new"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_while_it_waits_undoes_everything(tmp_path: Path, number: signal.Signals) -> None:
    machine = MadeMachine(tmp_path / "root")
    machine.refresh()
    machine.set_free("DMA32", 16_500)
    old = state_of(machine)
    pid = os.fork()
    if pid == 0:
        status = 70
        clock = Clock(lambda: datetime.now(UTC), time.monotonic, time.sleep)
        system = System(machine.paths, MadeKernel(machine), clock)
        try:
            with ended_by_signals():
                apply_changes(system, CHANGES)
        except PagewardenError as error:
            status = int(error.exit_status)
        finally:
            os._exit(status)
    deadline = time.monotonic() + 60
    while machine.value("vm.min_free_kbytes") == "67584" and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(pid, number)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == ExitStatus.UNDONE
    assert state_of(machine) == old
    assert recover(made_system(machine)) == ()

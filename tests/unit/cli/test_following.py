from dataclasses import replace
from pathlib import Path

import pytest
from tests.made_machine import MadeKernel, MadeMachine, MadeTime, made_system

from pagewarden.apply.probation_run import Terms, apply_on_probation
from pagewarden.apply.types import Change
from pagewarden.cli.following import follow, watch
from pagewarden.errors import ApplyError, ChangeNotUndone
from pagewarden.kernel.simulate import Write

MIN = "vm.min_free_kbytes"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("echo active", "service watches it"),
        ("echo inactive; exit 3", "nobody watches it"),
        ("echo \"Running in chroot, ignoring command 'is-active'\" >&2", "nobody watches it"),  # with status 0
    ],
)
def test_the_unit_watches_only_while_it_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], answer: str, said: str
) -> None:
    asked = '[ "$1 ${*##* }" = "is-active pagewarden-probation.path" ] || exit 9'
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\n{asked}\n{answer}\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert follow(made_system(MadeMachine(tmp_path / "root")), stay=False) == 0
    found = capfd.readouterr().err
    assert said in found
    assert "chroot" not in found


def test_without_systemd_nobody_watches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert follow(made_system(MadeMachine(tmp_path / "root")), stay=False) == 0
    assert "nobody watches it" in capsys.readouterr().err


def test_what_fails_again_and_again_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = MadeMachine(tmp_path / "root")
    machine.paths.state.mkdir(parents=True)
    machine.paths.probation.write_text("{")
    with pytest.raises(ApplyError, match="damaged"):
        watch(made_system(machine))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("Move it away to give that up; it is tried again")


def test_what_cannot_be_taken_back_does_not_end_as_if_it_were(tmp_path: Path) -> None:
    machine = MadeMachine(tmp_path / "root")
    system = made_system(machine)
    wanted = str(int(machine.value(MIN)) + 4096)
    apply_on_probation(system, [Change(MIN, wanted, "because")], Terms(900.0, False, None, lambda since: 0))
    machine.vmstat["oom_kill"] += 1
    machine.print_counters()

    class Stubborn(MadeKernel):
        def write(self, write: Write) -> None:
            raise OSError(5, "Input/output error")

    with pytest.raises(ChangeNotUndone, match=f"{MIN} {machine.value(MIN)} was not taken back: input/output error"):
        watch(replace(system, kernel=Stubborn(machine)))
    assert machine.value(MIN) == wanted


def test_of_several_what_was_let_go_is_said_and_the_rest_watched_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine, time = MadeMachine(tmp_path / "root"), MadeTime()
    system = made_system(machine, time)
    changes = [Change("vm.watermark_scale_factor", "20", "because"), Change(MIN, "70000", "because")]
    apply_on_probation(system, changes, Terms(900.0, False, None, lambda since: 0))
    start = time.seconds

    def pass_time(seconds: float) -> None:
        machine.boot("made-boot-1", 90_000.0 + seconds)
        if seconds - start == 20:
            machine.write(MIN, "71000")

    time.during = pass_time
    assert watch(system) == 0
    let_go, ended = capsys.readouterr().out.splitlines()
    assert let_go == f"{MIN} is somebody else's now and left alone; what was changed with it is watched on"
    assert ended.startswith("vm.watermark_scale_factor 10 -> 20 stays: it did no harm")

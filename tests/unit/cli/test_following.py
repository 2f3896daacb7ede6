from pathlib import Path

import pytest
from tests.made_machine import MadeMachine, made_system

from pagewarden.cli.following import follow, watch
from pagewarden.errors import ApplyError


@pytest.mark.parametrize(("status", "said"), [(0, "service watches it"), (3, "nobody watches it")])
def test_the_unit_watches_only_while_it_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: int, said: str
) -> None:
    asked = "is-active --quiet pagewarden-probation.path"
    (tmp_path / "systemctl").write_text(f'#!/bin/sh\n[ "$*" = "{asked}" ] && exit {status}\n')
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert follow(made_system(MadeMachine(tmp_path / "root")), stay=False) == 0
    assert said in capsys.readouterr().err


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

"""`install-service`: what it refuses, and what --uninstall stops, takes away, leaves and says, on a root of its own."""

import os
import pwd
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pytest

from pagewarden.apply.record_text import record_text
from pagewarden.apply.types import Owned, Record
from pagewarden.cli import common, install_service
from pagewarden.cli.common import documentation_folder
from pagewarden.cli.main import main
from pagewarden.service.files import MARK, is_ours
from pagewarden.service.install import Report, files_to_install, install

PROJECT = Path(__file__).parents[3]
UNITS = "etc/systemd/system"
OWNED = Owned("vm.min_free_kbytes", "90000", "67584", "", (), "id", "2026-11-26T00:00:00+00:00", "boot", "0.1.0")
Commands = list[list[str]]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the root of a machine without anything of ours, for a command run as root."""
    (tmp_path / UNITS).mkdir(parents=True)
    monkeypatch.setattr(install_service, "ROOT", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def nobody(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", nobody)
    return tmp_path


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Give the commands that were run, none of which really is."""
    told: Commands = []

    def note(commands: Sequence[Sequence[str]], _report: Report) -> None:
        told.extend(list(command) for command in commands)

    monkeypatch.setattr(install_service, "run_commands", note)
    return told


def installed(root: Path) -> list[str]:
    files = files_to_install(PROJECT / "systemd", Path("/opt/pagewarden/bin/pagewarden"), "1.0")
    return install(root, files).written


def uninstall(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str], str]:
    status = main(["install-service", "--uninstall", *words])
    said = capsys.readouterr()
    return status, said.out.splitlines(), said.err


def test_only_root_may(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["install-service"]) == 77
    assert "only root may write there" in capsys.readouterr().err


def test_what_the_service_cannot_run_is_refused(
    root: Path, told: Commands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install_service, "program", lambda: Path("/home/x y/bin/pagewarden"))
    monkeypatch.setattr(install_service, "unit_folder", lambda: PROJECT / "systemd")
    assert main(["install-service"]) == 1
    assert "a unit cannot hold" in capsys.readouterr().err
    assert list(root.rglob("*pagewarden*")) == told == []
    assert main(["install-service", "--dry-run"]) == 1
    said = capsys.readouterr()
    assert "would refuse: /home/x y/bin/pagewarden is in a folder that the service may not see" in said.err
    assert "chmod" not in said.err
    assert said.out == "", "what is refused is not written"


def test_a_dry_run_says_what_would_be_written(
    root: Path, told: Commands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install_service, "program", lambda: Path("/opt/pagewarden/bin/pagewarden"))
    monkeypatch.setattr(install_service, "unit_folder", lambda: PROJECT / "systemd")
    monkeypatch.setattr(install_service, "objections", lambda *_: iter(()))
    assert main(["install-service", "--dry-run"]) == 0
    assert f"would write {root}/{UNITS}/pagewarden.service" in capsys.readouterr().out
    assert list(root.rglob("*pagewarden*")) == told == []


def test_all_of_it_goes_and_a_dry_run_says_the_same(
    root: Path, told: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    written = sorted(installed(root))
    drop_in = root / UNITS / "pagewarden.service.d/mine.conf"
    drop_in.parent.mkdir()
    drop_in.touch()
    status, said, _ = uninstall(capsys, "--dry-run")
    assert (status, sorted(said)) == (0, [f"would take away {name}" for name in written])
    assert told == []
    status, said, _ = uninstall(capsys)
    assert (status, sorted(said)) == (0, [f"took away {name}" for name in written])
    assert sorted(told[0]) == sorted(
        ["systemctl", "disable", "--now"]
        + [Path(name).name for name in written if name.endswith((".service", ".path", ".timer"))]
    )
    assert [path for path in root.rglob("*") if path.is_file()] == [drop_in]


def test_a_unit_of_somebody_else_is_not_touched(root: Path, told: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = root / UNITS / "pagewarden.service"
    theirs.write_text("[Service]\nExecStart=/usr/bin/pagewarden daemon\n")
    assert uninstall(capsys) == (0, ["nothing of ours was there"], "")
    assert told == []
    assert theirs.exists()


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_an_edited_unit_is_left_alone_and_runs_on(
    root: Path, told: Commands, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    installed(root)
    edited = root / UNITS / "pagewarden.service"
    edited.write_text(edited.read_text() + "MemoryMax=1G\n")
    status, said, complaint = uninstall(capsys, *words)
    assert status == 1
    assert f"{edited}: was edited; left alone, running or not" in complaint
    assert f"systemctl disable --now pagewarden.service; rm {edited}" in complaint
    assert not any("pagewarden.service" in line.split() for line in said)
    assert not any("pagewarden.service" in command for command in told)
    assert is_ours(edited.read_text())
    if not words:
        assert ["systemctl", "daemon-reload"] in told
        assert uninstall(capsys)[1] == ["nothing was taken away"]


def test_what_stays_is_said(
    root: Path, told: Commands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(root)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: name)
    record = root / "var/lib/pagewarden/apply/record.json"
    record.parent.mkdir(parents=True)
    record.write_text(record_text(Record(owned=(OWNED,))))
    expected = [
        "settings that were changed stay in force (/etc/sysctl.d/60-pagewarden.conf); "
        "'pagewarden revert' takes them back",
        f"{root}/var/lib/pagewarden stays",
        "the account pagewarden stays; to take it away: userdel pagewarden",
    ]
    assert uninstall(capsys, "--dry-run")[1][-3:] == expected
    record.write_text("{")
    assert uninstall(capsys, "--dry-run")[1][-3:] == expected, "what is damaged may hold something"
    record.write_text(record_text(Record()))
    state = f"{root}/var/lib/pagewarden"
    assert uninstall(capsys, "--dry-run")[1][-2:] == [f"{state} stays; to take it away: rm -r {state}", expected[2]]
    (root / "etc/sysctl.d").mkdir()
    (root / "etc/sysctl.d/60-pagewarden.conf").touch()
    assert uninstall(capsys)[1][-3:] == expected
    assert MARK not in "".join(path.read_text() for path in root.rglob("*") if path.is_file())


def test_where_the_pages_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert documentation_folder() == "", "a checkout: its own"
    monkeypatch.setattr(common, "__file__", str(tmp_path / "lib/python3/site-packages/pagewarden/cli/common.py"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "usr"))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "usr/local"))
    assert documentation_folder() == ""
    for prefix in ("usr/local", "usr"):
        (tmp_path / prefix / "share/doc/pagewarden/docs").mkdir(parents=True)
        assert documentation_folder() == str(tmp_path / prefix / "share/doc/pagewarden")

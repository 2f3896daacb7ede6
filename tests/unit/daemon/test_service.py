"""The real service in a process of its own."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.conftest import DATA
from tests.unit.daemon.service import NO_REMOTE, Daemon, make_journal

from pagewarden.daemon.sample_report import LINES
from pagewarden.history.read import open_reader
from pagewarden.history.types import Event, EventKind

MACHINE = DATA / "machines" / "db1-16g"
CONFIG = Path("etc", "pagewarden", "pagewarden.toml")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a machine in a folder, which the test may change."""
    return Path(shutil.copytree(MACHINE, tmp_path / "root"))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Give a folder for what the service keeps. The short name fits a socket's address."""
    folder = tmp_path / "w"
    folder.mkdir()
    return folder


def configure(root: Path, text: str) -> None:
    path = root / CONFIG
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def once(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pagewarden", "daemon", "--once", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def events(folder: Path) -> list[Event]:
    with open_reader(str(folder / "history.db")) as reader:
        return list(reader.events(0))


def test_from_ready_to_the_end(root: Path, work: Path) -> None:
    daemon = Daemon(work, "--root", str(root))
    ready = daemon.listen_for("READY=1")
    assert "\nSTATUS=" in ready
    daemon.listen_for("WATCHDOG=1")
    began = time.monotonic()
    assert daemon.end() == 0
    assert time.monotonic() - began < 2, "it must end within a second, and some for a busy machine"
    assert daemon.state()["poll_count"] == 1
    assert daemon.entries() == [] or all("pagewarden: " in line for line in daemon.entries())


def test_ended_while_it_starts(root: Path, work: Path) -> None:
    daemon = Daemon(work, "--root", str(root))
    daemon.listen_for("STATUS=Starting")
    assert daemon.end() == 0


def test_reload(root: Path, work: Path) -> None:
    daemon = Daemon(work, "--root", str(root))
    daemon.listen_for("READY=1")
    configure(root, "[service]\npoll_max_seconds = 7\n")
    daemon.send(signal.SIGHUP)
    assert daemon.listen_for("RELOADING=1").startswith("RELOADING=1\nMONOTONIC_USEC=")
    daemon.listen_for("READY=1")
    daemon.wait_for_entry("Configuration read again.")
    configure(root, "[service]\npoll_max_second = 7\n")
    daemon.send(signal.SIGHUP)
    daemon.listen_for("RELOADING=1")
    daemon.listen_for("READY=1")
    refused = daemon.wait_for_entry("Configuration refused, the old one stays: ")
    assert "pagewarden.toml:2" in refused
    assert "poll_max_seconds" in refused
    assert daemon.end() == 0


@pytest.mark.parametrize(
    ("config", "status", "words"),
    [
        pytest.param("[service]\npoll_max_seconds = 'x'\n", 78, "pagewarden.toml:2", id="a value of the wrong kind"),
        pytest.param("[servic]\n", 78, "pagewarden.toml:1", id="an unknown section"),
        pytest.param("[service\n", 78, "pagewarden.toml", id="no TOML"),
    ],
)
def test_a_bad_configuration_ends_the_start(root: Path, config: str, status: int, words: str) -> None:
    configure(root, config)
    done = once("--root", str(root))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1)
    assert words in done.stderr


def test_a_machine_that_cannot_be_read_is_not_ready(tmp_path: Path) -> None:
    done = once("--root", str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "self-test: " in done.stderr
    assert "proc/zoneinfo" in done.stderr


@pytest.mark.parametrize("argument", ["--fast=0", "--fast=x", "--nosuch", "--root="])
def test_wrong_arguments(argument: str) -> None:
    done = once(argument)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_history_that_cannot_be_kept_is_told_and_the_rest_goes_on(root: Path, work: Path) -> None:
    (work / "history.db").mkdir()
    daemon = Daemon(work, "--root", str(root))
    daemon.listen_for("READY=1")
    daemon.wait_for_entry("history does not work: ")
    daemon.listen_for("WATCHDOG=1")
    degraded = daemon.state()["degraded"]
    assert daemon.end() == 0
    assert isinstance(degraded, list)
    assert "history" in degraded[0]


def test_simulated_time(root: Path, work: Path) -> None:
    daemon = Daemon(work, "--root", str(root), "--fast", "900")
    assert daemon.finish() == 0
    assert len(daemon.entries()) < 12
    assert {EventKind.SERVICE_STARTED, EventKind.SERVICE_STOPPED} <= {event.kind for event in events(work)}
    with open_reader(str(work / "history.db")) as reader:
        samples = list(reader.samples(0))
    assert len(samples) > 10
    assert {zone.zone for zone in samples[0].zones} >= {"DMA32", "Normal"}


def two_reports() -> list[str]:
    other = [line.replace("order:0", "order:3").replace("0xa20(GFP_ATOMIC)", "0x40dc0(GFP_KERNEL)") for line in LINES]
    return ["usb 1-1: new device", *LINES, "usb 1-2: new device", *other]


def report_count(folder: Path) -> int:
    return sum(event.count for event in events(folder) if event.kind is EventKind.REPORT)


@pytest.mark.thorough
@NO_REMOTE
def test_reports_in_the_journal_are_told_once_over_restarts(root: Path, work: Path) -> None:
    make_journal(work / "journal", two_reports())
    arguments = ("--root", str(root), "--journal", str(work / "journal"), "--fast", "300")
    for _ in range(3):
        daemon = Daemon(work, *arguments)
        assert daemon.finish() == 0, daemon.entries()
    told = [line for line in daemon.entries() if "try_fill_recv" in line]
    assert len(told) == 2, daemon.entries()
    assert report_count(work) == 2


@pytest.mark.thorough
@NO_REMOTE
def test_reports_that_come_while_it_is_away_are_not_lost(root: Path, work: Path) -> None:
    journal = work / "journal"
    make_journal(journal, two_reports()[: len(LINES) + 2])
    arguments = ("--root", str(root), "--journal", str(journal))
    daemon = Daemon(work, *arguments)
    daemon.wait_for_entry("try_fill_recv")
    time.sleep(1)
    daemon.end(signal.SIGKILL)
    assert report_count(work) == 1
    again = work / "again"
    make_journal(again, two_reports())  # the same lines and two more, under the same cursors' numbers
    shutil.rmtree(journal)
    again.rename(journal)
    daemon = Daemon(work, *arguments, "--fast", "300")
    assert daemon.finish() == 0
    assert len([line for line in daemon.entries() if "try_fill_recv" in line]) == 2, daemon.entries()


@NO_REMOTE
def test_a_journal_that_vanishes_is_told(root: Path, work: Path) -> None:
    done = once("--root", str(root), "--journal", str(work / "nosuch"))
    assert done.returncode == 0
    assert "kernel log does not work" in done.stderr


def test_the_state_file_is_what_status_reads(root: Path, work: Path) -> None:
    daemon = Daemon(work, "--root", str(root), "--once")
    assert daemon.finish() == 0
    state = json.loads((work / "state.json").read_text())
    assert state["schema"] == "pagewarden.state/1"
    assert (work / "state.json").stat().st_mode & 0o777 == 0o644

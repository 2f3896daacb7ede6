"""Watching this machine, and the logs of others."""

import gzip
import os
import re
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import DATA
from tests.nobody import as_nobody

from pagewarden.cli import observe
from pagewarden.cli.main import main
from pagewarden.errors import UsageError
from pagewarden.procfs.snapshot import read_snapshot


def test_watching_that_is_interrupted_tells_of_the_time_until_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Many seconds lie between two samples: the last one is of the moment of Ctrl-C, not of the sample before."""
    sleep = time.sleep

    def interrupted(seconds: float) -> None:
        assert seconds > 2
        sleep(2)
        raise KeyboardInterrupt

    first = read_snapshot("/", page_types=False)
    monkeypatch.setattr(time, "sleep", interrupted)
    last, observed = observe.watch("30m", first)
    assert capsys.readouterr().err == (
        "pagewarden advise: watching for 30 min; Ctrl-C ends it\n"
        "pagewarden advise: ended after 2 s of 1800; with what was seen\n"
    )
    assert last is not first
    assert observed.interval is not None
    assert observed.interval.unusable == ""
    assert not [note for note in observed.interval.notes if "stood still" in note]
    assert observed.interval.seconds == pytest.approx(2, abs=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [("99999h", "4166 days 15 h"), ("90s", "1 min 30 s"), ("1h 30min", "1 h 30 min"), ("1", "1 s")],
)
def test_how_long_it_will_watch_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    observe.watch(text, read_snapshot("/", page_types=False), "apply")
    assert capsys.readouterr().err.startswith(f"pagewarden apply: watching for {said}; Ctrl-C ends it\n")


@pytest.mark.parametrize("text", ["", "0", "0h", "soon", "-5m", "9999999999y", "999999999y", "5 parsecs"])
def test_what_is_no_time_to_watch(text: str) -> None:
    with pytest.raises(UsageError, match="expected a time such as 90s"):
        observe.duration(text)


# The logs in a capture

CAPTURE = DATA / "docs" / "receive-6.1"
LOG = (CAPTURE / "var/log/kern.log").read_bytes()
HARMLESS = b"Nov 21 01:30:07 example kernel: [    0.000000] usb 1-1: new high-speed USB device number 4\n"
PLAIN = b"".join(re.sub(rb"^.*?kernel: ", b"", line) for line in LOG.splitlines(keepends=True))
"""The same as dmesg shows it: other stamps, no host."""


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A capture of another tool, with a log."""
    return Path(shutil.copytree(CAPTURE, tmp_path / "capture"))


def advised(capsys: pytest.CaptureFixture[str], root: Path, *more: str) -> tuple[int, str, str]:
    status = main(["advise", "--check", "--root", str(root), *more])
    captured = capsys.readouterr()
    return int(status), captured.out, captured.err


@pytest.mark.parametrize(
    ("logs", "named"),
    [
        pytest.param({"var/log/kern.log": LOG}, "var/log/kern.log:2", id="one"),
        pytest.param({"var/log/kern.log": b"", "var/log/messages": LOG}, "var/log/messages:2", id="an empty one first"),
        pytest.param(
            {"var/log/kern.log": HARMLESS, "var/log/syslog": LOG}, "var/log/syslog:2", id="a harmless one first"
        ),
        pytest.param({"var/log/kern.log": LOG, "var/log/messages": b""}, "var/log/kern.log:2", id="an empty one last"),
        pytest.param({"var/log/kern.log": gzip.compress(LOG)}, "var/log/kern.log:2", id="compressed"),
        pytest.param({"sos_commands/kernel/dmesg": PLAIN}, "sos_commands/kernel/dmesg:2", id="of a sosreport"),
        pytest.param(
            {"var/log/kern.log": LOG, "var/log/messages": LOG, "var/log/syslog": HARMLESS + LOG},
            "var/log/kern.log:2",
            id="the same lines thrice",
        ),
        pytest.param(
            {"var/log/messages": LOG, "sos_commands/kernel/dmesg": PLAIN},
            "var/log/messages:2",
            id="the same with other stamps",
        ),
    ],
)
def test_every_log_is_read_and_each_report_counts_once(
    capsys: pytest.CaptureFixture[str], capture: Path, logs: dict[str, bytes], named: str
) -> None:
    alone = advised(capsys, capture, "--format", "json")
    (capture / "var/log/kern.log").unlink()
    for path, content in logs.items():
        (capture / path).parent.mkdir(parents=True, exist_ok=True)
        (capture / path).write_bytes(content)
    status, out, err = advised(capsys, capture, "--format", "json")
    assert (status, err) == (3, "")
    assert out == alone[1].replace("var/log/kern.log:2", named)


@pytest.mark.parametrize(
    ("spoil", "status", "said"),
    [
        pytest.param(lambda log: log.chmod(0), 77, "var/log/kern.log: Permission denied", id="of others"),
        pytest.param(lambda log: log.parent.chmod(0), 77, "var/log/kern.log: permission denied", id="its folder"),
        pytest.param(lambda log: log.write_bytes(gzip.compress(LOG)[:-50]), 2, "kern.log: damaged: ", id="damaged"),
        pytest.param(lambda log: log.write_bytes(b"LPKSHHRH"), 2, "kern.log: a systemd journal file", id="journal"),
        pytest.param(lambda log: round_about(log), 2, "kern.log: too many levels of symbolic links", id="in circles"),
    ],
)
def test_a_log_that_cannot_be_read_is_not_like_none(
    capsys: pytest.CaptureFixture[str], capture: Path, spoil: Callable[[Path], object], status: int, said: str
) -> None:
    (capture / "var/log/messages").write_bytes(LOG)
    spoil(capture / "var/log/kern.log")
    assert (
        advised(capsys, capture, "--logs", str(CAPTURE / "var/log/kern.log"))[0] == 3
    )  # and loads what nobody may not
    with as_nobody(capture):
        found = advised(capsys, capture)
        assert found[:2] == (status, "")
        assert found[2].startswith(f"pagewarden advise: {capture}/var/log/")
        assert said in found[2]
        assert found[2].count("\n") == 1
    (capture / "var/log").chmod(0o755)


def round_about(log: Path) -> None:
    log.unlink()
    log.symlink_to("kern.log")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda log: None, id="none"),
        pytest.param(lambda log: log.mkdir(), id="a folder"),
        pytest.param(os.mkfifo, id="a pipe"),
        pytest.param(lambda log: log.symlink_to("gone"), id="a link to nothing"),
        pytest.param(lambda log: log.symlink_to("/dev/null"), id="a link out of the capture"),
    ],
)
def test_what_is_no_file_is_no_log(
    capsys: pytest.CaptureFixture[str], capture: Path, make: Callable[[Path], object]
) -> None:
    log = capture / "var/log/kern.log"
    log.unlink()
    make(log)
    status, out, err = advised(capsys, capture)
    assert (status, err) == (0, "")
    assert "Not looked at the kernel's log" in out


def test_logs_in_an_archive_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    archive = tmp_path / "sosreport.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(CAPTURE, "sosreport-example")
    _, out, err = advised(capsys, archive)
    assert "Not looked at the kernel's log" in out
    assert err == (
        f"pagewarden advise: {archive}:var/log/kern.log: not read; unpack it and name the folder, or --logs\n"
    )
    assert advised(capsys, archive, "--logs", str(CAPTURE / "var/log/kern.log"))[::2] == (3, "")

import errno
import sys
import types
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.unit.klog.samples import only_report, sample, without_origin

from pagewarden.errors import ExitStatus, PermissionDenied, ReadError
from pagewarden.klog import journal
from pagewarden.klog.journal import journal_lines, read_journal
from pagewarden.klog.trouble import TroubleLines

START = datetime(2026, 11, 21, 1, 30, tzinfo=UTC)


def entry(number: int, message: str | bytes) -> dict[str, Any]:
    """An entry as systemd-python gives it."""
    return {
        "MESSAGE": message,
        "__REALTIME_TIMESTAMP": START + timedelta(milliseconds=number),
        "_SOURCE_MONOTONIC_TIMESTAMP": timedelta(seconds=8421, milliseconds=number),
        "_HOSTNAME": "box",
        "PRIORITY": 4,
        "_TRANSPORT": "kernel",
    }


class Reader:
    """The part of systemd.journal.Reader that is used."""

    entries: ClassVar[list[dict[str, Any]]] = []
    error: ClassVar[OSError | None] = None
    opened: ClassVar[list["Reader"]] = []

    def __init__(self, path: str | None = None) -> None:
        if self.error is not None:
            raise self.error
        self.path = path
        self.matches: dict[str, str] = {}
        self.since = 0.0
        self.closed = False
        self.opened.append(self)

    def seek_head(self) -> None:
        self.since = 0.0

    def seek_realtime(self, since: float) -> None:
        self.since = since

    def add_match(self, **fields: str) -> None:
        self.matches.update(fields)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for one in self.entries:
            if one["__REALTIME_TIMESTAMP"].timestamp() >= self.since:
                yield one

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Reader, "entries", [])
    monkeypatch.setattr(Reader, "opened", [])
    monkeypatch.setattr(Reader, "error", None)
    package, module = types.ModuleType("systemd"), types.ModuleType("systemd.journal")
    vars(module)["Reader"] = Reader
    monkeypatch.setitem(sys.modules, "systemd", package)
    monkeypatch.setitem(sys.modules, "systemd.journal", module)
    (tmp_path / "machine").mkdir()
    (tmp_path / "machine" / "system.journal").write_bytes(b"")
    monkeypatch.setattr(journal, "JOURNAL_FOLDERS", (str(tmp_path / "none"), str(tmp_path)))


def test_the_reports_among_the_kernels_entries() -> None:
    lines = sample("failure-6.1")
    Reader.entries = [entry(number, line.encode() if number % 5 == 0 else line) for number, line in enumerate(lines)]
    (report,) = read_journal()
    assert without_origin(report) == without_origin(only_report("\n".join(lines)))
    assert report.timestamp is not None
    assert report.timestamp.startswith("2026-11-21 01:30:00")
    assert report.host == "box"
    assert Reader.opened[0].matches == {"_TRANSPORT": "kernel"}
    assert Reader.opened[0].closed


def test_entries_of_several_lines() -> None:
    Reader.entries = [entry(1, "one\ntwo\n"), entry(2, b"\xffthree")]
    lines = list(journal_lines())
    assert [(line.number, line.text) for line in lines if line.text] == [(1, "one"), (1, "two"), (2, "\ufffdthree")]
    assert {(line.host, line.level, line.seconds) for line in lines if line.number == 1} == {("box", 4, 8421.001)}


@pytest.mark.parametrize("count", [0, 1, 7])
def test_it_says_how_many_entries_it_read(count: int) -> None:
    Reader.entries = [{"__REALTIME_TIMESTAMP": START, "MESSAGE": "a line"}] * count
    reading = read_journal()
    with pytest.raises(StopIteration) as end:
        next(reading)
    assert end.value.value == count


def test_lines_of_trouble_without_a_report() -> None:
    Reader.entries = [entry(1, "usb 1-1: new"), entry(2, "warn_alloc: 9 callbacks suppressed\nusb 1-2: new")]
    seen = TroubleLines()
    reading = seen.until_a_report(read_journal(trouble=seen))
    with pytest.raises(StopIteration) as end:
        next(reading)
    assert (end.value.value, seen.count, seen.first, seen.whole) == (2, 1, 2, True)


@pytest.mark.parametrize("fields", [{}, {"MESSAGE": None}, {"MESSAGE": 5, "PRIORITY": "x", "_HOSTNAME": 7}])
def test_odd_entries(fields: dict[str, Any]) -> None:
    Reader.entries = [{"__REALTIME_TIMESTAMP": START, **fields}]
    assert list(read_journal()) == []


def test_since() -> None:
    Reader.entries = [entry(number, f"line {number}") for number in range(5)]
    lines = list(journal_lines(START + timedelta(milliseconds=3)))
    assert [line.text for line in lines] == ["line 3", "line 4"]


def test_since_before_the_epoch() -> None:
    assert list(journal_lines(START - timedelta(days=40000))) == []
    assert Reader.opened[0].since == 0.0


def test_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "JOURNAL_FOLDERS", ())
    Reader.entries = [entry(1, "one")]
    assert len(list(journal_lines(directory="/mnt/var/log/journal"))) == 1
    assert Reader.opened[0].path == "/mnt/var/log/journal"


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "systemd.journal", None)
    with pytest.raises(ReadError, match="extra 'systemd'") as caught:
        list(read_journal())
    assert caught.value.exit_status is ExitStatus.USAGE


def test_a_machine_without_a_journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(journal, "JOURNAL_FOLDERS", (str(tmp_path / "none"),))
    with pytest.raises(ReadError, match="keeps none") as caught:
        list(read_journal())
    assert caught.value.missing


def test_a_journal_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(PermissionDenied) as caught:
        list(read_journal())
    assert caught.value.exit_status is ExitStatus.NO_PERMISSION


@pytest.mark.parametrize(
    ("code", "kind", "missing"),
    [(errno.EACCES, PermissionDenied, False), (errno.ENOENT, ReadError, True), (errno.EIO, ReadError, False)],
)
def test_a_journal_that_cannot_be_opened(code: int, kind: type[ReadError], missing: bool) -> None:
    Reader.error = OSError(code, "no way")
    with pytest.raises(kind, match="no way") as caught:
        list(read_journal(directory="/x"))
    assert type(caught.value) is kind
    assert caught.value.missing is missing

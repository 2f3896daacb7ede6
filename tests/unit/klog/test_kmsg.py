import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.klog.samples import LINE_STYLES, only_report, sample, without_origin

from pagewarden.errors import ExitStatus, PermissionDenied, ReadError
from pagewarden.klog.kmsg import kmsg_lines, read_kmsg
from pagewarden.klog.trouble import TroubleLines

RECORDS = LINE_STYLES["kmsg"](sample("failure-6.1")).splitlines()


class Device:
    """Gives a record a read, as /dev/kmsg does; an error in place of a record is raised."""

    def __init__(self, *steps: bytes | int) -> None:
        self._steps: Iterator[bytes | int] = iter(steps)

    def read(self, descriptor: int, size: int) -> bytes:
        step = next(self._steps, errno.EAGAIN)
        if isinstance(step, int):
            raise OSError(step, os.strerror(step))
        assert len(step) <= size
        return step


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "kmsg").write_bytes(b"")
    return str(tmp_path / "kmsg")


def connect(monkeypatch: pytest.MonkeyPatch, *steps: bytes | int) -> None:
    monkeypatch.setattr("os.read", Device(*steps).read)


def test_the_reports_in_the_buffer(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, *(record + b"\n SUBSYSTEM=pci\n DEVICE=+pci:0000:00:00.0\n" for record in RECORDS))
    (report,) = read_kmsg(path)
    assert without_origin(report) == without_origin(only_report("\n".join(sample("failure-6.1"))))
    assert report.seconds is not None


def test_records_lost_before_they_were_read_are_passed_over(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, errno.EPIPE, RECORDS[0] + b"\n", errno.EPIPE, errno.EPIPE, RECORDS[1] + b"\n")
    assert [line.number for line in kmsg_lines(path)] == [1, 2]


def test_it_does_not_wait_for_more(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, RECORDS[0] + b"\n", errno.EAGAIN, RECORDS[1] + b"\n")
    assert len(list(kmsg_lines(path))) == 1


@pytest.mark.parametrize("count", [0, 1, 7])
def test_it_says_how_many_records_it_read(path: str, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    connect(monkeypatch, *[b"4,1,2,-;a line\n"] * count)
    reading = read_kmsg(path)
    with pytest.raises(StopIteration) as end:
        next(reading)
    assert end.value.value == count


def test_lines_of_trouble_count_where_there_is_no_report(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reaped = b"6,1,2,-;oom_reaper: reaped process 99 (java)\n"
    for records, reports, count, first in (((RECORDS[0], reaped, reaped), 0, 3, 1), ((reaped, *RECORDS), 1, 0, None)):
        connect(monkeypatch, *records)
        seen = TroubleLines()
        assert len(list(seen.until_a_report(read_kmsg(path, trouble=seen)))) == reports
        assert (seen.count, seen.first) == (count, first)


def test_the_longest_record_fits(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, b"4,1,2,-;" + b"\\x0a" * 2040 + b"\n")
    assert list(read_kmsg(path)) == []


def test_several_lines_in_one_record(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, b"4,1,2,-;one\\x0atwo\\x09\\xe2\\x82\\xac\n")
    assert [line.text for line in kmsg_lines(path)] == ["one", "two €"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.EACCES])
def test_only_for_the_privileged(path: str, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    connect(monkeypatch, code)
    with pytest.raises(PermissionDenied, match="root or CAP_SYSLOG") as caught:
        list(read_kmsg(path))
    assert caught.value.exit_status is ExitStatus.NO_PERMISSION


def test_a_buffer_that_cannot_be_read(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, errno.EINVAL)
    with pytest.raises(ReadError, match="Invalid argument"):
        list(read_kmsg(path))


def test_no_such_device(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="No such file") as caught:
        list(read_kmsg(str(tmp_path / "none")))
    assert caught.value.missing


def test_the_device_is_closed(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[int] = []
    monkeypatch.setattr("os.close", closed.append)
    connect(monkeypatch, RECORDS[0], errno.EIO)
    with pytest.raises(ReadError):
        list(read_kmsg(path))
    monkeypatch.undo()
    (device,) = closed
    os.close(device)

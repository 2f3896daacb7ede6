import bz2
import contextlib
import gzip
import io
import lzma
import os
import random
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.klog.samples import LINE_STYLES, NAMES, sample

from pagewarden.errors import ExitStatus, PermissionDenied, ReadError
from pagewarden.klog.prefix import MAX_LINE
from pagewarden.klog.sources import STANDARD_INPUT, read_lines, read_reports, reports_in
from pagewarden.klog.types import Report

LOG = b"".join(LINE_STYLES["syslog-dmesg"](sample(name)) for name in NAMES)
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "two gzip members": lambda data: gzip.compress(data[:5000]) + gzip.compress(data[5000:]),
    "two xz streams": lambda data: lzma.compress(data[:5000]) + lzma.compress(data[5000:]),
}


def written(tmp_path: Path, data: bytes, name: str = "kern.log") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


def until_failure(path: str) -> tuple[list[Report], ReadError]:
    reports: list[Report] = []
    with pytest.raises(ReadError) as caught:
        reports.extend(read_reports(path))
    return reports, caught.value


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS.keys())
def test_every_compression_gives_the_same_reports(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    wanted = list(reports_in(LOG))
    assert len(wanted) == len(NAMES)
    assert list(read_reports(written(tmp_path, pack(LOG)))) == wanted


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS.keys())
def test_every_line_is_read_once(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    lines = list(read_lines(written(tmp_path, pack(LOG))))
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    assert len(lines) == LOG.count(b"\n")
    assert {line.host for line in lines} == {"box.example.org"}


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress], ids=["gzip", "xz"])
def test_a_compressed_log_cut_short_gives_the_reports_before_the_cut(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    wanted = list(reports_in(LOG))
    reports, error = until_failure(written(tmp_path, pack(LOG)[:-2000]))
    assert 0 < len(reports) <= len(wanted)
    assert reports[:-1] == wanted[: len(reports) - 1]
    assert "damaged" in str(error)
    assert str(error).startswith(str(tmp_path / "kern.log"))
    assert error.exit_status is ExitStatus.USAGE


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress], ids=["gzip", "xz", "bzip2"])
def test_a_damaged_file_is_said_to_be(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    packed = bytearray(pack(LOG))
    packed[len(packed) // 2 : len(packed) // 2 + 40] = bytes(40)
    _, error = until_failure(written(tmp_path, bytes(packed)))
    assert "damaged" in str(error)


@pytest.mark.parametrize("data", [b"", b"\n", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\0" * 5000, b"\xff\xfe\n" * 99])
def test_an_odd_file_holds_nothing_or_is_damaged(tmp_path: Path, data: bytes) -> None:
    reports: list[Report] = []
    with contextlib.suppress(ReadError):
        reports.extend(read_reports(written(tmp_path, data)))
    assert reports == []


RANDOM = random.Random(7).randbytes(40_000)
JOURNAL_FILE = b"LPKSHHRH" + bytes(16) + RANDOM[:200] + LOG


def zipped(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:  # not compressed: the log's own lines are in it
        archive.writestr("kern.log", data)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(RANDOM, "binary data, not a log", id="random"),
        pytest.param(RANDOM[:300], "binary data, not a log", id="a little of it"),
        pytest.param(bytes(3000) + RANDOM, "binary data, not a log", id="after zeroes"),
        pytest.param(RANDOM * 60, "binary data, not a log", id="larger than is read at once"),
        pytest.param(gzip.compress(RANDOM), "binary data, not a log", id="compressed"),
        pytest.param(Path(sys.executable).read_bytes()[:200_000], "binary data, not a log", id="a program"),
        pytest.param(JOURNAL_FILE, "a systemd journal file; ", id="journal"),
        pytest.param(gzip.compress(JOURNAL_FILE), "a systemd journal file; ", id="journal, compressed"),
        pytest.param(b"LPKSHHRH", "a systemd journal file; ", id="journal, cut"),
        pytest.param(zipped(LOG), "a zip archive; ", id="zip"),
        pytest.param(zipped(b"")[-22:], "a zip archive, an empty one", id="empty zip"),
    ],
)
def test_what_is_no_log_is_said_to_be_none(tmp_path: Path, data: bytes, reason: str) -> None:
    reports, error = until_failure(written(tmp_path, data))
    assert reports == []
    assert error.reason.startswith(reason)
    assert str(error).startswith(str(tmp_path / "kern.log"))
    assert error.exit_status is ExitStatus.USAGE


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda log: bytes(700_000) + b"\n" + log, id="pages lost before it"),
        pytest.param(lambda log: log + bytes(5000), id="pages lost behind it"),
        pytest.param(lambda log: RANDOM + b"\n" + log, id="noise of a serial line before it"),
        pytest.param(lambda log: b"\xe4\xf6\xfc Stra\xdfe\n" * 99 + log, id="latin-1"),
        pytest.param(lambda log: b"\x1b[0;32m  OK  \x1b[0m\r\n" * 99 + log, id="a terminal's colours"),
        pytest.param(lambda log: b"PK \x03\x04\n" + log, id="nearly a zip archive"),
        pytest.param(lambda log: log.decode().encode("utf-16"), id="UTF-16"),
    ],
)
def test_a_log_with_other_bytes_in_it_is_read(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    found = list(read_reports(written(tmp_path, spoil(LOG))))
    assert [report.kind for report in found] == [report.kind for report in reports_in(LOG)]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(bytes(9000), id="lost"),
        pytest.param(b"usb 1-1: new device\n\0\0\x01\x02" * 20 + b"a line of a log\n" * 90, id="a few"),
        pytest.param("я помню\n".encode("koi8-r") * 99, id="KOI8"),
        pytest.param("内存不足\n".encode("utf-16") * 99, id="UTF-16"),
        pytest.param(b"\x1b[0;32m  OK  \x1b[0m\r\n" * 99, id="a terminal's colours"),
    ],
)
def test_a_log_without_a_report_is_no_binary_data(tmp_path: Path, data: bytes) -> None:
    assert list(read_reports(written(tmp_path, data))) == []


def zstd(data: bytes) -> bytes:
    if sys.version_info >= (3, 14):
        from compression.zstd import compress
    else:
        from zstandard import compress
    return bytes(compress(data))


class TestZstd:
    def test_it_is_read_frame_after_frame(self, tmp_path: Path) -> None:
        wanted = list(reports_in(LOG))
        assert list(read_reports(written(tmp_path, zstd(LOG)))) == wanted
        assert list(read_reports(written(tmp_path, zstd(LOG[:5000]) + zstd(LOG[5000:])))) == wanted

    def test_a_damaged_file_is_said_to_be(self, tmp_path: Path) -> None:
        packed = bytearray(zstd(random.Random(5).randbytes(100_000) + LOG))
        packed[-300:-200] = bytes(100)
        _, error = until_failure(written(tmp_path, bytes(packed)))
        assert "damaged" in str(error)

    @pytest.mark.skipif(sys.version_info < (3, 14), reason="zstandard cannot tell that a file is cut short")
    def test_a_file_cut_short(self, tmp_path: Path) -> None:
        _, error = until_failure(written(tmp_path, zstd(LOG)[:-2000]))
        assert "damaged" in str(error)

    @pytest.mark.skipif(sys.version_info >= (3, 14), reason="Python reads zstd itself")
    def test_without_the_package_its_name_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = written(tmp_path, zstd(LOG))
        monkeypatch.setitem(sys.modules, "zstandard", None)
        _, error = until_failure(path)
        assert "install the Python package zstandard" in str(error)
        assert "\n" not in str(error)


def test_standard_input() -> None:
    code = "from pagewarden.klog.sources import *\nprint([r.kind.value for r in read_reports('-')])"
    given = subprocess.run([sys.executable, "-c", code], input=gzip.compress(LOG), capture_output=True, check=True)
    assert given.stdout.decode() == f"{[report.kind.value for report in reports_in(LOG)]}\n"
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-c", code], capture_output=True, check=False
    )
    assert b"ReadError: -: Bad file descriptor" in closed.stderr


def test_a_pipe_that_is_written_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    line = "a: page allocation failure: order:0, mode:0x20"
    code = f"import time\nfor i in range(9):\n  print({line!r}, flush=True)\n  time.sleep(0.01)"
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=writing)
    os.close(writing)
    monkeypatch.setattr("pagewarden.klog.sources._STDIN", (reading, "r", True))
    assert len(list(read_reports(STANDARD_INPUT))) == 9
    assert writer.wait() == 0


def test_a_missing_file(tmp_path: Path) -> None:
    _, error = until_failure(str(tmp_path / "none.log"))
    assert error.missing
    assert error.reason == "No such file or directory"


def test_a_directory(tmp_path: Path) -> None:
    _, error = until_failure(str(tmp_path))
    assert (error.reason, error.missing) == ("Is a directory", False)


def test_a_file_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: str) -> io.FileIO:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("pagewarden.klog.sources.io.FileIO", forbidden)
    _, error = until_failure(written(tmp_path, LOG))
    assert isinstance(error, PermissionDenied)
    assert error.exit_status is ExitStatus.NO_PERMISSION
    assert error.reason == "Permission denied"


def test_a_disk_that_fails_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(io.FileIO):
        def readinto(self, buffer: "bytearray | memoryview", /) -> int:  # type: ignore[override]
            if self.tell() >= len(LOG):
                raise OSError(5, "Input/output error")
            return super().readinto(buffer) or 0

    monkeypatch.setattr("pagewarden.klog.sources.io.FileIO", Failing)
    reports, error = until_failure(written(tmp_path, LOG))
    assert reports == list(reports_in(LOG))
    assert error.reason == "Input/output error"


def test_progress_is_told_in_bytes_of_the_file(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = written(tmp_path, gzip.compress(LOG * 3))
    assert len(list(read_reports(path, progress=lambda done, size: seen.append((done, size))))) == 3 * len(NAMES)
    size = Path(path).stat().st_size
    assert {whole for _, whole in seen} == {size}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (size, size)


def test_memory_stays_the_same_however_long_the_log(tmp_path: Path) -> None:
    noise = b"Nov 21 01:30:07 box kernel: [ 8421.000012] usb 1-1: new high-speed USB device number 4 using xhci_hcd\n"
    peaks: list[int] = []
    for times in (2, 10):
        path = written(tmp_path, (LINE_STYLES["dmesg"](sample("failure-6.1")) * 4 + noise * 20000) * times)
        tracemalloc.start()
        assert sum(1 for _ in read_reports(path)) == 4 * times
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 300_000
    assert peaks[1] < 16_000_000


def test_one_line_of_a_hundred_megabytes_of_a_report(tmp_path: Path) -> None:
    path = tmp_path / "long.gz"
    with gzip.open(path, "wb", 1) as stream:
        stream.write(b"a: page allocation failure: order:4, mode:0x20 ")
        for _ in range(100):
            stream.write(b"Mem-Info: " * 100_000)
        stream.write(b"\nb: page allocation failure: order:5, mode:0x20\n")
    tracemalloc.start()
    reports = list(read_reports(str(path)))
    assert tracemalloc.get_traced_memory()[1] < 16_000_000
    tracemalloc.stop()
    assert [(report.line_number, report.order) for report in reports] == [(1, 4), (2, 5)]


def test_lines_are_cut(tmp_path: Path) -> None:
    first, second = read_lines(written(tmp_path, b"x" * 200_000 + b"\nshort\n"))
    assert (len(first.text), first.cut) == (MAX_LINE, True)
    assert (second.number, second.text, second.cut) == (2, "short", False)

"""Logs from files and pipes, plain or compressed, as reports."""

import bz2
import contextlib
import errno
import gzip
import importlib
import importlib.util
import io
import lzma
import os
import sys
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol

from pagewarden.errors import PermissionDenied, ReadError
from pagewarden.klog.group import Grouper
from pagewarden.klog.prefix import PrefixReader
from pagewarden.klog.scan import LogScanner
from pagewarden.klog.trouble import TroubleLines
from pagewarden.klog.types import LogLine, Report

# Lines that belong to no report before a large log is searched again instead of read.
QUIET_LINES = 60
BUFFERED_BYTES = 64 * 1024
STANDARD_INPUT = "-"
FOREIGN = (
    (b"LPKSHHRH", "a systemd journal file; give the output of: journalctl --file FILE _TRANSPORT=kernel"),
    (b"PK\x03\x04", "a zip archive; unpack it and name the logs in it"),
    (b"PK\x05\x06", "a zip archive, an empty one"),
)
"""What is often taken for a log, by its first bytes."""

# Of random bytes every ninth is a control character, of a log next to none; stray NULs are pages lost in a crash.
BINARY_SHARE = 20
_CONTROLS = bytes({*range(1, 32), 127} - set(b"\t\n\r\b\f\v\x1b"))
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_STDIN = (0, "r", False)

Progress = Callable[[int, int | None], None]
ReadInto = Callable[[memoryview], int]
Damage = tuple[type[Exception], ...]


def read_reports(
    path: str, *, progress: Progress | None = None, trouble: TroubleLines | None = None
) -> Generator[Report, None, int]:
    """Give the reports in a log, in the order of their first lines; return how many lines it has.

    :param path: a file, plain or compressed by gzip, xz, bzip2 or zstd, or "-" for standard input.
    :param progress: called now and then with the bytes read and the size of the file (None for a pipe).
    :param trouble: looks at all that is read.
    :raises ReadError: if it cannot be read, or is damaged; the reports before the damage have been given. Also if it
        holds no report and is no log either, but binary data.
    """
    start = bytearray()
    found = False
    with open_log(path, progress=progress) as read_into:
        kept = _keeping(read_into, start)
        scanner = LogScanner(kept if trouble is None else trouble.watched(kept))
        for report in _reports_in(scanner):
            found = True
            yield report
    if not found and is_binary(start):
        raise ReadError(path, "binary data, not a log")
    return scanner.line_count


def read_lines(path: str) -> Iterator[LogLine]:
    """Give every line of a log.

    :raises ReadError: if it cannot be read, or is damaged.
    """
    reader = PrefixReader()
    with open_log(path) as read_into:
        for number, raw in LogScanner(read_into, everything=True).lines():
            yield from reader.read(number, raw)
    yield from reader.finish()


def reports_in(data: bytes) -> Generator[Report, None, int]:
    """Give the reports in a log that is in memory already; return how many lines it has."""
    return (yield from _reports_in(LogScanner(io.BytesIO(data).readinto)))


def is_binary(start: bytes | bytearray) -> bool:
    """Whether a file that begins so is no text, in whatever encoding: runs of NULs and bytes beyond ASCII are borne."""
    if start.startswith(_WIDE):
        return False
    text = start.replace(b"\0", b"")
    return (len(text) - len(text.translate(None, _CONTROLS))) * BINARY_SHARE > len(text)


def _keeping(read_into: ReadInto, start: bytearray) -> ReadInto:
    """Keep the first bytes that are read."""

    def read_and_keep(view: memoryview) -> int:
        count = read_into(view)
        if len(start) < BUFFERED_BYTES:
            start.extend(view[: min(count, BUFFERED_BYTES - len(start))])
        return count

    return read_and_keep


def _reports_in(scanner: LogScanner) -> Generator[Report, None, int]:
    grouper, reader = Grouper(), PrefixReader()
    expected = silent = 0
    for number, raw in scanner.lines():
        if number != expected:
            reader = PrefixReader()
            silent = 0
        expected = number + 1
        for line in reader.read(number, raw):
            yield from grouper.feed(line)
            silent = 0 if grouper.last_taken == number else silent + 1
        scanner.quiet = silent > QUIET_LINES
    for line in reader.finish():
        yield from grouper.feed(line)
    yield from grouper.finish()
    return scanner.line_count


@contextlib.contextmanager
def open_log(path: str, *, progress: Progress | None = None) -> Iterator[ReadInto]:
    """Open a log for reading; gives a function that fills a buffer with its bytes, decompressed.

    Damage ends the log where it is, so that what stands before it can be dealt with; then it is told.

    :raises ReadError: if it cannot be opened or needs a module that is not there; on leaving, if reading it failed.
    """
    with contextlib.ExitStack() as stack:
        try:
            raw = stack.enter_context(_standard_input() if path == STANDARD_INPUT else io.FileIO(path))
            size = raw.seek(0, io.SEEK_END) if raw.seekable() else None
            if size is not None:
                raw.seek(0)
            packed: io.BufferedReader[Any] = stack.enter_context(io.BufferedReader(raw, BUFFERED_BYTES))
            stream, damage = _decompressed(packed, path)
        except OSError as error:
            raise _failure(path, error) from error
        stack.callback(stream.close)
        reading = _Reading(stream, damage)
        yield reading.read_into if progress is None else _telling(reading.read_into, raw, size, progress)
        if reading.error is not None:
            raise _failure(path, reading.error) from reading.error


def _standard_input() -> io.FileIO:
    if sys.stdin is None:  # closed when the program began: whatever has its number since is another file
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return io.FileIO(*_STDIN)


def _failure(path: str, error: Exception) -> ReadError:
    if isinstance(error, _Foreign):
        return ReadError(path, str(error))
    if isinstance(error, PermissionError):
        return PermissionDenied(path, os.strerror(error.errno or errno.EACCES))
    if isinstance(error, OSError) and error.errno is not None:
        return ReadError(path, os.strerror(error.errno), missing=isinstance(error, FileNotFoundError))
    return ReadError(path, f"damaged: {error}")


def _telling(read_into: ReadInto, raw: io.FileIO, size: int | None, progress: Progress) -> ReadInto:
    given = 0

    def read_and_tell(view: memoryview) -> int:
        nonlocal given
        count = read_into(view)
        given += count
        progress(raw.tell() if size is not None else given, size)
        return count

    return read_and_tell


class _Stream(Protocol):
    def readinto1(self, buffer: memoryview, /) -> int: ...

    def close(self) -> None: ...


class _Foreign(Exception):
    """The file is something else than a log, and says so itself."""


class _Reading:
    """Reads until the end, or until something is wrong.

    :ivar error: what was wrong.
    """

    def __init__(self, stream: _Stream, damage: Damage) -> None:
        self._stream = stream
        self._damage = damage
        self._at_start = True
        self.error: Exception | None = None

    def read_into(self, view: memoryview) -> int:
        """Read at most once from the file, so that nothing decompressed before a damaged place is lost."""
        if self.error is not None:
            return 0
        try:
            count = self._stream.readinto1(view)
        except self._damage as error:
            self.error = error
            return 0
        if self._at_start:
            self._at_start = False
            start = bytes(view[: min(count, 8)])
            self.error = next((_Foreign(what) for magic, what in FOREIGN if start.startswith(magic)), None)
        return count if self.error is None else 0


class _Plain:
    """The file itself: what was looked at already, then block after block past the buffer, which would copy each."""

    def __init__(self, stream: "io.BufferedReader[Any]") -> None:
        self._looked_at = stream.peek()
        self._raw = stream.raw
        self.close = stream.close

    def readinto1(self, buffer: memoryview, /) -> int:
        if not self._looked_at:
            return self._raw.readinto(buffer) or 0
        part, self._looked_at = self._looked_at[: len(buffer)], self._looked_at[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def _decompressed(stream: "io.BufferedReader[Any]", path: str) -> tuple[_Stream, Damage]:
    """The file itself or its decompressed contents, by its first bytes: names of rotated logs say little."""
    magic = stream.peek(6)[:6]
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=stream), (OSError, EOFError, zlib.error)
    if magic.startswith(b"\xfd7zXZ\x00"):
        return lzma.LZMAFile(stream), (OSError, EOFError, lzma.LZMAError)
    if magic.startswith(b"BZh"):
        return bz2.BZ2File(stream), (OSError, EOFError)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstd_stream(stream, path)
    return _Plain(stream), (OSError,)


def _zstd_stream(stream: "io.BufferedReader[Any]", path: str) -> tuple[_Stream, Damage]:
    """zstd comes with Python 3.14; before, the package zstandard has it, which cannot tell that a file is cut short."""
    if importlib.util.find_spec("compression") is not None:
        module = importlib.import_module("compression.zstd")
        return module.ZstdFile(stream), (OSError, EOFError, module.ZstdError)
    try:
        module = importlib.import_module("zstandard")
    except ImportError as error:
        raise ReadError(path, "compressed by zstd: install the Python package zstandard to read it") from error
    reader = module.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    return reader, (OSError, module.ZstdError)

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
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from pagewarden.errors import PermissionDenied, ReadError
from pagewarden.klog.group import Grouper
from pagewarden.klog.prefix import PrefixReader
from pagewarden.klog.scan import BLOCK_BYTES, LogScanner
from pagewarden.klog.types import LogLine, Report

# Lines that belong to no report before a large log is searched again instead of read.
QUIET_LINES = 60
STANDARD_INPUT = "-"

Progress = Callable[[int, int | None], None]
ReadInto = Callable[[memoryview], int]


def read_reports(path: str, *, progress: Progress | None = None) -> Iterator[Report]:
    """Give the reports in a log, in the order of their first lines.

    :param path: a file, plain or compressed by gzip, xz, bzip2 or zstd, or "-" for standard input.
    :param progress: called now and then with the bytes read and the size of the file (None for a pipe).
    :raises ReadError: if it cannot be read, or is damaged; the reports before the damage have been given.
    """
    with open_log(path, progress=progress) as read_into:
        yield from _reports_in(LogScanner(read_into))


def read_lines(path: str) -> Iterator[LogLine]:
    """Give every line of a log.

    :raises ReadError: if it cannot be read, or is damaged.
    """
    reader = PrefixReader()
    with open_log(path) as read_into:
        for number, raw in LogScanner(read_into, everything=True).lines():
            yield from reader.read(number, raw)
    yield from reader.finish()


def reports_in(data: bytes) -> Iterator[Report]:
    """Give the reports in a log that is in memory already."""
    yield from _reports_in(LogScanner(io.BytesIO(data).readinto))


def _reports_in(scanner: LogScanner) -> Iterator[Report]:
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


@contextlib.contextmanager
def open_log(path: str, *, progress: Progress | None = None) -> Iterator[ReadInto]:
    """Open a log for reading; gives a function that fills a buffer with its bytes, decompressed.

    :raises ReadError: if it cannot be opened or read, is damaged, or needs a module that is not there.
    """
    try:
        with contextlib.ExitStack() as stack:
            raw = _open(path, stack)
            size = raw.seek(0, io.SEEK_END) if raw.seekable() else None
            if size is not None:
                raw.seek(0)
            stream = _decompressed(raw, path)
            stack.callback(stream.close)
            yield stream.readinto if progress is None else _telling(stream, raw, size, progress)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise ReadError(path, f"damaged: {error}") from error
    except PermissionError as error:
        raise PermissionDenied(path, os.strerror(error.errno or errno.EACCES)) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ReadError(path, reason, missing=isinstance(error, FileNotFoundError)) from error


def _telling(stream: "_Stream", raw: io.FileIO, size: int | None, progress: Progress) -> ReadInto:
    given = 0

    def read_into(view: memoryview) -> int:
        nonlocal given
        count = stream.readinto(view)
        given += count
        progress(raw.tell() if size is not None else given, size)
        return count

    return read_into


class _Stream(Protocol):
    def readinto(self, buffer: memoryview, /) -> int: ...

    def close(self) -> None: ...


def _open(path: str, stack: contextlib.ExitStack) -> io.FileIO:
    if path == STANDARD_INPUT:
        return stack.enter_context(io.FileIO(sys.stdin.fileno(), closefd=False))
    return stack.enter_context(io.FileIO(path))


def _decompressed(raw: io.FileIO, path: str) -> _Stream:
    """The file itself or its decompressed contents, by its first bytes: names of rotated logs say little."""
    stream: io.BufferedReader[Any] = io.BufferedReader(raw, BLOCK_BYTES)
    magic = stream.peek(6)[:6]
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=stream)
    if magic.startswith(b"\xfd7zXZ\x00"):
        return lzma.LZMAFile(stream)
    if magic.startswith(b"BZh"):
        return bz2.BZ2File(stream)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstd_stream(stream, path)
    return _Plain(stream)


class _Plain:
    """Gives what a buffered reader has, then reads past its buffer: straight into the caller's."""

    def __init__(self, stream: "io.BufferedReader[Any]") -> None:
        self._stream = stream
        self.close = stream.close

    def readinto(self, buffer: memoryview, /) -> int:
        return self._stream.readinto1(buffer)


def _zstd_stream(stream: "io.BufferedReader[Any]", path: str) -> _Stream:
    """zstd comes with Python 3.14; before, the package zstandard has it."""
    if importlib.util.find_spec("compression") is not None:
        opened: _Stream = importlib.import_module("compression.zstd").ZstdFile(stream)
        return opened
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError as error:
        raise ReadError(path, "compressed by zstd: install the Python package zstandard to read it") from error
    reader: _Stream = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    return reader

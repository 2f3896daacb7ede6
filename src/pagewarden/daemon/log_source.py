"""Where the kernel's log comes from: the journal, from a cursor on, or /dev/kmsg where there is no journal.

The journal is read through systemd-python's Reader, but field by field (`_get`): the Reader's own iteration converts
every field of every entry, which costs ten times as much (24 us an entry instead of 2.4), and a flood brings millions.
"""

import errno
import os
from typing import Any, Protocol

from pagewarden.daemon.libsystemd import open_reader
from pagewarden.daemon.log_lines import MAX_LINE, LogCollector, RawLine
from pagewarden.errors import PermissionDenied, ReadError
from pagewarden.klog.journal_files import JOURNAL, NEEDED, check_access
from pagewarden.procfs.reader import read_file

KMSG = "/dev/kmsg"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
REOPEN_AFTER = 1000
"""Entries after which the journal is opened anew: the library keeps mapped, and so resident, what it has read."""
_KMSG_PREFIX = "kmsg"
_RECORD_BYTES = 16 * 1024
_LINES_OF_ENTRY = 256


class Source(Protocol):
    """A log that is read from where the last reading ended.

    :ivar name: for people.
    :ivar handle: becomes readable when there may be more.
    :ivar cursor: where the last reading ended; a new source may be opened there.
    """

    name: str
    handle: int
    cursor: str | None

    def read(self, collector: LogCollector, now_ns: int, limit: int) -> tuple[int, bool]:
        """Give at most `limit` entries to the collector; give how many there were, and whether there may be more.

        :raises ReadError: it cannot be read any more.
        """

    def close(self) -> None:
        """Give everything back."""


def open_source(cursor: str | None, directory: str | None = None) -> Source:
    """Open the kernel's log after the place of a cursor; without one, from the start of this boot.

    :param directory: a journal directory instead of this machine's own.
    :raises ReadError: neither the journal nor /dev/kmsg can be read; the message has both reasons.
    """
    try:
        return JournalSource(cursor, directory)
    except ReadError as no_journal:
        if directory is not None:
            raise
        try:
            return KmsgSource(cursor)
        except ReadError as no_kmsg:
            raise ReadError("kernel log", f"{no_journal}; {no_kmsg}") from None


class JournalSource:
    """The kernel's lines in the systemd journal."""

    name = "journal"

    def __init__(self, cursor: str | None, directory: str | None = None) -> None:
        """Open it.

        :raises ReadError: it cannot be read here.
        """
        self.cursor = None if cursor is None or cursor.startswith(f"{_KMSG_PREFIX}:") else cursor
        self._directory = directory
        if directory is None:
            check_access()
        self._open()

    def _open(self) -> None:
        try:
            reader = open_reader(self._directory)
            self._waiting = self._seek(reader)
            self.handle = reader.fileno()
        except ImportError:
            raise ReadError(JOURNAL, NEEDED) from None
        except OSError as error:
            raise _failure(JOURNAL, error) from None
        self._reader: Any = reader
        self._since_open = 0

    def _seek(self, reader: Any) -> bool:
        """Go to the cursor; True where the reader then stands on an entry that has not been read yet.

        Where the cursor's entry is gone (the journal was vacuumed), the library goes to what follows it.
        """
        if self.cursor is None:
            if self._directory is None:
                reader.seek_monotonic(0)
            else:
                reader.seek_head()
            return False
        try:
            reader.seek_cursor(self.cursor)
        except OSError:
            self.cursor = None
            return self._seek(reader)
        return bool(reader._next()) and not reader.test_cursor(self.cursor)

    def read(self, collector: LogCollector, now_ns: int, limit: int) -> tuple[int, bool]:
        """Give entries to the collector; see `Source.read`."""
        count = 0
        try:
            self._reader.process()
            while count < limit and (self._waiting or self._reader._next()):
                self._waiting = False
                self._give(collector, now_ns)
                count += 1
                self._since_open += 1
                if self._since_open >= REOPEN_AFTER:
                    self._reopen()
            if count and self._since_open:
                self.cursor = self._reader._get_cursor()
        except OSError as error:
            raise _failure(JOURNAL, error) from None
        return count, count >= limit

    def _reopen(self) -> None:
        """Open the journal anew at the entry that was just read."""
        self.cursor = self._reader._get_cursor()
        self._reader.close()
        self._open()

    def _give(self, collector: LogCollector, now_ns: int) -> None:
        reader = self._reader
        try:
            text = reader._get("MESSAGE").decode("utf-8", "replace")
        except (KeyError, AttributeError):
            return
        if "\n" not in text:
            collector.feed(RawLine(text[:MAX_LINE], self._seconds), now_ns)
            return
        for part in text.split("\n")[:_LINES_OF_ENTRY]:
            collector.feed(RawLine(part[:MAX_LINE], self._seconds), now_ns)

    def _seconds(self) -> float | None:
        """The kernel's own stamp of the entry."""
        try:
            return int(self._reader._get("_SOURCE_MONOTONIC_TIMESTAMP")) / 1e6
        except (KeyError, ValueError):
            return None

    def close(self) -> None:
        """Close the journal."""
        self._reader.close()


class KmsgSource:
    """The kernel's own buffer."""

    name = KMSG

    def __init__(self, cursor: str | None, path: str = KMSG, boot_id_path: str = BOOT_ID) -> None:
        """Open it.

        :raises ReadError: it cannot be read here.
        """
        self._boot = _read_boot_id(boot_id_path)
        self._sequence = self._sequence_of(cursor)
        self.cursor = cursor
        try:
            self.handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise _failure(path, error) from None

    def _sequence_of(self, cursor: str | None) -> int:
        """The number of the last record that was read in this boot; -1 where none was."""
        prefix = f"{_KMSG_PREFIX}:{self._boot}:"
        number = cursor.removeprefix(prefix) if cursor is not None and cursor.startswith(prefix) else ""
        return int(number) if number.isdigit() else -1

    def read(self, collector: LogCollector, now_ns: int, limit: int) -> tuple[int, bool]:
        """Give records to the collector; see `Source.read`."""
        count = 0
        while count < limit:
            try:
                record = os.read(self.handle, _RECORD_BYTES)
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue  # overwritten before it was read: the next record's number tells how many
            except OSError as error:
                raise _failure(KMSG, error) from None
            if not record:
                break
            count += self._give(collector, record, now_ns)
        if count:
            self.cursor = f"{_KMSG_PREFIX}:{self._boot}:{self._sequence}"
        return count, count >= limit

    def _give(self, collector: LogCollector, record: bytes, now_ns: int) -> bool:
        """Take a record such as `6,1234,5678901,-;text`; False for one that was read before or cannot be read."""
        head, _, text = record.partition(b"\n")[0].partition(b";")
        fields = head.split(b",")
        if len(fields) < 3 or not (fields[1].isdigit() and fields[2].isdigit()):
            return False
        sequence = int(fields[1])
        if sequence <= self._sequence:
            return False
        if 0 <= self._sequence < sequence - 1:
            collector.lost(sequence - 1 - self._sequence)
        self._sequence = sequence
        seconds = int(fields[2]) / 1e6
        for part in text.decode("utf-8", "replace").split("\\x0a")[:_LINES_OF_ENTRY]:
            collector.feed(RawLine(part[:MAX_LINE], lambda: seconds), now_ns)
        return True

    def close(self) -> None:
        """Close the device."""
        os.close(self.handle)


def _read_boot_id(path: str) -> str:
    try:
        return read_file(path).decode("ascii", "replace").strip()
    except OSError:
        return "unknown"


def _failure(path: str, error: OSError) -> ReadError:
    reason = os.strerror(error.errno or errno.EIO)
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermissionDenied(path, reason)
    return ReadError(path, reason, missing=error.errno == errno.ENOENT)

"""Where the kernel's log comes from: the journal, from a cursor on, or /dev/kmsg where there is no journal."""

import os
from typing import Protocol

from pagewarden.daemon.journal_source import JournalSource, read_failure
from pagewarden.daemon.log_lines import MAX_LINE, MOST_LINES_OF_ENTRY, LogCollector, RawLine
from pagewarden.errors import ReadError
from pagewarden.procfs.reader import read_file

KMSG = "/dev/kmsg"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
_KMSG_PREFIX = "kmsg"
_RECORD_BYTES = 16 * 1024


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
        return JournalSource(None if cursor is not None and cursor.startswith(_KMSG_PREFIX) else cursor, directory)
    except ReadError as no_journal:
        if directory is not None:
            raise
        try:
            return KmsgSource(cursor)
        except ReadError as no_kmsg:
            raise ReadError("kernel log", f"{no_journal}; {no_kmsg}") from None


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
            raise read_failure(path, error) from None

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
                raise read_failure(KMSG, error) from None
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
        for part in text.decode("utf-8", "replace").split("\\x0a")[:MOST_LINES_OF_ENTRY]:
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

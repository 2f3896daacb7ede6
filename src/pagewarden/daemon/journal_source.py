"""The kernel's lines in the systemd journal, file by file: so little is mapped, however many files there are.

The library maps what it looks at. To find its place it searches every file of a journal: 1.2 MiB resident for each, for
as long as the reader is open (12 MiB with 11 files of 40 MB; a server keeps some thirty). So one reader over the whole
journal only waits, and has no place in it; the reading is done in one file at a time, oldest first. Of journald's files
only those of the system are read, which follow one another: those of users hold no lines of the kernel.

Fields are read one by one (`_get`): the Reader's own iteration converts every field of every entry, which costs ten
times as much (24 us an entry instead of 2.4), and a flood brings millions.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pagewarden.daemon.libsystemd import invalidated, open_journal, open_journal_file
from pagewarden.daemon.log_lines import MAX_LINE, MOST_LINES_OF_ENTRY, LogCollector, RawLine
from pagewarden.errors import PermissionDenied, ReadError
from pagewarden.klog.journal_files import JOURNAL, JOURNAL_FOLDERS, NEEDED, check_access
from pagewarden.procfs.reader import read_file

REOPEN_AFTER = 300
"""Entries after which a file is opened anew: the library keeps mapped, and so resident, what it has read."""
_KERNEL = "_TRANSPORT=kernel"


class JournalSource:
    """The kernel's lines in the systemd journal; see `log_source.Source`."""

    name = JOURNAL

    def __init__(self, cursor: str | None, directory: str | None = None) -> None:
        """Open it.

        :param directory: the files of one journal, instead of this machine's own.
        :raises ReadError: it cannot be read here.
        """
        self.cursor = cursor if _place(cursor) else None
        self._matches = [_KERNEL]
        self._reader: Any = None
        self._unread = False  # the reader stands on an entry that was not given yet
        self._since_open = 0
        try:
            if directory is None:
                check_access()
                machine = _id("/etc/machine-id")
                self._folders = [Path(folder, machine) for folder in JOURNAL_FOLDERS]
                self._pattern = "system*.journal*"
                if self.cursor is None:
                    self._matches.append(f"_BOOT_ID={_id('/proc/sys/kernel/random/boot_id')}")
            else:
                self._folders = [Path(directory), *(entry for entry in Path(directory).iterdir() if entry.is_dir())]
                self._pattern = "*.journal*"
            self._invalidated = invalidated()
            self._waiter = open_journal(directory)
            self.handle: int = self._waiter.fileno()
            self._files = self._to_read()
        except ImportError:
            raise ReadError(JOURNAL, NEEDED) from None
        except OSError as error:
            raise read_failure(JOURNAL, error) from None
        self._changed = False

    def read(self, collector: LogCollector, now_ns: int, limit: int) -> tuple[int, bool]:
        """Give entries to the collector; see `log_source.Source.read`."""
        count = 0
        try:
            self._changed = self._waiter.process() == self._invalidated or self._changed
            while self._files or self._changed:
                if not self._files:
                    self._changed, self._files = False, self._to_read()
                    continue
                count += self._read_file(collector, now_ns, limit - count)
                if count >= limit:
                    return count, True
                if len(self._files) == 1 and not self._changed:
                    break  # the file that is being written: the reader stays in it
                self._close_file()
                del self._files[0]
        except OSError as error:
            raise read_failure(JOURNAL, error) from None
        return count, False

    def close(self) -> None:
        """Close the journal."""
        self._close_file()
        self._waiter.close()

    def _read_file(self, collector: LogCollector, now_ns: int, limit: int) -> int:
        """Give what is left of the first file, at most so many entries. One that is damaged ends where it is.

        :raises OSError: it is the only one left.
        """
        count = 0
        try:
            if self._reader is None:
                self._open_file()
            while count < limit and (self._unread or self._reader._next()):
                self._unread = False
                _give(self._reader, collector, now_ns)
                count += 1
                self._since_open += 1
                if self._since_open >= REOPEN_AFTER:
                    self._keep_place()
                    self._close_file()
                    self._open_file()
            self._keep_place()
        except OSError:
            if len(self._files) == 1 and not self._changed:
                raise
        return count

    def _open_file(self) -> None:
        """Open the first file after the cursor.

        Where the cursor's entry is gone (the journal was vacuumed), the library goes to what follows it.
        """
        self._reader, self._since_open = self._open(self._files[0]), 0
        if self.cursor is None:
            self._reader.seek_head()
            self._unread = False
        else:
            self._reader.seek_cursor(self.cursor)
            self._unread = bool(self._reader._next()) and not self._reader.test_cursor(self.cursor)

    def _open(self, path: str) -> Any:
        reader = open_journal_file(path)
        for match in self._matches:
            reader.add_match(match)
        return reader

    def _close_file(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _keep_place(self) -> None:
        if self._since_open:
            self.cursor = self._reader._get_cursor()

    def _to_read(self) -> list[str]:
        """The files that may hold something after the cursor, oldest first: from the last that begins before it.

        :raises OSError: there are files, and none can be opened.
        """
        found: list[tuple[int, str]] = []
        for path in self._paths():
            with contextlib.suppress(OSError):  # vacuumed just now
                found.append((path.stat().st_mtime_ns, str(path)))
        wanted: list[str] = []
        trouble: OSError | None = None
        for _, name in sorted(found, reverse=True):
            try:
                first = self._first_place(name)
            except OSError as error:
                trouble = error  # damaged: the library leaves such files out as well
                continue
            wanted.insert(0, name)
            known = _place(self.cursor)
            if first is not None and known is not None and first[0] == known[0] and first[1] <= known[1]:
                break  # that line has been read, and so have all files before this
        if trouble is not None and not wanted:
            raise trouble
        return wanted

    def _paths(self) -> Iterator[Path]:
        for folder in self._folders:
            for path in folder.glob(self._pattern):
                if path.suffix in (".journal", ".journal~") and not path.name.startswith("user-"):
                    yield path

    def _first_place(self, path: str) -> tuple[str, int] | None:
        """The place of a file's first line of the kernel; None where there is none in it."""
        reader = self._open(path)
        try:
            reader.seek_head()
            return _place(reader._get_cursor()) if reader._next() else None
        finally:
            reader.close()


def _give(reader: Any, collector: LogCollector, now_ns: int) -> None:
    def seconds() -> float | None:
        """The kernel's own stamp of the entry."""
        try:
            return int(reader._get("_SOURCE_MONOTONIC_TIMESTAMP")) / 1e6
        except (KeyError, ValueError):
            return None

    try:
        text = reader._get("MESSAGE").decode("utf-8", "replace")
    except (KeyError, AttributeError):
        return
    if "\n" not in text:
        collector.feed(RawLine(text[:MAX_LINE], seconds), now_ns)
        return
    for part in text.split("\n")[:MOST_LINES_OF_ENTRY]:
        collector.feed(RawLine(part[:MAX_LINE], seconds), now_ns)


def _place(cursor: str | None) -> tuple[str, int] | None:
    """Read a cursor: the sequence of numbers that the entry belongs to, and its number. None where it is none."""
    fields = dict(part.partition("=")[::2] for part in (cursor or "").split(";"))
    try:
        return fields["s"], int(fields["i"], 16)
    except (KeyError, ValueError):
        return None


def _id(path: str) -> str:
    return read_file(path).decode("ascii", "replace").strip().replace("-", "")


def read_failure(path: str, error: OSError) -> ReadError:
    """Say why a log cannot be read."""
    reason = os.strerror(error.errno or errno.EIO)
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermissionDenied(path, reason)
    return ReadError(path, reason, missing=error.errno == errno.ENOENT)

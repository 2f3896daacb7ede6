"""The commands' side of the history: opened to read only, while the service may be writing."""

import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from urllib.parse import quote

from pagewarden.errors import PermissionDenied, ReadError
from pagewarden.history import schema
from pagewarden.history.schema import HistoryError
from pagewarden.history.types import Event, OpenFinding, Sample


class Reader:
    """What was kept. Made by `open_reader`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def samples(self, since_seconds: float) -> Iterator[Sample]:
        """Give the samples from a time on, the oldest first."""
        return (sample for _, sample in schema.read_samples(self._database, since_seconds, float("inf")))

    def events(self, since_seconds: float) -> Iterator[Event]:
        """Give the events that were still going on at a time, and those after it, by when they began."""
        return schema.read_events(self._database, since_seconds)

    def findings(self) -> tuple[OpenFinding, ...]:
        """Give the findings that were open at the last write."""
        return schema.read_findings(self._database)

    def report_totals(self) -> dict[str, int]:
        """Give how many of the kernel's reports were ever seen, by cause."""
        return schema.read_totals(self._database)


@contextmanager
def open_reader(path: str) -> Iterator[Reader]:
    """Open the history to read it; nothing of it is changed.

    :raises ReadError: there is none (`missing` is set), or it may not be read.
    :raises HistoryError: it is damaged or made by another version.
    """
    _check_readable(path)
    with tempfile.TemporaryDirectory(prefix="pagewarden-") as folder:
        try:
            database = _connect(path, folder)
            try:
                yield Reader(database)
            finally:
                database.close()
        except sqlite3.Error as error:
            raise HistoryError(f"{path}: {error}") from None


def _check_readable(path: str) -> None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ReadError(path, "not a regular file")
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise ReadError(path, "no such file", missing=True) from None
    except PermissionError:
        raise PermissionDenied(path, "permission denied; root may read it") from None
    except OSError as error:
        raise ReadError(path, (error.strerror or str(error)).lower()) from None


def _connect(path: str, folder: str) -> sqlite3.Connection:
    """Connect to the file itself, or to a copy of it where that needs what the reader may not write.

    A database in WAL mode is read through a shared file beside it. Where the service is stopped that file is not
    there, and on a medium that is read-only, or for a user who is not the owner, it cannot be made.
    """
    try:
        return _opened(path)
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
    copy = Path(folder) / "history.db"
    try:
        copyfile(path, copy)
        if Path(f"{path}-wal").exists():
            copyfile(f"{path}-wal", f"{copy}-wal")
    except OSError as error:
        raise HistoryError(f"{error.filename}: {error.strerror}") from None
    return _opened(str(copy))


def _opened(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=5.0, isolation_level=None)
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version != schema.VERSION:
            raise schema.Damaged(f"made by another version (tables {version}, expected {schema.VERSION})")
        database.execute("BEGIN")  # one instant for all that is read
        database.execute("SELECT count(*) FROM state").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def report_totals(path: str) -> dict[str, int] | None:
    """Give the kernel's reports ever seen, by cause; None where there is no history.

    :raises PagewardenError: it cannot be read, or is damaged.
    """
    try:
        with open_reader(path) as reader:
            return reader.report_totals()
    except ReadError as error:
        if error.missing:
            return None
        raise

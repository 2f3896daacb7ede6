"""The service's side of the history: one writer, few and short transactions, bounded in size and age."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pagewarden.history import schema
from pagewarden.history.schema import Damaged, HistoryError
from pagewarden.history.thin import TIERS, thinned
from pagewarden.history.types import Batch, OpenFinding

PRUNE_SECONDS = 3600.0
LOCK_SECONDS = 5.0
"""How long a write waits for somebody who has the file locked."""

_DAY = 86_400.0
_CACHE_KB = 256
_CHECKPOINT_PAGES = 256
# Our statements are fixed: an error in one (SQLITE_ERROR) means that the tables are not ours.
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept: the size of the file in MiB, and days."""

    max_mb: int = 32
    max_days: int = 90


class History:
    """The history, opened for writing. There may be one writer and any number of readers."""

    def __init__(self, path: str, limits: Limits, now_seconds: float) -> None:
        """Open the file, or make it; a damaged one is set aside.

        :param now_seconds: the wall clock, which names a file that is set aside.
        :raises HistoryError: it can be neither opened nor made.
        """
        self._path = Path(path)
        self._limits = limits
        self._pruned_seconds = float("-inf")
        self._notes: list[str] = []
        self._lost = False  # the connection is closed and could not be made anew yet
        self._database = self._open(now_seconds)

    def take_notes(self) -> tuple[str, ...]:
        """Give what must be told once, one line each (a file that was set aside), and forget it."""
        notes, self._notes = tuple(self._notes), []
        return notes

    @property
    def cursor(self) -> str | None:
        """The place in the kernel's log up to which events were kept."""
        with self._errors():
            return schema.read_state(self._database, "cursor")

    @property
    def findings(self) -> tuple[OpenFinding, ...]:
        """The findings that were open at the last write."""
        with self._errors():
            return schema.read_findings(self._database)

    def write(self, batch: Batch, now_seconds: float) -> None:
        """Add a batch in one transaction, and once an hour remove what is too old or too much.

        :raises HistoryError: nothing of it was written; it may be tried again.
        """
        with self._errors():
            if self._lost:
                self._database, self._lost = self._connect(), False
            # A clock that jumps ahead must not make everything too old at once.
            newest: float | None = None
            try:
                newest = schema.newest_sample(self._database)
                self._add(batch)
            except sqlite3.DatabaseError as error:
                self._mend(error, now_seconds)
                self._add(batch)
        if now_seconds - self._pruned_seconds >= PRUNE_SECONDS or now_seconds < self._pruned_seconds:
            self._pruned_seconds = now_seconds
            self._try_to_prune(now_seconds if newest is None else min(now_seconds, newest + _DAY))

    def close(self) -> None:
        """Close the file; what was written is in it."""
        with suppress(sqlite3.Error):
            self._database.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise HistoryError(f"{self._path}: {error}") from None

    def _mend(self, error: sqlite3.DatabaseError, now_seconds: float) -> None:
        """Make a write possible again where the file is damaged or as large as it may be; raise anything else."""
        if _is_damage(error):
            # Closed before a new one is made: SQLite removes the log beside the file by its name.
            self._database.close()
            self._lost = True
            self._set_aside(str(error), now_seconds)
            self._database, self._lost = self._connect(), False
        elif _code(error) == sqlite3.SQLITE_FULL and self._room_bytes < schema.used_bytes(self._database):
            self._shrink()
        else:  # a disk without room, which less history would not help
            raise error

    def _open(self, now_seconds: float) -> sqlite3.Connection:
        with self._errors():
            try:
                return self._connect()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._set_aside(str(error), now_seconds)
                return self._connect()

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=LOCK_SECONDS, isolation_level=None, cached_statements=16)
        try:
            self._prepare(database)
        except BaseException:
            database.close()
            raise
        return database

    def _prepare(self, database: sqlite3.Connection) -> None:
        database.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, schema.VERSION):
            raise Damaged(f"made by another version (tables {version}, expected {schema.VERSION})")
        if version == 0:
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        database.execute(f"PRAGMA journal_size_limit = {1 << 20}")
        if version == 0:
            script = f"BEGIN; {schema.TABLES} PRAGMA user_version = {schema.VERSION}; COMMIT;"
            database.executescript(script)
        problem = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise Damaged(problem)
        page_bytes = database.execute("PRAGMA page_size").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {(self._limits.max_mb << 20) // page_bytes}")

    def _set_aside(self, problem: str, now_seconds: float) -> None:
        """Move a damaged file out of the way. One is kept: more of them would fill the disk."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_seconds))
        aside = self._path.with_name(f"{self._path.name}.damaged-{stamp}")
        try:
            for old in self._path.parent.glob(f"{self._path.name}.damaged-*"):
                old.unlink()
            with suppress(FileNotFoundError):
                self._path.replace(aside)
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        except OSError as error:
            raise HistoryError(f"{self._path}: {problem}; it cannot be set aside: {error.strerror}") from None
        self._notes.append(f"{self._path} cannot be used ({problem}): kept as {aside.name}, the history begins anew")

    def _add(self, batch: Batch) -> None:
        database = self._database
        with _transaction(database):
            for sample in batch.samples:
                schema.add_sample(database, sample)
            for event in batch.events:
                schema.add_event(database, event)
            if batch.findings is not None:
                schema.replace_findings(database, batch.findings)
            if batch.cursor is not None:
                schema.write_state(database, "cursor", batch.cursor)

    def _try_to_prune(self, now_seconds: float) -> None:
        """Prune; where that fails (a full disk) the batch is on disk all the same, and the next hour tries again."""
        try:
            self._prune(now_seconds)
        except sqlite3.Error as error:
            self._notes.append(f"{self._path}: what is old could not be removed: {error}")

    def _prune(self, now_seconds: float) -> None:
        """Thin what is old, remove what is too old or too much, and give the room back to the file system."""
        for age_seconds, bucket_seconds in TIERS:
            self._thin(now_seconds - age_seconds, bucket_seconds)
        with _transaction(self._database):
            schema.remove_before(self._database, now_seconds - self._limits.max_days * _DAY)
        self._shrink()
        # As a script: execute() would do the first page alone.
        self._database.executescript("PRAGMA incremental_vacuum;")

    def _thin(self, end_seconds: float, bucket_seconds: int) -> None:
        """Thin the samples before a time that were not thinned so far yet."""
        name = f"thinned-{bucket_seconds}"
        start = float(schema.read_state(self._database, name) or 0)
        end = end_seconds // bucket_seconds * bucket_seconds
        if end == start:
            return
        if end < start:  # the clock was set back; what is thinned already stays as it is
            start = 0.0
        merged = list(thinned(schema.read_samples(self._database, start, end), bucket_seconds))
        with _transaction(self._database):
            for rows, sample in merged:
                schema.remove_samples(self._database, rows)
                schema.add_sample(self._database, sample)
            schema.write_state(self._database, name, str(end))

    @property
    def _room_bytes(self) -> int:
        return (self._limits.max_mb << 20) * 9 // 10

    def _shrink(self) -> None:
        """Remove the oldest until a tenth of the room allowed is free."""
        while schema.used_bytes(self._database) > self._room_bytes:
            with _transaction(self._database):
                if not schema.remove_oldest(self._database):
                    return


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return isinstance(error, Damaged) or _code(error) in _DAMAGED


def _code(error: sqlite3.Error) -> int | None:
    # Extended codes (SQLITE_CORRUPT_INDEX, ...) hold the code itself in their low byte.
    # Errors of the module itself (a text that is not UTF-8, ...) have none.
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise

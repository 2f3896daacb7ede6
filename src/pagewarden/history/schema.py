"""The tables of the history, and how values become rows and rows values."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from pagewarden.errors import PagewardenError
from pagewarden.history.types import Event, EventKind, OpenFinding, Sample, ZoneSample

VERSION = 1
"""`PRAGMA user_version` of a file with these tables."""

TABLES = """
CREATE TABLE boot (id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL UNIQUE, page_size INTEGER NOT NULL);
CREATE TABLE zone (id INTEGER PRIMARY KEY, node INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (node, name));
CREATE TABLE sample (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, span REAL NOT NULL, boot INTEGER NOT NULL,
    counters TEXT NOT NULL, some_us INTEGER, full_us INTEGER
);
CREATE INDEX sample_at ON sample (at);
CREATE TABLE zone_sample (
    sample INTEGER NOT NULL, zone INTEGER NOT NULL, free INTEGER NOT NULL, lowest INTEGER NOT NULL,
    min INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL, managed INTEGER,
    PRIMARY KEY (sample, zone)
) WITHOUT ROWID;
CREATE TABLE event (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, cause TEXT NOT NULL, subject TEXT NOT NULL, severity TEXT NOT NULL,
    first REAL NOT NULL, last REAL NOT NULL, count INTEGER NOT NULL, text TEXT NOT NULL, details TEXT NOT NULL
);
CREATE INDEX event_last ON event (last);
CREATE INDEX event_same ON event (kind, cause, subject, last);
CREATE TABLE finding (
    identity TEXT PRIMARY KEY, cause TEXT NOT NULL, severity TEXT NOT NULL, text TEXT NOT NULL, since REAL NOT NULL
);
CREATE TABLE total (cause TEXT PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

MERGED = frozenset(EventKind) - {EventKind.CHANGE_APPLIED, EventKind.CHANGE_UNDONE}
MAX_TEXT = 500
MAX_DETAILS = 20
MERGE_SECONDS = 3600.0
"""Events of one of these kinds, with the same cause and subject, that follow each other within this are one row."""


class HistoryError(PagewardenError):
    """The history cannot be written or read: a full disk, no permission, a failing disk."""


class Damaged(sqlite3.DatabaseError):
    """The file holds something that we do not write."""


def add_sample(database: sqlite3.Connection, sample: Sample) -> None:
    """Add one sample with its zones."""
    database.execute(
        "INSERT OR IGNORE INTO boot (boot_id, page_size) VALUES (?, ?)", (sample.boot_id, sample.page_size)
    )
    row = database.execute(
        "INSERT INTO sample (at, span, boot, counters, some_us, full_us)"
        " SELECT ?, ?, id, ?, ?, ? FROM boot WHERE boot_id = ?",
        (
            sample.at_seconds,
            sample.span_seconds,
            json.dumps(dict(sample.counters), separators=(",", ":")),
            sample.pressure_some_us,
            sample.pressure_full_us,
            sample.boot_id,
        ),
    ).lastrowid
    zones = sample.zones
    database.executemany(
        "INSERT OR IGNORE INTO zone (node, name) VALUES (?, ?)", [(zone.node, zone.zone) for zone in zones]
    )
    database.executemany(
        "INSERT OR REPLACE INTO zone_sample SELECT ?, id, ?, ?, ?, ?, ?, ? FROM zone WHERE node = ? AND name = ?",
        [(row, *_zone_values(zone), zone.node, zone.zone) for zone in zones],
    )


def _zone_values(zone: ZoneSample) -> tuple[int | None, ...]:
    marks = (zone.min_pages, zone.low_pages, zone.high_pages)
    return (zone.free_pages, zone.lowest_free_pages, *marks, zone.managed_pages)


def remove_samples(database: sqlite3.Connection, rows: Iterable[int]) -> None:
    """Remove samples with their zones."""
    ids = [(row,) for row in rows]
    database.executemany("DELETE FROM zone_sample WHERE sample = ?", ids)
    database.executemany("DELETE FROM sample WHERE id = ?", ids)


def read_samples(database: sqlite3.Connection, start: float, end: float) -> Iterator[tuple[int, Sample]]:
    """Give the samples of start <= time < end with their row, the oldest first."""
    rows = database.execute(
        "SELECT s.id, s.at, s.span, b.boot_id, b.page_size, s.counters, s.some_us, s.full_us,"
        " z.node, z.name, v.free, v.lowest, v.min, v.low, v.high, v.managed"
        " FROM sample s JOIN boot b ON b.id = s.boot LEFT JOIN zone_sample v ON v.sample = s.id"
        " LEFT JOIN zone z ON z.id = v.zone WHERE s.at >= ? AND s.at < ? ORDER BY s.at, s.id, v.zone",
        (start, end),
    )
    head: tuple[int, float, float, str, int, str, int | None, int | None] | None = None
    zones: list[ZoneSample] = []
    for row in rows:
        if head is not None and row[0] != head[0]:
            yield head[0], _sample(head, zones)
            zones = []
        head = row[:8]
        if row[8] is not None:
            zones.append(ZoneSample(*row[8:]))
    if head is not None:
        yield head[0], _sample(head, zones)


def _sample(
    head: tuple[int, float, float, str, int, str, int | None, int | None], zones: Iterable[ZoneSample]
) -> Sample:
    _, at_seconds, span_seconds, boot_id, page_size, counters, some_us, full_us = head
    return Sample(at_seconds, boot_id, page_size, tuple(zones), _counts(counters), some_us, full_us, span_seconds)


def add_event(database: sqlite3.Connection, event: Event) -> None:
    """Add an event, or count it to the one that it repeats. Texts that are far too long are cut."""
    event = replace(event, text=event.text[:MAX_TEXT], subject=event.subject[:MAX_TEXT])
    if event.kind is EventKind.REPORT:
        database.execute(
            "INSERT INTO total (cause, count) VALUES (?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            (event.cause, event.count),
        )
    same = (
        event.kind in MERGED
        and database.execute(
            "SELECT id FROM event WHERE kind = ? AND cause = ? AND subject = ? AND last >= ? AND first <= ?"
            " ORDER BY last DESC LIMIT 1",
            (event.kind, event.cause, event.subject, event.first_seconds - MERGE_SECONDS, event.last_seconds),
        ).fetchone()
    )
    words = {name[:MAX_TEXT]: value[:MAX_TEXT] for name, value in islice(event.details.items(), MAX_DETAILS)}
    details = json.dumps(words, separators=(",", ":"))
    times = (event.first_seconds, event.last_seconds)
    if not same:
        database.execute(
            "INSERT INTO event (kind, cause, subject, severity, first, last, count, text, details)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (event.kind, event.cause, event.subject, event.severity, *times, event.count, event.text, details),
        )
        return
    database.execute(
        "UPDATE event SET count = count + ?, first = min(first, ?), last = max(last, ?), severity = ?, text = ?,"
        " details = ? WHERE id = ?",
        (event.count, *times, event.severity, event.text, details, same[0]),
    )


def read_events(database: sqlite3.Connection, start: float) -> Iterator[Event]:
    """Give the events whose last time is at or after `start`, the oldest first."""
    rows = database.execute(
        "SELECT kind, first, last, text, cause, subject, severity, count, details FROM event WHERE last >= ?"
        " ORDER BY first, id",
        (start,),
    )
    for kind, first, last, text, cause, subject, severity, count, details in rows:
        if kind not in set(EventKind):
            raise Damaged(f"an event of a kind that is not known ({kind!r:.40})")
        words = {_whole(name): _whole(str(value)) for name, value in _mapping(details).items()}
        yield Event(EventKind(kind), first, last, text, cause, subject, severity, count, words)


def read_totals(database: sqlite3.Connection) -> dict[str, int]:
    """Give how many of the kernel's reports were ever seen, by cause. Unlike the events these are never removed."""
    return dict(database.execute("SELECT cause, count FROM total ORDER BY cause").fetchall())


def replace_findings(database: sqlite3.Connection, findings: Iterable[OpenFinding]) -> None:
    """Keep these findings as those that are open."""
    database.execute("DELETE FROM finding")
    database.executemany(
        "INSERT OR REPLACE INTO finding (identity, cause, severity, text, since) VALUES (?, ?, ?, ?, ?)",
        [(f.identity, f.cause, f.severity, f.text, f.since_seconds) for f in findings],
    )


def read_findings(database: sqlite3.Connection) -> tuple[OpenFinding, ...]:
    """Give the findings that are open, by when they began."""
    rows = database.execute("SELECT identity, cause, severity, text, since FROM finding ORDER BY since, identity")
    return tuple(OpenFinding(*row) for row in rows)


def read_state(database: sqlite3.Connection, name: str) -> str | None:
    """Give a value kept by name ("cursor"); None where none was kept."""
    row = database.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def write_state(database: sqlite3.Connection, name: str, value: str) -> None:
    """Keep a value by name."""
    database.execute("INSERT OR REPLACE INTO state (name, value) VALUES (?, ?)", (name, value))


def newest_sample(database: sqlite3.Connection) -> float | None:
    """Give the time of the newest sample; None where there is none."""
    row = database.execute("SELECT max(at) FROM sample").fetchone()
    return None if row[0] is None else float(row[0])


def remove_before(database: sqlite3.Connection, end_seconds: float) -> None:
    """Remove what ended before a time, and the boots that nothing speaks of any more."""
    database.execute("DELETE FROM zone_sample WHERE sample IN (SELECT id FROM sample WHERE at < ?)", (end_seconds,))
    database.execute("DELETE FROM sample WHERE at < ?", (end_seconds,))
    database.execute("DELETE FROM event WHERE last < ?", (end_seconds,))
    database.execute("DELETE FROM boot WHERE id NOT IN (SELECT boot FROM sample)")


def remove_oldest(database: sqlite3.Connection) -> bool:
    """Remove a tenth of the samples, or of the events where they are more; False where there are none left."""
    samples = database.execute("SELECT count(*) FROM sample").fetchone()[0]
    events = database.execute("SELECT count(*) FROM event").fetchone()[0]
    if samples >= events:
        rows = database.execute("SELECT id FROM sample ORDER BY at LIMIT ?", (samples // 10 + 1,)).fetchall()
        remove_samples(database, [row[0] for row in rows])
    else:
        database.execute(
            "DELETE FROM event WHERE id IN (SELECT id FROM event ORDER BY last LIMIT ?)", (events // 10 + 1,)
        )
    return bool(samples or events)


def used_bytes(database: sqlite3.Connection) -> int:
    """Give the size of the file without its free pages."""
    names = ("page_count", "freelist_count", "page_size")
    count, free, page_bytes = (int(database.execute(f"PRAGMA {name}").fetchone()[0]) for name in names)
    return (count - free) * page_bytes


def _counts(text: str) -> dict[str, int]:
    return {name: value for name, value in _mapping(text).items() if isinstance(value, int)}


def _whole(text: str) -> str:
    # JSON can hold halves of characters, which cannot be printed.
    return text.encode(errors="replace").decode()


def _mapping(text: str) -> dict[str, object]:
    try:
        values = json.loads(text)
    except ValueError:
        raise Damaged("a value that is not JSON") from None
    if not isinstance(values, dict):
        raise Damaged("a value that is no object")
    return values

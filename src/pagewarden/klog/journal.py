"""The systemd journal: the kernel's lines in it. The only module that imports systemd."""

import contextlib
import importlib
from collections.abc import Generator, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from pagewarden.errors import PermissionDenied, ReadError
from pagewarden.klog.group import Grouper
from pagewarden.klog.journal_files import JOURNAL, JOURNAL_FOLDERS, NEEDED, check_access
from pagewarden.klog.prefix import PrefixReader
from pagewarden.klog.trouble import TroubleLines
from pagewarden.klog.types import LogLine, Report

_REFUSAL = ": page allocation failure"


def read_journal(
    since: datetime | None = None, *, directory: str | None = None, trouble: TroubleLines | None = None
) -> Generator[Report, None, int]:
    """Give the reports among the kernel's lines in the journal; return how many entries were read.

    Line numbers count entries, from the first read.

    :param since: leave out what is older.
    :param directory: a journal directory, instead of this machine's own.
    :param trouble: looks at all that is read.
    :raises ReadError: if the journal cannot be read, or systemd-python is not installed.
    :raises PermissionDenied: if this user may not read the system's journal.
    """
    grouper = Grouper()
    entries = 0
    lines = journal_lines(since, directory=directory)
    for line in lines if trouble is None else trouble.watched_lines(lines):
        entries = line.number
        yield from grouper.feed(line)
    yield from grouper.finish()
    return entries


def journal_lines(since: datetime | None = None, *, directory: str | None = None) -> Iterator[LogLine]:
    """Give the kernel's lines in the journal, oldest first.

    :raises ReadError: as `read_journal` does.
    """
    with contextlib.closing(_open(directory)) as reader:
        reader.add_match(_TRANSPORT="kernel")
        if since is not None:
            reader.seek_realtime(max(since.timestamp(), 0.0))
        prefixes = PrefixReader()
        for number, entry in enumerate(reader, 1):
            yield from entry_lines(number, entry, prefixes)


def count_refusals(since_boot_seconds: float = 0.0, *, directory: str | None = None) -> int:
    """Count this boot's reports of allocations that were refused, from so many seconds after boot on.

    By the time since boot: a clock that was set meanwhile changes nothing. The kernel prints one report in ten seconds
    at most, so that this is a lower bound.

    :raises ReadError: as `read_journal` does.
    """
    with contextlib.closing(_open(directory)) as reader:
        reader.this_boot()
        reader.add_match(_TRANSPORT="kernel")
        reader.seek_monotonic(timedelta(seconds=max(since_boot_seconds, 0.0)))
        return sum(_REFUSAL in str(entry.get("MESSAGE", "")) for entry in reader)


def entry_lines(number: int, entry: Mapping[str, Any], prefixes: PrefixReader) -> Iterator[LogLine]:
    """Give the lines of one journal entry, as systemd-python's Reader presents it."""
    message = entry.get("MESSAGE", "")
    if isinstance(message, bytes):
        message = message.decode("utf-8", "replace")
    wall = entry.get("__REALTIME_TIMESTAMP")
    since_boot = entry.get("_SOURCE_MONOTONIC_TIMESTAMP")
    host = entry.get("_HOSTNAME")
    priority = entry.get("PRIORITY")
    for part in str(message).split("\n")[:256]:
        for line in prefixes.read_text(number, part):
            yield LogLine(
                number=number,
                text=line.text,
                timestamp=wall.isoformat(sep=" ", timespec="seconds") if isinstance(wall, datetime) else line.timestamp,
                seconds=since_boot.total_seconds() if isinstance(since_boot, timedelta) else line.seconds,
                host=host if isinstance(host, str) else None,
                caller_id=line.caller_id,
                level=priority if isinstance(priority, int) else None,
                facility=0,
                release=None,
                prefixed=True,
                cut=line.cut,
            )


def _open(directory: str | None) -> Any:
    try:
        journal = importlib.import_module("systemd.journal")
    except ImportError as error:
        raise ReadError(JOURNAL, NEEDED) from error
    if directory is None:
        check_access(JOURNAL_FOLDERS)
    name = directory or JOURNAL
    try:
        reader = journal.Reader(path=directory) if directory is not None else journal.Reader()
        reader.seek_head()
    except PermissionError as error:
        raise PermissionDenied(name, error.strerror or "permission denied") from error
    except OSError as error:
        raise ReadError(name, error.strerror or str(error), missing=isinstance(error, FileNotFoundError)) from error
    return reader

"""The durable record of what we set, and the lock that keeps a second run out."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pagewarden.apply.files import read_regular, write_atomically
from pagewarden.apply.paths import Paths
from pagewarden.apply.record_text import parse_record, record_text
from pagewarden.apply.types import Record
from pagewarden.errors import ApplyError

PATIENCE_SECONDS = 10.0
LOOK_SECONDS = 0.1


def load_record(paths: Paths) -> Record:
    """Read the record; an empty one where there is none.

    :raises ApplyError: unreadable or damaged: what we set is then not known, and nothing may be changed on top of it.
    """
    text = read_regular(paths.record)
    if text is None:
        return Record()
    try:
        return parse_record(text)
    except ValueError as error:
        raise ApplyError(
            f"{paths.record}: {error}. It says what pagewarden changed; move it away to give that up and start anew"
        ) from None


def store_record(paths: Paths, record: Record) -> None:
    """Write the record durably.

    :raises OSError: what the kernel said; the record is then the old one, or the new one not yet flushed.
    """
    write_atomically(paths.record, record_text(record))


@contextmanager
def locked(paths: Paths) -> Iterator[None]:
    """Hold the lock: one run at a time changes anything. The kernel drops it when the process ends, however it ends.

    A run that only looks (at a plan, at a change on probation) holds it for a moment, and is waited for.

    :raises ApplyError: another run holds it, or the folder cannot be used.
    """
    try:
        _make_folder(paths)
        handle = open_lock(paths.lock)
    except OSError as error:
        raise ApplyError(f"{error.filename or paths.state}: {str(error.strerror or error).lower()}") from None
    try:
        _take(paths, handle)
        yield
    finally:
        # Whatever close says: the lock goes with the process, and the run is over.
        with suppress(OSError):
            os.close(handle)


def open_lock(path: Path) -> int:
    """Open a lock file, made where it is missing, that nobody else can open: whoever may read a file may lock it.

    :raises OSError: what the kernel said.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(handle).st_mode & 0o077:
            os.fchmod(handle, 0o600)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _take(paths: Paths, handle: int) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise
                time.sleep(LOOK_SECONDS)
    except BlockingIOError:
        raise ApplyError(
            f"{paths.lock}: another pagewarden is changing settings now{_holder(handle)}; try again when it is done"
        ) from None
    except OSError as error:
        raise ApplyError(f"{paths.lock}: {str(error.strerror or error).lower()}") from None
    # Only for the message of the one who finds it taken.
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)


def _holder(handle: int) -> str:
    with suppress(OSError):
        text = os.pread(handle, 20, 0).decode(errors="replace").strip()
        return f" (process {text})" if text.isdigit() else ""
    return ""


def _make_folder(paths: Paths) -> None:
    """Make the folder, and refuse one in which somebody else could put a record."""
    for folder in (paths.state.parent, paths.state):
        with suppress(FileExistsError):
            folder.mkdir(mode=0o755)
            folder.chmod(0o755)  # whatever the umask is: everybody may see what was changed
        _check_owner(folder)


def _check_owner(folder: Path) -> None:
    found = folder.lstat()
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
        raise ApplyError(f"{folder}: belongs to or may be written by others than root: a record there is not trusted")

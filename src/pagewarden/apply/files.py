"""Files written so that a crash at any instant leaves the old content or the new, and nothing in between."""

import errno
import os
import stat
from pathlib import Path

from pagewarden.apply.types import Snippet
from pagewarden.errors import ApplyError

MODE = 0o644
_MOST_BYTES = 1 << 20


def write_atomically(path: Path, text: str) -> None:
    """Write a temporary file in the same folder, flush it to disk, rename it, flush the folder.

    The temporary name does not end in `.conf`, so that nobody reads it; one that a crash left there is replaced.

    :raises OSError: what the kernel said; the file is then the old one, or the new one whose folder was not flushed.
    """
    temporary = temporary_of(path)
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
    try:
        try:
            os.fchmod(handle, MODE)  # whatever the umask is
            _write_all(handle, text.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove_durably(path: Path) -> None:
    """Remove a file, and flush its folder; one that is not there is no error.

    :raises OSError: what the kernel said.
    """
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def temporary_of(path: Path) -> Path:
    """Give the name under which a file is written before it is renamed."""
    return path.with_name(f".{path.name}.pagewarden-new")


def sync_folder(folder: Path) -> None:
    """Flush a folder: only then a new name in it outlives a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_all(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]


def read_regular(path: Path) -> str | None:
    """Read a small text file that is no link; None where there is none.

    :raises ApplyError: a link, a folder, too large, not UTF-8, or unreadable.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = "a link" if error.errno == errno.ELOOP else str(error.strerror or error).lower()
        raise ApplyError(f"{path}: {reason}") from None
    try:
        return _read_text(path, handle)
    except OSError as error:
        raise ApplyError(f"{path}: {str(error.strerror or error).lower()}") from None
    finally:
        os.close(handle)


def _read_text(path: Path, handle: int) -> str:
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        raise ApplyError(f"{path}: not a regular file")
    content = b""
    while chunk := os.read(handle, 1 << 16):
        content += chunk
        if len(content) > _MOST_BYTES:
            raise ApplyError(f"{path}: larger than {_MOST_BYTES >> 10} KiB")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ApplyError(f"{path}: not text in UTF-8") from None


def read_snippet(path: Path) -> Snippet:
    """Read our file in sysctl.d as it is found; what is no plain text file is an oddity, not an error."""
    try:
        return Snippet(read_regular(path))
    except ApplyError as error:
        return Snippet(None, str(error).removeprefix(f"{path}: "))

"""An answer written to a file that the user named. What stands there already decides how."""

import os
import stat
from pathlib import Path

from pagewarden.errors import PagewardenError, UsageError


def write_output(
    name: str, content: bytes, *, mode: int | None = None, suffix: str = "", only_over: bytes = b""
) -> None:
    """Replace a regular file at once (of a link: what it leads to); write into a device or a pipe as it is.

    :param mode: the rights of a file, whatever the umask is; None: as the umask leaves them.
    :param suffix: how a file's name must end.
    :param only_over: what stands near the start of the files that may be replaced, beside empty ones.
    :raises UsageError: the name is a directory's, or empty, or no such file's.
    :raises PagewardenError: it cannot be written.
    """
    if not name:
        raise UsageError("expected the name of a file, not an empty name")
    try:
        there = _kind(name)
        if name.endswith("/") or (there is not None and stat.S_ISDIR(there)):
            raise UsageError(f"{name}: a directory; name a file in it")
        if there is None or stat.S_ISREG(there):
            if not name.endswith(suffix):
                raise UsageError(f"{name}: expected a name that ends in {suffix}; others are not read")
            if there is not None and not _replaceable(name, only_over):
                raise UsageError(f"{name}: there already and not written by pagewarden; it is not replaced")
            _replace(Path(os.path.realpath(name)), content, mode)
        else:
            _write_into(name, content)
    except OSError as error:
        raise PagewardenError(f"{name}: {error.strerror}") from None


def _kind(name: str) -> int | None:
    try:
        return Path(name).stat().st_mode
    except FileNotFoundError:
        return None


def _replaceable(name: str, only_over: bytes) -> bool:
    with Path(name).open("rb") as stream:
        start = stream.read(1024)
    return not start or only_over in start


def _write_into(name: str, content: bytes) -> None:
    with os.fdopen(os.open(name, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY), "wb") as stream:
        stream.write(content)


def _replace(target: Path, content: bytes, mode: int | None) -> None:
    fresh = target.with_name(f".{target.name}.{os.getpid()}")  # node_exporter reads only names that end in .prom
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode or 0o666)
    try:
        with os.fdopen(handle, "wb") as stream:
            if mode is not None:
                os.fchmod(handle, mode)
            stream.write(content)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)

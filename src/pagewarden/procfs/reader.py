"""The only place in this room that opens files: a machine's root, live, as a folder or as an archive."""

import errno
import os
import posixpath
import stat
from codecs import BOM_UTF8
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol

from pagewarden.errors import ParseError, PermissionDenied, ReadError

# Kernels give a few kB at a time; a larger buffer would be a fresh mapping at every read, and cost more than it saves.
_CHUNK = 1 << 16
# No file of /proc or /sys that is read here comes near this.
MAX_FILE_BYTES = 64 << 20
_MAX_LINKS = 40


class Root(Protocol):
    """Something that mirrors `/`. Paths are relative to it, with slashes: "proc/zoneinfo"."""

    @property
    def source(self) -> str:
        """What the user named."""

    @property
    def live(self) -> bool:
        """Whether this is the running system."""

    def shown(self, path: str) -> str:
        """Write a path as the user would look for it."""

    def read(self, path: str) -> bytes:
        """Read a whole file.

        :raises ReadError: missing (`missing` is set), unreadable, not a file, or a link that leads out of the root.
        """

    def names(self, folder: str) -> tuple[str, ...]:
        """List a folder, sorted; empty where there is none or it cannot be read."""

    def link_target(self, path: str) -> str | None:
        """Give the path that a link leads to, as seen on the machine ("/dev/null"); None where it is no link."""

    @property
    def passed_over(self) -> tuple[str, ...]:
        """Logs that are there and were left where they are, as `shown` writes them: an archive is not kept whole."""


def decode_text(content: bytes, shown: str) -> str:
    """Read bytes as text; the mark that editors on Windows put in front of it is no part of it.

    :param shown: the file as the user would look for it.
    :raises ParseError: not UTF-8.
    """
    try:
        return content.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        line = content[content.rfind(b"\n", 0, error.start) + 1 : error.end].decode(errors="replace")
        raise ParseError(shown, number, line, "text in UTF-8, not binary data") from None


def resolve_links(path: str, link_at: Callable[[str], str | None]) -> str:
    """Follow the links on the way to a path as the machine would: nothing leads out of the root.

    :param link_at: gives the target of the link at a path, None where there is none.
    :raises OSError: ELOOP for links that lead in circles.
    """
    done: list[str] = []
    waiting = [part for part in path.split("/") if part]
    links = 0
    while waiting:
        part = waiting.pop(0)
        if part in (".", ".."):
            done = done[:-1] if part == ".." else done
            continue
        target = link_at("/".join([*done, part]))
        if target is None:
            done.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        done = [] if target.startswith("/") else done
        waiting[:0] = [piece for piece in target.split("/") if piece]
    return "/".join(done)


def join_target(path: str, target: str) -> str:
    """Give where a link at `path` (relative to the root) with this target leads, as seen on the machine."""
    return posixpath.normpath(posixpath.join("/", posixpath.dirname(path), target))


class FolderRoot:
    """The running system, or a folder that mirrors `/`.

    In a folder, links are followed as on the machine it was taken from: an absolute target is looked up inside the
    folder, and nothing leads out of it.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._folder = Path(source).resolve()
        self._live = self._folder == Path("/")

    @property
    def source(self) -> str:
        """What the user named."""
        return self._source

    @property
    def live(self) -> bool:
        """Whether this is the running system."""
        return self._live

    def shown(self, path: str) -> str:
        """Write a path as the user would look for it."""
        return posixpath.join(self._source, path)

    def read(self, path: str) -> bytes:
        """Read a whole file; see `Root.read`."""
        try:
            return read_file(f"/{path}" if self._live else self._folder / self._inside(path))
        except OSError as error:
            raise read_error(self.shown(path), error) from None

    def names(self, folder: str) -> tuple[str, ...]:
        """List a folder, sorted."""
        try:
            return tuple(sorted(entry.name for entry in (self._folder / self._inside(folder)).iterdir()))
        except OSError:
            return ()

    def link_target(self, path: str) -> str | None:
        """Give the path that a link leads to, as seen on the machine."""
        try:
            target = self._link_at(path)
        except OSError:
            return None
        return None if target is None else join_target(path, target)

    passed_over = ()

    def find_file(self, path: str) -> Path | None:
        """Give where a file really lies; None where there is none, or something else than a file.

        :raises ReadError: links lead in circles.
        :raises PermissionDenied: the folder it lies in is closed.
        """
        try:
            place = Path("/", path) if self._live else self._folder / self._inside(path)
            return place if stat.S_ISREG(place.stat().st_mode) else None
        except PermissionError as error:
            raise PermissionDenied(self.shown(path), os.strerror(error.errno or errno.EACCES).lower()) from None
        except OSError as error:
            failure = read_error(self.shown(path), error)
            if failure.missing:
                return None
            raise failure from None

    def _inside(self, path: str) -> str:
        """Find the real place of a path below the folder."""
        return path if self._live else resolve_links(path, self._link_at)

    def _link_at(self, path: str) -> str | None:
        """Give the target of the link at a path."""
        step = self._folder / path
        return str(step.readlink()) if step.is_symlink() else None


def read_file(path: Path | str) -> bytes:
    """Read a whole file with read(2) until it is empty: files of /proc say that their size is 0.

    :raises OSError: as open(2) and read(2) do, and where it is no regular file or larger than 64 MiB.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL, "not a regular file")
        chunks: list[bytes] = []
        size = 0
        while chunk := os.read(handle, _CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_FILE_BYTES:
                raise OSError(errno.EFBIG, f"larger than {MAX_FILE_BYTES >> 20} MiB")
    finally:
        os.close(handle)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class HeldFile:
    """A file of `/proc` that is read again and again: it stays open, as opening costs as much as reading.

    A folder that mirrors `/` may have its files replaced; there each reading opens anew.
    """

    def __init__(self, root: FolderRoot, path: str) -> None:
        self.shown = root.shown(path)
        self._root = root
        self._path = path
        self._handle: int | None = None

    def read(self) -> bytes:
        """Read the whole file as it is now.

        :raises ReadError: as `Root.read`; the next reading tries to open it again.
        """
        if not self._root.live:
            return self._root.read(self._path)
        try:
            if self._handle is None:
                self._handle = os.open(f"/{self._path}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            return _read_from_start(self._handle)
        except OSError as error:
            self.close()
            raise read_error(self.shown, error) from None

    def close(self) -> None:
        """Give the descriptor back."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _read_from_start(handle: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := os.pread(handle, _CHUNK, size):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_FILE_BYTES:
            raise OSError(errno.EFBIG, f"larger than {MAX_FILE_BYTES >> 20} MiB")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


MISSING = "no such file"
"""The reason of a file that is not there, as opposed to one that cannot be read."""


def read_error(shown: str, error: OSError) -> ReadError:
    """Turn an OSError into the one line the user sees."""
    missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
    reason = MISSING if missing else (error.strerror or str(error)).lower()
    return ReadError(shown, reason, missing=missing)


def open_stream(path: Path) -> IO[bytes]:
    """Open an archive for reading from start to end."""
    return path.open("rb")

"""A capture archive, or the tar archive of a sosreport, read in memory: nothing of it ever reaches the disk.

Archives come by mail from strangers. One that tries to lead out of itself, or to fill memory, is refused whole.
"""

import bz2
import gzip
import lzma
import posixpath
import re
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Protocol, Self

from pagewarden.errors import ReadError
from pagewarden.procfs.layout import LOGS
from pagewarden.procfs.reader import MAX_FILE_BYTES, join_target, read_error, resolve_links

_MAX_KEPT_BYTES = 512 << 20
_MAX_STREAM_BYTES = 4 << 30
_MAX_MEMBERS = 500_000
_MAX_HEADER_BYTES = 1 << 20
_BUFFER = 1 << 20
_LONG_HEADERS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, b"X")
_NO_ARCHIVE = "expected a folder that mirrors /, an extracted sosreport or a capture archive (.tar.gz, .tar.xz, .tar)"

# What `snapshot` may ask for, below at most two folders that hold everything; the rest of a sosreport is stepped over.
_WANTED = re.compile(
    r"(?:[^/]+/){0,2}(?:"
    r"proc/(?:zoneinfo|buddyinfo|pagetypeinfo|vmstat|meminfo|version|cmdline|uptime|pressure/memory|sys/vm/\w+|sys/kernel/(?:osrelease|hostname))"
    r"|sys/kernel/mm/(?:redhat_)?transparent_hugepage/.+"
    r"|sys/devices/system/(?:cpu/online|node/[a-z_]+|node/node[0-9]+/(?:distance|cpulist))"
    r"|(?:etc|run|usr/local/lib|usr/lib|lib)/sysctl\.d/[^/]+|etc/(?:sysctl\.conf|hostname)"
    r"|run/systemd/system(?:/.*)?"
    r"|sos_commands/(?:kernel/(?:sysctl_-a|uname_-a)|(?:host|general)/hostname)"
    r"|uname|hostname|pagewarden-capture\.json"
    r")"
)
_LOG = re.compile(rf"(?:[^/]+/){{0,2}}({'|'.join(map(re.escape, LOGS))})")
_TOPS = frozenset({"proc", "sys", "etc", "run", "usr", "lib", "sos_commands"})


class _CheckedInfo(tarfile.TarInfo):
    """A member whose extended header is not allowed to fill memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read one header block."""
        info = super().frombuf(buf, encoding, errors)
        if info.type in _LONG_HEADERS and info.size > _MAX_HEADER_BYTES:
            raise ReadError("archive", f"a header of {info.size} bytes")
        return info


class _Readable(Protocol):
    """What the archive is read from."""

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes."""


class _BoundedStream:
    """A stream that ends in an error when it grows past all reason."""

    def __init__(self, stream: _Readable) -> None:
        self._stream = stream
        self._left = _MAX_STREAM_BYTES

    def read(self, size: int) -> bytes:
        """Read at most `size` bytes."""
        chunk = self._stream.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise ReadError("archive", f"more than {_MAX_STREAM_BYTES >> 30} GiB when unpacked")
        return chunk


class TarRoot:
    """An archive as a root; see `reader.Root`.

    :raises ReadError: no tar archive, damaged, or one that should not be trusted: absolute names, `..`, links that
        lead out of it, devices, members or a whole of absurd size.
    """

    live = False

    def __init__(self, source: str, stream: IO[bytes]) -> None:
        self.source = source
        self._files: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._logs: set[str] = set()
        try:
            self._take_members(stream)
        except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
            # tarfile says "ReadError" for all that is no archive and for archives that end early.
            reason = f"damaged or cut archive ({error})" if self._files or self._links else _NO_ARCHIVE
            raise ReadError(source, reason) from None
        except ReadError as error:
            raise ReadError(source, f"refused: {error.reason}") from None
        self._strip_tops()

    def shown(self, path: str) -> str:
        """Write a path as the user would look for it."""
        return f"{self.source}:{path}"

    def read(self, path: str) -> bytes:
        """Read a whole file; see `Root.read`."""
        try:
            return self._files[resolve_links(path, self._links.get)]
        except KeyError:
            raise ReadError(self.shown(path), "no such file", missing=True) from None
        except OSError as error:
            raise read_error(self.shown(path), error) from None

    def names(self, folder: str) -> tuple[str, ...]:
        """List a folder, sorted."""
        try:
            prefix = resolve_links(folder, self._links.get) + "/"
        except OSError:
            return ()
        below = (name for name in (*self._files, *self._links) if name.startswith(prefix))
        return tuple(sorted({name[len(prefix) :].partition("/")[0] for name in below}))

    def link_target(self, path: str) -> str | None:
        """Give the path that a link leads to, as seen on the machine."""
        target = self._links.get(path)
        return None if target is None else join_target(path, target)

    @property
    def passed_over(self) -> tuple[str, ...]:
        """Logs that are there and were left where they are."""
        return tuple(self.shown(path) for path in LOGS if path in self._logs)

    def _take_members(self, stream: IO[bytes]) -> None:
        """Go through the archive once and keep what may be asked for."""
        hard_links: dict[str, str] = {}
        kept = 0
        bounded = _BoundedStream(_decompress(stream))
        with tarfile.open(fileobj=bounded, mode="r|", bufsize=_BUFFER, tarinfo=_CheckedInfo) as archive:  # type: ignore[call-overload]
            for member in _members(archive):
                name = _safe_name(member.name)
                if member.issym():
                    self._links[name] = _safe_target(name, member.linkname)
                elif member.islnk():
                    hard_links[name] = _safe_name(member.linkname)
                elif member.isreg() and _WANTED.fullmatch(name):
                    kept += member.size
                    if member.size > MAX_FILE_BYTES or kept > _MAX_KEPT_BYTES:
                        raise ReadError(name, f"{name} is of absurd size ({member.size} bytes)")
                    content = archive.extractfile(member)
                    self._files[name] = content.read() if content is not None else b""
                elif member.isreg() and (log := _LOG.fullmatch(name)):
                    self._logs.add(log[1])
                elif not (member.isreg() or member.isdir()):
                    raise ReadError(name, f"{name} is a device or a pipe (unpack it yourself and name the folder)")
        self._files.update({name: self._files[to] for name, to in hard_links.items() if to in self._files})

    def _strip_tops(self) -> None:
        """Drop the one folder that holds everything, as sosreport and most people pack."""
        while True:
            tops = {name.partition("/")[0] for name in self._files}
            if len(tops) != 1 or tops & _TOPS or any("/" not in name for name in self._files):
                return
            top = tops.pop()
            cut = len(top) + 1
            self._files = {name[cut:]: content for name, content in self._files.items()}
            self._links = {name[cut:]: to for name, to in self._links.items() if name.startswith(f"{top}/")}


def _decompress(stream: IO[bytes]) -> _Readable:
    """Unpack the compression that the first bytes tell of; anything else is left as it is."""
    start = stream.read(6)
    stream.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=stream)
    if start.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMAFile(stream)
    return bz2.BZ2File(stream) if start.startswith(b"BZh") else stream


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members without keeping them."""
    count = 0
    while (member := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]
        count += 1
        if count > _MAX_MEMBERS:
            raise ReadError("archive", f"more than {_MAX_MEMBERS} members")
        yield member


def _safe_name(name: str) -> str:
    """Give a member's name without `./`; refuse what would leave the archive."""
    if name.startswith("/") or ".." in name.split("/"):
        raise ReadError(name, f"the name {name!r} leads out of the archive")
    return posixpath.normpath(name)


def _safe_target(name: str, target: str) -> str:
    """Check a symbolic link; to /dev/null is how sysctl.d files are masked."""
    inside = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if target != "/dev/null" and (inside.startswith("/") or inside.split("/")[0] == ".."):
        raise ReadError(name, f"the link {name!r} leads out of the archive, to {target!r}")
    return target

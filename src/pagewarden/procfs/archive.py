"""Writing a capture: every file that a snapshot is made of, in one archive to send to somebody else."""

import gzip
import io
import os
import posixpath
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pagewarden import __version__
from pagewarden.errors import PagewardenError, ParseError, UsageError
from pagewarden.procfs import layout
from pagewarden.procfs.capture_notes import CaptureNotes, parse_notes, render_notes
from pagewarden.procfs.gather import Gathered, gather
from pagewarden.procfs.roots import open_root
from pagewarden.procfs.snapshot import assemble
from pagewarden.procfs.sysctl_files import SYSCTL_CONF


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """What a capture holds.

    :ivar captured: paths in it ("proc/zoneinfo"), in its order.
    :ivar absent: path ("/proc/pagetypeinfo") -> why it is not in it.
    :ivar notes: what the reader of the capture should know: torn, or a file that cannot be parsed.
    """

    path: Path
    captured: tuple[str, ...]
    absent: Mapping[str, str]
    notes: tuple[str, ...]


def write_capture(root: str, target: Path, *, overwrite: bool = False, when: datetime | None = None) -> CaptureResult:
    """Write everything that `--root` needs into a `.tar.gz`, readable by its owner only.

    The same files give the same bytes (but for `when`). The archive appears under its name when it is complete.

    :param root: see `read_snapshot`.
    :param when: the time to note; now where it is not given.
    :raises ReadError: nothing to capture there.
    :raises UsageError: the target exists and `overwrite` is not set.
    :raises PagewardenError: it could not be written.
    """
    if target.exists() and not overwrite:
        raise UsageError(f"{target}: exists already (--force replaces it)")
    gathered = gather(open_root(root))
    notes, unparsed = _notes(gathered, when or datetime.now(UTC))
    # A link that leads nowhere hides other files all the same.
    links = {path: to for path, to in gathered.links.items() if to == SYSCTL_CONF or path not in gathered.contents}
    files = {path: content for path, content in gathered.contents.items() if path not in links}
    files[layout.META] = render_notes(notes).encode()
    try:
        _write_atomically(target, _packed(files, links), overwrite=overwrite)
    except FileExistsError:
        raise UsageError(f"{target}: exists already (--force replaces it)") from None
    except OSError as error:
        raise PagewardenError(f"{target}: {error.strerror}") from None
    return CaptureResult(target, tuple(sorted((*files, *links))), notes.absent, (*notes.torn, *unparsed))


def _notes(gathered: Gathered, when: datetime) -> tuple[CaptureNotes, tuple[str, ...]]:
    """Say what the files themselves do not tell, and what cannot be parsed: worth capturing all the more."""
    earlier, unparsed = _earlier_notes(gathered)
    missing = {
        "/" + path: earlier.absent.get("/" + path, failure.reason)
        for path, failure in sorted(gathered.failures.items())
        if path not in layout.SUBSTITUTES
    }
    notes = CaptureNotes(
        version=__version__,
        when=when.astimezone(UTC).isoformat(timespec="seconds"),
        systemd=gathered.systemd if earlier.systemd is None else earlier.systemd,
        absent=missing,
        torn=(*earlier.torn, *gathered.torn),
    )
    try:
        facts = assemble(gathered)
    except ParseError as error:
        return notes, (*unparsed, str(error))
    size = None if facts.page_size_assumed else facts.page_size
    return replace(notes, page_size=size, arch=facts.arch, host=facts.host, kernel=facts.kernel), unparsed


def _earlier_notes(gathered: Gathered) -> tuple[CaptureNotes, tuple[str, ...]]:
    """Read the notes of a capture that is captured again."""
    try:
        text = gathered.text(layout.META)
        return CaptureNotes() if text is None else parse_notes(text, gathered.root.shown(layout.META)), ()
    except ParseError as error:
        return CaptureNotes(), (str(error),)


def _packed(files: Mapping[str, bytes], links: Mapping[str, str]) -> bytes:
    """Pack files and links, sorted, without anything of this machine or moment."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted((*files, *links)):
            member = tarfile.TarInfo(path)
            if path in links:
                target = links[path]
                member.type = tarfile.SYMTYPE
                folder = posixpath.dirname("/" + path)
                member.linkname = target if target == "/dev/null" else posixpath.relpath(target, folder)
                archive.addfile(member)
            else:
                member.size = len(files[path])
                archive.addfile(member, io.BytesIO(files[path]))
    return packed.getvalue()


def _write_atomically(target: Path, content: bytes, *, overwrite: bool) -> None:
    """Write beside the target and give it its name when it is complete.

    :raises FileExistsError: the name was taken meanwhile.
    """
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if overwrite:
            temporary.replace(target)
        else:
            target.hardlink_to(temporary)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()

"""What `--root` may name: the running system, a folder that mirrors it, an extracted sosreport, or an archive."""

import stat
from pathlib import Path

from pagewarden.errors import ReadError
from pagewarden.procfs.reader import FolderRoot, Root, open_stream, read_error


def open_root(source: str) -> Root:
    """Open what the user named.

    :raises ReadError: missing, unreadable, or neither a folder nor a tar archive.
    """
    try:
        mode = Path(source).stat().st_mode
        if stat.S_ISDIR(mode):
            return FolderRoot(source)
        if not stat.S_ISREG(mode):
            raise ReadError(source, "expected a folder that mirrors /, or a capture archive")
        # Archives are rare, and what unpacks them takes a tenth of the start-up time of every command.
        from pagewarden.procfs.tar_root import TarRoot

        with open_stream(Path(source)) as stream:
            return TarRoot(source, stream)
    except OSError as error:
        raise read_error(source, error) from None

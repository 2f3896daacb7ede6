"""Whether this machine keeps a journal that may be read. Light: the service loads it, and nothing else of this room."""

import os
from collections.abc import Iterable
from pathlib import Path

from pagewarden.errors import PermissionDenied, ReadError

JOURNAL_FOLDERS = ("/var/log/journal", "/run/log/journal")
JOURNAL = "journal"
NEEDED = "the Python package systemd-python (extra 'systemd') is needed to read it"


def check_access(folders: Iterable[str] = JOURNAL_FOLDERS) -> None:
    """Tell an absent journal and a forbidden one from one that holds nothing: the library shows all three empty.

    :raises ReadError: there is none; `missing` is set.
    :raises PermissionDenied: it is only for others.
    """
    files = [path for folder in folders for path in Path(folder).glob("*/system.journal")]
    if not files:
        raise ReadError(
            JOURNAL,
            "this machine keeps none (no system.journal); try: dmesg | pagewarden explain -, or advise --logs -",
            missing=True,
        )
    if not any(os.access(path, os.R_OK) for path in files):
        raise PermissionDenied(JOURNAL, "only root and the groups systemd-journal and adm may read it")

"""A user without rights, for tests that run as root: root may read everything."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def as_nobody(root: Path, *, owner: bool = False) -> Iterator[None]:
    """Go on as a user without rights who may walk to the root, and owns it where that is asked for."""
    if os.geteuid() != 0:
        yield
        return
    for folder in (root, *(parent for parent in root.parents if not parent.stat().st_mode & 0o001)):
        folder.chmod(0o711 if folder != root else 0o755)
    if owner:
        os.chown(root, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)

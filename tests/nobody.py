"""A user without rights, for tests that run as root: root may read everything."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def as_nobody(root: Path) -> Iterator[None]:
    """Go on as a user without rights who may walk to the root; root itself may read everything."""
    if os.geteuid() != 0:
        yield
        return
    for folder in (root, *(parent for parent in root.parents if not parent.stat().st_mode & 0o001)):
        folder.chmod(0o711 if folder != root else 0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)

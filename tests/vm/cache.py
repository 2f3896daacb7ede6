"""Where downloads and images are kept between runs, and one writer at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PLACE = "PAGEWARDEN_VM_CACHE"


def cache_folder() -> Path:
    """The folder $PAGEWARDEN_VM_CACHE, or ~/.cache/pagewarden-vm; made where it is missing."""
    named = os.environ.get(PLACE)
    folder = Path(named).absolute() if named else Path.home() / ".cache" / "pagewarden-vm"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` against other processes that fetch or build in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield

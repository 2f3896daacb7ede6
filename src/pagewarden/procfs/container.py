"""Whether this is a container: no zone and no vm.* setting is namespaced, so what is seen there is the machine's."""

from contextlib import suppress
from pathlib import Path

INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""Its inode. Kernel: include/linux/proc_ns.h:PROC_PID_INIT_INO, since 3.8"""

_MARKS = (".dockerenv", "run/.containerenv", "run/systemd/container")
"""Of Docker, Podman and systemd: a container may share the machine's processes."""


def in_container(root: str = "/") -> bool:
    """Whether the processes here are not all of the machine's, or a mark of a container lies here."""
    folder = Path(root)
    with suppress(OSError):
        if (folder / "proc/self/ns/pid").stat().st_ino != INITIAL_PID_NAMESPACE:
            return True
    return any((folder / mark).exists() for mark in _MARKS)

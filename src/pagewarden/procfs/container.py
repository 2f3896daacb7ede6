"""Whether this is a container: no zone and no vm.* setting is namespaced, so what is seen there is the machine's.

Files that container programs leave (`/.dockerenv`) do not tell: a virtual machine made of such an image has them too.
"""

from pathlib import Path

INITIAL = {"pid": 0xEFFFFFFC, "cgroup": 0xEFFFFFFB}
"""Inodes of the namespaces that a kernel begins with. Kernel: include/linux/proc_ns.h:PROC_PID_INIT_INO, since 3.8"""


def in_container(root: str = "/") -> bool:
    """Whether the processes here, or their control groups, are not seen as the machine sees its own."""
    return any(_inode(Path(root, "proc/self/ns", kind)) not in (None, number) for kind, number in INITIAL.items())


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None  # an older kernel, or no /proc

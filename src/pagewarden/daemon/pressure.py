"""Woken early by memory pressure: a trigger on /proc/pressure/memory, where the kernel lets this user set one.

Kernel: kernel/sched/psi.c:psi_trigger_create(). Triggers since 5.2 for CAP_SYS_RESOURCE; for everybody since 6.5
(Debian's 6.1 too), with windows of whole multiples of two seconds.
"""

import os

STALL_US = 100_000
WINDOW_US = 2_000_000


def open_trigger(path: str = "/proc/pressure/memory") -> int:
    """Set a trigger: woken (POLLPRI) when tasks were held up for 100 ms within two seconds, at most once in these.

    :return: a descriptor that holds the trigger while it is open.
    :raises OSError: no such file (before 4.20, or switched off), or not permitted (before 6.5, without privilege).
    """
    handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.write(handle, f"some {STALL_US} {WINDOW_US}\0".encode())
    except OSError:
        os.close(handle)
        raise
    return handle

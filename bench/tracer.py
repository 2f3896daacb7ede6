"""A process of ours, stopped before and after every system call: to kill it there, or to let the call fail. x86-64."""

import ctypes
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

TRACEME, PEEKUSER, POKEUSER, SYSCALL, SETOPTIONS = 0, 3, 6, 24, 0x4200
_TRACESYSGOOD, _EXITKILL = 1, 1 << 20
_ORIG_RAX, _RAX, _RDX, _RSI = 15 * 8, 10 * 8, 12 * 8, 13 * 8
NUMBERS = {
    "write": 1, "close": 3, "pwrite64": 18, "flock": 73, "fsync": 74, "ftruncate": 77, "rename": 82, "mkdir": 83,
    "unlink": 87, "fchmod": 91, "openat": 257, "unlinkat": 263, "renameat": 264,
}  # fmt: skip
NAMES = {number: name for name, number in NUMBERS.items()}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> int:
    ctypes.set_errno(0)
    result: int = _libc.ptrace(request, pid, address, data)
    if result == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), f"ptrace request {request}")
    return result


@dataclass(frozen=True, slots=True)
class Call:
    """A system call about to be made. :ivar writing: an open that could write."""

    index: int
    number: int
    writing: bool

    @property
    def name(self) -> str:
        return NAMES.get(self.number, str(self.number))


@dataclass(frozen=True, slots=True)
class Ended:
    """How the process ended. :ivar calls: made or begun. :ivar status: exit status, None where it was killed."""

    calls: list[Call]
    status: int | None


def run_traced(
    work: Callable[[], int],
    *,
    kill_before: int | None = None,
    kill_after: int | None = None,
    fail: Callable[[Call], int] = lambda call: 0,
    returned: Callable[[Call], None] = lambda call: None,
) -> Ended:
    """Run `work` in a child, whose exit status is what it returns.

    :param kill_before: index of the call before which SIGKILL ends the child; `kill_after` likewise.
    :param fail: asked before each call: 0, or the errno it is to fail with instead of being made.
    :param returned: called when a call that was made has returned, before the child goes on.
    """
    pid = os.fork()
    if pid == 0:
        _ptrace(TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(work())
    os.waitpid(pid, 0)
    _ptrace(SETOPTIONS, pid, 0, _TRACESYSGOOD | _EXITKILL)
    calls: list[Call] = []
    call: Call | None = None
    error, deliver = 0, 0
    while True:
        _ptrace(SYSCALL, pid, 0, deliver)
        deliver = 0
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            return Ended(calls, os.WEXITSTATUS(status) if os.WIFEXITED(status) else None)
        if os.WSTOPSIG(status) != signal.SIGTRAP | 0x80:
            deliver = os.WSTOPSIG(status)
            continue
        if call is None:
            call = _call(pid, len(calls))
            calls.append(call)
            if call.index == kill_before:
                return _kill(pid, calls)
            error = fail(call)
            if error:
                _ptrace(POKEUSER, pid, _ORIG_RAX, 2**64 - 1)
            continue
        if error:
            _ptrace(POKEUSER, pid, _RAX, 2**64 - error)
        else:
            returned(call)
        if call.index == kill_after:
            return _kill(pid, calls)
        call, error = None, 0


def _call(pid: int, index: int) -> Call:
    number = _ptrace(PEEKUSER, pid, _ORIG_RAX)
    flags = _ptrace(PEEKUSER, pid, _RDX) if number == NUMBERS["openat"] else 0
    return Call(index, number, bool(flags & _WRITING))


def _kill(pid: int, calls: list[Call]) -> Ended:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return Ended(calls, None)

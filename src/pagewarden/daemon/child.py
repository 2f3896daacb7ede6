"""Work that needs much memory for a moment, in a child process whose memory goes with it.

The child is a fork: nothing is started anew, and what is imported for the work (the decoder's tables, the adviser,
the configuration's checks) never becomes resident here. Answers come back through a pipe in marshal's form, which is
part of every Python and needs no import; only our own child writes into that pipe.
"""

import contextlib
import marshal
import os
import resource
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pagewarden.daemon.types import CHILD_NS, SECOND_NS
from pagewarden.errors import PagewardenError

CPU_SECONDS = 60
"""A child that computes longer than this is ended by the kernel: a hostile log must not burn a core."""
MEMORY_BYTES = 512 << 20
MAX_ANSWER_BYTES = 1 << 20
_CHUNK = 1 << 16

Work = Callable[[], Any]
Take = Callable[[Any, str], None]


class Child:
    """A piece of work under way.

    :ivar purpose: what it is for.
    :ivar handle: becomes readable when there is an answer, or the child has ended.
    :ivar started_ns: when it was started, by the monotonic clock.
    """

    def __init__(self, purpose: str, work: Work, now_ns: int) -> None:
        """Start it.

        :raises OSError: no process can be made (no memory, too many tasks).
        """
        self.purpose = purpose
        self.started_ns = now_ns
        self._answer = bytearray()
        self.handle, inlet = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self._pid = os.fork()
        except OSError:
            os.close(self.handle)
            os.close(inlet)
            raise
        if self._pid == 0:
            _be_child(work, inlet)
        os.close(inlet)

    def collect(self) -> bool:
        """Take what has come; True once the child has closed its end."""
        while True:
            try:
                piece = os.read(self.handle, _CHUNK)
            except BlockingIOError:
                return False
            self._answer += piece
            if not piece or len(self._answer) > MAX_ANSWER_BYTES:
                return True

    def finish(self) -> tuple[Any, str]:
        """Give the answer, and why there is none ("" where there is one); the child is gone afterwards."""
        status = self._reap()
        answer = bytes(self._answer)
        if len(answer) > MAX_ANSWER_BYTES:
            return None, "its answer is too long"
        try:
            good, value = marshal.loads(answer)
        except (ValueError, EOFError, TypeError):
            return None, f"it ended early ({_how(status)})"
        return (value, "") if good else (None, str(value))

    def end(self) -> None:
        """End it without an answer."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self._reap()

    def _reap(self) -> int:
        os.close(self.handle)
        if len(self._answer) > MAX_ANSWER_BYTES:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        while True:
            try:
                return os.waitpid(self._pid, 0)[1]
            except InterruptedError:
                continue
            except ChildProcessError:
                return 0


class Children:
    """The pieces of work under way, one of each purpose at most.

    :param poller: what the service waits with; it holds their handles.
    """

    def __init__(self, poller: "select.poll") -> None:
        self._poller = poller
        self._known: dict[int, tuple[Child, Take]] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    def busy(self, purpose: str) -> bool:
        """Whether there is one for this purpose."""
        return any(child.purpose == purpose for child, _ in self._known.values())

    def start(self, purpose: str, job: Work, take: Take, now_ns: int) -> None:
        """Have something done; `take` gets the answer and why there is none, as `Child.finish` gives them."""
        try:
            child = Child(purpose, job, now_ns)
        except OSError as error:
            take(None, f"no process for it: {error.strerror}")
            return
        self._known[child.handle] = child, take
        self._poller.register(child.handle, select.POLLIN)

    def collect(self, ready: set[int]) -> None:
        """Take the answers of those that are ready."""
        for handle in [handle for handle in self._known if handle in ready]:
            child, take = self._known[handle]
            if child.collect():
                self._forget(handle)
                take(*child.finish())

    def end_late(self, now_ns: int) -> None:
        """End those that have not answered in time."""
        for handle, (child, take) in list(self._known.items()):
            if now_ns - child.started_ns >= CHILD_NS:
                self._forget(handle)
                child.end()
                take(None, f"no answer within {CHILD_NS // SECOND_NS} s")

    def end_all(self) -> None:
        """End them without an answer."""
        for child, _ in self._known.values():
            child.end()
        self._known.clear()

    def _forget(self, handle: int) -> None:
        del self._known[handle]
        self._poller.unregister(handle)


def _how(status: int) -> str:
    return f"signal {status & 0x7F}" if status & 0x7F else f"status {status >> 8}"


def _be_child(work: Work, inlet: int) -> None:
    """Do the work, write the answer, and be gone: nothing of the service may run here, its exit handlers included."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.environ.pop("NOTIFY_SOCKET", None)
        os.set_blocking(inlet, True)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(
                "500", encoding="ascii"
            )  # if the machine has to choose, this and not the service
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        try:
            answer = marshal.dumps((True, work()))
        except PagewardenError as error:
            answer = marshal.dumps((False, str(error)[:500]))
        except Exception as error:  # noqa: BLE001  whatever it was, the service is told instead of losing the answer
            answer = marshal.dumps((False, f"{type(error).__name__}: {error}"[:500]))
        while answer:
            answer = answer[os.write(inlet, answer) :]
        sys.stderr.flush()
    finally:
        os._exit(0)

"""The real loop over hours, in this process: time passes at once, and a hook sees every turn of it."""

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pagewarden.daemon.clock import FastClock
from pagewarden.daemon.loop import Options, Service
from pagewarden.daemon.notify import Notifier
from pagewarden.daemon.types import SECOND_NS

if TYPE_CHECKING:
    import select

START = 1_700_000_000.0
Entries = list[Mapping[str, str]]


class SeenClock(FastClock):
    """A clock that calls a hook with the seconds that have passed, each time before the loop waits."""

    def __init__(self, each_turn: Callable[[float], None]) -> None:
        super().__init__(START)
        self._each_turn = each_turn
        self._slept = 0.0

    def wait(self, poller: "select.poll", timeout_ns: int, *, busy: bool) -> list[tuple[int, int]]:
        self._each_turn(self.now_ns() / SECOND_NS)
        return super().wait(poller, timeout_ns, busy=busy)

    def jump(self, seconds: float) -> None:
        """Set the wall clock ahead; time goes on as before."""
        self._wall += seconds

    def sleep(self, seconds: float) -> None:
        """Let the machine sleep: the monotonic clock stands still."""
        self._wall += seconds
        self._slept += seconds

    def boot_seconds(self) -> float:
        return super().boot_seconds() + self._slept


def run(
    root: Path,
    folder: Path,
    seconds: int,
    each_turn: Callable[[float], None],
    clock: SeenClock | None = None,
    notifier: Notifier | None = None,
) -> Entries:
    """Let the service run for so long; give its entries in the journal."""
    entries: Entries = []
    options = Options(root=str(root), state_folder=str(folder), run_folder=str(folder), fast_seconds=seconds)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        Service(options, clock or SeenClock(each_turn), entries.append, notifier or Notifier({})).run()
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return entries


def cause_entries(entries: Entries, cause: str) -> Entries:
    return [entry for entry in entries if entry.get("PAGEWARDEN_CAUSE") == cause]

"""The clock of the loop: the machine's, or one for tests that jumps over the time in which nothing happens."""

import select
import time
from typing import Protocol

from pagewarden.daemon.types import SECOND_NS

_MS_NS = 1_000_000


class Clock(Protocol):
    """What the loop knows of time."""

    def now_ns(self) -> int:
        """Give the monotonic clock, in nanoseconds."""

    def wall_seconds(self) -> float:
        """Give the wall clock, in seconds since 1970."""

    def boot_seconds(self) -> float:
        """Give the time since boot with that in which the machine slept: it and the wall clock go on together."""

    def wait(self, poller: "select.poll", timeout_ns: int, *, busy: bool) -> list[tuple[int, int]]:
        """Wait for the descriptors of a poller, at most so long; give those that are ready.

        :param busy: an answer of a child is on its way.
        """


class MachineClock:
    """The machine's own clocks. The monotonic one stands still while the machine sleeps, as its kernel's timers do."""

    def now_ns(self) -> int:
        """Give CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def wall_seconds(self) -> float:
        """Give CLOCK_REALTIME."""
        return time.time()

    def boot_seconds(self) -> float:
        """Give CLOCK_BOOTTIME."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wait(self, poller: "select.poll", timeout_ns: int, *, busy: bool) -> list[tuple[int, int]]:
        """Sleep until something is ready or the time is over; rounded up, so that nobody wakes too early."""
        return poller.poll((timeout_ns + _MS_NS - 1) // _MS_NS)


class FastClock:
    """Time that passes only while one waits, and then at once: a day takes seconds."""

    def __init__(self, wall_seconds: float = 1_700_000_000.0) -> None:
        """Begin at a wall clock."""
        self._passed_ns = 0
        self._wall = wall_seconds

    def now_ns(self) -> int:
        """Give the time that has passed."""
        return self._passed_ns

    def wall_seconds(self) -> float:
        """Give the wall clock."""
        return self._wall + self._passed_ns / SECOND_NS

    def boot_seconds(self) -> float:
        """Give the time that has passed: nothing sleeps here."""
        return self._passed_ns / SECOND_NS

    def wait(self, poller: "select.poll", timeout_ns: int, *, busy: bool) -> list[tuple[int, int]]:
        """Give what is ready; where nothing is and nothing is on its way, let the time pass."""
        ready = poller.poll(1000 if busy else 0)
        if not ready and not busy:
            self._passed_ns += timeout_ns
        return ready

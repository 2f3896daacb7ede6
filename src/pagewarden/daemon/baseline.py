"""What happened since an earlier poll, for the adviser: counters over a minute or two. Pure.

Two earlier readings are remembered, each reduced to its counters: the older is at least a minute old once the service
has run that long, and at most two minutes and a poll.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pagewarden.daemon.counters import less
from pagewarden.daemon.types import MINUTE_NS, SECOND_NS, Meanwhile, Reading

LEAST_NS = MINUTE_NS
"""Over less than a minute a rate says little."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """An earlier reading, as far as it is compared."""

    at_ns: int
    settings: int
    counters: Mapping[str, int] | None
    some_us: int | None
    full_us: int | None


def remember(known: tuple[Baseline, ...], reading: Reading, now_ns: int) -> tuple[Baseline, ...]:
    """Take a reading in; older ones go, and all of them where a setting has changed: they speak of another value."""
    if known and known[-1].settings != reading.settings:
        known = ()
    if known and now_ns - known[-1].at_ns < LEAST_NS:
        return known
    new = Baseline(now_ns, reading.settings, reading.counters, reading.pressure_some_us, reading.pressure_full_us)
    return (*known, new)[-2:]


def meanwhile(known: tuple[Baseline, ...], reading: Reading, now_ns: int) -> Meanwhile | None:
    """Compare a reading with the older baseline; None before that is a minute old, and without counters."""
    if not known or known[0].settings != reading.settings:
        return None
    first, elapsed_ns = known[0], now_ns - known[0].at_ns
    if elapsed_ns < LEAST_NS or first.counters is None or reading.counters is None:
        return None
    grown = {name: less(reading.counters.get(name), value) for name, value in first.counters.items()}
    return Meanwhile(
        seconds=elapsed_ns / SECOND_NS,
        counts={name: count for name, count in grown.items() if count is not None},
        some_percent=_percent(less(reading.pressure_some_us, first.some_us), elapsed_ns),
        full_percent=_percent(less(reading.pressure_full_us, first.full_us), elapsed_ns),
    )


def _percent(waited_us: int | None, elapsed_ns: int) -> float | None:
    return None if waited_us is None else min(100.0, waited_us * 100_000 / elapsed_ns)

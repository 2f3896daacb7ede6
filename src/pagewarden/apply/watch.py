"""Between two writes: is enough free for the next, and does the machine suffer? Pure; the waiting is elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass

from pagewarden.apply.steps import weighty
from pagewarden.apply.types import Signs
from pagewarden.kernel.machine import Machine
from pagewarden.kernel.simulate import ZoneState
from pagewarden.procfs.types import Zone

BASELINE_SECONDS = 2.0
"""How long the signs are watched before the first write that raises a mark."""

POLL_SECONDS = 0.5
LIMIT_SECONDS = 60.0
"""How long one step waits for free memory."""

STALLS_PER_SECOND = 10.0
FULL_STALL_PERCENT = 10.0
TIMES_BASELINE = 3.0
"""Harm is this many times what there was before the first write, and beyond the plain limit as well."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The signs as rates. :ivar full_stall_percent: of the time, PSI full; None where the kernel has no PSI."""

    stalls_per_second: float
    full_stall_percent: float | None


def rates(first: Signs, last: Signs, seconds: float) -> Rates:
    """Turn two readings into rates; over no time at all everything is 0."""
    if seconds <= 0:
        return Rates(0.0, None)
    full = None
    if first.full_stall_us is not None and last.full_stall_us is not None:
        full = (last.full_stall_us - first.full_stall_us) / (seconds * 10_000)
    return Rates((last.stalls - first.stalls) / seconds, full)


def harm(baseline: Rates, first: Signs, last: Signs, seconds: float) -> str:
    """Say what hurts since the first reading; empty where nothing does. One OOM kill is enough.

    Rates need a second of watching; a shorter time is taken as one, so that a few stalls at once are no alarm.
    """
    if first.oom_kills is not None and last.oom_kills is not None and last.oom_kills > first.oom_kills:
        return f"{last.oom_kills - first.oom_kills} OOM kill(s) since the write"
    found = rates(first, last, max(seconds, 1.0))
    limit = max(STALLS_PER_SECOND, TIMES_BASELINE * baseline.stalls_per_second)
    if found.stalls_per_second > limit:
        return (
            f"{found.stalls_per_second:.0f} direct reclaims a second since the write "
            f"({baseline.stalls_per_second:.0f} before it, limit {limit:.0f})"
        )
    before = baseline.full_stall_percent or 0.0
    limit = max(FULL_STALL_PERCENT, TIMES_BASELINE * before)
    if found.full_stall_percent is not None and found.full_stall_percent > limit:
        return (
            f"every task waited for memory {found.full_stall_percent:.0f} % of the time since the write "
            f"({before:.0f} % before it, limit {limit:.0f} %)"
        )
    return ""


def raised(before: Sequence[ZoneState], after: Sequence[ZoneState]) -> bool:
    """Whether a step asks for more free memory anywhere."""
    return any(
        new.marks.low_pages > old.marks.low_pages
        or max(new.protection_pages or (0,)) > max(old.protection_pages or (0,))
        for old, new in zip(before, after, strict=True)
    )


def short_zones(machine: Machine, after: Sequence[ZoneState], zones: Sequence[Zone]) -> tuple[str, ...]:
    """Name the zones that are not above their new low mark yet, of those that count and were above their old one.

    :param machine: as it was before the first write.
    """
    return tuple(
        f"node {zone.node} {zone.name}"
        for old, state, zone, matters in zip(machine.zones, after, zones, weighty(machine), strict=True)
        if matters and old.free_pages > old.low_pages and zone.free_pages <= state.marks.low_pages
    )


def closed_nodes(after: Sequence[ZoneState], zones: Sequence[Zone]) -> tuple[int, ...]:
    """Name the nodes in which an ordinary request finds no zone above its low mark and reserve.

    Where a node has one, its requests are served from there and kswapd is not even woken: a zone that stays short
    beside it hurts nobody.
    """
    nodes = {zone.node for zone in zones if zone.populated}
    open_nodes = {
        zone.node
        for state, zone in zip(after, zones, strict=True)
        if zone.populated and zone.free_pages > state.marks.low_pages + max(state.protection_pages or (0,))
    }
    return tuple(sorted(nodes - open_nodes))

"""Where free memory and free blocks head: said only where the trend is beyond doubt and its end is near."""

from pagewarden.advise.observed import NOTHING, Observed, ZoneTrend
from pagewarden.diagnose.trend import Trend
from pagewarden.diagnose.types import Cause, Evidence, Finding, FindingCause, Severity
from pagewarden.kernel.machine import Machine
from pagewarden.procfs.types import Snapshot, Zone
from pagewarden.units import human_bytes

SOON_SECONDS = 3600.0
DAY_SECONDS = 86400.0

LEAST_SPAN_SECONDS = 60.0
FARTHEST = 6
"""Seconds of watching tell nothing, and what ends later than in six times the time watched is not said either: nobody
can tell from minutes what a day brings."""


def trend_findings(snapshot: Snapshot, machine: Machine, observed: Observed = NOTHING) -> list[Finding]:
    """Say when available memory, a zone's free pages or its large blocks will run out, if they go on like this."""
    found = _available(machine, observed.available_pages)
    zones = {(zone.node, zone.name): zone for zone in machine.zones}
    for trend in observed.zones:
        zone = zones.get((trend.node, trend.zone))
        if zone is not None:
            found += _low_mark(machine, zone, trend)
            found += _last_block(machine, zone, trend)
    return found


def _available(machine: Machine, trend: Trend | None) -> list[Finding]:
    ends = _ends(trend, 0)
    if trend is None or ends is None:
        return []
    severity = Severity.WARNING if ends[1] <= SOON_SECONDS else Severity.NOTICE
    text = f"Available memory is used up {_when(ends)} if it goes on like this: {_rate(machine, trend)}."
    return [Finding(Cause.MEMORY_EXHAUSTED, severity, text, _evidence("available memory", trend))]


def _low_mark(machine: Machine, zone: Zone, trend: ZoneTrend) -> list[Finding]:
    # Below the low mark kswapd wakes: ordinary life of a machine that uses its memory as page cache.
    ends = _ends(trend.free_pages, zone.low_pages)
    if trend.free_pages is None or ends is None:
        return []
    text = (
        f"{_name(machine, zone)} reaches its low mark, where kswapd wakes, {_when(ends)} if it goes on like this: "
        f"{_rate(machine, trend.free_pages)}."
    )
    return [Finding(FindingCause.LOW_MARK_NEAR, Severity.INFO, text, _evidence("free pages", trend.free_pages))]


def _last_block(machine: Machine, zone: Zone, trend: ZoneTrend) -> list[Finding]:
    ends = _ends(trend.blocks, 0)
    if trend.blocks is None or ends is None:
        return []
    text = (
        f"{_name(machine, zone)} has no free block of order {trend.order} or more left {_when(ends)} if it goes on "
        "like this; compaction makes new ones as long as pages can be moved."
    )
    evidence = _evidence(f"free blocks of order {trend.order} and more", trend.blocks)
    # Page cache that fills memory takes every block, and gives them back when asked: no harm by itself.
    return [Finding(FindingCause.FRAGMENTATION_RISING, Severity.INFO, text, evidence)]


def _ends(trend: Trend | None, floor: float) -> tuple[float, float, float] | None:
    """Soonest, likeliest and latest end, where it means something."""
    ends = None if trend is None else trend.seconds_until(floor)
    if trend is None or ends is None or trend.span_seconds < LEAST_SPAN_SECONDS:
        return None
    return ends if ends[1] <= min(DAY_SECONDS, FARTHEST * trend.span_seconds) else None


def _when(ends: tuple[float, float, float]) -> str:
    soonest, likeliest, latest = (_span(end) for end in ends)
    return f"in about {likeliest}" + (f" (between {soonest} and {latest})" if soonest != latest else "")


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 2 * DAY_SECONDS else f"{seconds / DAY_SECONDS:.0f} days"


def _rate(machine: Machine, trend: Trend) -> str:
    return f"{human_bytes(round(-trend.per_second * 60 * machine.page_size))} a minute"


def _evidence(what: str, trend: Trend) -> tuple[Evidence, ...]:
    bounds = f"between {trend.least_per_second:.3g} and {trend.most_per_second:.3g}"
    return (Evidence(f"{what} a second, {bounds}", round(trend.per_second, 4), "median of all pairs of samples"),)


def _name(machine: Machine, zone: Zone) -> str:
    return f"Node {zone.node} {zone.name}" if len(machine.nodes) > 1 else f"Zone {zone.name}"

"""Whether tasks are held up by reclaim or compaction: rates over the last minute or more, from counters. Pure.

No setting is named here: which one answers, if any, depends on the kernel and is for the adviser, who is asked then.
"""

from dataclasses import dataclass

from pagewarden.daemon.counters import Increase
from pagewarden.daemon.findings import Seen
from pagewarden.daemon.types import MINUTE_NS, SECOND_NS, Kind

WINDOW_NS = MINUTE_NS
_MAX_STEPS = 64

STALLS_PER_SECOND = 1.0
STALLS_UNDER_PRESSURE = 0.1
"""Fewer stalls are felt where there is pressure as well: kswapd's own work, a group's limit and pages read back in are
pressure too, and without stalls it is these."""
PRESSURE_PERCENT = 1.0
"""These three are the adviser's (advise/watermark_scale_factor.py), whose imports are not wanted here."""
COMPACTIONS_PER_SECOND = 1.0
FAILED_PERCENT = 50
"""Direct compaction that fails this often is work for nothing."""
EASED = 0.5
"""A finding stays until the rate has fallen below this share of what made it appear."""


@dataclass(frozen=True, slots=True)
class Step:
    """The time between two polls; what is not known is None."""

    elapsed_ns: int
    increase: Increase
    pressure_us: int | None


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates over a window; None: not known.

    :ivar hit_quickly: times kswapd reached a mark and had to go on at once.
    """

    seconds: float
    stalls_per_second: float | None
    pressure_percent: float | None
    compactions_per_second: float | None
    compaction_failed_percent: float | None
    hit_quickly: int | None


def add_step(steps: tuple[Step, ...], step: Step) -> tuple[Step, ...]:
    """Append a step and drop the oldest that the window does not need."""
    steps = (*steps, step)[-_MAX_STEPS:]
    covered = sum(entry.elapsed_ns for entry in steps)
    while len(steps) > 1 and covered - steps[0].elapsed_ns >= WINDOW_NS:
        covered -= steps[0].elapsed_ns
        steps = steps[1:]
    return steps


def rates(steps: tuple[Step, ...]) -> Rates | None:
    """Compute the rates over the steps; None while they do not cover the window."""
    elapsed = sum(step.elapsed_ns for step in steps)
    if elapsed < WINDOW_NS:
        return None
    seconds = elapsed / SECOND_NS
    stalls = _sum([step.increase.stalls for step in steps])
    pressure = _sum([step.pressure_us for step in steps])
    tries = _sum([step.increase.compact_stalls for step in steps])
    fails = _sum([step.increase.compact_fails for step in steps])
    return Rates(
        seconds=seconds,
        stalls_per_second=None if stalls is None else stalls / seconds,
        pressure_percent=None if pressure is None else pressure / (seconds * 10_000),
        compactions_per_second=None if tries is None else tries / seconds,
        compaction_failed_percent=None if not tries or fails is None else 100 * fails / tries,
        hit_quickly=_sum([step.increase.low_hit_quickly for step in steps]),
    )


def _sum(values: list[int | None]) -> int | None:
    """Add up; None where any part is not known: a rate from half of a window would be too low."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def judge_stalls(found: Rates, present: bool) -> Seen | None:
    """Say whether direct reclaim holds tasks up.

    :param present: it did so before: then it must ease to half before it is over.
    """
    share = EASED if present else 1.0
    if found.stalls_per_second is None:
        return None
    pressed = found.pressure_percent is not None and found.pressure_percent > PRESSURE_PERCENT * share
    if found.stalls_per_second < (STALLS_UNDER_PRESSURE if pressed else STALLS_PER_SECOND) * share:
        return None
    parts = [f"{found.stalls_per_second:.1f} direct reclaims a second"]
    if found.pressure_percent is not None:
        parts.append(f"{found.pressure_percent:.1f} % of the time lost to memory pressure")
    text = f"Tasks wait for memory: {', '.join(parts)} over {found.seconds:.0f} s."
    if found.hit_quickly:
        text += f" kswapd fell back below the low mark {found.hit_quickly} times right after it had reached it."
    return Seen(
        kind=Kind.STALLS,
        identity="direct-reclaim-stalls",
        cause="direct-reclaim-stalls",
        severity="warning",
        text=text,
        details=_details(found),
    )


def judge_compaction(found: Rates, present: bool) -> Seen | None:
    """Say whether tasks compact memory by themselves and mostly in vain."""
    share = EASED if present else 1.0
    rate, failed = found.compactions_per_second, found.compaction_failed_percent
    if rate is None or failed is None or rate < COMPACTIONS_PER_SECOND * share or failed < FAILED_PERCENT * share:
        return None
    return Seen(
        kind=Kind.COMPACTION,
        identity="fragmentation-rising",
        cause="fragmentation-rising",
        severity="notice",
        text=f"Tasks compact memory by themselves {rate:.1f} times a second, {failed:.0f} % of it in vain, over "
        f"{found.seconds:.0f} s: free memory is in small pieces.",
        details=_details(found),
    )


def _details(found: Rates) -> dict[str, str]:
    values = {
        "STALLS_PER_SECOND": found.stalls_per_second,
        "PRESSURE_PERCENT": found.pressure_percent,
        "COMPACTIONS_PER_SECOND": found.compactions_per_second,
    }
    return {name: f"{value:.2f}" for name, value in values.items() if value is not None}

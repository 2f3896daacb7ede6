"""How much more room kswapd needs, in bytes, where callers reclaim memory by themselves: from counters, not by guess.

While kswapd works, callers take what lies between the low and the min mark (the gap) and what kswapd frees meanwhile;
what is missing then they reclaim by themselves, in direct reclaim. Over an interval

    shortfall = pages reclaimed directly / runs of kswapd

is what the gap lacked in an average run. Bursts are not all alike: if their shortfalls are spread exponentially, a gap
larger by x leaves exp(-x / shortfall) of the stalls. Measured on real kernels the number of stalls does fall in that
way (docs/advice.md); how steeply differs with the load, which is why it is read off the machine's own counters.
"""

from dataclasses import dataclass
from math import exp

from pagewarden.diagnose.interval import Interval
from pagewarden.kernel.machine import Machine
from pagewarden.kernel.watermarks import SWAP_CLUSTER_MAX

LEAST_SECONDS = 60.0
"""Over less than a minute a rate says little."""

RUN_SECONDS = 1.0
"""Assumed for one run of kswapd where no counter tells how often it ran."""


@dataclass(frozen=True, slots=True)
class Stalls:
    """Direct reclaim over an interval.

    :ivar count: how often a caller had to reclaim by itself (allocstall).
    :ivar direct_pages: what they reclaimed, together.
    :ivar kswapd_runs: how often kswapd was at work; None where not counted.
    :ivar shortfall_pages: what the gap lacked in an average run of kswapd.
    :ivar assumption: what had to be taken for granted; empty where the counters tell all.
    """

    count: int
    seconds: float
    direct_pages: int
    kswapd_runs: int | None
    shortfall_pages: float
    assumption: str

    @property
    def per_second(self) -> float:
        """Stalls a second."""
        return self.count / self.seconds

    def left_after(self, more_pages: float) -> float:
        """The share of stalls that a gap larger by this many pages is expected to leave."""
        return exp(-more_pages / self.shortfall_pages) if self.shortfall_pages > 0 else 0.0


def stalls_of(interval: Interval | None) -> Stalls | None:
    """Read the stalls off an interval; None where it cannot be used or these kernels' counters are not in it."""
    if interval is None or interval.unusable or interval.seconds <= 0:
        return None
    count = interval.total("allocstall")
    if count is None:
        return None
    direct, assumption = _direct_pages(interval, count)
    runs = interval.counts.get("pageoutrun")
    if runs:
        shortfall = direct / runs
    else:
        shortfall = direct / interval.seconds * RUN_SECONDS
        said = f"kswapd was taken to need {RUN_SECONDS:g} s a run (no run of it ended, or this kernel does not count)"
        assumption = "; ".join(part for part in (assumption, said if direct else "") if part)
    return Stalls(count, interval.seconds, direct, runs, shortfall, assumption)


def _direct_pages(interval: Interval, count: int) -> tuple[int, str]:
    stolen = interval.total("pgsteal_direct")
    if stolen is not None:
        return stolen, ""
    scanned = interval.total("pgscan_direct")
    if scanned is not None:
        return scanned, "every page scanned was taken to be reclaimed (this kernel does not count what was)"
    return count * SWAP_CLUSTER_MAX, f"each stall was taken to reclaim {SWAP_CLUSTER_MAX} pages, a kernel's batch"


def gap_pages(machine: Machine) -> int:
    """What lies between min and low in all zones together: what kswapd has until callers reclaim by themselves."""
    return sum(zone.low_pages - zone.min_pages for zone in machine.zones if zone.populated)

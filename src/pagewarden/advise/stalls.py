"""How much more room kswapd needs, in bytes, where callers reclaim memory by themselves: from counters, not by guess.

While kswapd works, callers take what lies between the low and the min mark (the gap g) and what kswapd frees meanwhile;
what is missing then they reclaim by themselves, in direct reclaim. Bursts are not all alike. If what each run of kswapd
had to bridge is spread exponentially with mean m, then an average run, those without a stall among them, fell short by

    pages reclaimed directly / runs of kswapd = m * exp(-g / m)

which gives m, and a gap larger by x leaves exp(-x / m) of the stalls. Measured on one kernel the number of stalls does
fall in that way (docs/advice.md); how steeply differs with the load, which is why it is read off the machine's own
counters. That m is found rightly in this way has not been measured.
"""

from dataclasses import dataclass
from math import exp

from pagewarden.diagnose.interval import Interval
from pagewarden.kernel.machine import Machine
from pagewarden.kernel.watermarks import SWAP_CLUSTER_MAX, zone_size

LEAST_SECONDS = 60.0
"""Over less than a minute a rate says little."""

RUN_SECONDS = 1.0
"""Assumed for one run of kswapd on kernels that do not count them."""

ENDLESS_PERCENT = 10
"""A run in which kswapd frees more than this share of memory on average is no burst: a gap is soon gone."""

UNRECLAIMABLE = ("node_unreclaimable", "all_unreclaimable")


@dataclass(frozen=True, slots=True)
class Stalls:
    """Direct reclaim over an interval.

    :ivar count: how often a caller had to reclaim by itself (allocstall).
    :ivar direct_pages: what they reclaimed, together.
    :ivar kswapd_runs: how often a kswapd set to work, those of all nodes together; None where not counted.
    :ivar assumption: what had to be taken for granted; empty where the counters tell all.
    """

    count: int
    seconds: float
    direct_pages: int
    kswapd_runs: int | None
    assumption: str

    @property
    def per_second(self) -> float:
        """Stalls a second."""
        return self.count / self.seconds


@dataclass(frozen=True, slots=True)
class Bursts:
    """What runs of kswapd had to bridge.

    :ivar gap_pages: what lies between min and low now, in all zones together.
    :ivar shortfall_pages: what an average run fell short by.
    :ivar mean_pages: the mean of what runs had to bridge.
    """

    gap_pages: int
    shortfall_pages: float
    mean_pages: float

    def left_after(self, more_pages: float) -> float:
        """The share of stalls that a gap larger by this many pages is expected to leave: all where it is not larger."""
        return exp(-more_pages / self.mean_pages) if more_pages > 0 else 1.0


def stalls_of(interval: Interval | None, *, node_reclaim: bool = False) -> Stalls | None:
    """Read the stalls off an interval; None where it cannot be used or these kernels' counters are not in it.

    :param node_reclaim: vm.zone_reclaim_mode is on: what it reclaims is counted as reclaimed directly, without a stall.
    """
    if interval is None or interval.unusable or interval.seconds <= 0:
        return None
    count = interval.total("allocstall")
    if count is None:
        return None
    direct, assumption = _by_batches(count) if node_reclaim else _direct_pages(interval, count)
    return Stalls(count, interval.seconds, direct, interval.counts.get("pageoutrun"), assumption)


def bursts_of(stalls: Stalls, machine: Machine) -> tuple[Bursts, str]:
    """Solve for the mean burst; with it what had to be taken for granted (empty: nothing).

    One shortage wakes the kswapd of every node, and each counts a run.

    Kernel: mm/vmscan.c:balance_pgdat(): PAGEOUTRUN; mm/page_alloc.c:wake_all_kswapds()
    """
    nodes = len({zone.node for zone in machine.zones if zone.populated})
    assumed = [stalls.assumption] if stalls.assumption else []
    if stalls.kswapd_runs is None:
        shortages = stalls.seconds / RUN_SECONDS
        assumed.append(f"kswapd was taken to need {RUN_SECONDS:g} s a run (this kernel does not count them)")
    else:
        shortages = stalls.kswapd_runs / nodes
    if nodes > 1:
        assumed.append("each shortage was taken to wake the kswapd of all nodes, and to take from all of them")
    gap = max(0, gap_pages(machine))  # marks that are out of order are a misfit, said elsewhere
    shortfall = stalls.direct_pages / shortages if shortages else 0.0
    return Bursts(gap, shortfall, _mean(gap, shortfall)), "; ".join(assumed)


def _mean(gap: float, shortfall: float) -> float:
    """Solve m * exp(-gap / m) = shortfall, which grows with m."""
    low, high = 1e-6, max(1.0, shortfall)
    while high * exp(-gap / high) < shortfall:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if middle * exp(-gap / middle) >= shortfall else (middle, high)
    return high


def why_no_mark(stalls: Stalls, interval: Interval, machine: Machine) -> str:
    """Why a larger gap would not answer these stalls; empty where it may."""
    if any(zone.counters.get(name) for zone in machine.zones for name in UNRECLAIMABLE):
        return (
            "kswapd has given up on a node (unreclaimable in /proc/zoneinfo): it is not woken there, whatever the gap"
        )
    if _is_endless(stalls, interval, machine):
        return (
            "kswapd works almost without end: memory is wanted faster than it is freed, and a larger gap is soon gone"
        )
    compactions = interval.total("compact_stall")
    if compactions is not None and 2 * compactions >= stalls.count:
        return "most waited for compaction, not for free pages: requests for several pages in one piece (huge pages)"
    if _has_room(interval, machine):
        return (
            "memory is free far above the high mark: who waits is bound to a node or zone, or wants pages in one piece"
        )
    return ""


def _is_endless(stalls: Stalls, interval: Interval, machine: Machine) -> bool:
    """No run began, so that one may have gone on all the time; or the runs were long ones."""
    if stalls.kswapd_runs is None:
        return False
    freed = interval.total("pgsteal_kswapd")
    memory = sum(zone_size(zone, machine.rules.watermarks.size) for zone in machine.zones)
    return stalls.kswapd_runs == 0 or (
        freed is not None and freed * 100 > stalls.kswapd_runs * memory * ENDLESS_PERCENT
    )


ROOM = 8
"""Right after somebody gave memory back a zone may have twice its high mark free; eight times is another matter."""


def _has_room(interval: Interval, machine: Machine) -> bool:
    """A zone that matters had room all the time for ordinary requests, beyond what it keeps for lower ones."""
    size = machine.rules.watermarks.size
    total = sum(zone_size(zone, size) for zone in machine.zones)
    return any(
        interval.least_free_pages.get((zone.node, zone.name), 0)
        > ROOM * zone.high_pages + max(zone.protection_pages or (0,))
        for zone in machine.zones
        if zone_size(zone, size) * 100 >= total > 0
    )


def _by_batches(count: int) -> tuple[int, str]:
    return count * SWAP_CLUSTER_MAX, f"each stall was taken to reclaim {SWAP_CLUSTER_MAX} pages, a kernel's batch"


def _direct_pages(interval: Interval, count: int) -> tuple[int, str]:
    stolen = interval.total("pgsteal_direct")
    if stolen is not None:
        return stolen, ""
    scanned = interval.total("pgscan_direct")
    if scanned is not None:
        return scanned, "every page scanned was taken to be reclaimed (this kernel does not count what was)"
    return _by_batches(count)


def gap_pages(machine: Machine) -> int:
    """What lies between min and low in all zones together: what kswapd has until callers reclaim by themselves."""
    return sum(zone.low_pages - zone.min_pages for zone in machine.zones if zone.populated)

"""What the kernel's counters tell about the time between two polls. Pure.

Counters only rise, but not for ever: on 32-bit kernels they wrap, and a counter may be missing in one of two readings
(a file that could not be read, a machine restored from a snapshot). Then the increase is not known, which is not zero.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pagewarden.history.sample import COUNTERS

NUMA = ("numa_hit", "numa_miss")
"""For the adviser, which judges vm.zone_reclaim_mode by them; the history does not keep them."""
_SPLIT = ("allocstall", "pgscan_direct", "pgsteal_direct", "pgscan_kswapd", "pgsteal_kswapd")
"""Some kernels print these by zone: `allocstall_normal` (4.10 and later), `pgscan_direct_normal` (before 4.8)."""
_NOT_SUMMED = frozenset({"pgscan_direct_throttle"})


@dataclass(frozen=True, slots=True)
class Increase:
    """Events between two readings; None: not known."""

    stalls: int | None = None
    direct_scanned_pages: int | None = None
    low_hit_quickly: int | None = None
    high_hit_quickly: int | None = None
    kills: int | None = None
    compact_stalls: int | None = None
    compact_fails: int | None = None


def followed_names(printed: Iterable[str]) -> dict[str, str]:
    """Choose the counters that the service judges from those that a kernel prints.

    :return: counter as printed -> the name under which it is followed; several by zone have one.
    """
    names = tuple(printed)
    found = {name: name for name in (*COUNTERS, *NUMA) if name in names}
    for stem in _SPLIT:
        if stem not in found:
            found |= {name: stem for name in names if name.startswith(f"{stem}_") and name not in _NOT_SUMMED}
    return found


def followed(vmstat: Mapping[str, int]) -> dict[str, int]:
    """Pick the counters that the service judges; those that are printed by zone are summed."""
    found: dict[str, int] = {}
    for printed, name in followed_names(vmstat).items():
        found[name] = found.get(name, 0) + vmstat[printed]
    return found


def increase(before: Mapping[str, int] | None, after: Mapping[str, int] | None) -> Increase:
    """Compute what happened between two readings of `followed` counters."""
    if before is None or after is None:
        return Increase()

    def of(name: str) -> int | None:
        old, new = before.get(name), after.get(name)
        return None if old is None or new is None or new < old else new - old

    return Increase(
        stalls=of("allocstall"),
        direct_scanned_pages=of("pgscan_direct"),
        low_hit_quickly=of("kswapd_low_wmark_hit_quickly"),
        high_hit_quickly=of("kswapd_high_wmark_hit_quickly"),
        kills=of("oom_kill"),
        compact_stalls=of("compact_stall"),
        compact_fails=of("compact_fail"),
    )


def less(after: int | None, before: int | None) -> int | None:
    """Subtract two readings of one counter; None where one is missing or the counter began again."""
    return None if after is None or before is None or after < before else after - before

"""From a reading of the machine to what is kept of it."""

from pagewarden.history.types import Sample, ZoneSample
from pagewarden.procfs.types import Snapshot

COUNTERS = (
    "allocstall",
    "pgscan_direct",
    "pgsteal_direct",
    "pgscan_kswapd",
    "pgsteal_kswapd",
    "kswapd_low_wmark_hit_quickly",
    "kswapd_high_wmark_hit_quickly",
    "pageoutrun",
    "compact_stall",
    "compact_fail",
    "oom_kill",
    "zone_reclaim_failed",
)
"""The counters of `/proc/vmstat` that are kept. One that kernels print by zone (`allocstall_normal`) is their sum."""

# Before 4.8 these were printed by zone, and allocstall since: `NAME_dma`, `NAME_normal`, ...
_BY_ZONE = ("allocstall", "pgscan_direct", "pgsteal_direct", "pgscan_kswapd", "pgsteal_kswapd")
_ZONES = ("dma", "dma32", "normal", "high", "movable", "device")


def sample_of(snapshot: Snapshot, at_seconds: float, boot_id: str) -> Sample:
    """Take from a snapshot what the history keeps; zones without pages are left out."""
    pressure = snapshot.pressure
    return Sample(
        at_seconds=at_seconds,
        boot_id=boot_id,
        page_size=snapshot.page_size,
        zones=tuple(
            ZoneSample(
                node=zone.node,
                zone=zone.name,
                free_pages=zone.free_pages,
                lowest_free_pages=zone.free_pages,
                min_pages=zone.min_pages,
                low_pages=zone.low_pages,
                high_pages=zone.high_pages,
                managed_pages=zone.managed_pages,
            )
            for zone in snapshot.zones
            if zone.populated
        ),
        counters=_counters(snapshot),
        pressure_some_us=pressure.some.total_us if pressure else None,
        pressure_full_us=pressure.full.total_us if pressure and pressure.full else None,
    )


def _counters(snapshot: Snapshot) -> dict[str, int]:
    vmstat = snapshot.vmstat or {}
    found = {}
    for name in COUNTERS:
        parts = [vmstat[name]] if name in vmstat else []
        if not parts and name in _BY_ZONE:
            parts = [vmstat[key] for key in (f"{name}_{zone}" for zone in _ZONES) if key in vmstat]
        if parts:
            found[name] = sum(parts)
    return found

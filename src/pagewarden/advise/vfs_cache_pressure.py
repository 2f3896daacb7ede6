"""vm.vfs_cache_pressure: dentries and inodes that crowd out the page cache while tasks wait for memory."""

from pagewarden.advise.build import recommend_value
from pagewarden.advise.failures import failure_evidence
from pagewarden.advise.observed import NOTHING, Observed
from pagewarden.advise.stalls import stalls_of
from pagewarden.advise.types import Level, Recommendation
from pagewarden.diagnose.types import Cause, Evidence, Finding, FindingCause, Severity
from pagewarden.kernel.machine import Machine
from pagewarden.kernel.projection import usage_of
from pagewarden.kernel.watermarks import zone_size
from pagewarden.procfs.types import Snapshot
from pagewarden.units import human_bytes

CACHE_PRESSURE = "vm.vfs_cache_pressure"
CACHE_PRESSURE_DEFAULT = 100

SLAB_PERCENT = 25
"""Dentries and inodes that hold this share of memory, and more than the page cache does, are far above what is used."""


def advise_vfs_cache_pressure(
    snapshot: Snapshot, machine: Machine, observed: Observed = NOTHING
) -> tuple[list[Recommendation], list[Finding]]:
    """Dentries and inodes that crowd out everything else; worth a change only where somebody suffers."""
    usage = usage_of(snapshot, machine)
    total = sum(zone_size(zone, machine.rules.watermarks.size) for zone in machine.zones)
    if usage is None or usage.slab_pages * 100 < total * SLAB_PERCENT or usage.slab_pages <= usage.cache_pages:
        return [], []
    slab, cache = (human_bytes(pages * machine.page_size) for pages in (usage.slab_pages, usage.cache_pages))
    text = (
        f"Reclaimable slab (dentries and inodes, mostly) holds {slab}, {100 * usage.slab_pages / total:.0f} % of "
        f"memory; the page cache {cache}."
    )
    evidence = (
        Evidence("reclaimable slab, pages", usage.slab_pages, "/proc/vmstat or /proc/meminfo"),
        Evidence("page cache, pages", usage.cache_pages, "/proc/vmstat or /proc/meminfo"),
    )
    stalls = stalls_of(observed.interval)
    slow = observed.logs.of(Cause.RECLAIM_TOO_SLOW, Cause.MEMORY_EXHAUSTED) if observed.logs is not None else ()
    suffers = bool(slow) or (stalls is not None and stalls.per_second >= 1)
    current = machine.sysctls.get(CACHE_PRESSURE)
    if not suffers or current is None or int(current) > CACHE_PRESSURE_DEFAULT:
        return [], [Finding(FindingCause.RECLAIMABLE_SLAB_HEAVY, Severity.INFO, text, evidence)]
    text += " Tasks wait for memory meanwhile: reclaim should take from it first."
    value = str(2 * CACHE_PRESSURE_DEFAULT if int(current) == CACHE_PRESSURE_DEFAULT else CACHE_PRESSURE_DEFAULT)
    recommendation = recommend_value(
        snapshot,
        machine,
        CACHE_PRESSURE,
        current,
        value,
        FindingCause.RECLAIMABLE_SLAB_HEAVY,
        text,
        "The same files are looked up again and again: then the cache earns its memory.",
        (*evidence, *failure_evidence(slow)),
        worse="Looking up files costs more where their dentries and inodes were dropped.",
        confidence=Level.MEDIUM,
    )
    return [recommendation], [Finding(FindingCause.RECLAIMABLE_SLAB_HEAVY, Severity.NOTICE, text, evidence)]

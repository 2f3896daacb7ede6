"""What a simulated change would mean for a machine in use: how far its free memory is from the new marks."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress

from pagewarden.kernel.lowmem_reserve import mem_available_pages
from pagewarden.kernel.simulate import Simulation
from pagewarden.kernel.watermarks import zone_size
from pagewarden.kernel.zones import is_lowmem
from pagewarden.units import human_bytes, kb_to_pages

FIVE_PERCENT = 20
"""The kernel never lets khugepaged hold back more than a twentieth of low memory; beyond it we warn."""


@dataclass(frozen=True, slots=True)
class ZoneHeadroom:
    """One zone on its way to the new marks, in pages; negative numbers are pages that must be freed first."""

    node: int
    zone: str
    free_pages: int
    above_min_pages: int
    above_low_pages: int
    above_high_pages: int


@dataclass(frozen=True, slots=True)
class Projection:
    """The change seen from the machine's present use.

    :ivar available_bytes: MemAvailable before and after, by the kernel's formula; None where meminfo is lacking.
    :ivar to_free_bytes: what kswapd would have to free until every zone is above its new high mark.
    :ivar reclaimable_bytes: page cache and reclaimable slab: what it can free without swapping; None if not known.
    :ivar warnings: plain sentences, the worst first; empty where nothing stands against the change.
    """

    headroom: tuple[ZoneHeadroom, ...]
    available_bytes: tuple[int, int] | None
    to_free_bytes: int
    reclaimable_bytes: int | None
    warnings: tuple[str, ...]


def project(simulation: Simulation, meminfo_kb: Mapping[str, int] | None) -> Projection:
    """Set a simulation against the free and reclaimable memory of the machine."""
    machine = simulation.machine
    headroom = tuple(
        ZoneHeadroom(
            zone.node,
            zone.name,
            zone.free_pages,
            zone.free_pages - after.marks.min_pages,
            zone.free_pages - after.marks.low_pages,
            zone.free_pages - after.marks.high_pages,
        )
        for zone, after in zip(machine.zones, simulation.after, strict=True)
        if zone.populated
    )
    to_free = sum(max(0, -room.above_high_pages) for room in headroom) * machine.page_size
    reclaimable = _reclaimable_bytes(meminfo_kb)
    available = _available_bytes(simulation, meminfo_kb)
    warnings = _warnings(simulation, headroom, to_free, reclaimable, available)
    return Projection(headroom, available, to_free, reclaimable, warnings)


def _reclaimable_bytes(meminfo_kb: Mapping[str, int] | None) -> int | None:
    cache, slab = _cache_and_slab_kb(meminfo_kb)
    return None if cache is None else (cache + slab) * 1024


def _cache_and_slab_kb(meminfo_kb: Mapping[str, int] | None) -> tuple[int | None, int]:
    if meminfo_kb is None or "Active(file)" not in meminfo_kb or "Inactive(file)" not in meminfo_kb:
        return None, 0
    slab = meminfo_kb.get("KReclaimable", meminfo_kb.get("SReclaimable", 0))
    return meminfo_kb["Active(file)"] + meminfo_kb["Inactive(file)"], slab


def _available_bytes(simulation: Simulation, meminfo_kb: Mapping[str, int] | None) -> tuple[int, int] | None:
    cache, slab = _cache_and_slab_kb(meminfo_kb)
    if cache is None or meminfo_kb is None or "MemFree" not in meminfo_kb:
        return None
    size = simulation.machine.page_size
    free, cache_pages, slab_pages = (kb_to_pages(kb, size) for kb in (meminfo_kb["MemFree"], cache, slab))
    before, after = (
        mem_available_pages(free, cache_pages, slab_pages, reserve, low) * size
        for reserve, low in zip(simulation.totalreserve_pages, simulation.low_sum_pages, strict=True)
    )
    return before, after


def _warnings(
    simulation: Simulation,
    headroom: tuple[ZoneHeadroom, ...],
    to_free: int,
    reclaimable: int | None,
    available: tuple[int, int] | None,
) -> tuple[str, ...]:
    if simulation.before == simulation.after:
        return ()
    found = [*_impossible(simulation), *_exhausting(available)]
    if to_free > _to_free_before(simulation):
        found += _reclaiming(to_free, reclaimable)
    found += _below_new_min(simulation, headroom)
    found += _beyond_five_percent(simulation)
    return tuple(found)


def _to_free_before(simulation: Simulation) -> int:
    # A change that asks for less than today is no danger, however short of memory the machine is.
    zones = zip(simulation.machine.zones, simulation.before, strict=True)
    pages = sum(max(0, state.marks.high_pages - zone.free_pages) for zone, state in zones if zone.populated)
    return pages * simulation.machine.page_size


def _impossible(simulation: Simulation) -> list[str]:
    machine = simulation.machine
    size = machine.rules.watermarks.size
    blocked = [
        f"node {state.node} {state.zone}"
        for zone, state in zip(machine.zones, simulation.after, strict=True)
        if zone.populated and state.marks.min_pages >= zone_size(zone, size) > 0 and zone.name != "Movable"
    ]
    if not blocked:
        return []
    return [
        f"DANGER: the new min mark of {', '.join(blocked)} is as large as the zone itself: nothing but the reserves "
        "would be left, and ordinary allocations there would fail for good. Do not write this value."
    ]


def _exhausting(available: tuple[int, int] | None) -> list[str]:
    if available is None or available[1] > 0 or available[0] == 0:
        return []
    return [
        f"DANGER: MemAvailable would fall from {human_bytes(available[0])} to nothing: expect direct reclaim in every "
        "allocation, then OOM kills."
    ]


def _reclaiming(to_free: int, reclaimable: int | None) -> list[str]:
    start = f"{human_bytes(to_free)} would have to be freed to reach the new high marks"
    if reclaimable is None:
        return [f"{start}; without proc/meminfo nothing tells whether that much can be."]
    if to_free > reclaimable:
        return [
            f"DANGER: {start}, but page cache and reclaimable slab hold only {human_bytes(reclaimable)}: the rest must "
            "be swapped or killed for."
        ]
    if to_free * 2 > reclaimable:
        return [f"{start}, more than half of the {human_bytes(reclaimable)} of page cache and reclaimable slab."]
    return []


def _below_new_min(simulation: Simulation, headroom: tuple[ZoneHeadroom, ...]) -> list[str]:
    before = {(state.node, state.zone): state.marks for state in simulation.before}
    page_size = simulation.machine.page_size
    return [
        f"node {room.node} {room.zone}: free ({human_bytes(room.free_pages * page_size)}) would at once be "
        f"{human_bytes(-room.above_min_pages * page_size)} below the new min: every ordinary allocation there goes "
        "into direct reclaim until kswapd has caught up. Raise in steps."
        for room in headroom
        if room.above_min_pages < 0 <= room.free_pages - before[room.node, room.zone].min_pages
    ]


def _beyond_five_percent(simulation: Simulation) -> list[str]:
    machine = simulation.machine
    size = machine.rules.watermarks.size
    lowmem = [is_lowmem(zone) for zone in machine.zones]
    total = sum(zone_size(zone, size) for zone in compress(machine.zones, lowmem))
    before, after = (
        sum(state.marks.min_pages for state in compress(states, lowmem))
        for states in (simulation.before, simulation.after)
    )
    if total == 0 or after <= before or after * FIVE_PERCENT <= total:
        return []
    return [
        f"{100 * after / total:.1f} % of low memory would lie below the min marks, out of reach of ordinary "
        "allocations; the kernel itself stays within 5 %."
    ]

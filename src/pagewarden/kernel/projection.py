"""What a simulated change would mean for a machine in use: how far its free memory is from the new marks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

from pagewarden.kernel.defaults import default_min_free
from pagewarden.kernel.lowmem_reserve import mem_available_pages
from pagewarden.kernel.machine import MIN_FREE, RECLAIM_MODE, Machine
from pagewarden.kernel.node_reclaim import mode_in_words, mode_on
from pagewarden.kernel.rules import Gap
from pagewarden.kernel.simulate import Simulation, ZoneState
from pagewarden.kernel.watermarks import zone_size
from pagewarden.kernel.zones import is_lowmem
from pagewarden.procfs.types import Snapshot
from pagewarden.units import human_bytes, kb_to_pages

FIVE_PERCENT = 20
"""The kernel never lets khugepaged hold back more than a twentieth of low memory; a larger step is worth a warning."""

TEN_PERCENT = 10
"""With 5 % below the min marks the high marks take up to about 8 %; more than a tenth is worth a warning."""

TOO_LOW_PERCENT = 80
"""Below this share of the kernel's own square-root value a value of vm.min_free_kbytes is called too low."""

BROKEN_KB = 1024
"""The kernel's documentation of min_free_kbytes: below 1024 kB the system becomes subtly broken, prone to deadlock."""


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

    :ivar available_bytes: MemAvailable before and after, by the kernel's formula; None where this kernel has no such
        field or the counters are not captured.
    :ivar to_free_bytes: what kswapd would have to free until every zone is above its new high mark.
    :ivar reclaimable_bytes: page cache and reclaimable slab: what it can free without swapping; None if not known.
    :ivar warnings: plain sentences, the worst first; empty where nothing stands against the change.
    :ivar notes: plain sentences about new values that change no mark and no reserve but something else.
    """

    headroom: tuple[ZoneHeadroom, ...]
    available_bytes: tuple[int, int] | None
    to_free_bytes: int
    reclaimable_bytes: int | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """What is free and what could be freed without swapping, in pages."""

    free_pages: int
    cache_pages: int
    slab_pages: int


def project(simulation: Simulation, snapshot: Snapshot) -> Projection:
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
    usage = usage_of(snapshot, machine)
    reclaimable = None if usage is None else (usage.cache_pages + usage.slab_pages) * machine.page_size
    available = _available_bytes(simulation, usage)
    warnings = _warnings(simulation, snapshot, headroom, to_free, reclaimable, available)
    return Projection(headroom, available, to_free, reclaimable, warnings, tuple(_notes(simulation)))


def _notes(simulation: Simulation) -> Iterator[str]:
    machine, value = simulation.machine, simulation.sysctls.get(RECLAIM_MODE)
    if value is None or value == machine.sysctls.get(RECLAIM_MODE):
        return
    mode = mode_on(int(value), machine.version, machine.rules.sysctl.reclaim_bits_shifted)
    nodes = sum(any(zone.populated for zone in node.zones) for node in machine.nodes)
    yield f"{RECLAIM_MODE} {value} is {mode_in_words(mode, nodes)}"


def usage_of(snapshot: Snapshot, machine: Machine) -> Usage | None:
    """Read the counters from vmstat, which is never virtualised, or else from meminfo; None where neither tells.

    A meminfo whose MemFree is not what the zones hold is another machine's (a container's, for one).
    """
    free = sum(zone.free_pages for zone in machine.zones)
    vmstat = snapshot.vmstat or {}
    names = ("nr_active_file", "nr_inactive_file", "nr_slab_reclaimable")
    if all(name in vmstat for name in names):
        slab = vmstat["nr_slab_reclaimable"] + vmstat.get("nr_kernel_misc_reclaimable", 0)
        return Usage(free, vmstat["nr_active_file"] + vmstat["nr_inactive_file"], slab)
    meminfo = snapshot.meminfo_kb or {}
    if "Active(file)" not in meminfo or "Inactive(file)" not in meminfo or "MemFree" not in meminfo:
        return None
    size = machine.page_size
    printed = kb_to_pages(meminfo["MemFree"], size)
    if abs(printed - free) * 20 > max(printed, free):
        return None
    cache = kb_to_pages(meminfo["Active(file)"] + meminfo["Inactive(file)"], size)
    return Usage(printed, cache, kb_to_pages(meminfo.get("KReclaimable", meminfo.get("SReclaimable", 0)), size))


def _available_bytes(simulation: Simulation, usage: Usage | None) -> tuple[int, int] | None:
    machine = simulation.machine
    el7 = machine.version is not None and machine.version.vendor == "el7"
    if usage is None or (machine.version_numbers < (3, 14, 0) and not el7):
        return None
    # Until 4.5 the sum of the low marks was subtracted, not the total reserve.
    by_low = machine.rules.watermarks.gap is not Gap.SCALED and not el7
    reserves = simulation.low_sum_pages if by_low else simulation.totalreserve_pages
    before, after = (
        mem_available_pages(usage.free_pages, usage.cache_pages, usage.slab_pages, reserve, low) * machine.page_size
        for reserve, low in zip(reserves, simulation.low_sum_pages, strict=True)
    )
    return before, after


def _warnings(
    simulation: Simulation,
    snapshot: Snapshot,
    headroom: tuple[ZoneHeadroom, ...],
    to_free: int,
    reclaimable: int | None,
    available: tuple[int, int] | None,
) -> tuple[str, ...]:
    found = _doubts(simulation.machine, snapshot)
    if simulation.before == simulation.after:
        return tuple(found)
    impossible = _impossible(simulation)
    if impossible:
        return (*found, *impossible)
    found += _exhausting(available)
    found += _closed_to_all(simulation)
    if to_free > _to_free_before(simulation):
        found += _reclaiming(to_free, reclaimable)
    found += _below_new_min(simulation, headroom)
    found += _costly(simulation)
    found += _too_low(simulation)
    return tuple(found)


def _doubts(machine: Machine, snapshot: Snapshot) -> list[str]:
    found = [f"The files are not of one instant: {reason}." for reason in snapshot.torn]
    if not machine.fit.usable:
        found.append("The model does not reproduce what this kernel prints today, so these numbers cannot be trusted.")
    return found


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


def _closed_to_all(simulation: Simulation) -> list[str]:
    """Every zone at or below its min mark plus the reserve it keeps from ordinary requests."""
    machine = simulation.machine
    if _open_zones(machine, simulation.after) or not _open_zones(machine, simulation.before):
        return []
    return [
        "DANGER: at once no zone would have a page above its min mark and reserve: every ordinary allocation goes into "
        "direct reclaim until enough is freed, and the OOM killer may follow."
    ]


def _open_zones(machine: Machine, states: Sequence[ZoneState]) -> int:
    return sum(
        zone.free_pages > state.marks.min_pages + max(state.protection_pages or (0,))
        for zone, state in zip(machine.zones, states, strict=True)
        if zone.populated
    )


def _reclaiming(to_free: int, reclaimable: int | None) -> list[str]:
    start = f"{human_bytes(to_free)} would have to be freed to reach the new high marks"
    if reclaimable is None:
        return [f"{start}; nothing that was read of proc/vmstat and proc/meminfo tells whether that much can be."]
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
        f"{human_bytes(-room.above_min_pages * page_size)} below the new min: ordinary allocations there go into "
        "direct "
        "reclaim until kswapd has caught up. Raise in steps."
        for room in headroom
        if room.above_min_pages < 0 <= room.free_pages - before[room.node, room.zone].min_pages
    ]


def _costly(simulation: Simulation) -> list[str]:
    """More than the kernel itself would ever hold back: in the min marks, or by whichever setting."""
    machine = simulation.machine
    size = machine.rules.watermarks.size
    lowmem = [is_lowmem(zone) for zone in machine.zones]
    total = sum(zone_size(zone, size) for zone in compress(machine.zones, lowmem))
    before, after = (
        sum(state.marks.min_pages for state in compress(states, lowmem))
        for states in (simulation.before, simulation.after)
    )
    if total and after > before and after * FIVE_PERCENT > total:
        return [
            f"{100 * after / total:.1f} % of low memory would lie below the min marks, out of reach of ordinary "
            "allocations; the kernel itself stays within 5 %."
        ]
    whole = sum(zone_size(zone, size) for zone in machine.zones) * machine.page_size
    if whole and simulation.cost_bytes * TEN_PERCENT > whole:
        return [
            f"{human_bytes(simulation.cost_bytes)}, {100 * simulation.cost_bytes / whole:.0f} % of memory, would be "
            "withdrawn from ordinary use."
        ]
    return []


def _too_low(simulation: Simulation) -> list[str]:
    """Lowering vm.min_free_kbytes takes the reserve of those who cannot wait, and of reclaim itself."""
    before, after = simulation.machine.fit.min_free_kbytes, simulation.sysctls.get(MIN_FREE)
    if before is None or after is None or int(after) >= before:
        return []
    formula = default_min_free(simulation.machine).lowmem_formula_kb
    if int(after) < min(BROKEN_KB, formula):
        return [
            f"DANGER: {MIN_FREE}={after} leaves next to nothing for callers that cannot wait and for reclaim itself; "
            f"below {BROKEN_KB} the kernel's documentation warns of deadlocks. Its own formula gives {formula}."
        ]
    if int(after) * 100 < formula * TOO_LOW_PERCENT:
        return [
            f"{MIN_FREE}={after} is less than {TOO_LOW_PERCENT} % of the kernel's own formula ({formula}): callers "
            "that "
            "cannot wait (network receive, above all) would have that much less to live on."
        ]
    return []

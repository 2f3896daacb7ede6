"""Hard limits of our own on every value, each with its reason. A value beyond one is refused, never adjusted.

They hold for an administrator's own values as well: what the kernel accepts can still stop a machine.
"""

from collections.abc import Callable, Mapping

from pagewarden.kernel.defaults import default_min_free, default_settings
from pagewarden.kernel.machine import MIN_FREE, RATIO, RECLAIM_MODE, SCALE_FACTOR, Machine
from pagewarden.kernel.projection import BROKEN_KB, FIVE_PERCENT, Projection
from pagewarden.kernel.simulate import Simulation
from pagewarden.kernel.sysctl_write import INT_MAX
from pagewarden.kernel.watermarks import zone_size
from pagewarden.units import human_bytes, pages_to_kb

BOOST_FACTOR = "vm.watermark_boost_factor"
PROACTIVENESS = "vm.compaction_proactiveness"
CACHE_PRESSURE = "vm.vfs_cache_pressure"

KEYS = (SCALE_FACTOR, MIN_FREE, RECLAIM_MODE, BOOST_FACTOR, PROACTIVENESS, CACHE_PRESSURE, RATIO)
"""The only settings that are ever changed, in the order of writing.

The scale factor comes first: each of it and min_free_kbytes computes all marks from the other's value in force. The
ratio comes last: until 7.3 every access to it, also a plain reading, computes the reserves anew.
"""

BOOST_FACTOR_MAX = 15000
PROACTIVENESS_MAX = 80
CACHE_PRESSURE_MAX = 1000
RECLAIM_BITS = 7
HIGH_PERCENT = 15
"""5 % below the min marks, and twice a gap of 5 % between min and high."""


def key_refusal(machine: Machine, key: str) -> str | None:
    """Say why this key is never changed, or not on this kernel; None where it may be."""
    if key not in KEYS:
        return f"not a setting that pagewarden changes (it changes {', '.join(KEYS)})"
    return None if key in machine.sysctls else "this kernel has no such setting"


def value_refusal(machine: Machine, key: str, value: str) -> str | None:
    """Say why this value alone is out of bounds; None where it is not.

    :param value: as the kernel would print it after taking it.
    """
    numbers = [int(word) for word in value.split()]
    return _LIMITS[key](machine, numbers)


def effect_refusal(simulation: Simulation, projection: Projection) -> str | None:
    """Say why a whole plan goes too far for the memory of this machine as it is used now; None where it does not."""
    danger = next((warning for warning in projection.warnings if warning.startswith("DANGER: ")), None)
    if danger is not None:
        return danger.removeprefix("DANGER: ")
    return _too_much_to_free(simulation, projection) or _marks_too_high(simulation) or _reserve_too_large(simulation)


def _too_much_to_free(simulation: Simulation, projection: Projection) -> str | None:
    free, zones = projection.to_free_bytes, simulation.machine.zones
    before = sum(
        max(0, state.marks.high_pages - zone.free_pages)
        for zone, state in zip(zones, simulation.before, strict=True)
        if zone.populated
    )
    if free <= before * simulation.machine.page_size:
        return None
    if projection.reclaimable_bytes is None:
        return f"{human_bytes(free)} would have to be freed, and nothing tells how much is easily reclaimed"
    if free * 2 > projection.reclaimable_bytes:
        return (
            f"{human_bytes(free)} would have to be freed to reach the new high marks, more than half of the "
            f"{human_bytes(projection.reclaimable_bytes)} of page cache and reclaimable slab; free memory first, or "
            "ask for less"
        )
    return None


def _marks_too_high(simulation: Simulation) -> str | None:
    size = simulation.machine.rules.watermarks.size
    zones = [zone for zone in simulation.machine.zones if zone.populated]
    total = sum(zone_size(zone, size) for zone in zones)
    populated = {(zone.node, zone.name) for zone in zones}
    before, after = (
        sum(state.marks.high_pages for state in states if (state.node, state.zone) in populated)
        for states in (simulation.before, simulation.after)
    )
    if after <= before or after * 100 <= total * HIGH_PERCENT:
        return None
    return (
        f"the high marks would take {100 * after / total:.1f} % of memory, and kswapd would keep that much free; "
        f"the limit is {HIGH_PERCENT} %"
    )


def _reserve_too_large(simulation: Simulation) -> str | None:
    """Marks and reserves together: what ordinary requests never get."""
    size = simulation.machine.rules.watermarks.size
    total = sum(zone_size(zone, size) for zone in simulation.machine.zones if zone.populated)
    before, after = simulation.totalreserve_pages
    if after <= before or after * 100 <= total * HIGH_PERCENT:
        return None
    return (
        f"{100 * after / total:.1f} % of memory would be kept from ordinary requests by marks and reserves; the limit "
        f"is {HIGH_PERCENT} %"
    )


def _min_free(machine: Machine, numbers: list[int]) -> str | None:
    value, current = numbers[0], machine.fit.min_free_kbytes or 0
    default = default_min_free(machine)
    twentieth = pages_to_kb(default.lowmem_pages, machine.page_size) // FIVE_PERCENT
    most = max(twentieth, default.effective_kb, current)
    if value > most:
        return (
            f"the limit is {most} kB: the kernel itself never holds back more than a twentieth of low memory "
            f"({twentieth} kB here)"
        )
    least = min(BROKEN_KB, default.lowmem_formula_kb)
    if value < least and value < current:
        return f"below {least} kB the kernel's documentation warns of deadlocks"
    return None


def _scale_factor(machine: Machine, numbers: list[int]) -> str | None:
    most = machine.rules.sysctl.scale_factor_max or INT_MAX
    return None if 1 <= numbers[0] <= most else f"this kernel takes 1 to {most}"


def _ratio(machine: Machine, numbers: list[int]) -> str | None:
    own = [int(word) for word in default_settings(machine).get(RATIO, "").split()]
    now = [int(word) for word in machine.sysctls[RATIO].split()]
    if len(own) != len(now) or machine.fit.layout is None:
        return "the zones of this machine cannot be placed, so its reserves cannot be predicted"
    if len(numbers) != len(now):
        return f"expected {len(now)} numbers, one for each slot of this kernel: {' '.join(map(str, now))} today"
    for slot, (value, kernel, current) in enumerate(zip(numbers, own, now, strict=True)):
        if value < 0 or (value == 0 and kernel != 0 and current != 0):
            name = machine.fit.layout[slot]
            return f"{value} for {name} would leave it without any reserve; the kernel's own value is {kernel}"
    return None


def _reclaim_mode(machine: Machine, numbers: list[int]) -> str | None:
    if not 0 <= numbers[0] <= RECLAIM_BITS:
        return f"expected a sum of the bits 1, 2 and 4 (0 to {RECLAIM_BITS})"
    if numbers[0] and len(machine.nodes) == 1:
        return "this machine has one node: there is no other whose memory it could spare"
    return None


def _boost_factor(machine: Machine, numbers: list[int]) -> str | None:
    most = max(BOOST_FACTOR_MAX, int(machine.sysctls[BOOST_FACTOR]))
    if 0 <= numbers[0] <= most:
        return None
    return f"expected 0 to {most}: with the kernel's own {BOOST_FACTOR_MAX} a boost already takes 150 % of a high mark"


def _proactiveness(machine: Machine, numbers: list[int]) -> str | None:
    if 0 <= numbers[0] <= PROACTIVENESS_MAX:
        return None
    return f"expected 0 to {PROACTIVENESS_MAX}: beyond that kcompactd hardly ever rests"


def _cache_pressure(machine: Machine, numbers: list[int]) -> str | None:
    if numbers[0] < 1:
        return "at 0 the kernel never gives dentries and inodes back, and runs out of memory"
    if numbers[0] > CACHE_PRESSURE_MAX:
        return f"the limit is {CACHE_PRESSURE_MAX}: beyond it the kernel's documentation warns of lost performance"
    return None


_LIMITS: Mapping[str, Callable[[Machine, list[int]], str | None]] = {
    MIN_FREE: _min_free,
    SCALE_FACTOR: _scale_factor,
    RATIO: _ratio,
    RECLAIM_MODE: _reclaim_mode,
    BOOST_FACTOR: _boost_factor,
    PROACTIVENESS: _proactiveness,
    CACHE_PRESSURE: _cache_pressure,
}

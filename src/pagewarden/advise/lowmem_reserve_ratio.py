"""vm.lowmem_reserve_ratio from a snapshot alone: memory stranded in a lower zone, or a lower zone left unprotected.

The two faults call for opposite changes. A *larger* ratio makes reserves smaller: it frees stranded memory and gives
up protection. A *smaller* ratio protects a lower zone better and strands more of it.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from pagewarden.advise.build import recommend_value
from pagewarden.advise.types import Recommendation
from pagewarden.diagnose.types import Evidence, Finding, Severity
from pagewarden.kernel.fit import place, predict_protection
from pagewarden.kernel.lowmem_reserve import default_ratio
from pagewarden.kernel.machine import RATIO, Machine
from pagewarden.kernel.watermarks import zone_size
from pagewarden.kernel.zones import is_lowmem
from pagewarden.procfs.types import Snapshot, Zone
from pagewarden.units import human_bytes

MATTERS_PERCENT = 1
"""Share of the machine's memory from which stranded or squeezed memory is worth a recommendation."""

DEVICE_ZONES = ("DMA", "DMA32")
"""Zones kept for devices. A reserve in Normal against HighMem or Movable protects the kernel and strands nothing."""


@dataclass(frozen=True, slots=True)
class Stranded:
    """Memory of one zone that requests for higher zones cannot reach.

    :ivar pages: at most the zone's size: what its reserve against the highest populated zone holds back.
    :ivar whole: the reserve and the high mark together cover the zone: such requests never get a page of it.
    """

    zone: Zone
    pages: int
    whole: bool


def stranded_zones(machine: Machine) -> list[Stranded]:
    """Per device zone, what its reserve keeps from the requests that could have used the highest zone of its node."""
    found = []
    for node in machine.nodes:
        for zone in node.zones:
            reserve = max(zone.protection_pages or (0,))
            size = zone_size(zone, machine.rules.watermarks.size)
            if zone.name in DEVICE_ZONES and zone.populated and reserve:
                found.append(Stranded(zone, min(reserve, size), reserve + zone.high_pages >= size))
    return found


def advise_lowmem_reserve_ratio(
    snapshot: Snapshot, machine: Machine, short: frozenset[str] = frozenset()
) -> tuple[list[Recommendation], list[Finding]]:
    """Look for both faults; say which direction would cure the one found.

    :param short: device zones of which requests that can use no higher zone were refused pages: what is kept for those
        is not stranded.
    """
    layout = machine.fit.layout
    if layout is None or RATIO not in machine.sysctls:
        return [], []
    ratio = tuple(int(word) for word in machine.sysctls[RATIO].split())
    total = sum(zone_size(zone, machine.rules.watermarks.size) for zone in machine.zones)
    stranded = [entry for entry in stranded_zones(machine) if entry.zone.name not in short]
    pages = sum(entry.pages for entry in stranded)
    if pages * 100 >= total * MATTERS_PERCENT and total:
        proposal = _unstrand(machine, layout, ratio, {entry.zone.name for entry in stranded})
        if proposal != ratio:
            return _stranding(snapshot, machine, stranded, proposal, total)
    squeezed = _squeezed(machine, layout)
    if squeezed:
        return _squeezing(snapshot, machine, squeezed, layout, ratio)
    return [], [*_whole_zones(machine, stranded), *_switched_off(machine, layout, ratio)]


def _unstrand(
    machine: Machine, layout: Sequence[str], ratio: tuple[int, ...], zones: Container[str]
) -> tuple[int, ...]:
    # The kernel's own ratio strands at most 1/256 of what lies above, so going back to it always suffices.
    default = default_ratio(layout, machine.rules.reserve)
    return tuple(
        default[index] if layout[index] in zones and 0 < value < default[index] else value
        for index, value in enumerate(ratio)
    )


def _stranding(
    snapshot: Snapshot, machine: Machine, stranded: list[Stranded], proposal: tuple[int, ...], total: int
) -> tuple[list[Recommendation], list[Finding]]:
    pages = sum(entry.pages for entry in stranded)
    text = (
        f"{human_bytes(pages * machine.page_size)} ({100 * pages / total:.1f} % of memory) in "
        f"{_names(machine, [entry.zone for entry in stranded])} are kept from every request that could have used a "
        "higher "
        "zone: far more than the kernel keeps by itself. A larger ratio makes the reserve smaller."
    )
    evidence = tuple(
        Evidence(
            f"{_name(machine, entry.zone)} largest protection, pages",
            max(entry.zone.protection_pages or (0,)),
            "/proc/zoneinfo: protection",
        )
        for entry in stranded
    )
    against = (
        "Devices here can use only these zones, and need that much; failures with GFP_DMA or GFP_DMA32 would show it."
    )
    recommendation = _recommend(snapshot, machine, proposal, "stranded", text, against, evidence)
    return [recommendation], [Finding("stranded", Severity.NOTICE, text, evidence)]


def _squeezed(machine: Machine, layout: Sequence[str]) -> list[Zone]:
    """Lower zones that matter, at or below their low mark while a higher zone of the node has room."""
    size = machine.rules.watermarks.size
    total = sum(zone_size(zone, size) for zone in machine.zones)
    found = []
    for node in machine.nodes:
        placed = [zone for zone in place(node, layout) if zone is not None and zone.populated]
        for index, zone in enumerate(placed):
            matters = zone_size(zone, size) * 100 >= total * MATTERS_PERCENT
            room_above = any(upper.free_pages > 2 * upper.high_pages for upper in placed[index + 1 :])
            if is_lowmem(zone) and matters and room_above and zone.free_pages <= zone.low_pages:
                found.append(zone)
    return found


def _squeezing(
    snapshot: Snapshot, machine: Machine, zones: list[Zone], layout: Sequence[str], ratio: tuple[int, ...]
) -> tuple[list[Recommendation], list[Finding]]:
    text = "; ".join(
        f"{_name(machine, zone)}: {_pages(machine, zone.free_pages)} free, at or below the low mark "
        f"({_pages(machine, zone.low_pages)}), although a higher zone has room"
        for zone in zones
    )
    evidence = tuple(
        Evidence(f"{_name(machine, zone)} free, pages", zone.free_pages, "/proc/zoneinfo") for zone in zones
    )
    weaker = [zone for zone in zones if _is_weaker(machine, layout, zone)]
    default = default_ratio(layout, machine.rules.reserve)
    names = {zone.name for zone in weaker}
    proposal = tuple(default[index] if layout[index] in names else value for index, value in enumerate(ratio))
    if proposal == ratio:
        text += ". Its reserve is the kernel's own; a smaller ratio would keep more of the zone for those who need it."
        # One instant between the marks is kswapd at work; below min somebody waits for it.
        below = any(zone.free_pages <= zone.min_pages for zone in zones)
        return [], [Finding("squeezed", Severity.WARNING if below else Severity.INFO, text, evidence)]
    text += (
        ". The reserve against requests that could have used it is less than half of the kernel's own; a smaller ratio "
        "makes it larger."
    )
    against = "What is reserved for the lower zone is lost to everybody else; it makes no memory."
    recommendation = _recommend(snapshot, machine, proposal, "squeezed", text, against, evidence)
    return [recommendation], [Finding("squeezed", Severity.WARNING, text, evidence)]


def _is_weaker(machine: Machine, layout: Sequence[str], zone: Zone) -> bool:
    rules = machine.rules.reserve
    default = predict_protection(machine.nodes, layout, default_ratio(layout, rules), rules)
    return max(zone.protection_pages or (0,)) * 2 < max(default[zone.node, zone.name])


def _switched_off(machine: Machine, layout: Sequence[str], ratio: tuple[int, ...]) -> list[Finding]:
    off = [
        zone
        for zone in machine.zones
        if zone.name in layout[: len(ratio)]
        and ratio[layout.index(zone.name)] < 1
        and zone.populated
        and default_ratio(layout, machine.rules.reserve)[layout.index(zone.name)] > 0
        and not any(zone.protection_pages or ())
        and any(upper.populated for upper in machine.zones if _is_above(layout, upper, zone))
    ]
    if not off:
        return []
    text = f"{_names(machine, off)}: nothing is kept from requests for higher zones; the ratio is 0, which is off."
    return [Finding("squeezed", Severity.INFO, text)]


def _is_above(layout: Sequence[str], upper: Zone, zone: Zone) -> bool:
    return upper.node == zone.node and upper.name in layout and layout.index(upper.name) > layout.index(zone.name)


def _whole_zones(machine: Machine, stranded: list[Stranded]) -> list[Finding]:
    whole = [entry.zone for entry in stranded if entry.whole and entry.zone.name != "DMA"]
    if not whole:
        return []
    size = machine.rules.watermarks.size
    pages = sum(zone_size(zone, size) for zone in whole)
    total = sum(zone_size(zone, size) for zone in machine.zones)
    text = (
        f"{_names(machine, whole)}: all {_pages(machine, pages)} ({100 * pages / total:.2f} % of memory) are kept for "
        "requests that can use no higher zone, as usual on a machine of this size."
    )
    return [Finding("stranded", Severity.INFO, text)]


def _recommend(
    snapshot: Snapshot,
    machine: Machine,
    proposal: tuple[int, ...],
    cause: str,
    reason: str,
    against: str,
    evidence: tuple[Evidence, ...],
) -> Recommendation:
    value = " ".join(map(str, proposal))
    return recommend_value(snapshot, machine, RATIO, machine.sysctls[RATIO], value, cause, reason, against, evidence)


def _pages(machine: Machine, pages: int) -> str:
    return human_bytes(pages * machine.page_size)


def _name(machine: Machine, zone: Zone) -> str:
    return f"node {zone.node} {zone.name}" if len(machine.nodes) > 1 else f"zone {zone.name}"


def _names(machine: Machine, zones: Sequence[Zone]) -> str:
    return ", ".join(_name(machine, zone) for zone in zones)

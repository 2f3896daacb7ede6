"""The memory that a request may use: how much there is, what reclaim could take of it, and what lay elsewhere.

A report prints the counters of the whole machine, whatever the request is bound to. What it may use is told by the
zones printed, or by the lines of their nodes; what they lack of the counters lay where the request may not go. Sleeping
callers are shown only the nodes that their cpuset allows, and since 6.1 only zones up to their own are printed.

Kernel: mm/show_mem.c:show_free_areas(), show_mem_node_skip()
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pagewarden.diagnose.context import in_interrupt
from pagewarden.diagnose.left_out import size_left_out, usable_zone_lost
from pagewarden.diagnose.replay import Replay, ZoneReplay, allowed_by_mask, bound_nodes, is_empty
from pagewarden.diagnose.rights import CONFINED
from pagewarden.klog.types import Report
from pagewarden.units import pages_to_kb

_LISTS = ("active_file", "inactive_file")
_ANONYMOUS = ("active_anon", "inactive_anon")
_WAITING = ("dirty", "unstable")
_ABOVE_NORMAL = frozenset({"HighMem", "Movable", "Device"})

UNPRINTED_PERCENT = 5
"""Less of the machine's memory than this beyond the zones printed is a matter of how it is counted."""


@dataclass(frozen=True, slots=True)
class Reclaimable:
    """Page cache and reclaimable slab.

    :ivar files_kb: the page cache alone.
    :ivar slab_kb: reclaimable slab that is known to lie there.
    :ivar unplaced_slab_kb: reclaimable slab of the machine of which it is not printed where it lies.
    :ivar anonymous_kb: programs' own memory, which swap could take; 0 where it is not printed.
    :ivar unwritten_kb: of the page cache, what storage must take before it can be freed: dirty or under writeback.
    """

    files_kb: int
    slab_kb: int
    unplaced_slab_kb: int
    anonymous_kb: int
    unwritten_kb: int

    @property
    def total_kb(self) -> int:
        """All that is known to be there."""
        return self.files_kb + self.slab_kb

    @property
    def clean_kb(self) -> int:
        """What can be freed at once. Slab is never dirty."""
        return self.slab_kb + max(0, self.files_kb - self.unwritten_kb)


@dataclass(frozen=True, slots=True)
class Reach:
    """What a request may use, and what it may not.

    :ivar size_kb: of the zones it may use, with `machine_kb` that of all there is.
    :ivar reclaimable: in these; None where it is not printed.
    :ivar whole: these are all the machine has.
    :ivar room: names of the zones that are barred to it and had room.
    :ivar unprinted_room_kb: free memory in zones that are not in the report, where that is room as well; else 0.
    :ivar by_node: the node is what bars the room, not the kind of zone.
    :ivar files_beyond_kb: page cache that it may not have reclaimed; None where that is not known.
    """

    size_kb: int
    machine_kb: int
    reclaimable: Reclaimable | None
    whole: bool
    room: tuple[str, ...]
    unprinted_room_kb: int
    by_node: bool
    files_beyond_kb: int | None

    @property
    def has_room_beyond(self) -> bool:
        """Memory that it may not use was free."""
        return bool(self.room or self.unprinted_room_kb)


def reach_of(report: Report, replay: Replay) -> Reach:
    """Tell the memory within reach of the request from the rest."""
    usable = [zone for zone in replay.zones if zone.usable and not is_empty(zone.dump)]
    barred = [zone for zone in replay.zones if zone.usable is False and not is_empty(zone.dump)]
    unprinted_kb = _unprinted_kb(report, replay, usable)
    whole = not barred and not unprinted_kb
    machine = _counters_kb(report)
    found = _whole_machine(report, machine) if whole else _within(report, replay, usable, machine)
    room = [zone for zone in barred if has_room(zone)]
    unprinted_room = _unprinted_room_kb(replay, unprinted_kb, machine)
    by_node = any(zone.by_node for zone in room) if room else not _hidden_by_zone(report, replay, usable)
    if room and by_node:
        room = [zone for zone in room if zone.by_node]
    files = _sum(machine, _LISTS)
    beyond = None if files is None or found is None else max(0, files - found.files_kb)
    return Reach(
        size_kb=sum(size_kb(zone) or 0 for zone in usable),
        machine_kb=sum(size_kb(zone) or 0 for zone in replay.zones) + unprinted_kb,
        reclaimable=found,
        whole=whole,
        room=tuple(zone.name for zone in room),
        unprinted_room_kb=unprinted_room,
        by_node=by_node,
        files_beyond_kb=beyond,
    )


def size_kb(zone: ZoneReplay) -> int | None:
    """A zone's memory; None where it is not printed."""
    return zone.dump.present_kb if zone.dump.managed_kb is None else zone.dump.managed_kb


def has_room(zone: ZoneReplay) -> bool:
    """Much more is free than kswapd asks for."""
    dump = zone.dump
    return dump.free_kb is not None and dump.high_kb is not None and dump.free_kb > 2 * dump.high_kb > 0


def _memory_above(usable: Sequence[ZoneReplay]) -> bool:
    """Zones lie above the highest that the request may use: it keeps pages from requests for them."""
    highest = {zone.dump.node: zone.dump for zone in usable}  # a node's zones are printed from the lowest up
    return any(max(dump.lowmem_reserve_pages or (0,)) > 0 for dump in highest.values())


def _counters_kb(report: Report) -> dict[str, int]:
    page_kb = (report.page_size or 4096) // 1024
    return {name: pages * page_kb for name, pages in report.counters_pages.items()}


def _unprinted_kb(report: Report, replay: Replay, usable: Sequence[ZoneReplay]) -> int:
    """Memory of the machine that lies out of reach, in no zone of the report; 0 where the report does not tell.

    Zones that the kernel had no reason to leave out are lines that the log lost: they prove nothing.
    """
    lost = any(_is_lost(zone) for zone in replay.zones)  # of a zone that is barred in any case
    if not (lost or _leaves_out_zones(report, replay, usable) or _leaves_out_nodes(report, replay)):
        return 0
    if usable_zone_lost(report, replay) is not None:
        return 0
    dumps = [zone.dump for zone in replay.zones if not _is_lost(zone)]
    missing = size_left_out(report, replay, dumps) or 0
    few = missing * 100 <= (report.totals.ram_pages or 0) * UNPRINTED_PERCENT
    return 0 if few else pages_to_kb(missing, replay.page_size)


def _is_lost(zone: ZoneReplay) -> bool:
    """Of a zone that is barred, nothing but its name is in the report."""
    return zone.usable is False and zone.dump.free_kb is None


def _hidden_by_zone(report: Report, replay: Replay, usable: Sequence[ZoneReplay]) -> bool:
    """What is not printed lies in higher zones, as far as the report tells."""
    by_zone = _leaves_out_zones(report, replay, usable) and not _leaves_out_nodes(report, replay)
    return by_zone or _memory_above(usable)


def _leaves_out_zones(report: Report, replay: Replay, usable: Sequence[ZoneReplay]) -> bool:
    """Kernel: mm/show_mem.c:__show_mem(): no zones above the request's highest (6.1), no nodes with none but these.

    Such a node has no line of any kind; one that has lost only its zones is no such node.
    """
    if replay.version is None or not replay.version.at_least(6, 1) or replay.flags is None:
        return False
    if _memory_above(usable):
        return True
    printed = {zone.node for zone in report.zones}
    if replay.flags.zone == "Movable" or not report.nodes or not printed >= {line.node for line in report.nodes}:
        return False
    nodes = bound_nodes(report)  # of who can sleep, others are not printed either, whether or not he may use them
    filtered = replay.flags.can_direct_reclaim and not in_interrupt(report)
    return not filtered or (nodes is not None and not nodes <= printed)


def _leaves_out_nodes(report: Report, replay: Replay) -> bool:
    """Nodes outside the cpuset or the nodemask, which the request may not use either; all others have to be there.

    Kernel: mm/page_alloc.c:warn_alloc_show_mem(): all nodes are printed of callers that cannot wait. Without
    __GFP_HARDWALL the request may leave its cpuset, though the report does not.
    """
    flags, nodes = replay.flags, bound_nodes(report)
    if flags is None or nodes is None or not flags.can_direct_reclaim or in_interrupt(report):
        return False
    bound = flags.hardwall or allowed_by_mask(report) is not None or report.constraint in CONFINED
    if not bound or report.constraint == "CONSTRAINT_NONE":
        return False
    return nodes <= {zone.dump.node for zone in replay.zones if not is_empty(zone.dump)}


def _unprinted_room_kb(replay: Replay, unprinted_kb: int, machine: Mapping[str, int]) -> int:
    """Free memory beyond the zones printed, if it is more than twice the high marks of zones of their size."""
    free = machine.get("free")
    printed = [zone for zone in replay.zones if not is_empty(zone.dump) and not _is_lost(zone)]
    if not unprinted_kb or free is None or any(zone.dump.free_kb is None for zone in printed):
        return 0
    sizes = sum(size_kb(zone) or 0 for zone in printed)
    highs = sum(zone.dump.high_kb or 0 for zone in printed)
    beyond = free - sum(zone.dump.free_kb or 0 for zone in printed)
    return beyond if sizes and beyond * sizes > 2 * highs * unprinted_kb else 0


def _whole_machine(report: Report, machine: Mapping[str, int]) -> Reclaimable | None:
    files, slab = _sum(machine, _LISTS), machine.get("slab_reclaimable")
    if files is None or slab is None:
        return None
    return Reclaimable(files, slab, 0, _sum(machine, _ANONYMOUS) or 0, _unwritten_kb(report, [machine], machine))


def _within(
    report: Report, replay: Replay, usable: Sequence[ZoneReplay], machine: Mapping[str, int]
) -> Reclaimable | None:
    """By the lines of the nodes where these are wholly open to the request, by those of its zones otherwise."""
    zones = [zone.dump.values_kb for zone in usable]
    barred = {zone.dump.node for zone in replay.zones if zone.usable is False and not is_empty(zone.dump)}
    nodes = {zone.dump.node for zone in usable}
    lines = {line.node: line.values_kb for line in report.nodes}
    values: list[Mapping[str, int]] = zones
    if not barred & nodes and not _memory_above(usable) and nodes and nodes <= lines.keys():
        values = [lines[node] for node in nodes if node is not None]
    sums = [_sum(each, _LISTS) for each in values]
    if not sums or any(each is None for each in sums):
        return None
    files = sum(each or 0 for each in sums)
    slab, unplaced = _slab_kb(replay, usable, zones, machine)
    anonymous = sum(_sum(each, _ANONYMOUS) or 0 for each in values)
    return Reclaimable(files, slab, unplaced, anonymous, min(files, _unwritten_kb(report, values, machine)))


def _slab_kb(
    replay: Replay, usable: Sequence[ZoneReplay], zones: Sequence[Mapping[str, int]], machine: Mapping[str, int]
) -> tuple[int, int]:
    """Reclaimable slab within reach, and that of which this is not known. Slab lies in no zone above Normal."""
    if zones and all("slab_reclaimable" in each for each in zones):  # until 4.13
        return sum(each["slab_reclaimable"] for each in zones), 0
    slab = machine.get("slab_reclaimable", 0)
    open_names = {zone.dump.zone for zone in usable}
    beyond = [zone for zone in replay.zones if zone.usable is False and not is_empty(zone.dump)]
    above = all(zone.dump.zone in _ABOVE_NORMAL for zone in beyond) and (beyond or _memory_above(usable))
    if "Normal" in open_names and above:
        return slab, 0
    return 0, slab


def _unwritten_kb(report: Report, values: Sequence[Mapping[str, int]], machine: Mapping[str, int]) -> int:
    """What of the page cache storage must take first.

    Anonymous pages on their way to swap count as writeback too (mm/page-writeback.c:__folio_start_writeback()) and lie
    on no file list. Writeback is taken for theirs where swap is in use and more is under writeback than is dirty, or
    where it is more than there is page cache.
    """
    waiting = sum(each.get(name, 0) for each in values for name in _WAITING)
    writeback = sum(each.get("writeback", 0) for each in values)
    pending = sum(each.get("writepending", 0) for each in values)  # of a zone, since 4.8: all of them
    total, free = report.totals.swap_total_kb, report.totals.swap_free_kb
    swapping = bool(total) and free is not None and free < (total or 0)
    dirty, written = sum(machine.get(name, 0) for name in _WAITING), machine.get("writeback", 0)
    if written > dirty and (swapping or written > (_sum(machine, _LISTS) or 0)):
        return waiting + pending * dirty // (dirty + written)
    return waiting + writeback + pending


def _sum(values: Mapping[str, int], names: Sequence[str]) -> int | None:
    return sum(values[name] for name in names) if all(name in values for name in names) else None

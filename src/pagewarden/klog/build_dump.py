"""The memory dump of one report in the making."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pagewarden.klog import decode_meminfo
from pagewarden.klog.types import FreeBlocks, HugePages, NodeDump, Totals, ZoneDump

MAX_ZONES = 4096
_MAX_COUNTERS = 64

ZoneKey = tuple[int | None, str]


@dataclass(slots=True)
class _Zone:
    line_number: int
    line: decode_meminfo.ZoneLine | None = None
    blocks: decode_meminfo.FreeList | None = None
    lowmem_reserve: tuple[int, ...] | None = None
    protections: tuple[int, ...] | None = None


@dataclass(slots=True)
class DumpBuilder:
    """Takes the lines of a memory dump, whole (wrapped ones joined), in the order printed.

    :ivar notes: what is odd, in words.
    """

    notes: list[str] = field(default_factory=list)
    _zones: dict[ZoneKey, _Zone] = field(default_factory=dict)
    _last_zone: ZoneKey | None = None
    _counters: dict[str, int] = field(default_factory=dict)
    _nodes: dict[int, NodeDump] = field(default_factory=dict)
    _huge: list[HugePages] = field(default_factory=list)
    _totals: dict[str, int] = field(default_factory=dict)
    _page_sizes: set[int] = field(default_factory=set)

    @property
    def has_zones(self) -> bool:
        """Whether any zone is there, be it only a free list."""
        return bool(self._zones)

    @property
    def counters_pages(self) -> Mapping[str, int]:
        """The global counters."""
        return dict(self._counters)

    @property
    def hugepages(self) -> tuple[HugePages, ...]:
        """The huge page pools."""
        return tuple(self._huge)

    @property
    def totals(self) -> Totals:
        """The closing lines."""
        return Totals(**self._totals)

    def lacks_zone(self, key: ZoneKey) -> bool:
        """Whether this zone's own line is still to come."""
        return key not in self._zones or self._zones[key].line is None

    def lacks_list(self, key: ZoneKey) -> bool:
        """Whether this zone's free list is still to come."""
        return key not in self._zones or self._zones[key].blocks is None

    @property
    def lacks_reserve(self) -> bool:
        """Whether the reserve of the zone before is still to come."""
        if self._last_zone is None:
            return False
        zone = self._zones[self._last_zone]
        return zone.lowmem_reserve is None and zone.protections is None

    def add_zone(self, text: str, number: int) -> None:
        """Take a zone's `free:` line."""
        line = decode_meminfo.parse_zone(text)
        if line is None or len(self._zones) >= MAX_ZONES:
            return
        key = (line.node, line.zone)
        zone = self._zones.setdefault(key, _Zone(number))
        if zone.line is None:
            zone.line = line
            self._last_zone = key
        else:
            self.notes.append(f"zone {line.zone} is printed twice")
        self.notes += line.notes

    def add_list(self, text: str, number: int) -> None:
        """Take a zone's free list."""
        parsed = decode_meminfo.parse_free_list(text)
        if parsed is None or len(self._zones) >= MAX_ZONES:
            return
        zone = self._zones.setdefault((parsed.node, parsed.zone), _Zone(number))
        if zone.blocks is None:
            zone.blocks = parsed
        if parsed.page_size is not None:
            self._page_sizes.add(parsed.page_size)
        self.notes += parsed.notes

    def add_reserve(self, text: str) -> None:
        """Take a `lowmem_reserve[]:` line: it belongs to the zone before it."""
        parsed = decode_meminfo.parse_reserve(text)
        if parsed is None or self._last_zone is None:
            return
        zone = self._zones[self._last_zone]
        name, values = parsed
        if values is None:
            self.notes.append(f"the reserve of zone {self._last_zone[1]} cannot be read")
        elif name == "lowmem_reserve":
            zone.lowmem_reserve = zone.lowmem_reserve or values
        else:
            zone.protections = zone.protections or values

    def add_node(self, text: str) -> None:
        """Take a `Node N active_anon:` line."""
        parsed = decode_meminfo.parse_node(text)
        if parsed is not None and len(self._nodes) < MAX_ZONES:
            self._nodes.setdefault(parsed[0], NodeDump(*parsed))

    def add_counters(self, text: str) -> None:
        """Take a line of global counters."""
        for name, value in (decode_meminfo.parse_counters(text) or {}).items():
            if len(self._counters) < _MAX_COUNTERS:
                self._counters.setdefault(name, value)

    def add_huge(self, text: str) -> None:
        """Take a `hugepages_total=` line."""
        pool = decode_meminfo.parse_huge(text)
        if pool is not None and len(self._huge) < MAX_ZONES:
            self._huge.append(pool)

    def add_total(self, text: str) -> None:
        """Take a closing line."""
        parsed = decode_meminfo.parse_total(text)
        if parsed is not None and parsed[1] is not None:
            self._totals.setdefault(parsed[0], parsed[1])

    def page_size(self) -> int | None:
        """Bytes, where the free lists agree on it."""
        if len(self._page_sizes) > 1:
            self.notes.append("the free lists do not agree on the page size")
        return next(iter(self._page_sizes)) if len(self._page_sizes) == 1 else None

    def zones(self) -> tuple[ZoneDump, ...]:
        """The zones in the order printed."""
        return tuple(_zone_dump(key, zone) for key, zone in self._zones.items())

    def nodes(self) -> tuple[NodeDump, ...]:
        """The nodes' own lines."""
        return _unshifted(tuple(self._nodes.values()), self._counters, self.page_size())


def is_whole(zone: ZoneDump) -> bool:
    """Whether the zone's watermarks, reserve and free list are all there."""
    marks = (zone.free_kb, zone.min_kb, zone.low_kb, zone.high_kb)
    reserve = zone.lowmem_reserve_pages is not None or zone.protections_pages is not None
    return None not in marks and list_is_whole(zone) and reserve


def list_is_whole(zone: ZoneDump) -> bool:
    """Whether the zone's free list is there, up to its total."""
    blocks = zone.free_blocks
    counts = blocks is not None and all(entry.count is not None for entry in blocks)
    return counts and (blocks == () or zone.free_list_total_kb is not None)


def _zone_dump(key: ZoneKey, zone: _Zone) -> ZoneDump:
    line, blocks = zone.line, zone.blocks
    values = line.values_kb if line else {}
    empty: tuple[FreeBlocks, ...] | None = () if blocks is not None and not blocks.cut else None
    return ZoneDump(
        zone=key[1],
        node=key[0],
        line_number=zone.line_number,
        free_kb=values.get("free"),
        boost_kb=values.get("boost"),
        min_kb=values.get("min"),
        low_kb=values.get("low"),
        high_kb=values.get("high"),
        reserved_highatomic_kb=values.get("reserved_highatomic"),
        free_highatomic_kb=values.get("free_highatomic"),
        present_kb=values.get("present"),
        managed_kb=values.get("managed"),
        free_cma_kb=values.get("free_cma"),
        pages_scanned=line.pages_scanned if line else None,
        all_unreclaimable=line.all_unreclaimable if line else None,
        lowmem_reserve_pages=zone.lowmem_reserve,
        protections_pages=zone.protections,
        values_kb=values,
        free_blocks=(blocks.blocks or empty) if blocks else None,
        free_list_total_kb=blocks.total_kb if blocks else None,
        cut=line is not None and line.cut,
    )


def _unshifted(nodes: tuple[NodeDump, ...], counters: dict[str, int], page_size: int | None) -> tuple[NodeDump, ...]:
    """Put right the names that 4.8 and 4.9 print one place off behind `writeback:`, where the counters prove it.

    Kernel: mm/page_alloc.c:show_free_areas(), 4.8 to 4.9 with huge pages
    """
    shmem = counters.get("shmem")
    true_names = {
        "shmem": "shmem_thp",
        "shmem_thp": "shmem_pmdmapped",
        "shmem_pmdmapped": "anon_thp",
        "anon_thp": "shmem",
    }
    if shmem is None or page_size is None or not nodes or not all(key in nodes[0].values_kb for key in true_names):
        return nodes
    shmem_kb = shmem * (page_size // 1024)
    printed = sum(node.values_kb.get("shmem", 0) for node in nodes)
    shifted = sum(node.values_kb.get("anon_thp", 0) for node in nodes)
    if shmem_kb != shifted or printed == shmem_kb:
        return nodes
    return tuple(
        replace(node, values_kb={true_names.get(name, name): value for name, value in node.values_kb.items()})
        for node in nodes
    )

"""The kernel's check replayed on every zone of a report."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pagewarden.diagnose.context import in_interrupt, within_reclaim
from pagewarden.diagnose.releases import candidate_versions
from pagewarden.kernel.allocation import AllocRequest, Check, Verdict, ZoneState, check_zone
from pagewarden.kernel.allocation_boost import PrintedMarks, infer_boost_ranges
from pagewarden.kernel.allocation_rules import AllocationRules, Boost, HighAtomic, allocation_rules
from pagewarden.kernel.gfp import GfpFlags, flags_from_mask, flags_from_names, format_mask, parse_names
from pagewarden.kernel.gfp_readings import Sense, consistent_generations
from pagewarden.kernel.gfp_tables import generation_for
from pagewarden.kernel.version import KernelVersion
from pagewarden.kernel.zones import layouts
from pagewarden.klog.types import FreeBlocks, Report, ReportKind, ZoneDump
from pagewarden.units import kb_to_pages

PAGEBLOCK_PAGES = 1024
"""Most pages a page block has where pages are 4 KiB: the highatomic reserve may exceed its limit by one block."""


@dataclass(frozen=True, slots=True)
class ZoneReplay:
    """What the check says of one zone.

    :ivar usable: the request may use this zone at all; None where its mask does not tell.
    :ivar check: the steps; None for zones that are not eligible or not printed well enough.
    :ivar reason: why nothing certain can be said; empty where it can.
    :ivar by_node: its kind of zone is allowed; its node is what bars the request.
    """

    dump: ZoneDump
    usable: bool | None
    verdict: Verdict
    check: Check | None
    reason: str = ""
    by_node: bool = False

    @property
    def name(self) -> str:
        """The zone's name for people."""
        return zone_name(self.dump)

    def lacks_block(self, order: int) -> bool:
        """No block of ORDER or above was free that the caller may take; False where that is not known."""
        if self.check is None or not any(block.count for block in self.dump.free_blocks or ()):
            return False
        return self.check.usable_order is None or self.check.usable_order < order


@dataclass(frozen=True, slots=True)
class Replay:
    """A report replayed.

    :ivar version: the release whose rules the numbers follow; None where nothing tells.
    :ivar known: the release is the report's own (or the user's), not inferred from its format.
    :ivar flags: what the mask asks for; None where no mask is printed.
    :ivar gfp_name: the mask as a current kernel writes it, or as printed.
    :ivar request: what was checked, of order 0 where the report prints none; None where no mask is printed.
    :ivar disagreement: how the candidate releases differ; empty where they agree.
    """

    version: KernelVersion | None
    known: bool
    candidates: tuple[KernelVersion, ...]
    flags: GfpFlags | None
    gfp_name: str | None
    request: AllocRequest | None
    order: int
    page_size: int
    zones: tuple[ZoneReplay, ...]
    disagreement: str = ""


def zone_name(dump: ZoneDump) -> str:
    """A zone's name for people: with its node where the report prints nodes."""
    return dump.zone if dump.node is None else f"node {dump.node} {dump.zone}"


def replay(report: Report, kernel: str | None = None) -> Replay:
    """Replay a report with the rules of its kernel, or of every kernel it can come from.

    :param kernel: a release the user named; it wins over what the log says.
    """
    candidates, known = candidate_versions(report, kernel)
    page_size = report.page_size or 4096
    order = report.order if report.order is not None and report.order >= 0 else 0
    results = [(version, _replay_as(report, version, order, page_size)) for version in candidates]
    results = _sensible(report, results)
    version, (flags, zones) = results[-1]
    name = _gfp_name(report, version) if known or _masks_agree(report, [v for v, _ in results]) else None
    differing = [
        zone_name(zone.dump)
        for index, zone in enumerate(zones)
        if len({other[1][index].verdict for _, other in results}) > 1
    ]
    merged = tuple(
        _merge([other[1][index] for _, other in results], [v for v, _ in results]) for index in range(len(zones))
    )
    spoken = ""
    if differing:
        spoken = f"kernels {results[0][0]} to {results[-1][0]} would judge {', '.join(differing)} differently"
    request = None if flags is None else alloc_request(report, order, flags)
    used = tuple(v for v, _ in results)
    return Replay(version, known, used, flags, name, request, order, page_size, merged, spoken)


_Result = tuple[GfpFlags | None, tuple[ZoneReplay, ...]]


def _sensible(report: Report, results: list[tuple[KernelVersion, _Result]]) -> list[tuple[KernelVersion, _Result]]:
    # A release whose numbering makes no sense of the mask has not printed it.
    if report.gfp_mask is None or report.gfp_names is not None or len(results) == 1:
        return results
    printed = None if report.kind is ReportKind.DEADLOCK_WARNING else False
    readings = _readings(report.gfp_mask, printed)
    for accepted in ({Sense.SENSIBLE}, {Sense.SENSIBLE, Sense.ODD}):
        generations = [
            generation for reading in readings if reading.sense in accepted for generation in reading.generations
        ]
        kept = [(version, result) for version, result in results if generation_for(version) in generations]
        if kept:
            return kept
    return results


# A log repeats a few masks and one kernel.
_readings = lru_cache(maxsize=64)(consistent_generations)
_rules = lru_cache(maxsize=64)(allocation_rules)


def _masks_agree(report: Report, versions: Sequence[KernelVersion]) -> bool:
    return len({_gfp_name(report, version) for version in versions}) == 1


def _gfp_name(report: Report, version: KernelVersion) -> str | None:
    if report.gfp_names is not None:
        return report.gfp_names
    return None if report.gfp_mask is None else format_mask(report.gfp_mask, generation_for(version))


def _flags(report: Report, version: KernelVersion) -> GfpFlags | None:
    if report.gfp_names is not None:
        return flags_from_names(parse_names(report.gfp_names), report.gfp_mask, generation_for(version))
    return None if report.gfp_mask is None else flags_from_mask(report.gfp_mask, generation_for(version))


def _replay_as(report: Report, version: KernelVersion, order: int, page_size: int) -> _Result:
    flags = _flags(report, version)
    rules = _rules(version)
    zones = tuple(_replay_zone(report, dump, flags, rules, order, page_size) for dump in report.zones)
    return flags, zones


def _replay_zone(
    report: Report, dump: ZoneDump, flags: GfpFlags | None, rules: AllocationRules, order: int, page_size: int
) -> ZoneReplay:
    if flags is None:
        return ZoneReplay(dump, None, Verdict.UNKNOWN, None, "the report prints no mask")
    if flags.zone is None:
        return ZoneReplay(dump, None, Verdict.UNKNOWN, None, "the zone bits of the mask contradict each other")
    possible = _layouts(report, flags.zone)
    eligible = {_is_eligible(dump.zone, flags.zone, layout) for layout in possible}
    if eligible == {False} or is_empty(dump):
        return ZoneReplay(dump, False, Verdict.NOT_ELIGIBLE, None)
    if not _node_allowed(report, dump, flags):
        return ZoneReplay(dump, False, Verdict.NOT_ELIGIBLE, None, by_node=True)
    if dump.free_kb is None or dump.min_kb is None:
        return ZoneReplay(dump, True, Verdict.UNKNOWN, None, "its free: line is not in the report")
    reserves = {_reserve(report, dump, flags.zone, layout, rules) for layout in possible}
    if len(eligible) > 1:
        return ZoneReplay(dump, None, Verdict.UNKNOWN, None, _NO_LAYOUT)
    if None in reserves:
        return ZoneReplay(dump, True, Verdict.UNKNOWN, None, _NO_RESERVE)
    request = alloc_request(report, order, flags)
    state = zone_state(dump, page_size, rules, _boost_ranges(report, page_size, rules).get((dump.node, dump.zone)))
    checks = [check_zone(state, request, rules, reserve) for reserve in sorted(r for r in reserves if r is not None)]
    if len({check.verdict for check in checks}) > 1:
        return ZoneReplay(dump, True, Verdict.UNKNOWN, checks[0], _NO_LAYOUT)
    return ZoneReplay(dump, True, checks[0].verdict, checks[0], checks[0].reason)


_NO_RESERVE = "its lowmem_reserve is not in the report"
_NO_LAYOUT = "which zones this kernel has cannot be told"


def is_empty(dump: ZoneDump) -> bool:
    """The zone has no pages at all."""
    pages = dump.present_kb if dump.managed_kb is None else dump.managed_kb
    return pages == 0


def layouts_of(report: Report, count: int) -> tuple[tuple[str, ...], ...]:
    """The layouts of COUNT zones that its kernel can have: HighMem is of 32 bits, DMA32 of 64."""
    barred = "HighMem" if report.is_64_bit else "DMA32" if report.is_64_bit is False else None
    names = {dump.zone for dump in report.zones}
    return tuple(each for each in layouts(names, count) if barred not in each) if count else ()


def _layouts(report: Report, highest: str) -> tuple[tuple[str, ...], ...]:
    """Those that the reserves it prints fit as well."""
    dumps = report.zones
    names = {dump.zone for dump in dumps}
    found = layouts_of(report, max((len(dump.lowmem_reserve_pages or ()) for dump in dumps), default=0))
    fitting = tuple(layout for layout in found if all(_reserve_fits(dump, dumps, layout, highest) for dump in dumps))
    if fitting or found:
        return fitting or found
    # No reserve is printed, or no layout we know fits: the names alone give the order.
    known = ("DMA", "DMA32", "Normal", "HighMem", "Movable", "Device")
    return (tuple(name for name in known if name in names or name in ("Normal", "Movable")),)


def _reserve_fits(dump: ZoneDump, dumps: Sequence[ZoneDump], layout: Sequence[str], highest: str) -> bool:
    """Whether a zone's reserves suit a layout: none up to itself, and growing only where a zone has pages.

    Zones with pages are printed, but for those above the request's highest (since 6.1).
    """
    reserve = dump.lowmem_reserve_pages or ()
    own = layout.index(dump.zone)
    if any(reserve[: own + 1]):
        return False
    printed = {other.zone for other in dumps if other.node == dump.node and not is_empty(other)}
    return all(
        layout[index] in printed or index > zone_index(highest, layout)
        for index in range(own + 1, len(reserve))
        if reserve[index] > reserve[index - 1]
    )


def zone_index(zone: str, layout: Sequence[str]) -> int:
    """The place in a layout of the highest zone that a mask allows."""
    # A zone that the kernel was built without falls back as GFP_ZONE_TABLE does.
    if zone == "Movable" and zone not in layout:
        zone = "HighMem"
    return layout.index(zone if zone in layout else "Normal")


def _is_eligible(zone: str, highest: str, layout: Sequence[str]) -> bool:
    return zone in layout and layout.index(zone) <= zone_index(highest, layout)


def _reserve(report: Report, dump: ZoneDump, highest: str, layout: Sequence[str], rules: AllocationRules) -> int | None:
    """The entry of the zone's lowmem_reserve that holds against this request."""
    index = zone_index(highest, layout)
    if rules.by_preferred_zone:
        populated = {other.zone for other in report.zones if not is_empty(other)}
        index = max((i for i in range(index + 1) if layout[i] in populated), default=index)
    if dump.zone in layout and layout.index(dump.zone) >= index:
        return 0
    reserve = dump.lowmem_reserve_pages
    return reserve[index] if reserve is not None and index < len(reserve) else None


def _node_allowed(report: Report, dump: ZoneDump, flags: GfpFlags) -> bool:
    nodes = _allowed_nodes(report, flags)
    return dump.node is None or nodes is None or dump.node in nodes


def _allowed_nodes(report: Report, flags: GfpFlags) -> frozenset[int] | None:
    """The nodes to which its nodemask and its task's cpuset bind the request; None where nothing does.

    Kernel: kernel/cgroup/cpuset.c:__cpuset_node_allowed(): not interrupts; who cannot sleep may leave the cpuset, too,
    and what lacks __GFP_HARDWALL may use that of an ancestor.
    """
    if not (flags.hardwall and flags.can_direct_reclaim) or in_interrupt(report):
        return allowed_by_mask(report)
    return bound_nodes(report)


def allowed_by_mask(report: Report) -> frozenset[int] | None:
    """The nodes of the request's own nodemask (a memory policy); None where it has none."""
    return None if report.nodemask is None else _node_list(report.nodemask)


def bound_nodes(report: Report) -> frozenset[int] | None:
    """Those that are in the task's cpuset as well; None where neither is printed as a list."""
    bound = allowed_by_mask(report)
    cpuset = None if report.mems_allowed is None else _node_list(report.mems_allowed)
    return cpuset if bound is None else bound if cpuset is None else (bound & cpuset) or bound


def _node_list(text: str) -> frozenset[int] | None:
    """Read "0-1,4"; None where it is no list ("(null)")."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()) or int(last or first) - int(first) > 4096:
            return None
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def alloc_request(report: Report, order: int, flags: GfpFlags) -> AllocRequest:
    """The request, with the privileges of its task that the report gives away.

    Whoever frees memory (kswapd, direct reclaim) is not checked at all, unless an interrupt came and asks.
    Kernel: mm/page_alloc.c:__gfp_pfmemalloc_flags(); __do_softirq() takes PF_MEMALLOC away (3.6)
    """
    kswapd = report.comm is not None and report.comm.startswith("kswapd") and bool(report.trace)
    memalloc = kswapd or within_reclaim(report)
    return AllocRequest(order, flags, memalloc=memalloc, in_interrupt=in_interrupt(report))


def _boost_ranges(
    report: Report, page_size: int, rules: AllocationRules
) -> dict[tuple[int | None, str], tuple[int, int]]:
    # 5.9 to 5.15 check some callers without the boost, and do not print it.
    return {} if rules.boost is Boost.NOBODY else inferred_boosts(report, page_size)


_PROPORTIONAL = ("DMA", "DMA32", "Normal")
"""Zones whose min mark is their share of vm.min_free_kbytes: not HighMem's, nor Movable's in later kernels."""


def inferred_boosts(report: Report, page_size: int) -> dict[tuple[int | None, str], tuple[int, int]]:
    """At least and at most how many pages the marks of each zone are boosted by, of a kernel that does not print it.

    Empty where the boost is printed (5.16), or with one zone alone, which has nothing to be compared with.
    """
    if any(dump.boost_kb is not None for dump in report.zones):
        return {}
    marks = {
        (dump.node, dump.zone): PrintedMarks(
            kb_to_pages(dump.min_kb, page_size), kb_to_pages(dump.low_kb - dump.min_kb, page_size), managed
        )
        for dump in report.zones
        if dump.min_kb is not None and dump.low_kb is not None and dump.zone in _PROPORTIONAL
        if (managed := kb_to_pages(dump.managed_kb or 0, page_size))
    }
    return dict(zip(marks, infer_boost_ranges(list(marks.values())), strict=True)) if len(marks) > 1 else {}


def zone_state(
    dump: ZoneDump, page_size: int, rules: AllocationRules, boost_range: tuple[int, int] | None = None
) -> ZoneState:
    """The zone as the check sees it, in pages."""

    def pages(kb: int | None) -> int:
        return kb_to_pages(kb or 0, page_size)

    blocks = dump.free_blocks
    counts = None
    if blocks is not None and all(block.count is not None for block in blocks):
        counts = tuple(block.count or 0 for block in blocks)
    letters = None if blocks is None else tuple(block.migrate_types for block in blocks)
    if letters is not None and counts is not None and not any(letters) and any(counts):
        letters = None
    return ZoneState(
        free_pages=pages(dump.free_kb),
        min_pages=pages(dump.min_kb),
        low_pages=pages(dump.low_kb),
        high_pages=pages(dump.high_kb),
        boost_pages=None if dump.boost_kb is None else pages(dump.boost_kb),
        free_blocks=counts,
        block_types=letters,
        highatomic_pages=_highatomic_bounds(dump, blocks or (), page_size, rules),
        cma_pages=pages(dump.free_cma_kb),
        blocks_cut=dump.free_list_total_kb is None,
        boost_range=boost_range,
    )


def _highatomic_bounds(
    dump: ZoneDump, blocks: Sequence[FreeBlocks], page_size: int, rules: AllocationRules
) -> tuple[int, int]:
    """At least and at most how many pages the highatomic reserve takes from ordinary callers."""
    only = sum((block.count or 0) << block.order for block in blocks if block.migrate_types == "H")
    some = sum((block.count or 0) << block.order for block in blocks if "H" in block.migrate_types)
    if rules.highatomic is HighAtomic.FREE:
        if dump.free_highatomic_kb is not None:
            exact = kb_to_pages(dump.free_highatomic_kb, page_size)
            return exact, exact
        return (only, some) if blocks else (0, kb_to_pages(dump.reserved_highatomic_kb or 0, page_size))
    if dump.reserved_highatomic_kb is not None:
        exact = kb_to_pages(dump.reserved_highatomic_kb, page_size)
        return exact, exact
    if blocks and dump.free_list_total_kb is not None and not some:
        return 0, 0  # no block of it shows among the free ones: very likely there is none
    # Limit of the reserve: a hundredth of the zone, checked before a block is added.
    managed = kb_to_pages(dump.managed_kb or dump.present_kb or 0, page_size)
    return only, max(only, managed // 100 + 2 * PAGEBLOCK_PAGES)


def _merge(replays: Sequence[ZoneReplay], versions: Sequence[KernelVersion]) -> ZoneReplay:
    """One answer for a zone from the candidates' answers: theirs where they agree, else unknown."""
    last = replays[-1]
    if len({entry.verdict for entry in replays}) == 1:
        return last
    said = "; ".join(f"{version}: {entry.verdict}" for version, entry in zip(versions, replays, strict=True))
    usable = last.usable if len({entry.usable for entry in replays}) == 1 else None
    return ZoneReplay(last.dump, usable, Verdict.UNKNOWN, last.check, f"it depends on the kernel ({said})")

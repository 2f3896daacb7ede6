"""From the replayed zones of a report to its cause."""

from collections.abc import Sequence
from dataclasses import replace as dc_replace

from pagewarden.diagnose.context import within_reclaim
from pagewarden.diagnose.diagnosis import Judgement
from pagewarden.diagnose.holders import memory_kb
from pagewarden.diagnose.reclaimable import Reclaimable, reclaimable_of
from pagewarden.diagnose.replay import Replay, ZoneReplay, allowed_nodes, is_empty
from pagewarden.diagnose.rights import has_discount, highest_zone
from pagewarden.diagnose.types import Cause
from pagewarden.kernel.allocation import Verdict
from pagewarden.klog.types import Report, ReportKind
from pagewarden.units import human_bytes, kb_to_pages

REFUSED = frozenset({Verdict.BELOW_MARK, Verdict.LOWMEM_RESERVE, Verdict.NO_BLOCK})

TINY_KB = 64 * 1024
"""Zone DMA of x86 has 16 MiB; a zone this small beside larger ones never makes a cause by its reserve alone."""

RECLAIMABLE_PERCENT = 20
"""Page cache and reclaimable slab above this share of memory means that reclaim had something to take."""

MUCH_KB = 1024 * 1024
"""So does this much, where it is also several times what the high marks ask for."""

_DECIDES = {
    "header": "the report's first line",
    "order": "the order",
    "gfp-mask": "the mask",
    "memory-dump": "the memory dump with the zones",
}
_KILLS = frozenset({ReportKind.OOM, ReportKind.MEMCG_OOM})
_CONFINED = frozenset({"CONSTRAINT_CPUSET", "CONSTRAINT_MEMORY_POLICY"})


def judge(report: Report, replay: Replay) -> Judgement:
    """Decide why the request was refused, or say what is missing for that."""
    special = _by_kind(report, replay)
    if special is not None:
        return special
    if replay.flags is None or not any(zone.dump.free_kb is not None for zone in replay.zones):
        return _without_zones(report, replay)
    too_large = _too_large(report, replay)
    if too_large is not None:
        return too_large
    return _by_zones(report, replay)


def _by_kind(report: Report, replay: Replay) -> Judgement | None:
    if report.kind is ReportKind.MEMCG_OOM:
        group = report.memcg.limited if report.memcg else None
        named = f" {group}" if group else ""
        text = f"The memory limit{_limit(report)} of the control group{named} was reached."
        return Judgement(Cause.MEMCG_LIMIT, False, (text,))
    if _beyond_all_memory(report):
        size = "It" if report.request_bytes is None else human_bytes(report.request_bytes)
        text = f"{size} in one mapping is more than all memory of this machine, which the kernel refuses at once."
        return Judgement(Cause.REQUEST_TOO_LARGE, False, (text,))
    if report.address_space:
        return Judgement(
            Cause.ADDRESS_SPACE, False, ("The kernel ran out of addresses for mappings, not out of memory.",)
        )
    if report.order is not None and report.order < 0:
        text = "An administrator asked for this kill (sysrq f): no request was refused, and the zones decide nothing."
        return Judgement(Cause.INCOMPLETE, False, (text,))
    if report.kind is ReportKind.OOM and report.gfp_mask == 0:
        text = (
            "No verdict: a page fault was told that memory had run out (pagefault_out_of_memory), and which request "
            "had failed before, of the machine or of a control group, is not printed."
        )
        return Judgement(Cause.INCOMPLETE, False, (text,))
    if report.kind is ReportKind.MEMORY_DUMP:
        return Judgement(Cause.INCOMPLETE, False, ("A memory dump without a request: its header is not in the log.",))
    return None


def _limit(report: Report) -> str:
    """The limit in words, where one of the counters is at it; a group's ancestor may be the one that is full."""
    counters = report.memcg.counters if report.memcg else ()
    full = [each for each in counters if each.name == "memory" and each.usage_kb * 100 >= each.limit_kb * 99]
    return f" of {human_bytes(full[0].limit_kb * 1024)}" if full else ""


def _beyond_all_memory(report: Report) -> bool:
    """Kernel: mm/vmalloc.c:__vmalloc_node_range(); until 5.12 its message is that of a lack of addresses."""
    if "exceeds total pages" in (report.detail or ""):
        return True
    total_kb = memory_kb(report)
    if not report.address_space or report.request_bytes is None or total_kb is None:
        return False
    return report.request_bytes > total_kb * 1024


def _without_zones(report: Report, replay: Replay) -> Judgement:
    order = report.order
    if report.kind is ReportKind.NOMMU_FAILURE and report.request_bytes:
        text = f"One run of {human_bytes(report.request_bytes)} was asked for; without an MMU it must be contiguous."
        return Judgement(Cause.FRAGMENTED, True, (text,))
    lacks = [words for name, words in _DECIDES.items() if name in report.missing] or ["the state of the zones"]
    words = [f"No verdict: {' and '.join(lacks)} {'is' if len(lacks) == 1 else 'are'} not in the log."]
    if order is not None and order > 3:
        words.append(f"A request of order {order} ({1 << order} contiguous pages) mostly fails for fragmentation.")
    return Judgement(Cause.INCOMPLETE, False, tuple(words))


def _too_large(report: Report, replay: Replay) -> Judgement | None:
    lists = [len(zone.dump.free_blocks or ()) for zone in replay.zones if zone.dump.free_list_total_kb is not None]
    if lists and replay.order >= max(lists):
        text = f"Order {replay.order} is beyond the largest the allocator keeps (order {max(lists) - 1})."
        return Judgement(Cause.REQUEST_TOO_LARGE, False, (text,))
    sizes = [_size_kb(zone) for zone in replay.zones if zone.usable and _size_kb(zone) is not None]
    wanted_kb = (1 << replay.order) * replay.page_size // 1024
    if sizes and wanted_kb > max(size or 0 for size in sizes):
        text = f"{human_bytes(wanted_kb * 1024)} in one piece is more than any zone it may use has."
        return Judgement(Cause.REQUEST_TOO_LARGE, False, (text,))
    return None


def _size_kb(zone: ZoneReplay) -> int | None:
    return zone.dump.present_kb if zone.dump.managed_kb is None else zone.dump.managed_kb


def _by_zones(report: Report, replay: Replay) -> Judgement:
    usable = [zone for zone in replay.zones if zone.usable]
    doubtful = [zone for zone in replay.zones if zone.usable is None]
    if not usable and doubtful:
        return Judgement(Cause.INCOMPLETE, False, (f"No verdict: {_doubts(doubtful)}.",))
    if not usable:
        return _nothing_eligible(report, replay)
    weighty = [zone for zone in usable if not _is_tiny_reserved(zone, usable)]
    if not weighty:
        weighty = usable
    passing = [zone for zone in usable if zone.verdict is Verdict.WOULD_PASS]
    unknown = [zone for zone in weighty if zone.verdict is Verdict.UNKNOWN]
    if passing:
        return _passing(report, replay, passing)
    if unknown:
        return _undecided(report, replay, weighty, unknown)
    return _refused(report, replay, weighty)


def _is_tiny_reserved(zone: ZoneReplay, usable: Sequence[ZoneReplay]) -> bool:
    # Such a zone is always barred on a machine with larger ones; it decides nothing.
    size = _size_kb(zone)
    others = max((_size_kb(other) or 0 for other in usable), default=0)
    held = zone.verdict is Verdict.LOWMEM_RESERVE or (zone.check is not None and zone.check.reserve_pages > 0)
    return held and size is not None and size <= TINY_KB and others > size


def _nothing_eligible(report: Report, replay: Replay) -> Judgement:
    assert replay.flags is not None
    barred = [zone for zone in replay.zones if zone.verdict is Verdict.NOT_ELIGIBLE and not is_empty(zone.dump)]
    if barred and any(zone.dump.zone == replay.flags.zone for zone in barred):
        return Judgement(Cause.NODE_RESTRICTED, False, (f"Only nodes {report.nodemask} may be used.",))
    if barred and report.constraint in _CONFINED:
        text = (
            f"The task was confined by its {_constraint(report)} to nodes of which the report shows {_names(barred)} "
            f"only, and the mask allows zone {highest_zone(report, replay)} and below."
        )
        return Judgement(Cause.NODE_RESTRICTED, True, (text,))
    text = f"The mask allows zone {highest_zone(report, replay)} and below only, and this machine has no memory there."
    return Judgement(Cause.ZONE_RESTRICTED, False, (text,))


def _passing(report: Report, replay: Replay, passing: Sequence[ZoneReplay]) -> Judgement:
    names = ", ".join(zone.name for zone in passing)
    if replay.flags is not None and replay.flags.thisnode:
        judgement = _one_node(replay, passing)
        if judgement is not None:
            return judgement
    if report.order is None and report.gfp_mask is not None and report.kind in _KILLS | {ReportKind.DEADLOCK_WARNING}:
        largest = max(
            (zone.check.usable_order for zone in passing if zone.check and zone.check.usable_order is not None),
            default=None,
        )
        beyond = f" above {largest}" if largest is not None else ""
        text = (
            f"A single page would have been granted from {names}, far above the mark, so memory was not short: the "
            "order, "
            f"which this kernel does not print, was probably one{beyond} for which no block was free."
        )
        return Judgement(Cause.FRAGMENTED, True, (text,))
    if report.constraint in _CONFINED:
        text = f"{names} had room, but the task was confined by its {_constraint(report)} to other nodes."
        return Judgement(Cause.NODE_RESTRICTED, True, (text,))
    text = (
        f"The zones as printed would grant this request (from {names}): they were read after it had failed, and memory "
        "may have been freed in between."
    )
    return Judgement(Cause.RECOVERED, True, (text,))


def _one_node(replay: Replay, passing: Sequence[ZoneReplay]) -> Judgement | None:
    """Of a request for one node only (which one is not printed): None where every node would have served.

    Kernel: include/linux/gfp.h:gfp_zonelist(): ZONELIST_NOFALLBACK
    """
    usable = [zone for zone in replay.zones if zone.usable is not False]
    open_nodes = {zone.dump.node for zone in passing}
    others = [zone for zone in usable if zone.dump.node not in open_nodes]
    if not others:
        return None
    asked = "The request was for one node only (__GFP_THISNODE), which is not printed"
    if any(zone.verdict is Verdict.UNKNOWN for zone in others):
        return Judgement(Cause.INCOMPLETE, False, (f"No verdict: {asked[0].lower()}{asked[1:]}.",))
    text = f"{asked}: it can only have been that of {_names(others)}, as {_names(passing)} had room."
    return Judgement(Cause.NODE_RESTRICTED, True, (text,))


def _constraint(report: Report) -> str:
    return "cpuset" if report.constraint == "CONSTRAINT_CPUSET" else "memory policy"


def _undecided(
    report: Report, replay: Replay, weighty: Sequence[ZoneReplay], unknown: Sequence[ZoneReplay]
) -> Judgement:
    enough = all(zone.check is not None and zone.check.short_pages == 0 for zone in unknown)
    if replay.order > 0 and enough and "free blocks" in unknown[0].reason:
        names = ", ".join(zone.name for zone in unknown)
        text = (
            f"{names} had enough free pages and passed the first comparison, so what decided was whether a block of "
            f"{1 << replay.order} pages was free; the free lists are not in the report."
        )
        return Judgement(Cause.FRAGMENTED, True, (text,))
    refused = [zone for zone in weighty if zone.verdict in REFUSED]
    if refused and not enough:
        judgement = _refused(report, replay, refused)
        return Judgement(judgement.cause, True, (*judgement.because, f"Not decided for {_doubts(unknown)}."))
    return Judgement(Cause.INCOMPLETE, False, (f"No verdict: {_doubts(unknown)}.",))


def _doubts(zones: Sequence[ZoneReplay]) -> str:
    return "; ".join(f"{zone.name}: {zone.reason}" for zone in zones)


def _refused(report: Report, replay: Replay, weighty: Sequence[ZoneReplay]) -> Judgement:
    """Every zone that matters refused: by the mark, by its reserve, or for want of a block."""
    without_block = [zone for zone in weighty if zone.verdict is Verdict.NO_BLOCK]
    if without_block and replay.order == 0:
        return Judgement(
            Cause.MEMORY_EXHAUSTED, False, (f"{_names(without_block)}: not a single page was left in the free lists.",)
        )
    if without_block:
        return _no_block(replay, without_block)
    boosted = max((_boosted_pages(zone, replay) for zone in weighty), default=0)
    if boosted:
        judgement = _short(report, replay, weighty)
        text = (
            f"Without the boost of the watermarks ({boosted} pages, for a while after page blocks were mixed) the "
            "request would have passed."
        )
        return dc_replace(judgement, because=(*judgement.because, text), boosted_pages=boosted)
    reserved = [zone for zone in weighty if _only_for_others(zone, replay)]
    if reserved and len(reserved) == len(weighty):
        names = ", ".join(zone.name for zone in reserved)
        text = f"{names}: what is free is set aside for highatomic or CMA users, which this request is not."
        return Judgement(Cause.RESERVED_FOR_OTHERS, False, (text,))
    held = [zone for zone in weighty if zone.verdict is Verdict.LOWMEM_RESERVE]
    below = [zone for zone in weighty if zone.verdict is Verdict.BELOW_MARK]
    if held and not below:
        text = f"{_names(held)} had pages above the mark, but kept them for requests that can use no higher zone."
        return Judgement(Cause.LOWMEM_RESERVE, False, (text,))
    elsewhere = None if _has_own_cache(replay) else _room_elsewhere(report, replay)
    if elsewhere is not None:
        return elsewhere
    return _short(report, replay, weighty)


def _boosted_pages(zone: ZoneReplay, replay: Replay) -> int:
    """What the boost was worth where it alone decided. Kernel: min_wmark_pages() contains it (5.0)."""
    check = zone.check
    if check is None or not check.short_pages or not check.base_mark_pages:
        return 0
    boost = kb_to_pages(zone.dump.boost_kb or 0, replay.page_size)
    if check.base_mark_pages != kb_to_pages(zone.dump.min_kb or 0, replay.page_size):
        return 0  # such a caller was checked without it
    worth = boost * check.mark_pages // check.base_mark_pages
    return boost if check.short_pages <= worth else 0


def _short(report: Report, replay: Replay, weighty: Sequence[ZoneReplay]) -> Judgement:
    """Nothing but the mark stood in the way: what that means depends on what the caller could do about it."""
    assert replay.flags is not None
    if not replay.flags.can_direct_reclaim:
        limit = (
            "below even the part of the reserve that such a caller may use"
            if has_discount(replay)
            else "below the min mark, and such a caller may not go below it"
        )
        text = (
            f"The caller could not sleep, and {_names(weighty)} {'was' if len(weighty) == 1 else 'were'} {limit}. "
            "kswapd had been woken but had not caught up."
        )
        return Judgement(Cause.ATOMIC_RESERVE_EXHAUSTED, False, (text,))
    if within_reclaim(report):
        text = (
            f"Reclaim itself asked, which cannot wait for what it is about to free; {_names(weighty)}: below the mark."
        )
        return Judgement(Cause.RECLAIM_TOO_SLOW, True, (text,))
    return _sleeper(report, replay, weighty)


def _names(zones: Sequence[ZoneReplay]) -> str:
    return ", ".join(zone.name for zone in zones)


def _no_block(replay: Replay, zones: Sequence[ZoneReplay]) -> Judgement:
    if replay.order == 0:  # whoever may use all reserves is refused only where there is not a single page
        text = f"{_names(zones)}: the caller may use all reserves, and the free lists are empty all the same."
        return Judgement(Cause.MEMORY_EXHAUSTED, False, (text,))
    # Before 4.4 the check looks at counts, not at whose blocks they are: a block may be there and be refused.
    for_others = [zone for zone in zones if _blocks_for_others(zone, replay.order) and not _failed_in_loop(zone)]
    if len(for_others) == len(zones):
        text = f"{_names(zones)}: the only blocks of this size belong to the highatomic reserve."
        return Judgement(Cause.RESERVED_FOR_OTHERS, False, (text,))
    size = human_bytes((1 << replay.order) * replay.page_size)
    text = f"{_names(zones)} had enough free pages, but not {size} in one piece that this caller may take."
    return Judgement(Cause.FRAGMENTED, False, (text,))


def _blocks_for_others(zone: ZoneReplay, order: int) -> bool:
    # In CMA and isolated blocks that lie about by chance they say nothing: pages enough were free beside them.
    return any(
        block.count and block.order >= order and "H" in block.migrate_types for block in zone.dump.free_blocks or ()
    )


def _failed_in_loop(zone: ZoneReplay) -> bool:
    return zone.check is not None and zone.check.failed_order is not None


def _only_for_others(zone: ZoneReplay, replay: Replay) -> bool:
    check = zone.check
    if check is None or check.short_pages == 0 or zone.dump.free_kb is None:
        return False
    withheld = check.withheld_pages
    if replay.flags is not None and not replay.flags.can_direct_reclaim:
        # kswapd keeps up the marks without CMA: such a caller met an ordinary burst there.
        withheld = max(0, withheld - kb_to_pages(zone.dump.free_cma_kb or 0, replay.page_size))
    return withheld >= check.short_pages


def _room_elsewhere(report: Report, replay: Replay) -> Judgement | None:
    """A zone with room that the mask or the nodes bar."""
    barred = [zone for zone in replay.zones if zone.usable is False and _has_room(zone)]
    if not barred:
        return None
    assert replay.flags is not None
    by_node = [zone for zone in barred if report.nodemask is not None and _same_or_lower(zone, replay)]
    if by_node:
        text = f"{_names(by_node)} had room, but only nodes {report.nodemask} may be used."
        return Judgement(Cause.NODE_RESTRICTED, False, (text,))
    highest = highest_zone(report, replay)
    text = f"The mask allows zone {highest} and below only, and these were short; {_names(barred)} had room."
    return Judgement(Cause.ZONE_RESTRICTED, False, (text,))


def _has_own_cache(replay: Replay) -> bool:
    """A caller that can wait, and much page cache in the very zones it may use: others do not crowd it out."""
    lists = _lists_of(replay)
    if lists is None or replay.flags is None or not replay.flags.can_direct_reclaim:
        return False
    size_kb = sum(_size_kb(zone) or 0 for zone in replay.zones if zone.usable)
    return lists.files_kb * 100 > size_kb * RECLAIMABLE_PERCENT


def _has_room(zone: ZoneReplay) -> bool:
    dump = zone.dump
    return dump.free_kb is not None and dump.high_kb is not None and dump.free_kb > 2 * dump.high_kb > 0


def _same_or_lower(zone: ZoneReplay, replay: Replay) -> bool:
    return any(other.usable and other.dump.zone == zone.dump.zone for other in replay.zones)


def _sleeper(report: Report, replay: Replay, weighty: Sequence[ZoneReplay]) -> Judgement:
    """A caller that could wait: was there nothing left to reclaim, or did reclaim not keep up?"""
    if report.constraint in _CONFINED:
        return _confined(report, weighty)
    nodes = allowed_nodes(report)
    found = reclaimable_of(report, nodes)
    if nodes is not None and found is not None:
        elsewhere = _cache_elsewhere(report, nodes, found, weighty)
        if elsewhere is not None:
            return elsewhere
    zone = replay.flags.zone if replay.flags is not None else None
    lists = _lists_of(replay) if _is_limited(report, zone) else None
    if lists is not None and found is not None and lists.files_kb < found.total_kb:
        # What lies in zones it may not use is no help to it.
        if lists.files_kb * 100 <= found.total_kb:
            text = (
                f"The mask allows zone {zone} and below only, where next to no page cache was left to reclaim; "
                f"{human_bytes(found.total_kb * 1024)} of it lay in other zones."
            )
            return Judgement(Cause.ZONE_RESTRICTED, True, (text,))
        found = lists
    total = memory_kb(report) if nodes is None else sum(_size_kb(each) or 0 for each in replay.zones if each.usable)
    if found is None or not total or not _is_much(found.total_kb, total, weighty):
        left = "" if found is None else f"; page cache and reclaimable slab were {human_bytes(found.total_kb * 1024)}"
        return Judgement(Cause.MEMORY_EXHAUSTED, found is None, (f"{_names(weighty)}: below the mark{left}.",))
    if not _is_much(found.clean_kb, total, weighty):
        return _unwritten(report, found, weighty)
    if report.kind is ReportKind.OOM or _given_up(report, weighty):
        return _stuck(report, found.total_kb, weighty)
    text = (
        f"The caller could wait, and {human_bytes(found.total_kb * 1024)} of page cache and slab were reclaimable, but "
        "reclaim did not free pages in time."
    )
    return Judgement(Cause.RECLAIM_TOO_SLOW, True, (text,))


def _confined(report: Report, weighty: Sequence[ZoneReplay]) -> Judgement:
    """Kernel: mm/oom_kill.c:constrained_alloc() found that some node was barred; the counters are of all nodes."""
    text = (
        f"The task was confined by its {_constraint(report)}, and the zones it may use were below the mark "
        f"({_names(weighty)}). What other nodes had left plays no part."
    )
    return Judgement(Cause.NODE_RESTRICTED, True, (text,))


def _cache_elsewhere(
    report: Report, nodes: frozenset[int], found: Reclaimable, weighty: Sequence[ZoneReplay]
) -> Judgement | None:
    """The page cache that could have been taken lies on nodes that the request may not use."""
    machine, total = reclaimable_of(report), memory_kb(report)
    if machine is None or not total or _is_much(found.files_kb, total, weighty):
        return None
    barred_kb = machine.files_kb - found.files_kb
    if not _is_much(barred_kb, total, weighty):
        return None
    text = (
        f"Only nodes {report.nodemask} may be used, where {human_bytes(found.files_kb * 1024)} of page cache was left; "
        f"{human_bytes(barred_kb * 1024)} of it lay on others."
    )
    return Judgement(Cause.NODE_RESTRICTED, True, (text,))


def _unwritten(report: Report, found: Reclaimable, weighty: Sequence[ZoneReplay]) -> Judgement:
    """Dirty pages and pages under writeback are no more free for the taking than the storage is fast."""
    text = (
        f"{_names(weighty)}: below the mark. Of {human_bytes(found.total_kb * 1024)} of page cache and slab, "
        f"{human_bytes(found.unwritten_kb * 1024)} had to be written first: reclaim waits for the storage."
    )
    cause = Cause.MEMORY_EXHAUSTED if report.kind is ReportKind.OOM else Cause.RECLAIM_TOO_SLOW
    return Judgement(cause, True, (text,), unwritten=True)


def _stuck(report: Report, reclaimable_kb: int, weighty: Sequence[ZoneReplay]) -> Judgement:
    """Much that counts as cache, and none of it could be freed: an earlier start of kswapd frees none of it either.

    Kernel: mm/page_alloc.c:should_reclaim_retry() (4.7), before that did_some_progress: the OOM killer is called only
    after direct reclaim has found nothing, again and again.
    """
    gone = "the kernel kills only when its own reclaim finds nothing more" if report.kind is ReportKind.OOM else ""
    text = (
        f"{_names(weighty)}: below the mark. {human_bytes(reclaimable_kb * 1024)} of page cache and slab were there, "
        f"but could not be freed: {gone or 'the kernel had given up reclaiming there (all_unreclaimable)'}."
    )
    return Judgement(Cause.MEMORY_EXHAUSTED, True, (text,))


def _given_up(report: Report, weighty: Sequence[ZoneReplay]) -> bool:
    """Every zone that matters is one in which reclaim freed nothing; the node says it since 4.8, the zone before."""
    hopeless = {node.node for node in report.nodes if node.all_unreclaimable}
    return all(zone.dump.all_unreclaimable or zone.dump.node in hopeless for zone in weighty)


def _is_limited(report: Report, zone: str | None) -> bool:
    """The request may not use the zones in which most memory lies: those for devices, or low memory beside HighMem."""
    highmem = any(dump.zone == "HighMem" and not is_empty(dump) for dump in report.zones)
    return zone in ("DMA", "DMA32") or (zone == "Normal" and highmem)


def _lists_of(replay: Replay) -> Reclaimable | None:
    """Page cache in the zones that the request may use; None where they do not print it (most do)."""
    dumps = [zone.dump for zone in replay.zones if zone.usable and not is_empty(zone.dump)]
    if not dumps or not all(name in dump.values_kb for dump in dumps for name in ("active_file", "inactive_file")):
        return None
    names = ("writepending", "dirty", "writeback", "unstable")  # the first since 4.8, the others before
    unwritten = sum(dump.values_kb.get(name, 0) for dump in dumps for name in names)
    files = sum(dump.values_kb[name] for dump in dumps for name in ("active_file", "inactive_file"))
    return Reclaimable(files, 0, unwritten)


def _is_much(reclaimable_kb: int, total_kb: int, weighty: Sequence[ZoneReplay]) -> bool:
    highs_kb = sum(zone.dump.high_kb or 0 for zone in weighty)
    large = reclaimable_kb >= MUCH_KB and reclaimable_kb > 4 * highs_kb
    return large or reclaimable_kb * 100 > total_kb * RECLAIMABLE_PERCENT

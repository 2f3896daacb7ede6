"""From the replayed zones of a report to its cause."""

from collections.abc import Sequence
from dataclasses import replace

from pagewarden.diagnose.boost import deciding_boost
from pagewarden.diagnose.context import within_reclaim
from pagewarden.diagnose.diagnosis import Judgement
from pagewarden.diagnose.holders import memory_kb
from pagewarden.diagnose.left_out import usable_zone_lost
from pagewarden.diagnose.reach import Reach, reach_of, size_kb
from pagewarden.diagnose.replay import Replay, ZoneReplay, bound_nodes, is_empty
from pagewarden.diagnose.rights import CONFINED, bound_to, constraint_words, has_discount, highest_zone
from pagewarden.diagnose.types import Cause
from pagewarden.diagnose.waiting import given_up, helps_itself, is_much, judge_waiting, restricted
from pagewarden.kernel.allocation import Verdict
from pagewarden.klog.types import Report, ReportKind
from pagewarden.units import human_bytes, kb_to_pages

REFUSED = frozenset({Verdict.BELOW_MARK, Verdict.LOWMEM_RESERVE, Verdict.NO_BLOCK})

TINY_KB = 64 * 1024
"""Zone DMA of x86 has 16 MiB; a zone this small beside larger ones never makes a cause by its reserve alone."""

_DECIDES = {
    "header": "the report's first line",
    "order": "the order",
    "gfp-mask": "the mask",
    "memory-dump": "the memory dump with the zones",
}
_KILLS = frozenset({ReportKind.OOM, ReportKind.MEMCG_OOM})


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
    if report.kind is ReportKind.OOM and report.constraint in CONFINED and not report.zones:
        return Judgement(Cause.NODE_RESTRICTED, True, (_confined_by_its_kill(report),))
    lacks = [words for name, words in _DECIDES.items() if name in report.missing] or ["the state of the zones"]
    words = [f"No verdict: {' and '.join(lacks)} {'is' if len(lacks) == 1 else 'are'} not in the log."]
    if order is not None and order > 3:
        words.append(f"A request of order {order} ({1 << order} contiguous pages) mostly fails for fragmentation.")
    return Judgement(Cause.INCOMPLETE, False, tuple(words))


def _confined_by_its_kill(report: Report) -> str:
    """The line of the kill says it (5.0 and later).

    Kernel: mm/oom_kill.c:constrained_alloc()
    """
    policy = report.constraint == "CONSTRAINT_MEMORY_POLICY"
    nodes = (report.nodemask if policy else report.mems_allowed) or ""
    where = f" to node{'' if nodes.isdigit() else 's'} {nodes}" if nodes[:1].isdigit() else ""
    return (
        f"The kernel says that the task was confined by its {constraint_words(report)}{where}; it kills when nothing "
        "is left there, whatever other nodes have. The state of the zones is not in the log."
    )


def _too_large(report: Report, replay: Replay) -> Judgement | None:
    lists = [len(zone.dump.free_blocks or ()) for zone in replay.zones if zone.dump.free_list_total_kb is not None]
    if lists and replay.order >= max(lists):
        text = f"Order {replay.order} is beyond the largest the allocator keeps (order {max(lists) - 1})."
        return Judgement(Cause.REQUEST_TOO_LARGE, False, (text,))
    sizes = [size_kb(zone) for zone in replay.zones if zone.usable and size_kb(zone) is not None]
    wanted_kb = (1 << replay.order) * replay.page_size // 1024
    if sizes and wanted_kb > max(size or 0 for size in sizes):
        text = f"{human_bytes(wanted_kb * 1024)} in one piece is more than any zone it may use has."
        return Judgement(Cause.REQUEST_TOO_LARGE, False, (text,))
    return None


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
    size = size_kb(zone)
    others = max((size_kb(other) or 0 for other in usable), default=0)
    held = zone.verdict is Verdict.LOWMEM_RESERVE or (zone.check is not None and zone.check.reserve_pages > 0)
    return held and size is not None and size <= TINY_KB and others > size


def _nothing_eligible(report: Report, replay: Replay) -> Judgement:
    barred = [zone for zone in replay.zones if zone.verdict is Verdict.NOT_ELIGIBLE and not is_empty(zone.dump)]
    if any(zone.by_node for zone in barred):
        text = f"{bound_to(report).capitalize()}, and no zone there that the mask allows is in the report."
        return Judgement(Cause.NODE_RESTRICTED, True, (text,))
    if barred and report.constraint in CONFINED:
        text = (
            f"The task was confined by its {constraint_words(report)} to nodes of which the report shows "
            f"{_names(barred)} only, and the mask allows zone {highest_zone(report, replay)} and below."
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
    bound = bound_nodes(report)
    if report.constraint in CONFINED and not (bound and {zone.dump.node for zone in passing} <= bound):
        text = f"{names} had room, but the task was confined by its {constraint_words(report)} to other nodes."
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
    lost = usable_zone_lost(report, replay)
    judgement = _by_mark(report, replay, weighty, lost)
    if lost is not None and judgement.cause is not Cause.INCOMPLETE:
        text = f"{lost}, which it may use as well, is not in the log."
        judgement = replace(judgement, inferred=True, because=(*judgement.because, text))
    if replay.order and all(zone.lacks_block(replay.order) for zone in weighty):
        text = f"Nor was a block of {1 << replay.order} pages free that it may take."
        judgement = replace(judgement, because=(*judgement.because, text))
    if within_reclaim(report):
        return judgement  # it goes on without
    boost = deciding_boost(report, replay, weighty)
    if boost is None:
        return judgement
    size = f"{'at least ' if boost.inferred else ''}{boost.pages} pages"
    text = (
        f"Without the boost of the watermarks ({size}, for a while after page blocks were mixed) the request would "
        "have passed"
    )
    later = report.kind is ReportKind.OOM and judgement.cause is Cause.MEMORY_EXHAUSTED
    text += ", and the kill have come later, if at all." if later else "."
    return replace(
        judgement,
        because=(*judgement.because, text),
        inferred=judgement.inferred or boost.inferred,
        boosted_pages=boost.pages,
    )


def _by_mark(report: Report, replay: Replay, weighty: Sequence[ZoneReplay], lost: str | None) -> Judgement:
    """Too few pages that count were free in every zone.

    :param lost: a zone that it may use as well, of which the log has lost the lines.
    """
    held = [zone for zone in weighty if zone.verdict is Verdict.LOWMEM_RESERVE]
    below = [zone for zone in weighty if zone.verdict is not Verdict.LOWMEM_RESERVE]
    if held and not below and lost is not None:
        text = f"No verdict: what decided was {lost}, which is not in the log; {_names(held)} had nothing to spare."
        return Judgement(Cause.INCOMPLETE, False, (text,))
    if held and not below:
        text = f"{_names(held)} had pages above the mark, but kept them for requests that can use no higher zone."
        return Judgement(Cause.LOWMEM_RESERVE, False, (text,))
    if all(_only_for_others(zone, replay) for zone in below):
        text = f"{_names(below)}: what is free is set aside for highatomic or CMA users, which this request is not."
        return Judgement(Cause.RESERVED_FOR_OTHERS, False, (text,))
    reach = reach_of(report, replay)
    barred_by_policy = report.constraint in CONFINED
    others = helps_itself(report, replay, reach, below) or (not reach.by_node and _is_ordinary_burst(report, replay))
    if reach.has_room_beyond and not barred_by_policy and not others:
        return restricted(report, replay, reach, below)
    return _short(report, replay, reach, below)


def _is_ordinary_burst(report: Report, replay: Replay) -> bool:
    """A caller that cannot wait, and may use all memory of the kernel's own: HighMem and Movable are no help to any."""
    assert replay.flags is not None
    return not replay.flags.can_direct_reclaim and highest_zone(report, replay) not in ("DMA", "DMA32")


def _short(report: Report, replay: Replay, reach: Reach, below: Sequence[ZoneReplay]) -> Judgement:
    """Nothing but the mark stood in the way: what that means depends on what the caller could do about it."""
    assert replay.flags is not None
    if not replay.flags.can_direct_reclaim:
        limit = (
            "below even the part of the reserve that such a caller may use"
            if has_discount(replay)
            else "below the min mark, and such a caller may not go below it"
        )
        text = f"The caller could not sleep, and {_names(below)} {'was' if len(below) == 1 else 'were'} {limit}."
        if within_reclaim(report):
            text += " It was reclaim itself."
        elif _kswapd_gave_up(report, replay, below):
            text += " Reclaim had found nothing there many times over (all_unreclaimable): kswapd is woken no more."
            found = reach.reclaimable
            much = found is not None and is_much(found.clean_kb, reach.size_kb, below)
            return Judgement(Cause.ATOMIC_RESERVE_EXHAUSTED if much else Cause.MEMORY_EXHAUSTED, True, (text,))
        elif replay.flags.wakes_kswapd:
            text += " kswapd had been woken but had not caught up."
        return Judgement(Cause.ATOMIC_RESERVE_EXHAUSTED, False, (text,))
    if within_reclaim(report):
        text = f"Reclaim itself asked, which cannot wait for what it is about to free; {_names(below)}: below the mark."
        return Judgement(Cause.RECLAIM_TOO_SLOW, True, (text,))
    return judge_waiting(report, replay, reach, below)


def _kswapd_gave_up(report: Report, replay: Replay, zones: Sequence[ZoneReplay]) -> bool:
    """Kernel: mm/vmscan.c:wakeup_kswapd(): not on nodes where it failed MAX_RECLAIM_RETRIES times (4.12)."""
    return replay.version is not None and replay.version.at_least(4, 12) and given_up(report, zones)


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
    if all(_failed_in_loop(zone) for zone in zones) and not all(zone.lacks_block(replay.order) for zone in zones):
        text = f"{_names(zones)} had enough free pages, but too few of them in pieces of {size} or more."
        return Judgement(Cause.FRAGMENTED, False, (text,))
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

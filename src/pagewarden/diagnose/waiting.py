"""Callers that could wait for reclaim: was nothing left to reclaim, was it out of their reach, or was it too slow?"""

import re
from collections.abc import Sequence
from dataclasses import replace

from pagewarden.diagnose.diagnosis import Judgement
from pagewarden.diagnose.reach import Reach, Reclaimable
from pagewarden.diagnose.replay import Replay, ZoneReplay
from pagewarden.diagnose.rights import CONFINED, bound_to, constraint_words, highest_zone
from pagewarden.diagnose.types import Cause
from pagewarden.klog.types import Report, ReportKind
from pagewarden.units import human_bytes

RECLAIMABLE_PERCENT = 20
"""Page cache and reclaimable slab above this share of memory means that reclaim had something to take."""

COSTLY_ORDER = 3
"""Kernel: PAGE_ALLOC_COSTLY_ORDER: above it the allocator gives up rather than kill somebody."""

MUCH_KB = 1024 * 1024
"""So does this much, where it is also several times what the high marks ask for."""


def helps_itself(report: Report, replay: Replay, reach: Reach, zones: Sequence[ZoneReplay]) -> bool:
    """A caller that can wait, and much to reclaim in the very zones it may use: others do not crowd it out.

    Not so of a kill, or where reclaim was given up: that reclaim frees nothing there has been found out by then.
    """
    if replay.flags is None or not replay.flags.can_direct_reclaim or reach.reclaimable is None:
        return False
    if report.kind is ReportKind.OOM or given_up(report, zones):
        return False
    return is_much(reach.reclaimable.clean_kb, reach.size_kb, zones)


def restricted(report: Report, replay: Replay, reach: Reach, zones: Sequence[ZoneReplay]) -> Judgement:
    """Memory was free, but the mask, the nodes or a cpuset bar the request from it."""
    where = f"{', '.join(reach.room)} had room"
    if not reach.room:
        where = f"{human_bytes(reach.unprinted_room_kb * 1024)} were free in zones that the report does not show"
    if reach.by_node:
        judgement = Judgement(Cause.NODE_RESTRICTED, not reach.room, (f"{_capital(where)}, but {bound_to(report)}.",))
    else:
        text = f"The mask allows zone {highest_zone(report, replay)} and below only, and these were short; {where}."
        judgement = Judgement(Cause.ZONE_RESTRICTED, not reach.room, (text,))
    found = reach.reclaimable
    if report.kind is not ReportKind.OOM or found is None or not is_much(found.total_kb, reach.size_kb, zones):
        return judgement
    text = f"{human_bytes(found.total_kb * 1024)} of page cache and slab lay where it may go, but could not be freed."
    return replace(judgement, because=(*judgement.because, text))


def given_up(report: Report, zones: Sequence[ZoneReplay]) -> bool:
    """Every zone is one in which reclaim freed nothing; the node says it since 4.8, the zone before.

    Kernel: mm/page_alloc.c:show_node() prints a zone's node only with CONFIG_NUMA; a node's line always has it.
    """
    hopeless = {node.node for node in report.nodes if node.all_unreclaimable}
    return all(zone.dump.all_unreclaimable or (zone.dump.node or 0) in hopeless for zone in zones)


def judge_waiting(report: Report, replay: Replay, reach: Reach, zones: Sequence[ZoneReplay]) -> Judgement:
    """Judge a request that could wait and found every zone that matters below the mark."""
    names = ", ".join(zone.name for zone in zones)
    if never_refused(report, replay):
        text = (
            f"{names}: below the mark. The kernel tries such a request until it succeeds, but for those that its OOM "
            "killer has chosen and those that free memory themselves."
        )
        return Judgement(Cause.MEMORY_EXHAUSTED, True, (text,), never_refused=True)
    if report.constraint in CONFINED:
        return _confined(report, reach, names)
    found = reach.reclaimable
    if found is None or not is_much(found.total_kb, reach.size_kb, zones):
        beyond = _cache_beyond(report, replay, reach, zones)
        return beyond or _swappable(report, replay, reach, zones) or _exhausted(found, names)
    if found.unwritten_kb * 2 > found.total_kb and not is_much(found.clean_kb, reach.size_kb, zones):
        return _unwritten(report, found, names)
    if report.kind is ReportKind.OOM or given_up(report, zones):
        return _stuck(report, replay, found, zones)
    text = (
        f"The caller could wait, and {human_bytes(found.total_kb * 1024)} of page cache and slab were reclaimable, but "
        "reclaim did not free pages in time."
    )
    judgement = Judgement(Cause.RECLAIM_TOO_SLOW, True, (text,))
    if not reach.has_room_beyond:
        return judgement
    return replace(judgement, because=(text, *restricted(report, replay, reach, zones).because))


def never_refused(report: Report, replay: Replay) -> bool:
    """Whether the kernel would rather kill than refuse: small, in no hurry to give up, and of a zone that kills serve.

    Not so of threads of the kernel, which may free memory themselves (PF_MEMALLOC), of core dumps, and while the
    machine suspends, when nobody is killed and masks lose __GFP_IO and __GFP_FS.

    Kernel: mm/page_alloc.c:__alloc_pages_slowpath(), __alloc_pages_may_oom(): orders up to PAGE_ALLOC_COSTLY_ORDER,
    no zone below Normal. Until 4.12 __GFP_REPEAT meant nothing to these.
    """
    flags, order = replay.flags, report.order
    if report.kind is not ReportKind.PAGE_ALLOCATION_FAILURE or flags is None or order is None or not replay.known:
        return False
    if not report.trace or any(_NO_VICTIM.fullmatch(frame.function) for frame in report.trace):
        return False
    may_fail = flags.noretry or flags.has("RETRY_MAYFAIL") or flags.thisnode or flags.zone in (None, "DMA", "DMA32")
    return 0 <= order <= COSTLY_ORDER and flags.can_direct_reclaim and (flags.io or flags.fs) and not may_fail


_NO_VICTIM = re.compile(
    r"kthread|ret_from_fork(?:_asm)?|kernel_thread_helper|\w+_thread|\w*(?:suspend|resume|hibernat)\w*|dpm_\w+|"
    r"state_store|\w*do_coredump\w*"
)


def is_much(reclaimable_kb: int, total_kb: int, zones: Sequence[ZoneReplay]) -> bool:
    """Whether reclaim had something to take, of TOTAL_KB of memory."""
    highs_kb = sum(zone.dump.high_kb or 0 for zone in zones)
    large = reclaimable_kb >= MUCH_KB and reclaimable_kb > 4 * highs_kb
    return large or reclaimable_kb * 100 > total_kb * RECLAIMABLE_PERCENT


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _exhausted(found: Reclaimable | None, names: str) -> Judgement:
    if found is None:
        return Judgement(Cause.MEMORY_EXHAUSTED, True, (f"{names}: below the mark.",))
    text = f"{names}: below the mark; page cache and reclaimable slab were {human_bytes(found.total_kb * 1024)}."
    if found.unplaced_slab_kb <= found.total_kb:
        return Judgement(Cause.MEMORY_EXHAUSTED, False, (text,))
    slab = human_bytes(found.unplaced_slab_kb * 1024)
    doubt = f"Where the machine's {slab} of reclaimable slab lay is not printed: some of it may have been there."
    return Judgement(Cause.MEMORY_EXHAUSTED, True, (text, doubt))


def _confined(report: Report, reach: Reach, names: str) -> Judgement:
    """Some node was barred; that it had anything to give is another matter.

    Kernel: mm/oom_kill.c:constrained_alloc()
    """
    confined = f"The task was confined by its {constraint_words(report)}"
    beyond = None if reach.whole else reach.files_beyond_kb
    if beyond is not None and not reach.has_room_beyond and beyond * 100 <= reach.machine_kb * RECLAIMABLE_PERCENT:
        text = f"{confined}, but other nodes had next to nothing left either. {names}: below the mark."
        return Judgement(Cause.MEMORY_EXHAUSTED, True, (text,))
    text = (
        f"{confined}, and the zones it may use were below the mark ({names}). What other nodes had left plays no part."
    )
    return Judgement(Cause.NODE_RESTRICTED, True, (text,))


def _cache_beyond(report: Report, replay: Replay, reach: Reach, zones: Sequence[ZoneReplay]) -> Judgement | None:
    """The page cache that could have been taken lies where the request may not go."""
    beyond, found = reach.files_beyond_kb, reach.reclaimable
    if reach.whole or beyond is None or found is None or not is_much(beyond, reach.machine_kb, zones):
        return None
    if beyond <= found.total_kb + found.unplaced_slab_kb:
        return None
    left, lay = human_bytes(found.files_kb * 1024), human_bytes(beyond * 1024)
    if reach.by_node:
        text = f"{_capital(bound_to(report))}: {left} of page cache was left there, and {lay} of it lay on others."
        return Judgement(Cause.NODE_RESTRICTED, True, (text,))
    zone = highest_zone(report, replay)
    text = (
        f"The mask allows zone {zone} and below only, where {left} of page cache was left to reclaim; {lay} of it lay "
        "in other zones."
    )
    return Judgement(Cause.ZONE_RESTRICTED, True, (text,))


def _swappable(report: Report, replay: Replay, reach: Reach, zones: Sequence[ZoneReplay]) -> Judgement | None:
    """Reclaim was still busy with programs' memory: this is not the end, as a kill would be.

    Kernel: mm/vmscan.c:zone_reclaimable_pages(): anonymous pages count while there is swap to take them
    """
    found, free_kb = reach.reclaimable, report.totals.swap_free_kb
    if found is None or free_kb is None or replay.flags is None or not replay.flags.io:
        return None
    if replay.order > COSTLY_ORDER and all(zone.lacks_block(replay.order) for zone in zones):
        return None  # one attempt: how fast swap is decides nothing
    swappable = min(found.anonymous_kb, free_kb)
    if report.kind is ReportKind.OOM or given_up(report, zones) or not is_much(swappable, reach.size_kb, zones):
        return None
    names = ", ".join(zone.name for zone in zones)
    text = (
        f"{names}: below the mark. {human_bytes(found.total_kb * 1024)} of page cache and slab were left; of programs' "
        f"memory {human_bytes(swappable * 1024)} could go to swap, which takes as long as its device."
    )
    return Judgement(Cause.RECLAIM_TOO_SLOW, True, (text,))


def _unwritten(report: Report, found: Reclaimable, names: str) -> Judgement:
    """Dirty pages and pages under writeback are no more free for the taking than the storage is fast."""
    text = (
        f"{names}: below the mark. Of {human_bytes(found.total_kb * 1024)} of page cache and slab, "
        f"{human_bytes(found.unwritten_kb * 1024)} had to be written first: reclaim waits for the storage."
    )
    cause = Cause.MEMORY_EXHAUSTED if report.kind is ReportKind.OOM else Cause.RECLAIM_TOO_SLOW
    return Judgement(cause, True, (text,), unwritten=True)


def _stuck(report: Report, replay: Replay, found: Reclaimable, zones: Sequence[ZoneReplay]) -> Judgement:
    """Much that counts as cache, and none of it could be freed: an earlier start of kswapd frees none of it either.

    Kernel: mm/page_alloc.c:should_reclaim_retry() (4.7), before that did_some_progress: the OOM killer is called only
    after direct reclaim has found nothing, again and again; of a larger order, or after compaction has failed.
    """
    gone = "the kernel had given up reclaiming there (all_unreclaimable)"
    if report.kind is ReportKind.OOM:
        gone = "the kernel kills only when its own reclaim finds nothing more"
        compacts = replay.order and not report.no_compaction
        if compacts and all(zone.lacks_block(replay.order) for zone in zones):
            gone += f", or compaction no {1 << replay.order} pages that are neighbours"
    text = (
        f"{', '.join(zone.name for zone in zones)}: below the mark. {human_bytes(found.total_kb * 1024)} of page cache "
        f"and slab were there, but could not be freed: {gone}."
    )
    return Judgement(Cause.MEMORY_EXHAUSTED, True, (text,))

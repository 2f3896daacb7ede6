"""What to do about a report, the right knob first, and what not to bother with."""

from dataclasses import dataclass

from pagewarden.diagnose.callers import Caller, Work, plain_function
from pagewarden.diagnose.context import within_reclaim
from pagewarden.diagnose.diagnosis import Harm, Judgement, Remedy
from pagewarden.diagnose.holders import holder_remedies, holders_of
from pagewarden.diagnose.known_fixes import Fix
from pagewarden.diagnose.left_out import usable_zone_lost
from pagewarden.diagnose.low_zones import Reserve, reserve_of
from pagewarden.diagnose.min_free import MinFreeAtReport, WouldHavePassed
from pagewarden.diagnose.releases import format_bounds
from pagewarden.diagnose.replay import Replay, ZoneReplay
from pagewarden.diagnose.rights import has_discount, highest_zone, names_its_node
from pagewarden.diagnose.types import Cause
from pagewarden.diagnose.waiting import COSTLY_ORDER
from pagewarden.kernel.allocation import Verdict
from pagewarden.klog.types import Report, ReportKind
from pagewarden.units import kb_to_pages

MIN_FREE = "vm.min_free_kbytes"
BOOST = "vm.watermark_boost_factor"
_COMPACTS = (2, 6, 35)
RATIO = "vm.lowmem_reserve_ratio"
_NETWORK = (Work.SOCKET_CLONE, Work.NETWORK_RECEIVE, Work.NETWORK_TRANSMIT)


def falls_back(report: Report) -> bool:
    """A mapping of huge pages failed, for which the kernel then takes small ones.

    Kernel: mm/vmalloc.c:__vmalloc_node_range() since 5.13.
    """
    return report.kind is ReportKind.VMALLOC_FAILURE and not report.address_space and bool(report.order)


def harm_of(report: Report, judgement: Judgement, caller: Caller) -> Harm:
    """Say what the failure did to the machine's users."""
    if report.kind in (ReportKind.OOM, ReportKind.MEMCG_OOM):
        return Harm.KILLED
    if report.kind is ReportKind.MEMORY_DUMP or report.kind is ReportKind.UNRECOGNISED:
        return Harm.NONE
    if report.kind in (ReportKind.ALLOCATION_STALL, ReportKind.DEADLOCK_WARNING):
        return Harm.DEGRADED
    if caller.work in _NETWORK or caller.work is Work.HUGE_PAGE or falls_back(report):
        return Harm.DEGRADED  # a packet is dropped and sent again; a small page is used instead
    return Harm.FAILED


@dataclass(frozen=True, slots=True)
class Case:
    """What is known when remedies are chosen.

    :ivar setting: vm.min_free_kbytes when the report was written, where the marks tell it.
    :ivar passed: the smallest value of it with which the request would have passed, if any within 5 % of low memory.
    :ivar boosted: a boost of the marks alone decided: no mark is the cure, as larger ones are boosted further.
    """

    report: Report
    replay: Replay
    caller: Caller
    setting: MinFreeAtReport | None
    passed: WouldHavePassed | None
    boosted: bool = False


def remedies_for(case: Case, judgement: Judgement, fixes: list[Fix]) -> tuple[Remedy, ...]:
    """List what follows from the cause, most useful first."""
    found = [
        Remedy("update the kernel", "action:kernel-upgrade", None, f"{fix.text} {fix.stopgap or ''}".strip())
        for fix in fixes
    ]
    answers = (_unwritten if judgement.unwritten else _BY_CAUSE[judgement.cause])(case)
    if judgement.never_refused:
        answers = [_DYING, *answers]
    if not case.boosted:
        return (*found, *answers)
    if case.report.kind is ReportKind.OOM:  # it came earlier for the boost, not because of it
        return (*found, *answers, _WITHOUT_BOOST)
    return (*found, _WITHOUT_BOOST, *answers)


_DYING = Remedy(
    "look for the kill that came before",
    None,
    None,
    "a task that was chosen needs its memory no more; what is to be mended is what the kill was for",
)


_WITHOUT_BOOST = Remedy(
    "switch the boost off",
    BOOST,
    "0",
    "the boost raises every mark for a while, min too, to make kswapd reclaim whole page blocks; 0 switches it off "
    "(5.0 and later), which lets page blocks be mixed more",
)


def _against(action: str, why: str) -> Remedy:
    return Remedy(action, None, None, why, against=True)


def _atomic(case: Case) -> list[Remedy]:
    if within_reclaim(case.report):
        return _slow(case)
    blocks = [_compaction(case)] if _lacks_block(case) else []
    if case.boosted:
        marks = []
    elif has_discount(case.replay):
        marks = [_deeper_reserve(case)]
    else:
        marks = [*_slow(case), *_dearer(case)]
    return [*blocks, *marks, *_smaller_bursts(case)]


def _lacks_block(case: Case) -> bool:
    order = case.report.order or 0
    short = [zone for zone in case.replay.zones if zone.usable and zone.check is not None]
    return order > 0 and bool(short) and all(zone.lacks_block(order) for zone in short)


def blocks_unknown(replay: Replay) -> bool:
    """Whether the free blocks decide as well, of some zone that refused, and are not printed to the end."""
    short = [zone for zone in replay.zones if zone.usable and zone.check is not None]
    return replay.order > 0 and any(zone.dump.free_list_total_kb is None for zone in short)


def _deeper_reserve(case: Case) -> Remedy:
    if case.passed is not None and case.setting is not None and case.passed.value_kb < case.setting.formula_kb:
        why = (
            f"the kernel's own formula gives it; {case.passed.value_kb} would have been enough for this one "
            f"request, in {case.passed.zone}"
        )
        return Remedy(f"raise {MIN_FREE}", MIN_FREE, str(case.setting.formula_kb), why)
    if case.passed is not None:
        why = (
            f"the smallest value with which this one request would have passed, in {case.passed.zone}; bursts are not "
            "all alike: 'pagewarden advise --logs' gives a value with a margin"
        )
        return Remedy(f"raise {MIN_FREE}", MIN_FREE, str(case.passed.value_kb), why)
    if case.setting is None or blocks_unknown(case.replay):
        return Remedy(
            f"raise {MIN_FREE}", MIN_FREE, None, "it deepens the reserve for callers that cannot wait; in steps"
        )
    why = "no value within 5 % of low memory would have let this request pass: "
    why += "it lacked a block as well" if _lacks_block(case) else "the burst was larger than any reserve"
    return _against(f"raising {MIN_FREE} does not reach", why)


def _smaller_bursts(case: Case) -> list[Remedy]:
    if case.caller.work is not Work.NETWORK_RECEIVE or not has_discount(case.replay):
        return []
    driver = f" ({case.caller.driver})" if case.caller.driver else ""
    why = f"a smaller receive ring or a lower MTU makes the network driver{driver} ask for less at once"
    return [Remedy("make the driver's bursts smaller", "action:driver-ring", None, why)]


def _dearer(case: Case) -> list[Remedy]:
    if not _has_scale_factor(case):
        return []  # there a larger min is the only way to a larger gap
    why = "min is its limit too: of a larger value it gets only the wider gap below low, a quarter of what min grows by"
    return [_against(f"raising {MIN_FREE} costs more", why)]


def _has_scale_factor(case: Case) -> bool:
    return case.replay.version is None or case.replay.version.at_least(4, 6)


def _fragmented(case: Case) -> list[Remedy]:
    if case.report.kind is ReportKind.NOMMU_FAILURE:
        return [_smaller_mappings(), _against(f"do not expect much of {MIN_FREE}", "it makes no pages neighbours")]
    found = []
    order = case.report.order
    named = order is not None and case.caller.frame is not None and not falls_back(case.report)
    if named and order is not None and order > COSTLY_ORDER:
        who = _who(case.caller)
        found.append(
            Remedy(
                "ask why so large a piece is wanted",
                "action:kernel-upgrade",
                None,
                f"asking for {1 << order} contiguous pages is a habit of {who}; newer versions of such code often do "
                "without",
            )
        )
    if case.caller.work is Work.NETWORK_RECEIVE and order:
        found.append(Remedy("lower the MTU", "action:mtu", None, "frames that fit a page need no larger piece"))
    found.append(_compaction(case))
    found.append(
        _against(
            f"do not expect much of {MIN_FREE}",
            "memory was not short: more free pages help only as far as more of them happen to be neighbours",
        )
    )
    return found


def _smaller_mappings() -> Remedy:
    """Compaction needs an MMU (mm/Kconfig: COMPACTION)."""
    why = (
        "without an MMU a mapping is one run of pages, and the kernel cannot move others away to make one: start large "
    )
    why += "programs early, give them smaller stacks and heaps, or add memory"
    return Remedy("ask for less in one piece", "action:reduce-load", None, why)


def _compaction(case: Case) -> Remedy:
    version = case.replay.version if case.replay.known else None
    if case.report.no_compaction:
        why = "this one was built without compaction, so it cannot move pages together to make larger pieces"
        return Remedy("use a kernel with CONFIG_COMPACTION", "action:kernel-upgrade", None, why)
    old = format_bounds(case.report)[1] <= _COMPACTS if version is None else version.numbers < _COMPACTS
    if old and (version is None or version.vendor != "el6"):
        why = "this kernel cannot move pages together; since 2.6.35 kernels do for requests like this one"
        return Remedy("update the kernel", "action:kernel-upgrade", None, why)
    why = "writing 1 to /proc/sys/vm/compact_memory moves pages together; it helps for a while (2.6.35 and later)"
    return Remedy("compact memory before the work that needs it", "action:compact-memory", None, why)


def _who(caller: Caller) -> str:
    if caller.frame is None:
        return "the caller"
    module = caller.frame.module or caller.driver
    return plain_function(caller.frame.function) + (f" [{module}]" if module else "")


def _lowmem_reserve(case: Case) -> list[Remedy]:
    return [
        Remedy(
            "make the reserve smaller",
            RATIO,
            None,
            "a larger ratio for the zone that kept its pages makes its reserve smaller; it takes protection from "
            "those who "
            "can use no other zone",
        )
    ]


def _zone_restricted(case: Case) -> list[Remedy]:
    zone = highest_zone(case.report, case.replay)
    if not any(each.usable for each in case.replay.zones):
        why = f"{_who(case.caller)} accepts only zone {zone} or a lower one, and this machine has no memory there"
        return [_against("no setting can help", why)]
    reserve = reserve_of(case.report, case.replay)
    if reserve is not None and reserve.mended:
        found = [_reserve_mended(reserve, zone), *_holders(case)]
    elif reserve is not None and not reserve.larger_helps:
        found = [Remedy(f"find what fills zone {zone}", "action:reduce-load", None, _no_reserve(reserve))]
        found += _holders(case)
    else:
        found = [_larger_reserve(reserve, zone), *_holders(case)]
    return [*found, *_questioned(case)]


def _no_reserve(reserve: Reserve) -> str:
    """Why a larger reserve is no answer."""
    if reserve.alone:
        return "its node shows no zone above it, and vm.lowmem_reserve_ratio keeps pages only from who can use one"
    if not reserve.own_pages:
        return "this kernel keeps nothing of it from movable requests, most of what programs use, whatever the ratio"
    nobody = f", and {reserve.nobody_else} lies there" if reserve.nobody_else else ""
    return (
        f"at least {reserve.own_pages} pages were taken by requests that can use no higher zone, for whom the reserve "
        f"is meant: a larger one does not keep these out{nobody}"
    )


def _larger_reserve(reserve: Reserve | None, zone: str | None) -> Remedy:
    why = f"a smaller ratio for zone {zone} keeps more of it for requests like this one, which can use no higher zone"
    if reserve is not None and reserve.own_pages:
        why += (
            f"; they had taken {reserve.own_pages} pages at least themselves, so what is kept for them was too little"
        )
    return Remedy(f"keep others out of zone {zone}", RATIO, None, why)


def _reserve_mended(reserve: Reserve, zone: str | None) -> Remedy:
    why = (
        f"this one keeps nothing of zone {zone} from movable requests, most of what programs use, whatever the ratio: "
        f"{reserve.mended} and later do"
    )
    return Remedy("update the kernel", "action:kernel-upgrade", None, why)


def _questioned(case: Case) -> list[Remedy]:
    if case.caller.driver is None:
        return []
    why = f"{_who(case.caller)} accepts only this zone; a driver whose device can address all memory need not"
    return [Remedy("ask whether the restriction is needed", "action:kernel-upgrade", None, why)]


def _node_restricted(case: Case) -> list[Remedy]:
    if names_its_node(case.report, case.replay):
        why = (
            f"{_who(case.caller)} asked for memory of that node and no other (__GFP_THISNODE); nobody confined the task"
        )
        confined = Remedy("use less of that node, or ask whether the node matters", "action:reduce-load", None, why)
    else:
        why = "the task was confined to nodes that had nothing to give"
        confined = Remedy("widen the cpuset or memory policy", None, None, why)
    return [
        confined,
        _against("zone_reclaim_mode is not the cure", "it decides where to reclaim, not where a task may go"),
        *_holders(case),
    ]


def _reserved(case: Case) -> list[Remedy]:
    zones = [zone for zone in case.replay.zones if zone.usable]
    by_block = any(zone.verdict is Verdict.NO_BLOCK for zone in zones)
    if not by_block and any(_short_by_cma(zone, case.replay) for zone in zones):
        why = "CMA pages serve only movable requests; a smaller cma= on the kernel command line returns them to all"
        return [Remedy("make the CMA area smaller", "action:reduce-load", None, why)]
    version = case.replay.version if case.replay.known else None
    in_use = any((zone.dump.reserved_highatomic_kb or 0) > (zone.dump.free_kb or 0) for zone in zones)
    if in_use and version is not None and not version.at_least(6, 12):
        why = "until 6.12 the pages of the highatomic reserve that are in use are taken off what is free as well"
        return [Remedy("update the kernel", "action:kernel-upgrade", None, why)]
    if case.report.kind is ReportKind.OOM and version is not None and not version.at_least(6, 8):
        why = "6.8 and later give the highatomic reserve back before they kill; before, that came too late"
        return [Remedy("update the kernel", "action:kernel-upgrade", None, why), *_holders(case)]
    why = "the highatomic reserve is at most a hundredth of a zone, and the kernel gives it back when it reclaims"
    return [_against("no setting changes this reserve", why)]


def _short_by_cma(zone: ZoneReplay, replay: Replay) -> bool:
    """With its CMA pages counted the zone would have had enough."""
    short = 0 if zone.check is None else zone.check.short_pages
    return bool(short) and kb_to_pages(zone.dump.free_cma_kb or 0, replay.page_size) >= short


def _exhausted(case: Case) -> list[Remedy]:
    return [
        Remedy(
            "use less memory, or add some", "action:reduce-load", None, "reclaim found nothing more that it could free"
        ),
        *_holders(case),
        *([_compaction(case)] if case.report.kind is ReportKind.OOM and _lacks_block(case) else []),
        _against(f"do not raise {MIN_FREE}", "it would take more of what is already too little"),
    ]


def _holders(case: Case) -> list[Remedy]:
    return holder_remedies(holders_of(case.report)) if case.report.kind is ReportKind.OOM else []


def _recovered(case: Case) -> list[Remedy]:
    if case.report.kind is not ReportKind.OOM:
        return []
    found = _holders(case)
    if not found:
        why = "no task, cache or pool in the report holds a large share of memory"
        found = [Remedy("look at what ran at that time", "action:reduce-load", None, why)]
    return [*found, _against(f"{MIN_FREE} is not the cure", "a kill comes when reclaim finds nothing more")]


def _reclaim_slow(case: Case) -> list[Remedy]:
    return [*([_compaction(case)] if _lacks_block(case) else []), *_slow(case)]


def _slow(case: Case) -> list[Remedy]:
    if within_reclaim(case.report):
        why = "reclaim does without this page and goes on; what matters is whether tasks stall or are killed as well"
        return [_against("nothing to set for this one", why)]
    if case.boosted:
        return []
    if _has_scale_factor(case):
        why = "it wakes kswapd earlier and lets it work longer, so that callers wait less (4.6 and later)"
        return [Remedy("give kswapd more room", "vm.watermark_scale_factor", None, why)]
    value = str(case.passed.value_kb) if case.passed else None
    return [Remedy(f"raise {MIN_FREE}", MIN_FREE, value, "this kernel has no other way to wake kswapd earlier")]


def _unwritten(case: Case) -> list[Remedy]:
    why = "what was written waited for it; smaller vm.dirty_bytes and vm.dirty_background_bytes let less pile up"
    found = [Remedy("look at the storage", None, None, why), *_holders(case)]
    return [*found, _against("no mark is the cure", "an earlier kswapd waits for the same writes")]


def _too_large(case: Case) -> list[Remedy]:
    return [_against("no setting can help", f"{_who(case.caller)} asks for more than this machine can ever give")]


def _memcg(case: Case) -> list[Remedy]:
    return [
        Remedy(
            "raise the group's limit or use less in it", "action:reduce-load", None, "the machine itself was not short"
        ),
        _against("no vm.* setting is involved", "watermarks and reserves do not apply to a group's limit"),
    ]


def _address_space(case: Case) -> list[Remedy]:
    holders = "/proc/vmallocinfo names who fills it"
    if case.report.is_64_bit:
        why = f"on a 64-bit kernel only a leak, or a small range of its own (for modules and code), fills up; {holders}"
        return [Remedy("look for what leaks mappings", "action:kernel-upgrade", None, why)]
    bits = " (on 32-bit kernels)" if case.report.is_64_bit is None else ""
    why = f"vmalloc= on the kernel command line enlarges the area for kernel mappings{bits}; {holders}"
    return [Remedy("enlarge the vmalloc area", "action:kernel-upgrade", None, why)]


def _incomplete(case: Case) -> list[Remedy]:
    if not case.report.zones or usable_zone_lost(case.report, case.replay) is not None:
        why = "the lines after its header, with the zones, decide; 'journalctl -k' has them, the output of grep has not"
        return [Remedy("read the whole log", None, None, why)]
    if case.replay.disagreement:
        return [Remedy("name the kernel (--kernel RELEASE)", None, None, case.replay.disagreement)]
    return []


_BY_CAUSE = {
    Cause.ATOMIC_RESERVE_EXHAUSTED: _atomic,
    Cause.FRAGMENTED: _fragmented,
    Cause.LOWMEM_RESERVE: _lowmem_reserve,
    Cause.ZONE_RESTRICTED: _zone_restricted,
    Cause.NODE_RESTRICTED: _node_restricted,
    Cause.RESERVED_FOR_OTHERS: _reserved,
    Cause.MEMORY_EXHAUSTED: _exhausted,
    Cause.RECLAIM_TOO_SLOW: _reclaim_slow,
    Cause.REQUEST_TOO_LARGE: _too_large,
    Cause.MEMCG_LIMIT: _memcg,
    Cause.ADDRESS_SPACE: _address_space,
    Cause.RECOVERED: _recovered,
    Cause.INCOMPLETE: _incomplete,
}

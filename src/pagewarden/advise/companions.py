"""What cures a cause where none of the marks does: compaction, boost, drivers, the kernel itself, the load."""

from collections.abc import Sequence
from dataclasses import replace

from pagewarden.advise.build import recommend_action, recommend_value
from pagewarden.advise.burst import for_want_of_a_block, needs_of
from pagewarden.advise.failures import by_boost, failure_evidence
from pagewarden.advise.min_free_kbytes import may_raise, reserve_failures
from pagewarden.advise.observed import NOTHING, Observed
from pagewarden.advise.policy import AdvicePolicy
from pagewarden.advise.types import Level, Recommendation
from pagewarden.diagnose.callers import Work
from pagewarden.diagnose.log_evidence import Failure
from pagewarden.diagnose.min_free import min_free_of
from pagewarden.diagnose.rights import names_its_node
from pagewarden.diagnose.types import Cause, Evidence
from pagewarden.kernel.allocation import Verdict
from pagewarden.kernel.machine import Machine
from pagewarden.procfs.types import Snapshot
from pagewarden.units import human_bytes

BOOST, PROACTIVENESS = "vm.watermark_boost_factor", "vm.compaction_proactiveness"
BOOST_DEFAULT, PROACTIVENESS_DEFAULT = 15000, 20

_FRAGMENTED_PAGE = "docs/settings/compaction_proactiveness.md"


def advise_companions(
    snapshot: Snapshot, machine: Machine, observed: Observed = NOTHING, policy: AdvicePolicy | None = None
) -> list[Recommendation]:
    """Look for causes whose cure is not a mark, and name that cure where this kernel has it."""
    logs = observed.logs
    recommendations: list[Recommendation] = []
    if logs is not None:
        recommendations += _kernel_fixes(logs.of(Cause.FRAGMENTED))
        boosted = [failure for failure in logs.failures if by_boost(failure)]
        recommendations += _without_boost(snapshot, machine, boosted)
        recommendations += _fragmented(snapshot, machine, logs.of(Cause.FRAGMENTED), boosted)
        recommendations += _bursts_beyond_any_reserve(snapshot, machine, reserve_failures(observed), policy)
        recommendations += _set_aside(logs.of(Cause.RESERVED_FOR_OTHERS))
        recommendations += _exhausted(logs.of(Cause.MEMORY_EXHAUSTED), snapshot)
        recommendations += _confined(logs.of(Cause.NODE_RESTRICTED))
        recommendations += _group_limits(logs.of(Cause.MEMCG_LIMIT))
        recommendations += _addresses(logs.of(Cause.ADDRESS_SPACE))
    return recommendations


def _kernel_fixes(failures: Sequence[Failure]) -> list[Recommendation]:
    fixed = [failure for failure in failures if any(fix.cures for fix in failure.example.fixes)]
    if not fixed:
        return []
    fix = next(fix for fix in fixed[0].example.fixes if fix.cures)
    return [
        recommend_action(
            "kernel-upgrade",
            fixed[0].example.report.release or "the kernel of these reports",
            "a kernel with the change named",
            fixed[0].cause,
            f"{fix.text} {fix.stopgap or ''}".strip(),
            "The failures have another cause as well; look again after the update.",
            failure_evidence(fixed),
            reference="docs/reading-explain.md",
        )
    ]


def _without_boost(snapshot: Snapshot, machine: Machine, failures: Sequence[Failure]) -> list[Recommendation]:
    """Refused for the boost alone: no other setting answers that, and larger marks are boosted further."""
    current = machine.sysctls.get(BOOST)
    if not failures or current is None or int(current) == 0:
        return []
    return [
        recommend_value(
            snapshot,
            machine,
            BOOST,
            current,
            "0",
            failures[0].cause,
            "Requests were refused by no more pages than the boost of the marks, which the kernel adds for a while "
            f"after a request had to break up another kind's page block. With {BOOST}=0 they would have passed.",
            "Large blocks run out more often without it (fragmented): then it did more good than harm.",
            failure_evidence(failures),
            worse="Page blocks are mixed more often, so requests for several pages in one piece find fewer.",
            confidence=Level.MEDIUM,
            failures=failures,
        )
    ]


def _fragmented(
    snapshot: Snapshot, machine: Machine, failures: Sequence[Failure], boosted: Sequence[Failure]
) -> list[Recommendation]:
    if not failures:
        return []
    evidence = failure_evidence(failures)
    found = []
    received = [f for f in failures if f.example.caller.work is Work.NETWORK_RECEIVE and f.example.report.order]
    if received:
        found.append(_smaller_frames(received))
    if not boosted:
        found += _restored(snapshot, machine, BOOST, BOOST_DEFAULT, _BOOST_REASON, evidence)
    found += _restored(snapshot, machine, PROACTIVENESS, PROACTIVENESS_DEFAULT, _PROACTIVE_REASON, evidence)
    if not received and machine.version is not None and not machine.version.at_least(2, 6, 35):
        found.append(
            _compacting_kernel(Cause.FRAGMENTED, machine, "a kernel from 2.6.35 on, which compacts memory", evidence)
        )
    elif not received and _cannot_compact(snapshot, failures):
        found.append(_compacting_kernel(Cause.FRAGMENTED, machine, _WITH_COMPACTION, evidence))
    elif not received:
        order = max(f.example.report.order or 0 for f in failures)
        found.append(
            recommend_action(
                "compact-memory",
                f"no free block of order {order} when it was wanted" if order else "no free block when it was wanted",
                "write 1 to /proc/sys/vm/compact_memory before the work that needs large blocks",
                Cause.FRAGMENTED,
                "Pages enough were free, but not in one piece. More free pages (vm.min_free_kbytes) help only as far "
                "as more of them happen to be neighbours; moving pages together makes blocks now, for a while.",
                "The same request fails again soon after: then whoever asks for so large a piece is to be changed.",
                evidence,
                reference=_FRAGMENTED_PAGE,
                commands=("sysctl -w vm.compact_memory=1",),
            )
        )
    return found


_WITH_COMPACTION = "a kernel with CONFIG_COMPACTION, which moves pages together"


def _cannot_compact(snapshot: Snapshot, failures: Sequence[Failure]) -> bool:
    """Whether the kernel was built without compaction: it lacks the counters, or where those are not known, says so.

    Kernel: mm/vmstat.c: vmstat_text[], where those of compaction stand before unevictable_pgs_culled, since 2.6.35
    """
    counters = snapshot.vmstat or {}
    if "unevictable_pgs_culled" in counters:
        return "compact_stall" not in counters
    return any(failure.example.report.no_compaction for failure in failures)


def _compacting_kernel(cause: Cause, machine: Machine, kernel: str, evidence: tuple[Evidence, ...]) -> Recommendation:
    named = f"Linux {machine.version}" if machine.version is not None else "this kernel"
    return recommend_action(
        "kernel-upgrade",
        f"{named}, which cannot move pages together",
        kernel,
        cause,
        "Pages enough were free, but not in one piece, and this kernel only has luck to make pieces of them: more free "
        "pages (vm.min_free_kbytes) help only as far as more of them happen to be neighbours.",
        "Whoever asks for so large a piece can be changed to ask for less.",
        evidence,
        reference=_FRAGMENTED_PAGE,
    )


_BOOST_REASON = (
    "the kernel reclaims a little more when a request had to break up another kind's page block, which keeps blocks "
    "whole; it is switched off here"
)
_PROACTIVE_REASON = (
    "the kernel compacts memory in the background before large blocks are wanted; it is set below its own value here"
)


def _restored(
    snapshot: Snapshot, machine: Machine, key: str, default: int, what: str, evidence: tuple[Evidence, ...]
) -> list[Recommendation]:
    """A setting that somebody turned down, although it answers just what fails."""
    current = machine.sysctls.get(key)
    vendor = machine.version is not None and machine.version.vendor is not None
    if current is None or int(current) >= default or (key == BOOST and int(current) > 0) or vendor:
        return []
    reason = f"Requests for several pages failed for want of a block. With {key}={default}, the kernel's own, {what}."
    against = "It was turned down because of the processor time it took, and that still holds."
    worse = "Some processor time for compaction or reclaim in the background."
    return [
        recommend_value(
            snapshot,
            machine,
            key,
            current,
            str(default),
            Cause.FRAGMENTED,
            reason,
            against,
            evidence,
            worse=worse,
            confidence=Level.MEDIUM,
        )
    ]


def _smaller_frames(failures: Sequence[Failure]) -> Recommendation:
    failure = failures[0]
    order, driver = failure.example.report.order or 0, failure.example.caller.driver
    name = f" of {driver}" if driver else ""
    return recommend_action(
        "mtu",
        f"receive buffers of {1 << order} contiguous pages",
        f"an MTU (or driver option) with which a receive buffer{name} fits one page",
        Cause.FRAGMENTED,
        f"The network driver asks for {1 << order} contiguous pages for each frame, in a context that can neither wait "
        "nor compact. Frames that fit a page need no such piece; vm.min_free_kbytes helps little, as pages enough were "
        "free.",
        "The large frames are needed: then a driver that receives into single pages is the cure.",
        failure_evidence(failures),
        reference="docs/reading-explain.md",
    )


def _no_block(snapshot: Snapshot, machine: Machine, failures: Sequence[Failure]) -> Recommendation:
    """Pages could be kept for such callers, but not in one piece."""
    if any(failure.example.caller.work is Work.NETWORK_RECEIVE for failure in failures):
        return replace(_smaller_frames(failures), cause=Cause.ATOMIC_RESERVE_EXHAUSTED)
    if _cannot_compact(snapshot, failures):
        return _compacting_kernel(Cause.ATOMIC_RESERVE_EXHAUSTED, machine, _WITH_COMPACTION, failure_evidence(failures))
    order = max(failure.example.report.order or 0 for failure in failures)
    return recommend_action(
        "compact-memory",
        f"no free block of order {order} when it was wanted",
        "write 1 to /proc/sys/vm/compact_memory before the work that needs large blocks",
        Cause.ATOMIC_RESERVE_EXHAUSTED,
        "A larger vm.min_free_kbytes would keep the pages, but nothing keeps them in one piece for a caller that can "
        "neither wait nor compact. Moving pages together makes blocks now, for a while.",
        "The same request fails again soon after: then whoever asks for so large a piece is to be changed.",
        failure_evidence(failures),
        reference=_FRAGMENTED_PAGE,
        commands=("sysctl -w vm.compact_memory=1",),
    )


def _bursts_beyond_any_reserve(
    snapshot: Snapshot, machine: Machine, failures: Sequence[Failure], policy: AdvicePolicy | None
) -> list[Recommendation]:
    """Bursts that no reserve within bounds would have held, or a machine on which none may be raised."""
    setting = min_free_of(machine)
    if not failures or setting is None:
        return []
    needs = needs_of(tuple(failures), setting, (policy or AdvicePolicy()).burst_margin)
    beyond = [need for need in needs if need.passed is None or not need.full]
    blocked = [n.failure for n in beyond if n.passed is None and for_want_of_a_block(n.diagnosis, setting)]
    if blocked:
        return [_no_block(snapshot, machine, blocked)]
    if not beyond and may_raise(machine):
        return []
    asked = [need.failure for need in beyond] or list(failures)
    receiving = [failure for failure in asked if failure.example.caller.work is Work.NETWORK_RECEIVE]
    driver = receiving[0].example.caller.driver if receiving else None
    limit = f"No vm.min_free_kbytes up to {setting.cap_kb} holds these bursts with the margin wanted."
    if not may_raise(machine):
        limit = "Huge pages hold a twentieth of low memory here already, so vm.min_free_kbytes is not raised further."
    unique = tuple({failure.source: failure for failure in asked}.values())
    if receiving:
        return [
            recommend_action(
                "driver-ring",
                "bursts larger than any reserve",
                f"a smaller receive ring{f' of {driver}' if driver else ''} (ethtool -g, -G)",
                Cause.ATOMIC_RESERVE_EXHAUSTED,
                f"{limit} A smaller ring makes the driver ask for less at once.",
                "The ring is needed to survive bursts of the network itself: then packets are dropped there instead.",
                failure_evidence(unique),
                reference="docs/settings/min_free_kbytes.md",
            )
        ]
    return [
        recommend_action(
            "reduce-load",
            "bursts larger than any reserve",
            "less memory wanted at once by the caller named, or more memory in the machine",
            Cause.ATOMIC_RESERVE_EXHAUSTED,
            limit,
            "The burst was an exception that does not come again.",
            failure_evidence(unique),
            reference="docs/settings/min_free_kbytes.md",
        )
    ]


def _set_aside(failures: Sequence[Failure]) -> list[Recommendation]:
    """What was free belonged to CMA, which only movable requests may use."""
    cma = [
        f
        for f in failures
        if any(zone.dump.free_cma_kb for zone in f.example.replay.zones)
        and not any(zone.verdict is Verdict.NO_BLOCK for zone in f.example.replay.zones)  # the highatomic reserve
    ]
    if not cma:
        return []
    free = sum(zone.dump.free_cma_kb or 0 for zone in cma[0].example.replay.zones)
    return [
        recommend_action(
            "reduce-load",
            f"{human_bytes(free * 1024)} free, but in the CMA area",
            "a smaller CMA area (cma= on the kernel command line, or the device tree)",
            Cause.RESERVED_FOR_OTHERS,
            "What was free lay in the CMA area, from which only requests for movable memory are served. No vm.* "
            "setting opens it to others: a smaller area returns its pages to all.",
            "The devices that the area is for need all of it at times.",
            failure_evidence(cma),
            reference="docs/reading-explain.md",
        )
    ]


def _exhausted(failures: Sequence[Failure], snapshot: Snapshot) -> list[Recommendation]:
    if not failures:
        return []
    disk, zram = "", ""
    if snapshot.swaps_to_memory:
        disk = "on a disk "
        zram = " All swap here is zram, which keeps in memory what it takes: free swap is no room beside memory."
    return [
        recommend_action(
            "reduce-load",
            "nothing left to reclaim",
            f"use less memory, or add some (a limit for what grows, swap {disk}for what is idle)",
            Cause.MEMORY_EXHAUSTED,
            "Next to nothing could be reclaimed when these requests were refused. No reserve makes memory: raising "
            f"vm.min_free_kbytes would take more of what is already too little.{zram}",
            "One program leaked and is gone: then nothing needs to change.",
            failure_evidence(failures),
            reference="docs/reading-explain.md",
        )
    ]


def _confined(failures: Sequence[Failure]) -> list[Recommendation]:
    """Requests that may not use the nodes that have memory: because the task may not, or by their own choice."""
    own = [f for f in failures if names_its_node(f.example.report, f.example.replay)]
    tasks = [f for f in failures if f not in own]
    return [*_confined_tasks(tasks), *_one_node(own)]


def _one_node(failures: Sequence[Failure]) -> list[Recommendation]:
    if not failures:
        return []
    return [
        recommend_action(
            "reduce-load",
            "requests for one node, which was short",
            "use less of that node, or ask whether its caller needs memory of just that node",
            Cause.NODE_RESTRICTED,
            "The requests themselves named the node (__GFP_THISNODE), so the kernel did not look at others, which had "
            "room. Nobody confined the task, and no setting opens another node; vm.zone_reclaim_mode would only "
            "reclaim earlier.",
            "The caller goes on with another node or with less when it is refused: then nothing was lost.",
            failure_evidence(failures),
            reference="docs/reading-explain.md",
        )
    ]


def _confined_tasks(failures: Sequence[Failure]) -> list[Recommendation]:
    if not failures:
        return []
    return [
        recommend_action(
            "reduce-load",
            "confined to nodes that were short",
            "let the task use more nodes (cpuset.mems, numactl), or ask less of those it may use",
            Cause.NODE_RESTRICTED,
            "A cpuset or a memory policy barred the nodes that had memory. Marks and reserves are each zone's own: "
            "none of them opens another node, and vm.zone_reclaim_mode would only reclaim earlier.",
            "The confinement is meant to bound what the task may take: then it did its work.",
            failure_evidence(failures),
            reference="docs/reading-explain.md",
        )
    ]


def _group_limits(failures: Sequence[Failure]) -> list[Recommendation]:
    if not failures:
        return []
    memcg = failures[0].example.report.memcg
    group = memcg.limited if memcg is not None and memcg.limited else "the group"
    return [
        recommend_action(
            "reduce-load",
            f"the memory limit of {group} reached",
            f"raise the limit of {group}, or use less in it",
            Cause.MEMCG_LIMIT,
            "The limit of a control group was reached, not the machine's memory. No vm.* setting is involved: marks "
            "and reserves do not apply to a group's limit.",
            "The limit is meant to kill what grows beyond it: then it did its work.",
            failure_evidence(failures),
            reference="docs/reading-explain.md",
            confidence=Level.HIGH,
        )
    ]


def _addresses(failures: Sequence[Failure]) -> list[Recommendation]:
    if not failures:
        return []
    wide = any(failure.example.report.is_64_bit for failure in failures)
    return [
        recommend_action(
            "kernel-upgrade",
            "no addresses left for kernel mappings",
            "the leak mended" if wide else "vmalloc=SIZE on the kernel command line",
            Cause.ADDRESS_SPACE,
            "The kernel ran out of addresses to map memory at, not of memory. No vm.* setting is involved."
            + (" On a 64-bit kernel only a leak, or a small range for modules and code, fills up." if wide else ""),
            "One driver leaks mappings (see /proc/vmallocinfo): then that is the cure."
            if not wide
            else "/proc/vmallocinfo shows no holder that grows.",
            failure_evidence(failures),
            reference="docs/reading-explain.md",
        )
    ]

"""vm.zone_reclaim_mode: on where it cannot help, by the kernel itself, or to no effect; off nearly always."""

from pagewarden.advise.build import recommend_value
from pagewarden.advise.failures import failure_evidence
from pagewarden.advise.observed import NOTHING, Observed
from pagewarden.advise.policy import AdvicePolicy, Workload
from pagewarden.advise.types import Level, Recommendation
from pagewarden.diagnose.settings import assigned
from pagewarden.diagnose.types import Cause, Evidence, Finding, FindingCause, Severity
from pagewarden.kernel.machine import RECLAIM_MODE, Machine
from pagewarden.kernel.node_reclaim import LOCAL_DISTANCE, ReclaimMode, decode_mode, switched_on_at_boot
from pagewarden.kernel.watermarks import zone_size
from pagewarden.procfs.types import Snapshot

CACHE_WORKLOADS = frozenset({Workload.DATABASE, Workload.FILESERVER})
"""Workloads that live on page cache, which this mode throws away."""


FAILED_A_SECOND = 1.0
"""Reclaims of the local node that gave nothing: from here on they cost more than remote memory would."""

REMOTE_PERCENT = 10
"""Share of pages taken from another node than the one wanted from which a partitioned workload suffers."""


def advise_zone_reclaim_mode(
    snapshot: Snapshot, machine: Machine, observed: Observed = NOTHING, policy: AdvicePolicy | None = None
) -> tuple[list[Recommendation], list[Finding]]:
    """Judge the mode against the topology, the kernel's age and what was counted; 0 unless the workload is partitioned
    by node, and 1 only where the administrator says so and the counters agree.
    """
    workload = (policy or AdvicePolicy()).workload
    text = machine.sysctls.get(RECLAIM_MODE)
    if text is None:
        return [], []
    if int(text) == 0:
        return _switched_off(snapshot, machine, observed, workload)
    mode = mode_of(machine, int(text))
    findings = _odd_value(machine, text, mode)
    if not mode.on:
        return [], findings
    with_memory = [node for node in machine.nodes if any(zone.populated for zone in node.zones)]
    evidence = (
        Evidence("vm.zone_reclaim_mode in force", text, "/proc/sys/vm/zone_reclaim_mode"),
        Evidence("nodes with memory", len(with_memory), "/proc/zoneinfo"),
        *_distance_evidence(snapshot),
    )
    words = f"vm.zone_reclaim_mode is {text} ({'; '.join(mode.meanings) or 'on'})"
    if len(with_memory) == 1:
        reason = (
            f"{words}, but only one node has memory: there is no nearer memory to prefer, and every short zone is "
            "reclaimed from needlessly before the next is tried."
        )
        against = "More nodes with memory are plugged in later."
        return _off(snapshot, machine, text, "zone-reclaim-pointless", reason, against, evidence, findings)
    failed = observed.interval.rate("zone_reclaim_failed") if observed.interval is not None else None
    if failed is not None and failed >= FAILED_A_SECOND:
        evidence = (*evidence, Evidence("zone_reclaim_failed a second", round(failed, 1), "/proc/vmstat"))
        reason = (
            f"{words}, and {failed:.1f} times a second a node was reclaimed from for nothing: every short node is "
            "searched before another node's free memory is used."
        )
        against = "The workload's parts each fit one node, and the failures come from something else that can go."
        if workload is Workload.NUMA_PARTITIONED:
            return [], [*findings, Finding("zone-reclaim-harm", Severity.NOTICE, reason, evidence)]
        return _off(snapshot, machine, text, "zone-reclaim-harm", reason, against, evidence, findings)
    if workload is Workload.NUMA_PARTITIONED:
        chosen = f"{words}, as suits a workload that is partitioned by node."
        return [], [*findings, Finding("zone-reclaim-harm", Severity.INFO, chosen, evidence)]
    if workload in CACHE_WORKLOADS:
        reason = (
            f"{words}: each node throws away its page cache before it uses another node's free memory, and a "
            f"{workload} "
            "lives on page cache."
        )
        against = "Its parts each fit one node; then say --workload numa-partitioned."
        return _off(snapshot, machine, text, "zone-reclaim-harm", reason, against, evidence, findings)
    if _by_the_kernel(snapshot, machine, text):
        reason = (
            f"This kernel ({machine.version}) switched vm.zone_reclaim_mode on by itself at boot because a node is far "
            "away; kernels since 3.16 no longer do. Each node throws away its page cache before it uses another node's "
            "free memory, which costs file servers and databases far more than a remote access."
        )
        against = "The workload's parts each fit one node; then say --workload numa-partitioned."
        return _off(snapshot, machine, text, "zone-reclaim-harm", reason, against, evidence, findings)
    chosen = (
        f"{words}: each node reclaims from itself before it uses another node's free memory. Right only where the "
        "workload is partitioned by node; nothing in this snapshot shows harm."
    )
    return [], [*findings, Finding("zone-reclaim-harm", Severity.INFO, chosen, evidence)]


def _switched_off(
    snapshot: Snapshot, machine: Machine, observed: Observed, workload: Workload
) -> tuple[list[Recommendation], list[Finding]]:
    """Off is right for nearly everybody: say why where documents name 1 as a cure, and where 1 is right."""
    with_memory = [node for node in machine.nodes if any(zone.populated for zone in node.zones)]
    if len(with_memory) < 2:
        return [], []
    remote = _remote_share(observed)
    wanted = remote is not None and remote * 100 >= REMOTE_PERCENT and _has_unmapped_cache(machine)
    if workload is Workload.NUMA_PARTITIONED and remote is not None and wanted:
        return _on(snapshot, machine, remote)
    refused = observed.logs.of(Cause.ATOMIC_RESERVE_EXHAUSTED, Cause.FRAGMENTED) if observed.logs is not None else ()
    if not refused:
        return [], []
    words = (
        "vm.zone_reclaim_mode=1 is named as a cure for failures like these by some documents. It makes each node "
        "reclaim from itself before another node is used, so that more of its memory is free; the price is paid in "
        "page cache by every file server and database. It is right only where the workload is partitioned by node "
        "and remote access is measurably costly (--workload numa-partitioned)."
    )
    return [], [Finding("zone-reclaim-pointless", Severity.INFO, words, failure_evidence(refused))]


def _has_unmapped_cache(machine: Machine) -> bool:
    """Some node has more unmapped page cache than the mode leaves alone; else it would do nothing.

    Kernel: mm/vmscan.c:node_reclaim(): min_unmapped_pages
    """
    ratio = int(machine.sysctls.get("vm.min_unmapped_ratio", "1"))
    for node in machine.nodes:
        counted = node.counters
        if not all(name in counted for name in ("nr_active_file", "nr_inactive_file", "nr_mapped")):
            return True  # these kernels print it elsewhere: not known
        unmapped = counted["nr_active_file"] + counted["nr_inactive_file"] - counted["nr_mapped"]
        size = sum(zone_size(zone, machine.rules.watermarks.size) for zone in node.zones)
        if unmapped > size * ratio // 100:
            return True
    return False


def _remote_share(observed: Observed) -> float | None:
    if observed.interval is None:
        return None
    hit, miss = observed.interval.total("numa_hit"), observed.interval.total("numa_miss")
    return None if hit is None or miss is None or hit + miss == 0 else miss / (hit + miss)


def _on(snapshot: Snapshot, machine: Machine, remote: float) -> tuple[list[Recommendation], list[Finding]]:
    evidence = (
        Evidence("pages taken from another node than wanted, %", round(100 * remote, 1), "/proc/vmstat: numa_miss"),
        *_distance_evidence(snapshot),
    )
    reason = (
        f"The workload is partitioned by node (as you say), yet {100 * remote:.0f} % of pages came from another node "
        "than wanted. With 1, a short node first reclaims unmapped page cache of its own."
    )
    text = machine.sysctls[RECLAIM_MODE]
    recommendation = recommend_value(
        snapshot,
        machine,
        RECLAIM_MODE,
        text,
        "4" if machine.rules.sysctl.reclaim_bits_shifted else "1",
        FindingCause.REMOTE_ALLOCATIONS,
        reason,
        "A part of the workload does not fit its node, or files are read that several nodes use: both lose by it.",
        evidence,
        worse="Page cache on a short node is dropped although other nodes have free memory; allocation there waits.",
        confidence=Level.MEDIUM,
    )
    return [recommendation], [Finding(FindingCause.REMOTE_ALLOCATIONS, Severity.NOTICE, reason, evidence)]


def mode_of(machine: Machine, value: int) -> ReclaimMode:
    """The mode as this machine's kernel reads it."""
    version = machine.version
    any_bit = not (version is None or version.at_least(5, 13))
    slab = version is not None and not version.at_least(2, 6, 20)
    return decode_mode(value, machine.rules.sysctl.reclaim_bits_shifted, any_bit, slab)


def _by_the_kernel(snapshot: Snapshot, machine: Machine, text: str) -> bool:
    # At boot the kernel sets 1, and nothing else; a file that asks for it did so itself.
    if int(text) != 1 or assigned(snapshot, RECLAIM_MODE) is not None:
        return False
    return switched_on_at_boot(machine.version, snapshot.distances or {}, snapshot.arch)


def _odd_value(machine: Machine, text: str, mode: ReclaimMode) -> list[Finding]:
    found = []
    if machine.rules.sysctl.reclaim_bits_shifted:
        found.append(_shifted(machine, text))
    if not mode.on:
        words = f"vm.zone_reclaim_mode is {text}, a value without meaning on this kernel: reclaim by node is off."
        found.append(Finding("zone-reclaim-pointless", Severity.INFO, words))
    elif mode.ignored_bits:
        words = f"vm.zone_reclaim_mode is {text}; bits {mode.ignored_bits:#x} of it have no meaning."
        found.append(Finding("zone-reclaim-pointless", Severity.INFO, words))
    return found


def _shifted(machine: Machine, text: str) -> Finding:
    # A release such as 5.10.0-28-amd64 does not say which stable patch it is.
    if machine.version_numbers >= (5, 10, 0):
        words = (
            f"Kernels 5.7 to 5.9 and the first of 5.10 read the bits of vm.zone_reclaim_mode one place off; whether "
            f"this one ({machine.version}) does is not told by its release, so {text} may mean something else here."
        )
        return Finding("zone-reclaim-harm", Severity.INFO, words)
    words = (
        f"On this kernel ({machine.version}, as on all of 5.7 to 5.9) the bits of vm.zone_reclaim_mode are shifted by "
        f"mistake: {text} does not mean here what the documentation says."
    )
    return Finding("zone-reclaim-harm", Severity.NOTICE, words)


def _distance_evidence(snapshot: Snapshot) -> tuple[Evidence, ...]:
    if snapshot.distances is None:
        return ()
    farthest = max((distance for row in snapshot.distances.values() for distance in row), default=LOCAL_DISTANCE)
    return (Evidence("largest node distance", farthest, "/sys/devices/system/node/node*/distance"),)


def _off(
    snapshot: Snapshot,
    machine: Machine,
    current: str,
    cause: str,
    reason: str,
    against: str,
    evidence: tuple[Evidence, ...],
    findings: list[Finding],
) -> tuple[list[Recommendation], list[Finding]]:
    recommendation = recommend_value(snapshot, machine, RECLAIM_MODE, current, "0", cause, reason, against, evidence)
    return [recommendation], [*findings, Finding(cause, Severity.NOTICE, reason, evidence)]

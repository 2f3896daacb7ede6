"""vm.zone_reclaim_mode from a snapshot alone: switched on where it cannot help, or by the kernel itself."""

from pagewarden.advise.build import recommend_value
from pagewarden.advise.types import Recommendation, Workload
from pagewarden.diagnose.settings import assigned
from pagewarden.diagnose.types import Evidence, Finding, Severity
from pagewarden.kernel.machine import RECLAIM_MODE, Machine
from pagewarden.kernel.node_reclaim import LOCAL_DISTANCE, ReclaimMode, decode_mode, switched_on_at_boot
from pagewarden.procfs.types import Snapshot

CACHE_WORKLOADS = frozenset({Workload.DATABASE, Workload.FILESERVER})
"""Workloads that live on page cache, which this mode throws away."""


def advise_zone_reclaim_mode(
    snapshot: Snapshot, machine: Machine, workload: Workload
) -> tuple[list[Recommendation], list[Finding]]:
    """Judge the mode against the topology and the kernel's age; 0 unless the workload is partitioned by node."""
    text = machine.sysctls.get(RECLAIM_MODE)
    if text is None or int(text) == 0:
        return [], []
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
        words = (
            f"On this kernel ({machine.version}, as on all of 5.7 to 5.9) the bits of vm.zone_reclaim_mode are "
            "shifted by "
            f"mistake: {text} does not mean here what the documentation says."
        )
        found.append(Finding("zone-reclaim-harm", Severity.NOTICE, words))
    if not mode.on:
        words = f"vm.zone_reclaim_mode is {text}, a value without meaning on this kernel: reclaim by node is off."
        found.append(Finding("zone-reclaim-pointless", Severity.INFO, words))
    elif mode.ignored_bits:
        words = f"vm.zone_reclaim_mode is {text}; bits {mode.ignored_bits:#x} of it have no meaning."
        found.append(Finding("zone-reclaim-pointless", Severity.INFO, words))
    return found


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

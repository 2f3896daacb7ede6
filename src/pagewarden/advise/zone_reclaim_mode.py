"""vm.zone_reclaim_mode from a snapshot alone: switched on where it cannot help, or by the kernel itself."""

from pagewarden.advise.effect import predict_effect
from pagewarden.advise.types import Level, Recommendation, Workload
from pagewarden.diagnose.types import Evidence, Finding, Severity
from pagewarden.kernel.machine import RECLAIM_MODE, Machine
from pagewarden.kernel.node_reclaim import LOCAL_DISTANCE, decode_mode, switched_on_at_boot
from pagewarden.kernel.simulate import Write
from pagewarden.procfs.types import Snapshot

_ONE_NODE = "More nodes with memory are plugged in later."

REFERENCE = "docs/settings/zone_reclaim_mode.md"


def advise_zone_reclaim_mode(
    snapshot: Snapshot, machine: Machine, workload: Workload
) -> tuple[list[Recommendation], list[Finding]]:
    """Judge the mode against the topology and the kernel's age; 0 unless the workload is partitioned by node."""
    text = machine.sysctls.get(RECLAIM_MODE)
    if text is None or int(text) == 0:
        return [], []
    any_bit = not (machine.version is None or machine.version.at_least(5, 13))
    mode = decode_mode(int(text), machine.rules.sysctl.reclaim_bits_shifted, any_bit)
    findings = _odd_value(machine, text, mode.on, mode.ignored_bits)
    if not mode.on:
        return [], findings
    with_memory = [node for node in machine.nodes if any(zone.populated for zone in node.zones)]
    evidence = (
        Evidence("vm.zone_reclaim_mode in force", text, "/proc/sys/vm/zone_reclaim_mode"),
        Evidence("nodes with memory", len(with_memory), "/proc/zoneinfo"),
        *_distance_evidence(snapshot),
    )
    if len(with_memory) == 1:
        reason = (
            f"vm.zone_reclaim_mode is {text} ({'; '.join(mode.meanings) or 'on'}), but only one node has memory: "
            "there is "
            "no nearer memory to prefer, and every short zone is reclaimed from needlessly before the next is tried."
        )
        return [_recommend(snapshot, machine, text, "zone-reclaim-pointless", reason, _ONE_NODE, evidence)], [
            *findings,
            Finding("zone-reclaim-pointless", Severity.NOTICE, reason, evidence),
        ]
    if workload is Workload.NUMA_PARTITIONED:
        chosen = "vm.zone_reclaim_mode is on, as the workload is said to be partitioned by node."
        return [], [*findings, Finding("zone-reclaim-pointless", Severity.INFO, chosen, evidence)]
    if switched_on_at_boot(machine.version, snapshot.distances or {}, snapshot.arch):
        reason = (
            f"This kernel ({machine.version}) switched vm.zone_reclaim_mode on by itself at boot because a node is far "
            "away; kernels since 3.16 no longer do. Each node throws away its page cache before it uses another node's "
            "free memory, which costs file servers and databases far more than a remote access."
        )
        against = "A workload whose parts each fit one node; say --workload numa-partitioned."
        return [_recommend(snapshot, machine, text, "zone-reclaim-harm", reason, against, evidence)], [
            *findings,
            Finding("zone-reclaim-harm", Severity.NOTICE, reason, evidence),
        ]
    chosen = (
        f"vm.zone_reclaim_mode is {text} ({'; '.join(mode.meanings) or 'on'}): each node reclaims from itself before "
        "it "
        "uses another node's free memory. Right only where the workload is partitioned by node; nothing in this "
        "snapshot "
        "shows harm."
    )
    return [], [*findings, Finding("zone-reclaim-harm", Severity.INFO, chosen, evidence)]


def _odd_value(machine: Machine, text: str, on: bool, ignored: int) -> list[Finding]:
    found = []
    if machine.rules.sysctl.reclaim_bits_shifted:
        words = (
            f"On this kernel ({machine.version}, like all of 5.7 to 5.9) the bits of vm.zone_reclaim_mode are shifted "
            "by "
            f"mistake: {text} does not mean here what the documentation says."
        )
        found.append(Finding("zone-reclaim-harm", Severity.NOTICE, words))
    if not on:
        words = f"vm.zone_reclaim_mode is {text}, a value without meaning on this kernel: reclaim by node is off."
        found.append(Finding("zone-reclaim-pointless", Severity.INFO, words))
    elif ignored:
        words = f"vm.zone_reclaim_mode is {text}; bits {ignored:#x} of it have no meaning."
        found.append(Finding("zone-reclaim-pointless", Severity.INFO, words))
    return found


def _distance_evidence(snapshot: Snapshot) -> tuple[Evidence, ...]:
    rows = snapshot.distances or {}
    farthest = max((distance for row in rows.values() for distance in row), default=LOCAL_DISTANCE)
    if farthest == LOCAL_DISTANCE:
        return ()
    return (Evidence("largest node distance", farthest, "/sys/devices/system/node/node*/distance"),)


def _recommend(
    snapshot: Snapshot,
    machine: Machine,
    current: str,
    cause: str,
    reason: str,
    against: str,
    evidence: tuple[Evidence, ...],
) -> Recommendation:
    return Recommendation(
        key=RECLAIM_MODE,
        current=current,
        recommended="0",
        cause=cause,
        reason=reason,
        against=against,
        evidence=evidence,
        effect=predict_effect(snapshot, machine, Write(RECLAIM_MODE, "0")),
        risk=Level.LOW,
        confidence=Level.HIGH,
        auto=False,
        reference=REFERENCE,
    )

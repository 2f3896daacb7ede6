"""vm.lowmem_reserve_ratio from failures in the log: a low zone that requests had emptied which could have gone higher.

A request that can use only that zone is helped by a *smaller* ratio (a larger reserve). The opposite, a zone that keeps
pages which others lack, shows in the zones themselves: lowmem_reserve_ratio.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pagewarden.advise.build import recommend_action, recommend_value
from pagewarden.advise.failures import failure_evidence
from pagewarden.advise.lowmem_reserve_ratio import DEVICE_ZONES
from pagewarden.advise.observed import NOTHING, Observed
from pagewarden.advise.policy import AdvicePolicy
from pagewarden.advise.types import Level, Recommendation
from pagewarden.diagnose.diagnosis import Diagnosis
from pagewarden.diagnose.log_evidence import Failure, LogEvidence
from pagewarden.diagnose.low_zones import Reserve, reserve_of
from pagewarden.diagnose.replay import ZoneReplay
from pagewarden.diagnose.types import Cause
from pagewarden.kernel.fit import place
from pagewarden.kernel.machine import RATIO, Machine
from pagewarden.kernel.watermarks import zone_size
from pagewarden.procfs.types import Snapshot
from pagewarden.units import human_bytes

STEP_PERCENT = 20
"""The reserve changes by at least this share: managed pages drift by a few per cent, so a smaller change could not be
told from none, and reports of before it not from those of after it."""

MOST_PERCENT = 5
"""A larger reserve is not proposed where it would hold back more than this share of memory."""

OWN_PERCENT = 50
"""A low zone of which the kernel's own objects fill this share was emptied by the kernel itself: no reserve helps."""

_PAGE = "docs/settings/lowmem_reserve_ratio.md"

_KERNELS_OWN = ("slab_reclaimable", "slab_unreclaimable", "kernel_stack", "pagetables")


@dataclass(frozen=True, slots=True)
class _Proposal:
    """Another entry for one zone.

    :ivar above_pages: what the reserve is computed from: the zones above, in pages.
    :ivar own_pages: at least what requests that can use no higher zone had taken themselves.
    """

    zone: str
    ratio: int
    above_pages: int
    reserve_pages: int
    wanted_pages: int
    own_pages: int
    failure: Failure


def advise_ratio_from_logs(
    snapshot: Snapshot, machine: Machine, observed: Observed = NOTHING, policy: AdvicePolicy | None = None
) -> list[Recommendation]:
    """Solve the ratio, through the kernel's own formula, for what the failures call for."""
    layout = machine.fit.layout
    if observed.logs is None or layout is None or RATIO not in machine.sysctls:
        return []
    policy = policy or AdvicePolicy()
    restricted = observed.logs.of(Cause.ZONE_RESTRICTED)
    by_kernel = [failure for failure in restricted if _filled_by_the_kernel(failure.example)]
    if by_kernel:
        return [_sixty_four_bit(by_kernel)]
    reserves = [(f, r) for f in restricted for d in f.replayed if (r := reserve_of(d.report, d.replay)) is not None]
    unheld = [(f, r) for f, r in reserves if r.mended]
    if unheld:
        return [_mended_kernel(machine, unheld)]
    proposals = [p for f, r in reserves if r.larger_helps and (p := _larger_reserve(machine, f, r, policy)) is not None]
    if proposals:
        return [_recommend(snapshot, machine, layout, min(proposals, key=lambda p: p.ratio), restricted)]
    own = [(f, r) for f, r in reserves if not r.larger_helps and r.own_pages]
    return [_own_kind(own)] if own else []


def short_device_zones(logs: LogEvidence | None) -> frozenset[str]:
    """Zones kept for devices of which requests that can use no higher zone were refused pages, by the logs."""
    failures = () if logs is None else logs.failures
    flags = [d.replay.flags for f in failures if f.cause is not Cause.MEMCG_LIMIT for d in f.replayed]
    return frozenset(mask.zone for mask in flags if mask is not None and mask.zone in DEVICE_ZONES)


def _larger_reserve(machine: Machine, failure: Failure, reserve: Reserve, policy: AdvicePolicy) -> _Proposal | None:
    """The largest ratio that would have kept for the request what it was short of, times the margin."""
    zone = reserve.zone
    above = _above(machine, zone)
    mine = next((z for z in machine.zones if (z.node, z.name) == (zone.dump.node or 0, zone.dump.zone)), None)
    if above is None or mine is None:
        return None
    now = max(mine.protection_pages or (0,))
    wanted = now + max(int(policy.burst_margin * reserve.short_pages) + 1, now * STEP_PERCENT // 100)
    size = machine.rules.watermarks.size
    total = sum(zone_size(each, size) for each in machine.zones)
    ratio = max(1, above // wanted)
    after = above // ratio  # more than wanted, and much more where the ratio is small
    if after + mine.high_pages >= zone_size(mine, size) or (after - now) * 100 > total * MOST_PERCENT:
        return None
    if _entry(machine, zone.dump.zone) in (None, ratio):
        return None
    return _Proposal(zone.dump.zone, ratio, above, now, wanted, reserve.own_pages, failure)


def _entry(machine: Machine, zone: str) -> int | None:
    layout, values = machine.fit.layout or (), machine.sysctls[RATIO].split()
    index = layout.index(zone) if zone in layout else len(values)
    return int(values[index]) if index < len(values) else None


def _above(machine: Machine, zone: ZoneReplay) -> int | None:
    """Pages of the zones above on the same node."""
    layout = machine.fit.layout or ()
    node = next((node for node in machine.nodes if node.node == (zone.dump.node or 0)), None)
    if node is None or zone.dump.zone not in layout:
        return None
    placed = place(node, layout)
    index = layout.index(zone.dump.zone)
    sizes = [0 if z is None else zone_size(z, machine.rules.reserve.size) for z in placed]
    return sum(sizes[index + 1 :]) or None


def _filled_by_the_kernel(diagnosis: Diagnosis) -> bool:
    """A 32-bit machine whose low memory is full of the kernel's own objects."""
    zones = [zone.dump for zone in diagnosis.replay.zones if zone.usable]
    highmem = any(dump.zone == "HighMem" and (dump.present_kb or 0) > 0 for dump in diagnosis.report.zones)
    size = sum(dump.managed_kb or dump.present_kb or 0 for dump in zones)
    own = sum(dump.values_kb.get(name, 0) for dump in zones for name in _KERNELS_OWN)
    if not any(name in dump.values_kb for dump in zones for name in _KERNELS_OWN):
        counters, page_kb = diagnosis.report.counters_pages, (diagnosis.report.page_size or 4096) // 1024
        own = sum(counters.get(name, 0) for name in _KERNELS_OWN) * page_kb
    return highmem and size > 0 and own * 100 >= size * OWN_PERCENT


def _sixty_four_bit(failures: Sequence[Failure]) -> Recommendation:
    reason = (
        "Low memory is full of the kernel's own objects (slab, stacks, page tables), which cannot live in HighMem: on "
        "this 32-bit kernel more memory makes that worse, as the kernel's tables grow with it. No reserve makes room "
        "where the kernel itself fills the zone; a 64-bit kernel has no such limit."
    )
    return recommend_action(
        "kernel-upgrade",
        "a 32-bit kernel with HighMem",
        "run a 64-bit kernel (the programs may stay 32-bit)",
        Cause.ZONE_RESTRICTED,
        reason,
        "One cache is to blame (see slabtop): then what fills it can be limited.",
        failure_evidence(failures),
        reference=_PAGE,
        confidence=Level.HIGH,
    )


def _mended_kernel(machine: Machine, unheld: Sequence[tuple[Failure, Reserve]]) -> Recommendation:
    failures, zone = _unique(unheld), unheld[0][1].zone.dump.zone
    return recommend_action(
        "kernel-upgrade",
        f"Linux {machine.version or 'of these reports'}, which keeps nothing of {zone} from movable requests",
        f"a kernel with the revert ({unheld[0][1].mended} or later)",
        Cause.ZONE_RESTRICTED,
        f"Requests that can use only {zone} or below were refused while higher zones had room. Kernels 6.10 to 6.13 "
        "keep no reserve from requests for Movable where that zone is empty, and memory of programs and page cache are "
        "such requests: they may fill the zone, whatever vm.lowmem_reserve_ratio says.",
        "What filled the zone cannot live in a higher one: then no kernel helps.",
        failure_evidence(failures),
        reference=_PAGE,
    )


def _own_kind(own: Sequence[tuple[Failure, Reserve]]) -> Recommendation:
    failures, most = _unique(own), max((reserve for _, reserve in own), key=lambda reserve: reserve.own_pages)
    zone, page_size = most.zone.dump.zone, failures[0].example.replay.page_size
    nobody = f", and the reports show {most.nobody_else} in it" if most.nobody_else else ""
    what = f"find which driver holds {zone}, and whether its device needs memory there"
    if zone not in DEVICE_ZONES:
        what = f"find what of the kernel fills {zone} (slabtop, /proc/meminfo), or run a 64-bit kernel"
    return recommend_action(
        "reduce-load",
        f"{zone} filled by those who can use no higher zone",
        what,
        Cause.ZONE_RESTRICTED,
        f"Requests that can use only {zone} or below were refused while higher zones had room. At least "
        f"{human_bytes(most.own_pages * page_size)} of it such requests had taken themselves, as others are refused "
        f"there before it is empty{nobody}: a smaller vm.lowmem_reserve_ratio "
        "does not keep these out.",
        "The zone held much that reports do not list (huge pages, kernel memory): a smaller ratio moves that higher.",
        failure_evidence(failures),
        reference=_PAGE,
    )


def _unique(found: Sequence[tuple[Failure, Reserve]]) -> list[Failure]:
    return list({failure.source: failure for failure, _ in found}.values())


def _recommend(
    snapshot: Snapshot, machine: Machine, layout: Sequence[str], proposal: _Proposal, failures: Sequence[Failure]
) -> Recommendation:
    values = machine.sysctls[RATIO].split()
    index = layout.index(proposal.zone)
    old = int(values[index])
    values[index] = str(proposal.ratio)
    after = proposal.above_pages // proposal.ratio
    size = machine.page_size
    who = (
        f". At least {human_bytes(proposal.own_pages * size)} of it they had taken themselves, as others are refused "
        "there before it is empty; what is kept for them was too little."
        if proposal.own_pages
        else ": others, which could have gone higher, had emptied it."
    )
    reason = (
        f"Requests that can use only {proposal.zone} or below were refused while higher zones had room{who} "
        f"A smaller ratio keeps {human_bytes(after * size)} of it "
        f"from those (now {human_bytes(proposal.reserve_pages * size)}); a larger one would keep less."
    )
    against = "What filled the zone cannot live in a higher one: then a larger reserve only moves the shortage."
    if proposal.own_pages:
        against = "Whoever asks for this zone takes ever more of it: then a larger reserve is soon gone as well."
    worse = "What is kept for the lower zone is lost to everybody else; it makes no memory."
    steps = (
        f"reserve = pages above / ratio = {proposal.above_pages} / {old}"
        + (f" = {proposal.above_pages // old}; " if old else ", which is off; ")
        + f"wanted: at least {proposal.wanted_pages} pages.",
        f"{proposal.above_pages} / {proposal.ratio} = {after} pages.",
    )
    return recommend_value(
        snapshot,
        machine,
        RATIO,
        machine.sysctls[RATIO],
        " ".join(values),
        proposal.failure.cause,
        reason,
        against,
        failure_evidence(failures),
        steps=steps,
        worse=worse,
        confidence=Level.MEDIUM,
        failures=failures,
    )

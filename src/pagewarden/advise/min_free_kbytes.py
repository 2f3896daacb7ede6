"""vm.min_free_kbytes: below the kernel's own value, too high for the machine, or too small for bursts in the log."""

from dataclasses import dataclass

from pagewarden.advise.build import AGAINST_PERCENT, least, recommend_value
from pagewarden.advise.burst import Need, needs_of
from pagewarden.advise.failures import failure_evidence, wants_larger_marks
from pagewarden.advise.observed import NOTHING, Observed
from pagewarden.advise.policy import AdvicePolicy
from pagewarden.advise.types import Level, Recommendation
from pagewarden.diagnose.log_evidence import Failure
from pagewarden.diagnose.min_free import MinFreeAtReport, min_free_of
from pagewarden.diagnose.rights import has_discount
from pagewarden.diagnose.settings import huge_page_arithmetic
from pagewarden.diagnose.types import Cause, Evidence, Finding, Severity
from pagewarden.kernel.defaults import MinFreeDefault, default_min_free
from pagewarden.kernel.machine import MIN_FREE, Machine
from pagewarden.kernel.projection import TOO_LOW_PERCENT, usage_of
from pagewarden.kernel.watermarks import zone_size
from pagewarden.procfs.types import Link, Snapshot
from pagewarden.units import human_bytes, kb_to_pages, pages_to_kb

PAINFUL_PERCENT = 10
"""From this share of low memory on, reclaim and kills with memory free can be felt."""

_NEED_PAGES = (Cause.ATOMIC_RESERVE_EXHAUSTED, Cause.FRAGMENTED, Cause.RECLAIM_TOO_SLOW, Cause.RESERVED_FOR_OTHERS)
"""Causes that less free memory makes worse."""

BURST_MS = 100
"""How long kswapd may take to be woken and to get a processor: what a network can deliver in that time is the most
that a burst of received packets can plausibly take."""


@dataclass(frozen=True, slots=True)
class _Facts:
    current_kb: int
    inferred: bool
    default: MinFreeDefault
    lowmem_kb: int

    @property
    def cap_kb(self) -> int:
        # Tiny machines: the square root alone is more than a twentieth.
        return max(self.lowmem_kb // 20, self.default.effective_kb)


def advise_min_free_kbytes(
    snapshot: Snapshot, machine: Machine, observed: Observed = NOTHING, policy: AdvicePolicy | None = None
) -> tuple[list[Recommendation], list[Finding]]:
    """Compare the value in force with the kernel's own formulas, with the 5 % the kernel allows khugepaged, and with
    what callers that could not wait were short of.

    Where the setting is not captured, the value that the min marks tell is judged.
    """
    current = machine.fit.min_free_kbytes
    default = default_min_free(machine)
    if current is None or default.lowmem_pages == 0:  # nothing shares it, or nothing tells it
        return [], []
    left_out = machine.fit.layout is None or machine.fit.zones_left_out
    if machine.fit.inferred and left_out:  # zones may be missing, and their shares with them
        return [], []
    lowmem_kb = pages_to_kb(default.lowmem_pages, machine.page_size)
    facts = _Facts(current, machine.fit.inferred, default, lowmem_kb)
    need = _need(machine, observed, policy or AdvicePolicy())
    floor = default.lowmem_formula_kb
    if current > facts.cap_kb and (current - default.effective_kb) * 100 > current * AGAINST_PERCENT:
        return _too_high(snapshot, machine, facts, observed)
    if current * 100 < floor * TOO_LOW_PERCENT and (need is None or need.value_kb <= floor):
        return _too_low(snapshot, machine, facts)
    if need is not None and need.value_kb * 100 > current * (100 + AGAINST_PERCENT):
        raised, found = _raise(snapshot, machine, facts, need, observed, policy or AdvicePolicy())
        if current * 100 < floor * TOO_LOW_PERCENT:
            found += _too_low(snapshot, machine, facts)[1]
        return raised, found
    return [], _huge_page_cost(machine, facts)


def _need(machine: Machine, observed: Observed, policy: AdvicePolicy) -> Need | None:
    """The most demanding report that a raise within the cap answers; None where there is none, or raising is wrong."""
    setting = min_free_of(machine)
    if observed.logs is None or setting is None or not may_raise(machine):
        return None
    needs = needs_of(reserve_failures(observed), setting, policy.burst_margin)
    return next((need for need in needs if need.passed is not None), None)


def reserve_failures(observed: Observed) -> tuple[Failure, ...]:
    """Failures of callers that may go below the min mark: those for whom a larger one is room."""
    found = observed.logs.of(Cause.ATOMIC_RESERVE_EXHAUSTED) if observed.logs is not None else ()
    return tuple(f for f in found if has_discount(f.example.replay) and wants_larger_marks(f))


def may_raise(machine: Machine) -> bool:
    """Where huge pages alone hold a twentieth of low memory (64 KiB pages, above all), more is never the answer."""
    huge = default_min_free(machine).huge
    current = machine.fit.min_free_kbytes
    return huge is None or huge.wanted_kb <= huge.cap_kb or current is None or current * 10 < huge.recommended_kb * 9


def _raise(
    snapshot: Snapshot, machine: Machine, facts: _Facts, need: Need, observed: Observed, policy: AdvicePolicy
) -> tuple[list[Recommendation], list[Finding]]:
    passed = need.passed
    setting = min_free_of(machine)
    assert passed is not None
    assert setting is not None
    assert observed.logs is not None
    burst = human_bytes(passed.burst_pages * machine.page_size)
    text = (
        f"Callers that cannot wait were refused: between its low mark and the refusal {burst} had been taken from "
        f"{passed.zone} before kswapd caught up. "
    )
    if need.full:
        text += f"{need.value_kb} is the smallest value with which that zone holds {policy.burst_margin:g} such bursts."
    else:
        text += (
            f"{need.value_kb}, the most that is ever recommended here, holds one such burst but not "
            f"{policy.burst_margin:g}: expect fewer failures, not none."
        )
    failures = reserve_failures(observed)
    count = sum(failure.count for failure in failures)
    confidence = Level.HIGH if count > 1 and not need.diagnosis.judgement.inferred else Level.MEDIUM
    against = (
        "The failures did no harm (a driver that drops a packet and tries again), or the load that caused them is gone."
    )
    recommendation = recommend_value(
        snapshot,
        machine,
        MIN_FREE,
        str(facts.current_kb),
        str(need.value_kb),
        Cause.ATOMIC_RESERVE_EXHAUSTED,
        text,
        against,
        (*_evidence(facts), *failure_evidence(failures), *_link_evidence(observed.links)),
        steps=raise_steps(need, setting, policy.burst_margin),
        worse="Page cache and programs have that much less; kswapd starts earlier and works longer.",
        confidence=confidence if need.full else least(confidence, Level.MEDIUM),
        failures=failures,
    )
    return [recommendation], []


def raise_steps(need: Need, setting: MinFreeAtReport, margin: float) -> tuple[str, ...]:
    """The arithmetic of a raise, for somebody who checks it by hand."""
    passed, replay = need.passed, need.diagnosis.replay
    if passed is None:
        return ()
    refused = next(zone for zone in replay.zones if zone.name == passed.zone)
    check, dump = refused.check, refused.dump
    assert check is not None
    low, free = (kb_to_pages(kb or 0, replay.page_size) for kb in (dump.low_kb, dump.free_kb))
    times = margin if need.full else 1.0
    burst = passed.burst_pages
    cma = burst - (low - free) if burst else 0
    without_cma = f" (with {cma} free CMA pages, for which kswapd does not stay asleep)" if cma else ""
    taken = f"{low} - {free - cma}"
    populated = sum(each.populated for each in setting.zones)
    boost = kb_to_pages(dump.boost_kb or 0, replay.page_size)
    boosted = (f"A boost of {boost} pages was in force then, and is taken to be in force again.",) if boost else ()
    return (
        f"The report at {need.failure.source.rpartition(':')[0]}:{need.diagnosis.report.line_number}, zone "
        f"{passed.zone}: low {low}, free {free}{without_cma}, so the burst was {taken} = {burst} pages.",
        f"The caller needed {check.required_pages} pages that count and had {check.available_pages} ({check.mark}; "
        f"reserve {check.reserve_pages}).",
        f"With another value v the marks are min'(v), low'(v) by the kernel's proportional split of v over "
        f"{populated} zones; after {times:g} such bursts free' = low'(v) - {times:g} * {burst}.",
        *boosted,
        f"The smallest v for which the kernel's check passes for free' is {passed.value_kb}"
        + ("." if need.full else f"; none up to the cap holds {margin:g} bursts, so the cap is proposed."),
        f"Cap: the larger of a twentieth of low memory ({setting.lowmem_kb} / 20 = {setting.lowmem_kb // 20}) and the "
        f"value in force ({setting.value_kb}).",
    )


def _link_evidence(links: tuple[Link, ...] | None) -> tuple[Evidence, ...]:
    """What the fastest interface can bring in while kswapd is on its way: a bound for plausibility, no evidence."""
    speeds = [(link.speed_mbit, link) for link in links or () if link.speed_mbit]
    if not speeds:
        return ()
    speed, link = max(speeds, key=lambda entry: entry[0])
    bound = speed * 1_000_000 // 8 * BURST_MS // 1000
    what = f"the most that {link.name} ({speed} Mbit/s, MTU {link.mtu_bytes}) can bring in {BURST_MS} ms, bytes"
    return (Evidence(what, bound, "psutil: line rate; a bound, not evidence"),)


def _evidence(facts: _Facts) -> tuple[Evidence, ...]:
    source = "inferred from the min marks" if facts.inferred else "/proc/sys/vm/min_free_kbytes"
    found = [
        Evidence("vm.min_free_kbytes in force, kB", facts.current_kb, source),
        Evidence("low memory, kB", facts.lowmem_kb, "/proc/zoneinfo: managed pages of the zones up to Normal"),
        Evidence("kernel's square-root formula, kB", facts.default.lowmem_formula_kb, "4 * sqrt(low memory in kB)"),
    ]
    if facts.default.huge is not None:
        kb = facts.default.huge.recommended_kb
        found.append(Evidence("khugepaged's recommendation, kB", kb, "transparent huge pages are on"))
    return tuple(found)


def _too_low(snapshot: Snapshot, machine: Machine, facts: _Facts) -> tuple[list[Recommendation], list[Finding]]:
    formula, huge = facts.default.lowmem_formula_kb, facts.default.huge
    text = (
        f"vm.min_free_kbytes is {facts.current_kb}, {100 * facts.current_kb // formula} % of the {formula} that the "
        f"kernel's own formula gives for {human_bytes(facts.lowmem_kb * 1024)} of low memory. Callers that cannot wait "
        "(network receive, above all) have that much less to live on while kswapd works."
    )
    if huge is not None and huge.recommended_kb > formula:
        wanted = huge_page_arithmetic(machine, huge)
        text += f" With huge pages on, khugepaged would have asked for {wanted}; that much is not needed to be safe."
    evidence = _evidence(facts)
    against = "The machine was trimmed to the last page on purpose, and nothing on it allocates in interrupts."
    cause = "below-kernel-default"
    recommendation = recommend_value(
        snapshot, machine, MIN_FREE, str(facts.current_kb), str(formula), cause, text, against, evidence
    )
    return [recommendation], [Finding(cause, Severity.NOTICE, text, evidence)]


def _too_high(
    snapshot: Snapshot, machine: Machine, facts: _Facts, observed: Observed
) -> tuple[list[Recommendation], list[Finding]]:
    share = 100 * facts.current_kb / facts.lowmem_kb
    text = (
        f"vm.min_free_kbytes is {facts.current_kb}, {share:.1f} % of low memory; the kernel would choose "
        f"{facts.default.effective_kb} here. Memory below the min marks is out of reach of ordinary allocations: "
        "reclaim "
        "starts earlier, and OOM kills come with memory free."
    )
    evidence = _evidence(facts)
    against = "A value this high answers allocation failures seen earlier: then lower it in steps and watch the log."
    refused = observed.logs.of(*_NEED_PAGES) if observed.logs is not None else ()
    if refused:
        text += (
            f" Yet requests were refused with it in force ({refused[0].source}), and with less free memory more would "
            "be: lowering it is left to you."
        )
        return [], [Finding("too-high", _severity(snapshot, machine, share), text, evidence)]
    earlier = observed.logs.before_a_raise if observed.logs is not None else None
    if earlier is not None:
        text += (
            f" Yet requests had been refused under smaller marks ({earlier.source}), which this value may "
            "answer: lowering it is left to you."
        )
        return [], [Finding("too-high", _severity(snapshot, machine, share), text, evidence)]
    value = str(facts.default.effective_kb)
    recommendation = recommend_value(
        snapshot, machine, MIN_FREE, str(facts.current_kb), value, "too-high", text, against, evidence
    )
    return [recommendation], [Finding("too-high", _severity(snapshot, machine, share), text, evidence)]


def _severity(snapshot: Snapshot, machine: Machine, share_percent: float) -> Severity:
    """Critical where the high marks leave less than what is in use: then a kill is only a matter of time."""
    size = machine.rules.watermarks.size
    total = sum(zone_size(zone, size) for zone in machine.zones)
    highs = sum(min(zone.high_pages, zone_size(zone, size)) for zone in machine.zones)
    usage = usage_of(snapshot, machine)
    if usage is not None:
        in_use = total - usage.free_pages - usage.cache_pages - usage.slab_pages
        if in_use > total - highs:
            return Severity.CRITICAL
    nothing_left = (snapshot.meminfo_kb or {}).get("MemAvailable") == 0
    short = all(zone.free_pages < zone.low_pages for zone in machine.zones if zone.populated)
    if highs * 2 > total or (nothing_left and short):
        return Severity.CRITICAL
    return Severity.WARNING if share_percent > PAINFUL_PERCENT else Severity.NOTICE


_GIVES_BACK = {
    True: "Setting transparent_hugepage to never gives most of it back.",
    False: "To get most of it back set transparent_hugepage to never and then write vm.min_free_kbytes (before 5.16 "
    "the kernel does not lower it by itself).",
}


def _huge_page_cost(machine: Machine, facts: _Facts) -> list[Finding]:
    # Above all with 64 KiB pages, where a page block is 512 MiB: worth knowing, nothing to repair.
    huge = facts.default.huge
    if huge is None or huge.wanted_kb <= huge.cap_kb or facts.current_kb < huge.recommended_kb * 9 // 10:
        return []
    text = (
        f"Transparent huge pages hold back {human_bytes(facts.current_kb * 1024)} "
        f"({100 * facts.current_kb / facts.lowmem_kb:.1f} % of low memory): {huge_page_arithmetic(machine, huge)}. "
        f"{_GIVES_BACK[machine.rules.min_free.huge_restores]}"
    )
    return [Finding("huge-page-reserve-large", Severity.INFO, text, _evidence(facts))]

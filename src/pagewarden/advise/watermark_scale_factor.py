"""vm.watermark_scale_factor: room for kswapd, where callers that could wait had to reclaim by themselves.

On kernels before 4.6 the gap is a quarter of each zone's share of vm.min_free_kbytes, or what a vendor's
vm.extra_free_kbytes adds: there these are raised instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from pagewarden.advise.build import AGAINST_PERCENT, recommend_value
from pagewarden.advise.failures import failure_evidence, wants_larger_marks
from pagewarden.advise.min_free_kbytes import may_raise, reserve_failures
from pagewarden.advise.observed import NOTHING, Observed
from pagewarden.advise.policy import AdvicePolicy, Workload
from pagewarden.advise.stalls import LEAST_SECONDS, Bursts, Stalls, bursts_of, gap_pages, stalls_of, why_no_mark
from pagewarden.advise.types import Level, Recommendation
from pagewarden.diagnose.diagnosis import Harm
from pagewarden.diagnose.interval import Interval
from pagewarden.diagnose.log_evidence import Failure
from pagewarden.diagnose.min_free import MinFreeAtReport, min_free_of, smallest_scale_factor
from pagewarden.diagnose.rights import has_discount
from pagewarden.diagnose.types import Cause, Evidence, Finding, FindingCause, Severity
from pagewarden.kernel.machine import EXTRA_FREE, MIN_FREE, RECLAIM_MODE, SCALE_FACTOR, Machine
from pagewarden.kernel.watermarks import setup_per_zone_wmarks, zone_size
from pagewarden.procfs.types import Snapshot
from pagewarden.units import human_bytes, kb_to_pages, pages_to_kb

STALLS_A_SECOND = 1.0
LATENCY_STALLS_A_SECOND = 0.1
"""From here on stalls are felt; by a workload that lives on latency earlier."""

SOME_PERCENT = 1.0
"""Share of the time in which some task waited for memory (PSI) from which it is felt, with stalls beside it: kswapd's
own work, a group's limit and pages read back in count there too."""

HIGH_PERCENT = 5
"""kswapd fills up to high, two gaps above min: these never take more than a twentieth of memory."""

AVAILABLE_PERCENT = 25
"""Nor more than this share of what is available now."""

WORTH_PERCENT = 30
"""A change that is not expected to take away at least this share of the stalls is not proposed."""

MEBIBYTE = 1 << 20

MARKS = frozenset({MIN_FREE, SCALE_FACTOR, EXTRA_FREE})
"""Settings of which a write computes every mark anew."""


def advise_watermark_scale_factor(
    snapshot: Snapshot, machine: Machine, observed: Observed = NOTHING, policy: AdvicePolicy | None = None
) -> tuple[list[Recommendation], list[Finding]]:
    """Size the gap between min and low from the stalls counted, or else from those in the log."""
    policy = policy or AdvicePolicy()
    findings = _interval_notes(observed.interval)
    mode = machine.sysctls.get(RECLAIM_MODE, "0")
    stalls = stalls_of(observed.interval, node_reclaim=mode != "0")
    if stalls is not None and observed.interval is not None and _felt(stalls, observed.interval, policy):
        recommendations, more = _from_counters(snapshot, machine, observed, stalls, policy)
        return recommendations, [*findings, *more]
    return _from_logs(snapshot, machine, _slow(observed), policy), findings


def _slow(observed: Observed) -> tuple[Failure, ...]:
    """Failures that more room for kswapd answers: of callers that could wait, and of those that can use no reserve.

    Not kills: whoever kills has reclaimed by itself for many rounds without progress, so kswapd could not have either.

    Kernel: mm/page_alloc.c:should_reclaim_retry()
    """
    if observed.logs is None:
        return ()
    waiting = [
        failure
        for failure in observed.logs.of(Cause.RECLAIM_TOO_SLOW)
        if failure.harm is not Harm.KILLED and not failure.example.judgement.unwritten  # they waited for the storage
    ]
    refused = observed.logs.of(Cause.ATOMIC_RESERVE_EXHAUSTED)
    found = (*waiting, *(failure for failure in refused if not has_discount(failure.example.replay)))
    return tuple(failure for failure in found if wants_larger_marks(failure))


def _interval_notes(interval: Interval | None) -> list[Finding]:
    """What is odd about the counters, said where it is found."""
    if interval is None:
        return []
    said = [f"The counters of the two snapshots were not compared: {interval.unusable}."] if interval.unusable else []
    said += [f"{note[0].upper()}{note[1:]}." for note in interval.notes]
    return [Finding(FindingCause.EVIDENCE_OUTDATED, Severity.INFO, text) for text in said]


def _felt(stalls: Stalls, interval: Interval, policy: AdvicePolicy) -> bool:
    limit = LATENCY_STALLS_A_SECOND if policy.workload is Workload.LATENCY else STALLS_A_SECOND
    waiting = interval.some_percent is not None and interval.some_percent > SOME_PERCENT
    return stalls.per_second >= limit or (waiting and stalls.per_second >= LATENCY_STALLS_A_SECOND)


def _from_counters(
    snapshot: Snapshot, machine: Machine, observed: Observed, stalls: Stalls, policy: AdvicePolicy
) -> tuple[list[Recommendation], list[Finding]]:
    interval = observed.interval
    assert interval is not None
    evidence = _counter_evidence(stalls, interval)
    text = (
        f"{stalls.count} times in {stalls.seconds:.0f} s ({stalls.per_second:.1f} a second) a task had to reclaim "
        "memory by itself before it got any, because kswapd had not freed enough in time."
    )
    if stalls.seconds < LEAST_SECONDS:
        text += f" That is too short a time for advice: look for {LEAST_SECONDS:.0f} s or longer."
        return [], [Finding(FindingCause.DIRECT_RECLAIM_STALLS, Severity.INFO, text, evidence)]
    rewritten = sorted(interval.rewritten & MARKS)
    if rewritten:
        text += f" {', '.join(rewritten)} was written in between, so this does not speak of the value in force."
        return [], [Finding(FindingCause.EVIDENCE_OUTDATED, Severity.INFO, text, evidence)]
    why_not = why_no_mark(stalls, interval, machine)
    if why_not:
        text += f" No mark answers that: {why_not}."
        return [], [Finding(FindingCause.DIRECT_RECLAIM_STALLS, Severity.WARNING, text, evidence)]
    if reserve_failures(observed):
        text += (
            " Callers that cannot wait were refused as well: what answers that widens this gap too; look again then."
        )
        return [], [Finding(FindingCause.DIRECT_RECLAIM_STALLS, Severity.WARNING, text, evidence)]
    bursts, assumption = bursts_of(stalls, machine)
    if assumption:
        evidence = (*evidence, Evidence("assumed", assumption, "these counters do not tell"))
    answer = _solve(snapshot, machine, bursts.gap_pages + policy.burst_margin * bursts.mean_pages)
    worth = answer is not None and _is_worth(answer, bursts)
    if answer is None or not worth:
        text += " " + _no_answer(snapshot, machine, answer, bursts)
        return [], [Finding(FindingCause.DIRECT_RECLAIM_STALLS, Severity.WARNING, text, evidence)]
    reason = f"{text} {_promise(machine, answer, bursts)}"
    recommendation = recommend_value(
        snapshot,
        machine,
        answer.key,
        answer.current,
        answer.value,
        FindingCause.DIRECT_RECLAIM_STALLS,
        reason,
        "The load in this time was not the usual one, or memory is simply too small for what runs: then free memory "
        "stays low and stalls go on whatever the gap.",
        evidence,
        steps=_steps(stalls, bursts, assumption, answer, policy),
        worse="Page cache is smaller by the cost and kswapd starts earlier; tasks may wait a little more often but "
        "shorter (PSI some may rise while full falls). Judge by PSI full and MemAvailable, not by stalls alone.",
        confidence=Level.MEDIUM,  # until the mean found in this way has been measured on more than paper
    )
    return [recommendation], [Finding(FindingCause.DIRECT_RECLAIM_STALLS, Severity.WARNING, text, evidence)]


def _counter_evidence(stalls: Stalls, interval: Interval) -> tuple[Evidence, ...]:
    source = f"/proc/vmstat over {stalls.seconds:.0f} s"
    found = [
        Evidence("allocstall", stalls.count, source),
        Evidence("pages reclaimed directly", stalls.direct_pages, source),
    ]
    if stalls.kswapd_runs is not None:
        found.append(Evidence("runs of kswapd (pageoutrun)", stalls.kswapd_runs, source))
    quickly = ("kswapd_low_wmark_hit_quickly", "kswapd_high_wmark_hit_quickly")
    found += [Evidence(name, interval.counts[name], source) for name in quickly if name in interval.counts]
    pressure = f"/proc/pressure/memory over {stalls.seconds:.0f} s"
    if interval.some_percent is not None:
        found.append(Evidence("some tasks waited for memory, % of the time", round(interval.some_percent, 2), pressure))
    if interval.full_percent is not None:
        found.append(Evidence("all tasks waited for memory, % of the time", round(interval.full_percent, 2), pressure))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Answer:
    """The value that gives the gap wanted, or the most that is allowed. :ivar gap_pages: with it in force."""

    key: str
    current: str
    value: str
    gap_pages: int
    capped: bool


def _solve(snapshot: Snapshot, machine: Machine, wanted_pages: float) -> _Answer | None:
    """Find the smallest value that gives a gap; None where no setting of this kernel does, or none may be raised."""
    setting = min_free_of(machine)
    if setting is None:
        return None
    key, current, most = _knob(snapshot, machine, setting)
    if not _may_widen(snapshot, machine):
        return None
    low, high = current, most
    capped = _gap_with(machine, setting, key, most) < wanted_pages
    while low < high and not capped:
        middle = (low + high) // 2
        if _gap_with(machine, setting, key, middle) >= wanted_pages:
            high = middle
        else:
            low = middle + 1
    value = most if capped else low
    if value * 100 <= current * (100 + AGAINST_PERCENT):
        return None
    return _Answer(key, str(current), str(value), _gap_with(machine, setting, key, value), capped)


def _may_widen(snapshot: Snapshot, machine: Machine) -> bool:
    setting = min_free_of(machine)
    if setting is None:
        return False
    key, current, most = _knob(snapshot, machine, setting)
    return most > current and (key != MIN_FREE or may_raise(machine))


def _knob(snapshot: Snapshot, machine: Machine, setting: MinFreeAtReport) -> tuple[str, int, int]:
    """Which setting moves the gap on this kernel, its value, and the largest that keeps within bounds."""
    total = sum(zone_size(zone, machine.rules.watermarks.size) for zone in machine.zones)
    most_pages = _most_gap(snapshot, machine, total)
    kernel_most = machine.rules.sysctl.scale_factor_max
    if SCALE_FACTOR in machine.sysctls and kernel_most is not None:
        current = int(machine.sysctls[SCALE_FACTOR])
        return SCALE_FACTOR, current, max(current, min(kernel_most, most_pages * 10_000 // total))
    if EXTRA_FREE in machine.sysctls:
        current = int(machine.sysctls[EXTRA_FREE])
        return EXTRA_FREE, current, max(current, pages_to_kb(most_pages, machine.page_size))
    return MIN_FREE, setting.value_kb, setting.cap_kb


def _most_gap(snapshot: Snapshot, machine: Machine, total_pages: int) -> int:
    """The widest gap that is recommended: two of them are a twentieth of what is not set aside as huge pages, and
    today's with what more may be taken of available memory.
    """
    meminfo = snapshot.meminfo_kb or {}
    set_aside = meminfo.get("HugePages_Total", 0) * kb_to_pages(meminfo.get("Hugepagesize", 0), machine.page_size)
    most = max(0, total_pages - set_aside) * HIGH_PERCENT // 100 // 2
    available = meminfo.get("MemAvailable")
    if available is not None:
        more = kb_to_pages(available, machine.page_size) * AVAILABLE_PERCENT // 100 // 2
        most = min(most, gap_pages(machine) + more)
    return most


def _gap_with(machine: Machine, setting: MinFreeAtReport, key: str, value: int) -> int:
    extra = machine.sysctls.get(EXTRA_FREE)
    marks = setup_per_zone_wmarks(
        machine.zones,
        value if key == MIN_FREE else setting.value_kb,
        value if key == SCALE_FACTOR else setting.scale_factor,
        machine.rules.watermarks,
        machine.page_size,
        value if key == EXTRA_FREE else None if extra is None else int(extra),
    )
    return sum(mark.gap_pages for zone, mark in zip(machine.zones, marks, strict=True) if zone.populated)


def _is_worth(answer: _Answer, bursts: Bursts) -> bool:
    return (1 - bursts.left_after(answer.gap_pages - bursts.gap_pages)) * 100 >= WORTH_PERCENT


def _no_answer(snapshot: Snapshot, machine: Machine, answer: _Answer | None, bursts: Bursts) -> str:
    mean = human_bytes(round(bursts.mean_pages * machine.page_size))
    if answer is None and not _may_widen(snapshot, machine):
        return f"Runs of kswapd had to bridge {mean} on average; no setting may be raised for it here."
    if answer is None:
        return (
            f"Runs of kswapd had to bridge {mean} on average: a little more than today's gap, too little for a change."
        )
    return (
        f"Runs of kswapd had to bridge {mean} on average, more than {HIGH_PERCENT} % of memory (or a quarter of what "
        "is available) can make up for: no mark answers that; less load or more memory does."
    )


def _promise(machine: Machine, answer: _Answer, bursts: Bursts) -> str:
    more = answer.gap_pages - bursts.gap_pages
    left = bursts.left_after(more)
    next_mebibyte = 1 - bursts.left_after(MEBIBYTE / machine.page_size)
    text = (
        f"{answer.key}={answer.value} widens the gap between min and low by {human_bytes(more * machine.page_size)}; "
        f"about {100 * left:.0f} % of the stalls are expected to stay, taking each run of kswapd for one shortage, "
        "which no counter tells. Each further MiB of gap is expected to take "
        f"away {_percent(next_mebibyte)} of those left."
    )
    if answer.capped:
        text += (
            f" It is the most that is recommended here: two gaps are {HIGH_PERCENT} % of memory or a quarter of what "
            "is available, or the kernel takes no more."
        )
    return text


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.2g} %"


def _steps(stalls: Stalls, bursts: Bursts, assumption: str, answer: _Answer, policy: AdvicePolicy) -> tuple[str, ...]:
    gap, mean = bursts.gap_pages, bursts.mean_pages
    of = f"{stalls.kswapd_runs} runs of kswapd" if stalls.kswapd_runs is not None else f"{stalls.seconds:.0f} s"
    found = [
        f"Reclaimed directly: {stalls.direct_pages} pages in {of}; a run fell short by {bursts.shortfall_pages:.1f} "
        "pages on average.",
        f"Gap now, low - min of all zones: g = {gap} pages. m * exp(-g / m) = {bursts.shortfall_pages:.1f} gives the "
        f"mean of what a run had to bridge: m = {mean:.0f} pages.",
        f"Wanted: g + {policy.burst_margin:g} * m = {ceil(gap + policy.burst_margin * mean)} pages. The smallest "
        f"{answer.key} that gives it: {answer.value} (gap {answer.gap_pages} pages)"
        if not answer.capped
        else f"Wanted: g + {policy.burst_margin:g} * m = {ceil(gap + policy.burst_margin * mean)} pages. The most that "
        f"is recommended: {answer.key}={answer.value} (gap {answer.gap_pages} pages).",
        f"Stalls left: exp(-({answer.gap_pages} - {gap}) / {mean:.0f}) = "
        f"{bursts.left_after(answer.gap_pages - gap):.3f} of today's.",
    ]
    if assumption:
        found.append(f"Assumed: {assumption}.")
    return tuple(found)


def _from_logs(
    snapshot: Snapshot, machine: Machine, slow: Sequence[Failure], policy: AdvicePolicy
) -> list[Recommendation]:
    """Callers that no reserve is for were refused or stalled in the log: the gap is what they live on."""
    setting = min_free_of(machine)
    if setting is None or not slow or SCALE_FACTOR not in machine.sysctls:
        return []
    _, current, most = _knob(snapshot, machine, setting)
    found = [
        (value, failure)
        for failure in slow
        for diagnosis in failure.replayed
        if (
            value := smallest_scale_factor(
                diagnosis.replay, replace(setting, scale_factor=current), most, policy.burst_margin
            )
        )
        is not None
    ]
    if not found:
        return []
    value, failure = max(found, key=lambda entry: entry[0])
    if value * 100 <= current * (100 + AGAINST_PERCENT):
        return []
    who = (
        "Callers that could wait were refused or stalled although memory was reclaimable"
        if failure.cause is Cause.RECLAIM_TOO_SLOW
        else "Callers that cannot wait, and may not go below the min mark either, were refused"
    )
    reason = (
        f"{who}: kswapd had been woken too late. With {SCALE_FACTOR}={value} the low mark, where it is woken, is far "
        f"enough above min for {policy.burst_margin:g} times what had been taken below low in the hardest of these "
        f"reports ({failure.source})."
    )
    return [
        recommend_value(
            snapshot,
            machine,
            SCALE_FACTOR,
            str(current),
            str(value),
            failure.cause,
            reason,
            "A disk or a network file system was stuck at the time: then reclaim waits for it whatever the marks.",
            failure_evidence(slow),
            worse="Page cache is smaller by the cost, and kswapd starts earlier.",
            confidence=Level.MEDIUM,
            failures=slow,
        )
    ]

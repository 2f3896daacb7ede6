"""vm.watermark_scale_factor: room for kswapd, where callers that could wait had to reclaim by themselves.

On kernels before 4.6 the gap is a quarter of each zone's share of vm.min_free_kbytes, or what a vendor's
vm.extra_free_kbytes adds: there these are raised instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from pagewarden.advise.build import AGAINST_PERCENT, recommend_value
from pagewarden.advise.failures import failure_evidence
from pagewarden.advise.min_free_kbytes import may_raise
from pagewarden.advise.observed import NOTHING, Observed
from pagewarden.advise.policy import AdvicePolicy, Workload
from pagewarden.advise.stalls import LEAST_SECONDS, Stalls, gap_pages, stalls_of
from pagewarden.advise.types import Level, Recommendation
from pagewarden.diagnose.interval import Interval
from pagewarden.diagnose.log_evidence import Failure
from pagewarden.diagnose.min_free import MinFreeAtReport, min_free_of, smallest_scale_factor
from pagewarden.diagnose.types import Cause, Evidence, Finding, FindingCause, Severity
from pagewarden.kernel.machine import EXTRA_FREE, MIN_FREE, SCALE_FACTOR, Machine
from pagewarden.kernel.watermarks import setup_per_zone_wmarks, zone_size
from pagewarden.procfs.types import Snapshot
from pagewarden.units import human_bytes, pages_to_kb

STALLS_A_SECOND = 1.0
LATENCY_STALLS_A_SECOND = 0.1
"""From here on stalls are felt; by a workload that lives on latency earlier."""

SOME_PERCENT = 1.0
"""Share of the time in which some task waited for memory (PSI) from which it is felt."""

GAP_PERCENT = 5
"""The gap never takes more than this share of memory: a twentieth, as the kernel allows khugepaged."""

WORTH_PERCENT = 30
"""A change that is not expected to take away at least this share of the stalls is not proposed."""

MEBIBYTE = 1 << 20

_MARKS = frozenset({MIN_FREE, SCALE_FACTOR, EXTRA_FREE})


def advise_watermark_scale_factor(
    snapshot: Snapshot, machine: Machine, observed: Observed = NOTHING, policy: AdvicePolicy | None = None
) -> tuple[list[Recommendation], list[Finding]]:
    """Size the gap between min and low from the stalls counted, or else from those in the log."""
    policy = policy or AdvicePolicy()
    findings = _interval_notes(observed.interval)
    stalls = stalls_of(observed.interval)
    if stalls is not None and observed.interval is not None and _felt(stalls, observed.interval, policy):
        recommendations, more = _from_counters(snapshot, machine, observed, stalls, policy)
        return recommendations, [*findings, *more]
    slow = observed.logs.of(Cause.RECLAIM_TOO_SLOW) if observed.logs is not None else ()
    return _from_logs(snapshot, machine, slow, policy), findings


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
    return stalls.per_second >= limit or (waiting and stalls.count > 0)


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
    rewritten = sorted(interval.rewritten & _MARKS)
    if rewritten:
        text += f" {', '.join(rewritten)} was written in between, so this does not speak of the value in force."
        return [], [Finding(FindingCause.EVIDENCE_OUTDATED, Severity.INFO, text, evidence)]
    if observed.logs is not None and observed.logs.of(Cause.ATOMIC_RESERVE_EXHAUSTED):
        text += (
            " Callers that cannot wait were refused as well: what answers that widens this gap too; look again then."
        )
        return [], [Finding(FindingCause.DIRECT_RECLAIM_STALLS, Severity.WARNING, text, evidence)]
    answer = _solve(machine, gap_pages(machine) + policy.burst_margin * stalls.shortfall_pages)
    worth = answer is not None and _is_worth(machine, answer, stalls)
    if answer is None or not worth:
        text += " " + _no_answer(machine, answer, stalls)
        return [], [Finding(FindingCause.DIRECT_RECLAIM_STALLS, Severity.WARNING, text, evidence)]
    reason = f"{text} {_promise(machine, answer, stalls)}"
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
        steps=_steps(machine, stalls, answer, policy),
        worse="Page cache is smaller by the cost and kswapd starts earlier; tasks may wait a little more often but "
        "shorter (PSI some may rise while full falls). Judge by PSI full and MemAvailable, not by stalls alone.",
        confidence=Level.MEDIUM if stalls.assumption or answer.capped else Level.HIGH,
    )
    finding = Finding(FindingCause.DIRECT_RECLAIM_STALLS, Severity.WARNING, reason, evidence)
    return [recommendation], [finding]


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
    if stalls.assumption:
        found.append(Evidence("assumed", stalls.assumption, "these counters do not tell"))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Answer:
    """The value that gives the gap wanted, or the most that is allowed. :ivar gap_pages: with it in force."""

    key: str
    current: str
    value: str
    gap_pages: int
    capped: bool


def _solve(machine: Machine, wanted_pages: float) -> _Answer | None:
    """Find the smallest value that gives a gap; None where no setting of this kernel does, or none may be raised."""
    setting = min_free_of(machine)
    if setting is None:
        return None
    key, current, most = _knob(machine, setting)
    if key == MIN_FREE and not may_raise(machine):
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


def _knob(machine: Machine, setting: MinFreeAtReport) -> tuple[str, int, int]:
    """Which setting moves the gap on this kernel, its value, and the largest that keeps within bounds."""
    kernel_most = machine.rules.sysctl.scale_factor_max
    if SCALE_FACTOR in machine.sysctls and kernel_most is not None:
        current = int(machine.sysctls[SCALE_FACTOR])
        return SCALE_FACTOR, current, max(current, min(kernel_most, 10_000 * GAP_PERCENT // 100))
    if EXTRA_FREE in machine.sysctls:
        current = int(machine.sysctls[EXTRA_FREE])
        total = sum(zone_size(zone, machine.rules.watermarks.size) for zone in machine.zones)
        return EXTRA_FREE, current, max(current, pages_to_kb(total, machine.page_size) * GAP_PERCENT // 100)
    return MIN_FREE, setting.value_kb, setting.cap_kb


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


def _is_worth(machine: Machine, answer: _Answer, stalls: Stalls) -> bool:
    return (1 - stalls.left_after(answer.gap_pages - gap_pages(machine))) * 100 >= WORTH_PERCENT


def _no_answer(machine: Machine, answer: _Answer | None, stalls: Stalls) -> str:
    shortfall = human_bytes(round(stalls.shortfall_pages * machine.page_size))
    if answer is None:
        return f"An average run of kswapd fell short by {shortfall}; no setting of this kernel may be raised for it."
    return (
        f"An average run of kswapd fell short by {shortfall}, more than {GAP_PERCENT} % of memory can make up for: no "
        "mark answers that; less load or more memory does."
    )


def _promise(machine: Machine, answer: _Answer, stalls: Stalls) -> str:
    more = answer.gap_pages - gap_pages(machine)
    left = stalls.left_after(more)
    next_mebibyte = 1 - stalls.left_after(MEBIBYTE / machine.page_size)
    text = (
        f"{answer.key}={answer.value} widens the gap between min and low by {human_bytes(more * machine.page_size)}; "
        f"about {100 * left:.0f} % of the stalls are expected to stay. Each further MiB of gap is expected to take "
        f"away {_percent(next_mebibyte)} of those left."
    )
    if answer.capped:
        text += f" It is the most that is recommended here ({GAP_PERCENT} % of memory, or the kernel's own limit)."
    return text


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.2g} %"


def _steps(machine: Machine, stalls: Stalls, answer: _Answer, policy: AdvicePolicy) -> tuple[str, ...]:
    gap, shortfall = gap_pages(machine), stalls.shortfall_pages
    runs = stalls.kswapd_runs
    first = (
        f"shortfall = {stalls.direct_pages} pages reclaimed directly / {runs} runs of kswapd = {shortfall:.1f} pages"
        if runs
        else f"shortfall = {stalls.direct_pages} pages / {stalls.seconds:.0f} s = {shortfall:.1f} pages a second"
    )
    wanted = gap + policy.burst_margin * shortfall
    found = [
        first + ".",
        f"gap now, low - min of all zones: {gap} pages; wanted: {gap} + {policy.burst_margin:g} * {shortfall:.1f} = "
        f"{ceil(wanted)} pages.",
        f"The smallest {answer.key} that gives it: {answer.value} (gap {answer.gap_pages} pages)"
        + (", the cap." if answer.capped else "."),
        f"Stalls left: exp(-({answer.gap_pages} - {gap}) / {shortfall:.1f}) = "
        f"{stalls.left_after(answer.gap_pages - gap):.3f} of today's.",
    ]
    if stalls.assumption:
        found.append(f"Assumed: {stalls.assumption}.")
    return tuple(found)


def _from_logs(
    snapshot: Snapshot, machine: Machine, slow: Sequence[Failure], policy: AdvicePolicy
) -> list[Recommendation]:
    """Callers that could wait were refused or stalled in the log while memory was reclaimable."""
    setting = min_free_of(machine)
    if setting is None or not slow or SCALE_FACTOR not in machine.sysctls:
        return []
    _, current, most = _knob(machine, setting)
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
    reason = (
        "Callers that could wait were refused or stalled although memory was reclaimable: kswapd had been woken too "
        f"late. With {SCALE_FACTOR}={value} the low mark, where it is woken, lies {policy.burst_margin:g} times as far "
        f"above the min mark as the hardest of these reports ({failure.source}) had fallen below it."
    )
    return [
        recommend_value(
            snapshot,
            machine,
            SCALE_FACTOR,
            str(current),
            str(value),
            Cause.RECLAIM_TOO_SLOW,
            reason,
            "A disk or a network file system was stuck at the time: then reclaim waits for it whatever the marks.",
            failure_evidence(slow),
            worse="Page cache is smaller by the cost, and kswapd starts earlier.",
            confidence=Level.MEDIUM,
            failures=slow,
        )
    ]

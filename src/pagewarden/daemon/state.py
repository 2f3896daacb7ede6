"""What the service knows, and what follows from what it sees: a pure fold. No clock, no files.

    state, actions = fold(state, observation, now_ns)

`now_ns` is the monotonic clock. The loop carries the actions out; nothing that it does comes back but as another
observation.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pagewarden.daemon import findings as life
from pagewarden.daemon.baseline import Baseline, meanwhile, remember
from pagewarden.daemon.counters import increase, less
from pagewarden.daemon.findings import Findings, Seen
from pagewarden.daemon.interval import nearest_permille, poll_interval_ns, weighty
from pagewarden.daemon.stalls import Step, add_step, judge_compaction, judge_stalls, rates
from pagewarden.daemon.types import (
    CHILD_NS,
    DAY_NS,
    DECODER,
    HOUR_NS,
    MINUTE_NS,
    SECOND_NS,
    Action,
    Advices,
    Ask,
    Decoded,
    Degraded,
    Entry,
    Fault,
    Happened,
    Kind,
    LogCounts,
    Observation,
    Phase,
    Reading,
    Summary,
)

ASK_EVERY_NS = 6 * HOUR_NS
"""The adviser is asked this often where nothing happens."""
LOOK_AGAIN_NS = HOUR_NS
"""And this often while something is recommended: what forbids it now (the hour, pressure, young evidence) may be over,
and a plan that was not carried out is offered anew."""
ASK_PAUSE_NS = MINUTE_NS
"""The least time between two questions to the adviser."""
MAX_ENTRIES_AN_HOUR = 60
"""Entries about findings in an hour; what is beyond is counted and said in the summary."""
MAX_SIGNATURES = 256
KILLS_TEXT = (
    "The kernel killed {count} process(es) for want of memory. Its log cannot be read here, so why is not known."
)
DECODE_WITHIN_NS = CHILD_NS + MINUTE_NS
"""Reports that nobody has decoded after this long are told as counted only; at once where the decoder has failed. On a
machine that stalls it takes minutes, and what it finds out is worth them."""
UNDECODED = "report/undecoded"


_BY_RATE = frozenset({"direct-reclaim-stalls", "fragmentation-rising"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What the configuration sets."""

    shortest_ns: int = 2 * SECOND_NS
    longest_ns: int = 60 * SECOND_NS
    daily_summary: bool = True


@dataclass(frozen=True, slots=True)
class State:
    """Everything that the service remembers in memory.

    :ivar next_poll_ns: when the next poll is due.
    :ivar signatures: signature of a report's opening line -> the identity it was decoded to.
    :ivar pending: signatures counted before any of them was decoded -> how many; since `pending_ns`.
    :ivar absent: advice that was looked for at the last answer and not given.
    :ivar plan, recommended, probation: as the adviser answered last; see `Advices`.
    :ivar faults: functions that do not work -> why.
    :ivar budget_ns, said: begin of the current hour of entries, and the entries said in it.
    :ivar lowest: the nearest that a zone came to its low mark this day: its distance in thousandths of it, and name.
    """

    limits: Limits
    started_ns: int
    next_poll_ns: int
    last: Reading | None = None
    last_ns: int = 0
    steps: tuple[Step, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    findings: Findings = field(default_factory=dict)
    signatures: Mapping[str, str] = field(default_factory=dict)
    pending: Mapping[str, int] = field(default_factory=dict)
    pending_ns: int = 0
    absent: frozenset[str] = frozenset()
    plan: tuple[str, ...] = ()
    recommended: tuple[tuple[str, str, str, str], ...] = ()
    probation: tuple[tuple[str, str, str, float], ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)
    asked_ns: int | None = None
    wants_advice: str = "start"
    polls: int = 0
    reports: int = 0
    suppressed: int = 0
    lost_lines: int = 0
    budget_ns: int = 0
    said: int = 0
    held_back: int = 0
    day_ns: int = 0
    day_polls: int = 0
    day_reports: int = 0
    lowest: tuple[int, str] | None = None


def start(limits: Limits, now_ns: int, known: Findings | None = None) -> State:
    """Begin; the first poll is due at once.

    :param known: the findings that were open when the service ended, as its history tells.
    """
    return State(limits, now_ns, now_ns, findings=known or {}, budget_ns=now_ns, day_ns=now_ns)


def fold(state: State, seen: Observation, now_ns: int) -> tuple[State, list[Action]]:
    """Take one observation; give the new state and what is to be done."""
    if isinstance(seen, Reading):
        state, actions = _take_reading(state, seen, now_ns)
    elif isinstance(seen, LogCounts):
        state, actions = _take_counts(state, seen, now_ns)
    elif isinstance(seen, Advices):
        state, actions = _take_advice(state, seen, now_ns)
    elif isinstance(seen, Fault):
        state, actions = _take_fault(state, seen)
        if seen.function == DECODER and seen.reason is not None:
            state, more = _tell_undecoded(state, now_ns, overdue=True)
            actions += more
    else:
        state, actions = _take_decoded(state, seen, now_ns)
    return _within_budget(state, actions, now_ns)


def sleep_ns(state: State, now_ns: int) -> int:
    """Give the time until the next poll is due; 0 where it is overdue."""
    return max(0, state.next_poll_ns - now_ns)


def set_limits(state: State, limits: Limits) -> State:
    """Take a new configuration; what it allows and declines is for the adviser."""
    next_ns = min(state.next_poll_ns, state.last_ns + limits.longest_ns)
    return replace(state, limits=limits, next_poll_ns=next_ns, wants_advice="configuration read again")


def _take_reading(state: State, reading: Reading, now_ns: int) -> tuple[State, list[Action]]:
    last, elapsed_ns, baselines = state.last, now_ns - state.last_ns, state.baselines
    before = last.zones if last is not None else ()
    interval = poll_interval_ns(reading.zones, before, elapsed_ns, state.limits.shortest_ns, state.limits.longest_ns)
    # All at once: this is most of what a poll costs where nothing happens.
    state = replace(
        state,
        last=reading,
        last_ns=now_ns,
        next_poll_ns=now_ns + interval,
        polls=state.polls + 1,
        day_polls=state.day_polls + 1,
        lowest=_lowest(state.lowest, reading),
        steps=state.steps if last is None else _with_step(state.steps, last, reading, elapsed_ns),
        baselines=remember(baselines, reading, now_ns),
        wants_advice=_asks(state.wants_advice, last, reading),
    )
    actions: list[Action] = []
    if last is not None:
        state, actions = _judge_rates(state, now_ns)
        state, more = _count_kills(state, last, reading, now_ns)
        actions += more
    state, undecoded = _tell_undecoded(state, now_ns)
    actions += undecoded
    # Advice ends only where the adviser has just been asked.
    after, entries = life.pass_time(state.findings, now_ns, state.absent & _BY_RATE)
    if after is not state.findings:
        state = replace(state, findings=after)
    if any(entry.phase is Phase.ENDED and entry.kind in (Kind.STALLS, Kind.COMPACTION) for entry in entries):
        state = replace(state, wants_advice=state.wants_advice or "stalls are over")
    state, asked = _ask(state, baselines, reading, now_ns)
    state, summary = _summary(state, now_ns)
    return state, [*actions, *entries, *asked, *summary]


def _asks(wanted: str, last: Reading | None, reading: Reading) -> str:
    """Say why the adviser is to be asked, as far as a reading tells; else what was `wanted` before."""
    if last is not None and reading.settings != last.settings:
        return "settings changed"
    if last is not None and reading.applied != last.applied:
        return "something was applied, or its probation ended"
    return wanted or ("a zone is below its min mark" if _below_min(reading) else "")


def _with_step(steps: tuple[Step, ...], last: Reading, reading: Reading, elapsed_ns: int) -> tuple[Step, ...]:
    pressure = less(reading.pressure_some_us, last.pressure_some_us)
    return add_step(steps, Step(max(elapsed_ns, 0), increase(last.counters, reading.counters), pressure))


def _judge_rates(state: State, now_ns: int) -> tuple[State, list[Action]]:
    """Judge the last minute: what the counters tell of stalls, whether or not anybody looked meanwhile."""
    found = rates(state.steps)
    if found is None:
        return state, []
    actions: list[Action] = []
    for judge, identity in ((judge_stalls, "direct-reclaim-stalls"), (judge_compaction, "fragmentation-rising")):
        tracked = state.findings.get(identity)
        present = tracked is not None and tracked.told_ns is not None
        seen = judge(found, present)
        if seen is None:
            if identity not in state.absent:
                state = replace(state, absent=state.absent | {identity})
            continue
        after, entries = life.note(state.findings, seen, now_ns)
        state = replace(state, findings=after, absent=state.absent - {identity})
        if entries:
            state = replace(state, wants_advice=state.wants_advice or "stalls")
        actions += entries
        actions += _stall_event(state, seen)
    return state, actions


def _stall_event(state: State, seen: Seen) -> list[Action]:
    """Keep the stalls since the last poll in the history."""
    last = state.steps[-1].increase
    count = last.stalls if seen.kind is Kind.STALLS else last.compact_stalls
    if not count:
        return []
    return [Happened(seen.kind, seen.cause, seen.identity, seen.severity, seen.text, count, seen.details)]


def _count_kills(state: State, last: Reading, reading: Reading, now_ns: int) -> tuple[State, list[Action]]:
    """Tell kills from the counter where the kernel's log cannot be read; else the log has the whole story."""
    kills = increase(last.counters, reading.counters).kills
    if not kills or "kernel log" not in state.faults:
        return state, []
    text = KILLS_TEXT.format(count=kills)
    seen = Seen(Kind.KILLS, "kills", "incomplete", "critical", text, count=kills)
    after, entries = life.note(state.findings, seen, now_ns)
    happened = Happened(Kind.KILLS, "incomplete", "kills", "critical", text, kills)
    return replace(state, findings=after), [*entries, happened]


def _below_min(reading: Reading) -> bool:
    return any(zone.free_pages <= zone.min_pages for zone in weighty(reading.zones))


def _lowest(lowest: tuple[int, str] | None, reading: Reading) -> tuple[int, str] | None:
    distance = nearest_permille(reading.zones)
    if distance is None or (lowest is not None and lowest[0] <= distance):
        return lowest
    zone = min(
        weighty(reading.zones), key=lambda zone: (zone.free_pages - zone.low_pages) * 1000 // max(zone.low_pages, 1)
    )
    return distance, f"node {zone.node} {zone.name}"


def _ask(state: State, baselines: tuple[Baseline, ...], reading: Reading, now_ns: int) -> tuple[State, list[Action]]:
    """Decide whether the adviser is to be asked now. :param baselines: as they were before this reading."""
    why = state.wants_advice
    asked = state.asked_ns
    if asked is not None:
        if now_ns - asked < ASK_PAUSE_NS:
            return state, []
        if not why and life.unconfirmed(state.findings, state.absent):
            why = "to confirm"
        if not why and _waits_for_end(state) and now_ns - asked >= life.ENDS_AFTER_NS:
            why = "to see whether it is over"
        if not why and state.recommended and now_ns - asked >= LOOK_AGAIN_NS:
            why = "to see whether it may be done now"
        if not why and now_ns - asked >= ASK_EVERY_NS:
            why = "routine"
    if not why:
        return state, []
    counted = meanwhile(baselines, reading, now_ns)
    return replace(state, wants_advice="", asked_ns=now_ns), [Ask(why, counted)]


def _waits_for_end(state: State) -> bool:
    return any(
        tracked.seen.kind is Kind.ADVICE and tracked.told_ns is not None and identity in state.absent
        for identity, tracked in state.findings.items()
    )


def _take_counts(state: State, counts: LogCounts, now_ns: int) -> tuple[State, list[Action]]:
    total = sum(counts.counts.values())
    state = replace(
        state,
        reports=state.reports + total,
        day_reports=state.day_reports + total,
        suppressed=state.suppressed + counts.suppressed,
        lost_lines=state.lost_lines + counts.lost_lines,
    )
    actions: list[Action] = []
    pending = dict(state.pending)
    by_identity: dict[str, int] = {}
    for signature, count in counts.counts.items():
        identity = state.signatures.get(signature)
        if identity is None or identity not in state.findings:
            if signature not in pending and len(pending) >= MAX_SIGNATURES:
                signature = life.OVERFLOW
            pending[signature] = pending.get(signature, 0) + count
        else:
            by_identity[identity] = by_identity.get(identity, 0) + count
    state = replace(state, pending=pending, pending_ns=state.pending_ns if state.pending else now_ns)
    for identity, count in by_identity.items():
        seen = replace(state.findings[identity].seen, count=count)
        state, more = _note_report(state, seen, now_ns)
        actions += more
    return state, actions


def _tell_undecoded(state: State, now_ns: int, *, overdue: bool = False) -> tuple[State, list[Action]]:
    """Reports that were counted and could not be decoded (too many at once, no memory for it) are told all the same."""
    if not state.pending or not (overdue or now_ns - state.pending_ns >= DECODE_WITHIN_NS):
        return state, []
    most = max(state.pending, key=lambda signature: state.pending[signature])
    count = sum(state.pending.values())
    text = f"Reports of the kernel that were counted only, not decoded; most of them: {most}"
    seen = Seen(Kind.REPORT, UNDECODED, "incomplete", "warning", text, count=count)
    signatures = {**state.signatures, **dict.fromkeys(state.pending, UNDECODED)}
    return _note_report(replace(state, pending={}, signatures=signatures), seen, now_ns)


def _note_report(state: State, seen: Seen, now_ns: int) -> tuple[State, list[Action]]:
    after, entries = life.note(state.findings, seen, now_ns)
    happened = Happened(seen.kind, seen.cause, seen.identity, seen.severity, seen.text, seen.count, seen.details)
    return replace(state, findings=after), [*entries, happened]


def _take_decoded(state: State, decoded: Iterable[Decoded], now_ns: int) -> tuple[State, list[Action]]:
    """Give counted reports their meaning. A signature that no count waits for only renews what is known of it."""
    actions: list[Action] = []
    for report in decoded:
        pending = dict(state.pending)
        count = pending.pop(report.signature, 0)
        signatures = {**state.signatures, report.signature: report.identity}
        while len(signatures) > MAX_SIGNATURES:
            del signatures[next(iter(signatures))]
        new = report.identity not in state.findings
        state = replace(state, pending=pending, signatures=signatures)
        if count == 0:
            continue
        state, more = _note_report(state, _seen_report(report, count), now_ns)
        actions += more
        if new:
            state = replace(state, wants_advice=state.wants_advice or "a new kind of report")
    return state, actions


def _seen_report(report: Decoded, count: int) -> Seen:
    details = dict(report.details)
    if report.advice:
        details["ADVICE"] = report.advice
    if report.caller:
        details["CALLER"] = report.caller
    return Seen(
        Kind.REPORT,
        report.identity,
        report.cause,
        report.severity,
        report.text,
        report.key,
        count=count,
        details=details,
    )


def _take_advice(state: State, advices: Advices, now_ns: int) -> tuple[State, list[Action]]:
    actions: list[Action] = []
    for advised in advices.found:
        seen = Seen(
            Kind.ADVICE,
            advised.identity,
            advised.cause,
            advised.severity,
            advised.text,
            advised.key,
            advised.mark,
            needs_confirming=not advised.settled,
            details=advised.details,
        )
        after, entries = life.note(state.findings, seen, now_ns)
        state = replace(state, findings=after)
        actions += entries
    given = {advised.identity for advised in advices.found}
    advice = {name for name, tracked in state.findings.items() if tracked.seen.kind is Kind.ADVICE}
    away = frozenset(advice - given)
    state = replace(
        state,
        absent=away | (state.absent & _BY_RATE),
        plan=advices.plan,
        recommended=advices.recommended,
        probation=advices.probation,
    )
    after, entries = life.pass_time(state.findings, now_ns, state.absent)
    return replace(state, findings=after), [*actions, *entries]


def _take_fault(state: State, fault: Fault) -> tuple[State, list[Action]]:
    """Say once that a function does not work, and once that it works again."""
    known = state.faults.get(fault.function)
    if fault.reason is None:
        if known is None:
            return state, []
        left = {function: reason for function, reason in state.faults.items() if function != fault.function}
        return replace(state, faults=left), [Degraded(fault.function, None)]
    faults = {**state.faults, fault.function: fault.reason}
    if known is not None:
        return replace(state, faults=faults), []
    return replace(state, faults=faults), [Degraded(fault.function, fault.reason)]


def _summary(state: State, now_ns: int) -> tuple[State, list[Action]]:
    if now_ns - state.day_ns < DAY_NS:
        return state, []
    distance = (
        "" if state.lowest is None else f"{state.lowest[1]}: {state.lowest[0] / 10:+.0f} % of its low mark above it"
    )
    line = Summary(
        state.day_polls, state.day_reports, distance, len(life.open_findings(state.findings)), state.held_back
    )
    wanted = state.limits.daily_summary or state.held_back > 0
    state = replace(state, day_ns=now_ns, day_polls=0, day_reports=0, lowest=None, held_back=0)
    return state, [line] if wanted else []


def _within_budget(state: State, actions: list[Action], now_ns: int) -> tuple[State, list[Action]]:
    """Let no more than so many entries an hour through; the history keeps what is held back."""
    if not any(isinstance(action, Entry | Degraded) for action in actions):
        return state, actions
    if now_ns - state.budget_ns >= HOUR_NS:
        state = replace(state, budget_ns=now_ns, said=0)
    kept: list[Action] = []
    for action in actions:
        if isinstance(action, Entry | Degraded):
            if state.said >= MAX_ENTRIES_AN_HOUR:
                state = replace(state, held_back=state.held_back + 1)
                continue
            state = replace(state, said=state.said + 1)
        kept.append(action)
    return state, kept

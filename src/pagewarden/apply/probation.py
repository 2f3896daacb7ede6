"""A change on probation: watched for harm and for benefit, against what was before it. Pure.

Harm ends it at once, and the change is taken back:
- an OOM kill, where there was none before; otherwise more than three times as many as before;
- over a minute: direct reclaims above 10 a second, PSI memory full above 10 %, PSI memory some above 25 %, each only
  where that is also more than three times what there was before;
- three refused allocations in the log more than three times as many as there were before.

At the end, a change that promised to lower a sign (direct reclaims, refused allocations) is taken back as well unless
that sign fell by a tenth or more, and by more than chance alone would do one time in twenty. To tell that, ten events
would have to be expected at the old rate; until then, and while it may be chance, it is watched on, for a day at most.

A change that promised nothing that can be counted, or that answers to something not seen since this boot, stays where
it did no harm.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import sqrt

WINDOW_SECONDS = 60.0
TIMES_BEFORE = 3.0
STALLS_PER_SECOND = 10.0
FULL_PERCENT = 10.0
SOME_PERCENT = 25.0
FAILURES = 3
BETTER = 0.9
"""The share of the old rate that is left at most, where a change is better."""

SPREAD = 1.64
"""Events that come by chance vary by the root of their number; 1.64 times that is exceeded one time in twenty."""

EVENTS_TO_TELL = 10.0
MOST_SECONDS = 24 * 3600.0


class Sign(StrEnum):
    """What a change may promise to lower."""

    STALLS = "stalls"
    FAILURES = "failures"


WORDS = {Sign.STALLS: "direct reclaims", Sign.FAILURES: "refused allocations"}


@dataclass(frozen=True, slots=True)
class Counts:
    """Events, over some time. None where this kernel, or nobody, counts them.

    :ivar stalls: direct reclaims (allocstall, of all zones).
    :ivar some_us: time in which some task waited for memory; `full_us` in which every task did.
    :ivar failures: allocations that the log says were refused.
    """

    stalls: int = 0
    oom_kills: int | None = None
    some_us: int | None = None
    full_us: int | None = None
    failures: int | None = None

    def since(self, earlier: "Counts") -> "Counts":
        """Give what came after an earlier reading of the same counters."""
        return _combined(self, earlier, -1)

    def plus(self, more: "Counts") -> "Counts":
        """Give both together."""
        return _combined(self, more, 1)

    @property
    def sound(self) -> bool:
        """No count is negative: the counters were not set back meanwhile."""
        found = (self.stalls, self.oom_kills, self.some_us, self.full_us, self.failures)
        return all(count is None or count >= 0 for count in found)


def _combined(one: Counts, other: Counts, sign: int) -> Counts:
    def each(first: int | None, second: int | None) -> int | None:
        return None if first is None or second is None else first + sign * second

    return Counts(
        one.stalls + sign * other.stalls,
        each(one.oom_kills, other.oom_kills),
        each(one.some_us, other.some_us),
        each(one.full_us, other.full_us),
        each(one.failures, other.failures),
    )


NOTHING = Counts(0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """The signs at one instant, counted since boot.

    :ivar uptime_seconds: without the time in which the machine slept.
    :ivar values: the settings in force; None for one that is gone.
    """

    boot_id: str
    uptime_seconds: float
    counts: Counts
    values: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What there was before the change. :ivar seconds: over how long; `failure_seconds` likewise for the log."""

    seconds: float
    counts: Counts
    failures: int | None = None
    failure_seconds: float = 0.0

    def expected(self, sign: Sign, seconds: float) -> float | None:
        """How many events the old rate would bring; None where nobody counted."""
        if sign is Sign.FAILURES:
            return _scaled(self.failures, self.failure_seconds, seconds)
        return _scaled(self.counts.stalls, self.seconds, seconds)


def _scaled(count: int | None, seconds: float, wanted: float) -> float | None:
    return None if count is None or seconds <= 0 else count * wanted / seconds


@dataclass(frozen=True, slots=True)
class Watched:
    """One setting on probation. :ivar before: the value to go back to."""

    key: str
    before: str
    value: str


class Ending(StrEnum):
    """How a probation ends."""

    KEEP = "keep"
    HARM = "harm"
    NO_BETTER = "no-better"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Decision:
    """How it ends and why, in a sentence."""

    ending: Ending
    why: str

    @property
    def undo(self) -> bool:
        """Whether the change is to be taken back."""
        return self.ending in (Ending.HARM, Ending.NO_BETTER)


@dataclass(frozen=True, slots=True)
class Probation:
    """A change that is being watched. Time is watched time, while the machine is awake: no wall clock can end it.

    :ivar started_at: UTC, ISO 8601, for people.
    :ivar boot_id: of the boot in which it began, `uptime_seconds` after its start.
    :ivar seconds: how long it is watched at least; `watched_seconds` how long it has been.
    :ivar counts: everything since it began, over reboots.
    :ivar last: the newest reading; `window` where the present minute began.
    :ivar decision: what was decided, from before it is carried out until it is.
    """

    changes: tuple[Watched, ...]
    started_at: str
    boot_id: str
    uptime_seconds: float
    seconds: float
    unattended: bool
    promised: Sign | None
    baseline: Baseline
    last: Reading
    window: Reading
    watched_seconds: float = 0.0
    counts: Counts = NOTHING
    decision: Decision | None = None


def observe(probation: Probation, reading: Reading) -> Probation:
    """Take one more reading in; `decision` is set where it ends the probation.

    What was decided stays so; but where a reboot came before somebody else's value was let go, ours is in force again,
    and is watched on.
    """
    if probation.decision is not None and probation.decision.ending is not Ending.LOST:
        return probation
    lost = _lost(probation, reading)
    if lost:
        return replace(probation, decision=Decision(Ending.LOST, lost))
    elapsed, more = _since(probation.last, reading)
    in_window, window_counts = _since(probation.window, reading)
    grown = replace(
        probation,
        last=reading,
        watched_seconds=probation.watched_seconds + elapsed,
        counts=probation.counts.plus(more),
        window=reading if _is_over(probation.window, reading, in_window) else probation.window,
    )
    hurt = _harm(grown, in_window, window_counts)
    return replace(grown, decision=Decision(Ending.HARM, hurt) if hurt else _end(grown))


def _lost(probation: Probation, reading: Reading) -> str:
    for change in probation.changes:
        current = reading.values.get(change.key)
        if current != change.value:
            return f"{change.key} is {current or 'gone'}, not the {change.value} that was on probation"
    return ""


def _since(earlier: Reading, now: Reading) -> tuple[float, Counts]:
    """Give the time and the events between two readings; after a reboot, those since boot.

    The setting is in force from early in a boot on, so that all of it counts. Counters that run backwards within a
    boot tell nothing: the time is left out with them.
    """
    if now.boot_id != earlier.boot_id:
        return now.uptime_seconds, now.counts
    seconds, counts = now.uptime_seconds - earlier.uptime_seconds, now.counts.since(earlier.counts)
    return (seconds, counts) if seconds >= 0 and counts.sound else (0.0, NOTHING)


def _is_over(window: Reading, now: Reading, seconds: float) -> bool:
    """Whether another minute begins; also where this one cannot be compared with its beginning."""
    return seconds >= WINDOW_SECONDS or now.boot_id != window.boot_id or not seconds


def _harm(probation: Probation, window_seconds: float, window: Counts) -> str:
    """Say what hurts; empty where nothing does. Less than a minute counts as one."""
    before, seconds = probation.baseline, max(window_seconds, WINDOW_SECONDS)
    return (
        _more_kills(probation)
        or _rate("direct reclaims a second", "", window.stalls / seconds, _per_second(before), STALLS_PER_SECOND)
        or _share("every task waited for memory", window.full_us, before.counts.full_us, before, seconds, FULL_PERCENT)
        or _share("some task waited for memory", window.some_us, before.counts.some_us, before, seconds, SOME_PERCENT)
        or _more_failures(probation)
    )


def _more_kills(probation: Probation) -> str:
    kills, before = probation.counts.oom_kills, probation.baseline
    if not kills:
        return ""
    expected = _scaled(before.counts.oom_kills, before.seconds, probation.watched_seconds) or 0.0
    return f"{kills} OOM kill(s) since the change" if kills > TIMES_BEFORE * expected else ""


def _more_failures(probation: Probation) -> str:
    failures = probation.counts.failures
    if failures is None:
        return ""
    expected = probation.baseline.expected(Sign.FAILURES, probation.watched_seconds) or 0.0
    if failures < TIMES_BEFORE * expected + FAILURES:
        return ""
    return f"{failures} allocations refused since the change, where {expected:.1f} were to be expected as before"


def _per_second(baseline: Baseline) -> float:
    return baseline.counts.stalls / baseline.seconds if baseline.seconds > 0 else 0.0


def _share(words: str, us: int | None, before_us: int | None, before: Baseline, seconds: float, limit: float) -> str:
    if us is None:
        return ""
    was = before_us / before.seconds / 10_000 if before_us is not None and before.seconds > 0 else 0.0
    return _rate(f"% of the time {words}", " %", us / seconds / 10_000, was, limit)


def _rate(words: str, unit: str, found: float, was: float, limit: float) -> str:
    most = max(limit, TIMES_BEFORE * was)
    return f"{found:.0f} {words} ({was:.1f}{unit} before, limit {most:.0f}{unit})" if found > most else ""


def _end(probation: Probation) -> Decision | None:
    """Decide at the end of the time; None before it."""
    if probation.watched_seconds < probation.seconds:
        return None
    if probation.promised is None:
        return Decision(Ending.KEEP, "it did no harm; it promised nothing that can be counted")
    words = WORDS[probation.promised]
    expected = probation.baseline.expected(probation.promised, probation.watched_seconds)
    found = found_events(probation)
    if expected is None or found is None:
        return Decision(Ending.KEEP, f"it did no harm; {words} could not be counted")
    if expected == 0:
        return Decision(Ending.KEEP, f"it did no harm; there were no {words} before it since boot to compare with")
    surely_better = found <= BETTER * expected and found <= expected - SPREAD * sqrt(expected)
    last = probation.watched_seconds >= MOST_SECONDS
    if expected < EVENTS_TO_TELL and not last:
        return None
    said = (
        f"{found} {words} in {probation.watched_seconds / 60:.0f} minutes, {expected:.1f} were to be expected as before"
    )
    if surely_better or (last and found <= BETTER * expected):
        return Decision(Ending.KEEP, said)
    # In between it may be chance: watched on.
    return Decision(Ending.NO_BETTER, said) if last or found >= expected else None


def found_events(probation: Probation) -> int | None:
    """How often what the change promised to lower has happened since."""
    return probation.counts.failures if probation.promised is Sign.FAILURES else probation.counts.stalls


def bought(probation: Probation) -> str:
    """Say what the probation showed, beside what was before: for the record, whatever was promised."""
    minutes = probation.watched_seconds / 60
    parts = []
    for sign, found in ((Sign.STALLS, probation.counts.stalls), (Sign.FAILURES, probation.counts.failures)):
        expected = probation.baseline.expected(sign, probation.watched_seconds)
        if found is not None and expected is not None:
            parts.append(f"{found} {WORDS[sign]} (at the old rate {expected:.1f})")
    if probation.counts.oom_kills is not None:
        parts.append(f"{probation.counts.oom_kills} OOM kills")
    return f"in {minutes:.0f} minutes: {', '.join(parts)}"

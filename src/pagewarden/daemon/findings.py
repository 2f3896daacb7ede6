"""The life of a finding: it appears, changes, ends; each is said once, repeats are counted. Pure.

A state (a setting that is wrong, stalls that go on) is seen anew at each look and ends when it has not been seen for a
while. An event (a report of the kernel) is counted, and over after a day without another.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pagewarden.daemon.types import DAY_NS, MINUTE_NS, SECOND_NS, Entry, Kind, Phase

ENDS_AFTER_NS = 10 * MINUTE_NS
"""A state that has not been seen for this long is over."""
EVENTS_END_AFTER_NS = DAY_NS
"""Events are over when none came for this long."""
CONFIRM_NS = 30 * SECOND_NS
"""A state that comes and goes must be seen again this long after it was first seen; a critical one need not."""
FORGOTTEN_NS = 30 * MINUTE_NS
"""One that was seen once and not confirmed is dropped after this long."""
CHANGE_PAUSE_NS = 10 * MINUTE_NS
"""The least time between two entries about one finding, unless it becomes worse or ends."""
RECOUNT_NS = DAY_NS
"""A finding that goes on is said again with its count after this long, if the count has grown."""
RESTORED = "*"
"""The mark of a finding known from before a restart: what is seen first is taken for what was said."""
MAX_TRACKED = 256
"""Findings kept at a time; what comes beyond is joined into one of each kind."""
OVERFLOW = "others"

_RANK = {"info": 0, "notice": 1, "warning": 2, "critical": 3}


@dataclass(frozen=True, slots=True)
class Seen:
    """A finding as it was just seen.

    :ivar mark: what must differ for it to count as changed.
    :ivar needs_confirming: comes and goes, so that one look is not enough.
    :ivar count: events; 0 for a state.
    """

    kind: Kind
    identity: str
    cause: str
    severity: str
    text: str
    key: str = ""
    mark: str = ""
    needs_confirming: bool = False
    count: int = 0
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tracked:
    """A finding over time.

    :ivar count: events since it appeared; 0 for a state.
    :ivar told_count: `count` when it was last said; `told_ns` when that was, None before it was said at all.
    :ivar told_mark: what was said then, to tell whether it has changed.
    """

    seen: Seen
    first_ns: int
    last_ns: int
    count: int = 0
    told_ns: int | None = None
    told_count: int = 0
    told_mark: str = ""
    told_severity: str = "info"


Findings = Mapping[str, Tracked]


def rank(severity: str) -> int:
    """Order severities: info 0 to critical 3; what is not known counts as a warning."""
    return _RANK.get(severity, 2)


def note(findings: Findings, seen: Seen, now_ns: int) -> tuple[Findings, list[Entry]]:
    """Take a finding that was just seen; give what is to be said."""
    if seen.identity not in findings and len(findings) >= MAX_TRACKED:
        seen = replace(seen, identity=f"{seen.kind}/{OVERFLOW}", text=f"more kinds of {seen.kind} than are followed")
    tracked = findings.get(seen.identity)
    if tracked is None:
        tracked = Tracked(seen, now_ns, now_ns, seen.count)
    else:
        tracked = replace(tracked, seen=seen, last_ns=now_ns, count=tracked.count + seen.count)
    tracked, entries = _say(tracked, now_ns)
    return {**findings, seen.identity: tracked}, entries


def pass_time(findings: Findings, now_ns: int, absent: Iterable[str] = ()) -> tuple[Findings, list[Entry]]:
    """End what has not been seen for long enough, and say counts that are due.

    :param absent: identities that were looked for just now and not seen.
    """
    away = frozenset(absent)
    kept: dict[str, Tracked] = {}
    entries: list[Entry] = []
    for identity, tracked in findings.items():
        if tracked.told_ns is None:
            if now_ns - tracked.last_ns < FORGOTTEN_NS:
                kept[identity] = tracked
            continue
        if _over(tracked, now_ns, identity in away):
            entries.append(_entry(tracked, Phase.ENDED))
            continue
        if _counts(tracked.seen):
            tracked, said = _say(tracked, now_ns)
            entries += said
        kept[identity] = tracked
    return (kept if kept != findings else findings), entries


def unconfirmed(findings: Findings, absent: Iterable[str]) -> bool:
    """Whether something waits to be seen a second time, and has not been looked for in vain meanwhile."""
    away = frozenset(absent)
    return any(
        tracked.told_ns is None and tracked.seen.needs_confirming and rank(tracked.seen.severity) > 0
        for identity, tracked in findings.items()
        if identity not in away
    )


def open_findings(findings: Findings) -> tuple[Tracked, ...]:
    """Give what was said to have appeared and has not ended, the worst first."""
    told = [tracked for tracked in findings.values() if tracked.told_ns is not None]
    return tuple(sorted(told, key=lambda tracked: (-rank(tracked.seen.severity), tracked.first_ns)))


def _counts(seen: Seen) -> bool:
    return seen.kind in (Kind.REPORT, Kind.KILLS)


def _over(tracked: Tracked, now_ns: int, absent: bool) -> bool:
    if _counts(tracked.seen):
        return now_ns - tracked.last_ns >= EVENTS_END_AFTER_NS
    return absent and now_ns - tracked.last_ns >= ENDS_AFTER_NS


def _say(tracked: Tracked, now_ns: int) -> tuple[Tracked, list[Entry]]:
    """Decide whether the finding is to be said now."""
    seen = tracked.seen
    if rank(seen.severity) == 0 and tracked.told_ns is None:
        return tracked, []  # known and harmless: `pagewarden advise` shows it
    if tracked.told_ns is None:
        waits = seen.needs_confirming and rank(seen.severity) < 3 and now_ns - tracked.first_ns < CONFIRM_NS
        return (tracked, []) if waits else _told(tracked, Phase.APPEARED, now_ns)
    if tracked.told_mark == RESTORED:
        tracked = replace(tracked, told_mark=seen.mark)
    since_ns = now_ns - (tracked.told_ns or 0)
    worse = rank(seen.severity) > rank(tracked.told_severity)
    changed = (seen.severity, seen.mark) != (tracked.told_severity, tracked.told_mark)
    grown = tracked.count >= 10 * max(tracked.told_count, 1)
    recount = tracked.count > tracked.told_count and since_ns >= RECOUNT_NS
    if worse or recount or ((changed or grown) and since_ns >= CHANGE_PAUSE_NS):
        return _told(tracked, Phase.CHANGED, now_ns)
    return tracked, []


def _told(tracked: Tracked, phase: Phase, now_ns: int) -> tuple[Tracked, list[Entry]]:
    seen = tracked.seen
    told = replace(tracked, told_ns=now_ns, told_count=tracked.count, told_mark=seen.mark, told_severity=seen.severity)
    return told, [_entry(told, phase)]


def _entry(tracked: Tracked, phase: Phase) -> Entry:
    seen = tracked.seen
    return Entry(
        phase=phase,
        kind=seen.kind,
        identity=seen.identity,
        cause=seen.cause,
        severity=seen.severity,
        text=seen.text,
        key=seen.key,
        count=max(tracked.count, 1),
        since_ns=tracked.first_ns,
        details=seen.details,
    )

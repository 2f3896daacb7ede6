"""What may be changed without a person looking at it first. Pure.

The same judgement is made three times: by the service before it leaves a plan, by `pagewarden advise` to say what would
happen, and by the privileged half, which believes neither.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from pagewarden.kernel.machine import MIN_FREE
from pagewarden.kernel.simulate import Simulation
from pagewarden.kernel.watermarks import zone_size
from pagewarden.units import human_bytes

LEVELS = ("low", "medium", "high")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY = timedelta(hours=24)
CLOCK_SLACK = timedelta(minutes=2)
"""How far ahead of us a stamp may lie before we say that the clock has jumped."""

_WINDOW = re.compile(r"(?:(?P<days>[A-Z][a-z]{2}(?:[,-][A-Z][a-z]{2})*) )?(\d\d):(\d\d)-(\d\d):(\d\d)")


@dataclass(frozen=True, slots=True)
class Policy:
    """The administrator's limits; the defaults are the careful ones.

    :ivar windows: when changes may be made, by the machine's own clock ("Sat-Sun 01:00-06:30"); empty: at any time.
    :ivar max_pressure_percent: of the last minute, PSI memory some.
    :ivar max_held_back_percent: of memory, withheld from ordinary use after a change.
    """

    keys: tuple[str, ...] = ("vm.min_free_kbytes", "vm.watermark_scale_factor")
    max_risk: str = "low"
    min_confidence: str = "high"
    evidence_age_hours: int = 24
    changes_per_day: int = 1
    boot_grace_minutes: int = 60
    max_pressure_percent: float = 1.0
    windows: tuple[str, ...] = ()
    max_held_back_percent: float = 5.0
    probation_minutes: int = 15


@dataclass(frozen=True, slots=True)
class Trial:
    """A change made earlier, and what became of it.

    :ivar direction: see `direction_of`.
    :ivar at: UTC, when it was made; `ended_at` when its probation ended, None where it has not.
    :ivar undone: why it was given up, taken back or left to somebody else; empty where it stayed.
    :ivar unattended: no person looked at it first.
    :ivar promised: what it was to lower; empty where it promised nothing that can be counted.
    :ivar bought: what its probation showed.
    """

    key: str
    direction: int
    at: datetime
    ended_at: datetime | None = None
    undone: str = ""
    unattended: bool = True
    before: str = ""
    value: str = ""
    promised: str = ""
    bought: str = ""


def direction_of(before: str, value: str) -> int:
    """Whether a value rises (1) or falls (-1); 0 for a vector."""
    if not (value.isdigit() and before.isdigit()):
        return 0
    return (int(value) > int(before)) - (int(value) < int(before))


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is judged of a recommendation.

    :ivar risk: one of `LEVELS`; `confidence` likewise.
    :ivar evidence_since: UTC, since when the evidence has stood; None where nothing tells.
    :ivar evidence_latest: UTC, the newest of it; None where nothing tells.
    :ivar simulation: the machine before and after; None where the change could not be simulated.
    """

    key: str
    current: str
    value: str
    risk: str
    confidence: str
    evidence_since: datetime | None
    evidence_latest: datetime | None
    simulation: Simulation | None


@dataclass(frozen=True, slots=True)
class Situation:
    """The machine and the time at which a proposal is judged.

    :ivar now: UTC; `local` the machine's own wall clock, for the windows.
    :ivar pressure_percent: PSI memory some, of the last minute; None where this kernel does not tell.
    :ivar trials: changes made earlier, and those still on probation.
    :ivar on_probation: a change is being watched now.
    """

    now: datetime
    local: datetime
    uptime_seconds: float | None
    pressure_percent: float | None
    trials: tuple[Trial, ...] = ()
    on_probation: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a change would be made unattended. :ivar reasons: everything that stands against it; empty: allowed."""

    reasons: tuple[str, ...]

    @property
    def allowed(self) -> bool:
        """Nothing stands against it."""
        return not self.reasons


def judge(proposal: Proposal, policy: Policy, situation: Situation) -> Verdict:
    """Judge one proposal; all reasons against it are given, not only the first."""
    reasons = (
        _key(proposal, policy),
        _lowering(proposal),
        _risk(proposal, policy),
        _confidence(proposal, policy),
        _evidence(proposal, policy, situation.now),
        _held_back(proposal, policy),
        _tried(proposal, situation),
        *when(policy, situation),
    )
    return Verdict(tuple(reason for reason in reasons if reason))


def when(policy: Policy, situation: Situation) -> tuple[str, ...]:
    """Say why nothing at all is changed now; empty where it may be."""
    reasons = (
        _probation(situation),
        _often(policy, situation),
        _boot(policy, situation),
        _pressure(policy, situation),
        _window(policy, situation),
    )
    return tuple(reason for reason in reasons if reason)


def held_back_percent(simulation: Simulation) -> tuple[float, float]:
    """Give the share of memory withheld from ordinary use (totalreserve_pages), before and after."""
    size = simulation.machine.rules.watermarks.size
    total = sum(zone_size(zone, size) for zone in simulation.machine.zones if zone.populated)
    before, after = simulation.totalreserve_pages
    return (100 * before / total, 100 * after / total) if total else (100.0, 100.0)


def _key(proposal: Proposal, policy: Policy) -> str:
    if proposal.key in policy.keys:
        return ""
    return f"only {', '.join(policy.keys) or 'nothing'} may be changed unattended"


def _lowering(proposal: Proposal) -> str:
    """A value that prevents failures leaves no trace of them: that nothing fails is no reason to take it away."""
    if proposal.key == MIN_FREE and direction_of(proposal.current, proposal.value) < 0:
        return f"{MIN_FREE} is never lowered without a person: nothing shows what the larger value prevents"
    return ""


def _risk(proposal: Proposal, policy: Policy) -> str:
    if _level(proposal.risk) <= _level(policy.max_risk):
        return ""
    return f"its risk is {proposal.risk}, and {policy.max_risk} is the most allowed"


def _confidence(proposal: Proposal, policy: Policy) -> str:
    if proposal.confidence in LEVELS and _level(proposal.confidence) >= _level(policy.min_confidence):
        return ""
    return f"its confidence is {proposal.confidence}, and {policy.min_confidence} is the least allowed"


def _level(word: str) -> int:
    # A word that is not known is the most dangerous one.
    return LEVELS.index(word) if word in LEVELS else len(LEVELS)


def _evidence(proposal: Proposal, policy: Policy, now: datetime) -> str:
    needed = policy.evidence_age_hours
    if proposal.evidence_since is None:
        return f"it is not known how long the evidence has stood; {needed} h are needed"
    age = now - proposal.evidence_since
    if age < -CLOCK_SLACK:
        return "its evidence is dated in the future: the clock has been set back"
    if age < timedelta(hours=needed):
        return f"its evidence has stood for {age.total_seconds() / 3600:.0f} h, and {needed} h are needed"
    return ""


def _held_back(proposal: Proposal, policy: Policy) -> str:
    if proposal.simulation is None:
        return "its effect could not be computed"
    before, after = held_back_percent(proposal.simulation)
    if after <= before or after <= policy.max_held_back_percent:
        return ""
    return (
        f"{after:.1f} % of memory would be held back ({human_bytes(proposal.simulation.cost_bytes)} more), "
        f"and {policy.max_held_back_percent:g} % is the most allowed"
    )


def _tried(proposal: Proposal, situation: Situation) -> str:
    """The same setting in the same direction, tried and taken back, is left until there is newer evidence."""
    wanted = direction_of(proposal.current, proposal.value)
    for trial in situation.trials:
        if trial.key != proposal.key or trial.direction != wanted or not trial.undone:
            continue
        since = trial.ended_at or trial.at
        if proposal.evidence_latest is None or proposal.evidence_latest <= since:
            return f"it was tried {_stamp(trial.at)} and given up ({trial.undone}); there is no evidence since"
    return ""


def _probation(situation: Situation) -> str:
    return "an earlier change is still on probation" if situation.on_probation else ""


def _often(policy: Policy, situation: Situation) -> str:
    # A stamp in the future counts as today: a clock that was set back must not allow one more.
    recent = [trial for trial in situation.trials if trial.unattended and situation.now - trial.at < DAY]
    if len(recent) < policy.changes_per_day:
        return ""
    if not recent:
        return "no unattended changes are allowed (changes_per_day is 0)"
    last = max(trial.at for trial in recent)
    return f"{len(recent)} of {policy.changes_per_day} changes a day are made already, the last {_stamp(last)}"


def _boot(policy: Policy, situation: Situation) -> str:
    if situation.uptime_seconds is None:
        return "it is not known how long this machine has been up"
    minutes = situation.uptime_seconds / 60
    if minutes >= policy.boot_grace_minutes:
        return ""
    return f"the machine has been up for {minutes:.0f} minutes, and {policy.boot_grace_minutes} are needed"


def _pressure(policy: Policy, situation: Situation) -> str:
    if situation.pressure_percent is None or situation.pressure_percent <= policy.max_pressure_percent:
        return ""
    return (
        f"tasks waited for memory {situation.pressure_percent:g} % of the last minute, and "
        f"{policy.max_pressure_percent:g} % is the most allowed"
    )


def _window(policy: Policy, situation: Situation) -> str:
    if not policy.windows or any(in_window(text, situation.local) for text in policy.windows):
        return ""
    return f"it is {situation.local:%a %H:%M}, outside the maintenance windows ({', '.join(policy.windows)})"


def in_window(text: str, local: datetime) -> bool:
    """Whether a time lies in a window such as "02:00-05:00" or "Sat-Sun 22:00-06:30".

    A window that ends before it begins goes on after midnight, and belongs to the day on which it began. A text that
    is no window is never open.
    """
    match = _WINDOW.fullmatch(text)
    days = _days(match["days"]) if match is not None else None
    if match is None or days is None:
        return False
    start, end = (int(match[group]) * 60 + int(match[group + 1]) for group in (2, 4))
    minute = local.hour * 60 + local.minute
    today, yesterday = local.weekday(), (local.weekday() - 1) % 7
    if start < end:
        return today in days and start <= minute < end
    return (today in days and minute >= start) or (yesterday in days and minute < end)


def _days(text: str | None) -> frozenset[int] | None:
    """Read "Mon,Wed-Fri": None where a word is no day; every day where nothing is said."""
    if text is None:
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            return None
        start, end = DAYS.index(first), DAYS.index(last or first)
        found |= {day % 7 for day in range(start, end + 1 if end >= start else end + 8)}
    return frozenset(found)


def _stamp(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"

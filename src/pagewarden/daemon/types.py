"""What the service sees and what it wants done, as values. Frozen; known to every module of this room.

Times named `_ns` are nanoseconds of the monotonic clock; the wall clock is for display and for what is kept on disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 3600 * SECOND_NS
DAY_NS = 24 * HOUR_NS
CHILD_NS = 3 * MINUTE_NS
"""A child that has not answered after this long is ended: long, as a machine that stalls is what the service is for."""


@dataclass(frozen=True, slots=True)
class ZoneReading:
    """One zone at one poll; quantities in pages, marks with their boost."""

    node: int
    name: str
    free_pages: int
    min_pages: int
    low_pages: int
    high_pages: int
    managed_pages: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one poll read.

    :ivar zones: populated zones; empty where zoneinfo could not be read.
    :ivar counters: counter of /proc/vmstat -> value since boot, those that the service follows; None where not read.
    :ivar pressure_some_us: `total=` of /proc/pressure/memory; None where the kernel has none.
    :ivar settings: equal for two readings between which no setting changed.
    :ivar applied: equal for two readings between which nothing was applied and no probation ended.
    :ivar failures: path -> why it could not be read.
    """

    zones: tuple[ZoneReading, ...]
    counters: Mapping[str, int] | None = None
    pressure_some_us: int | None = None
    pressure_full_us: int | None = None
    settings: int = 0
    applied: int = 0
    failures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogCounts:
    """What was read of the kernel's log since the last time.

    :ivar counts: cheap signature of a report's opening line -> how many.
    :ivar suppressed: reports that the kernel says it held back.
    :ivar lost_lines: lines known to have been lost before they could be read.
    :ivar lines: how many lines were read.
    """

    counts: Mapping[str, int]
    suppressed: int = 0
    lost_lines: int = 0
    lines: int = 0


@dataclass(frozen=True, slots=True)
class Decoded:
    """One report that was decoded in full, standing for all with its signature.

    :ivar signature: of its opening line, as counted in `LogCounts`.
    :ivar identity: what makes another report the same finding: kind, cause, caller.
    :ivar key: the setting that the first remedy names; "" where none.
    :ivar caller: function and module; "" where the trace does not tell.
    :ivar text: one line for people.
    :ivar advice: what to do, one line; "" where nothing.
    """

    signature: str
    identity: str
    kind: str
    cause: str
    severity: str
    text: str
    caller: str = ""
    key: str = ""
    advice: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Advised:
    """One finding or recommendation of the adviser.

    :ivar identity: cause and key.
    :ivar mark: what must change for the finding to count as changed (severity and proposed value).
    :ivar settled: follows from settings alone, so that one look is enough; False for what comes and goes.
    """

    identity: str
    cause: str
    severity: str
    text: str
    key: str = ""
    mark: str = ""
    settled: bool = True
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Advices:
    """Everything that the adviser has to say at one moment.

    :ivar plan: the changes that the policy lets pass, one line each.
    :ivar recommended: key, cause, risk and confidence of each recommendation.
    :ivar probation: key, value, value before, and until when (seconds since 1970, at the earliest) of what is watched.
    """

    found: tuple[Advised, ...]
    plan: tuple[str, ...] = ()
    recommended: tuple[tuple[str, str, str, str], ...] = ()
    probation: tuple[tuple[str, str, str, float], ...] = ()


DECODER = "decoder"
"""The function that gives reports of the kernel their meaning."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A function of the service does not work any more (`reason`), or works again (`reason` None)."""

    function: str
    reason: str | None


Observation = Reading | LogCounts | tuple[Decoded, ...] | Advices | Fault


class Phase(StrEnum):
    """What an entry in the journal says of a finding."""

    APPEARED = "appeared"
    CHANGED = "changed"
    ENDED = "ended"


class Kind(StrEnum):
    """What a finding rests on; it decides how it ends and which entry of the catalog explains it."""

    REPORT = "report"
    STALLS = "stalls"
    COMPACTION = "compaction"
    KILLS = "kills"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry for the journal: a finding that appears, changes or ends.

    :ivar since_ns: when the finding appeared.
    :ivar count: how many times it was seen; 1 for a state.
    """

    phase: Phase
    kind: Kind
    identity: str
    cause: str
    severity: str
    text: str
    key: str = ""
    count: int = 1
    since_ns: int = 0
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Summary:
    """The line of a day on which there was something or nothing to say."""

    polls: int
    reports: int
    lowest: str
    open_findings: int
    entries_held_back: int = 0


@dataclass(frozen=True, slots=True)
class Degraded:
    """A function of the service stopped working (`reason`) or works again (None)."""

    function: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """What happened between two polls, a minute or more apart.

    :ivar counts: counter -> by how much it grew; those that fell or are missing are left out.
    :ivar some_percent: share of the time in which some task waited for memory; None where not known.
    :ivar full_percent: likewise all tasks at once.
    """

    seconds: float
    counts: Mapping[str, int]
    some_percent: float | None = None
    full_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Run the adviser. :ivar meanwhile: what the counters tell of the last minutes; None while that is not known."""

    why: str
    meanwhile: Meanwhile | None = None


@dataclass(frozen=True, slots=True)
class Happened:
    """Keep in the history: reports, or stalls between two polls."""

    kind: Kind
    cause: str
    subject: str
    severity: str
    text: str
    count: int
    details: Mapping[str, str] = field(default_factory=dict)


Action = Entry | Summary | Degraded | Ask | Happened

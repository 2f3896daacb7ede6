"""What was seen over time, as values. Frozen; times are seconds since 1970 by the wall clock.

None means "not known" (this kernel does not print it, or it was not read); it never means zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

STATE_FOLDER = "/var/lib/pagewarden/history"
HISTORY_FILE = f"{STATE_FOLDER}/history.db"
RUN_FOLDER = "/run/pagewarden"
STATE_FILE = f"{RUN_FOLDER}/state.json"


@dataclass(frozen=True, slots=True)
class ZoneSample:
    """One zone at one instant, or over the span of a thinned sample; quantities in pages.

    :ivar free_pages: at the end of the span; `lowest_free_pages` the lowest seen in it.
    :ivar min_pages: with low and high: the marks at the end of the span, boost included.
    """

    node: int
    zone: str
    free_pages: int
    lowest_free_pages: int
    min_pages: int
    low_pages: int
    high_pages: int
    managed_pages: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of the machine, or several of them thinned to one.

    :ivar at_seconds: when it was read; of several the last.
    :ivar span_seconds: what it stands for, ending at `at_seconds`; 0 for a single reading.
    :ivar boot_id: `/proc/sys/kernel/random/boot_id`: counters start again at 0 with each.
    :ivar counters: counter of `/proc/vmstat` -> value since boot, of those in `sample.COUNTERS` that this kernel has.
    :ivar pressure_some_us: with full: `total=` of `/proc/pressure/memory`.
    """

    at_seconds: float
    boot_id: str
    page_size: int
    zones: tuple[ZoneSample, ...]
    counters: Mapping[str, int] = field(default_factory=dict)
    pressure_some_us: int | None = None
    pressure_full_us: int | None = None
    span_seconds: float = 0.0


class EventKind(StrEnum):
    """What an event is. The values are kept on disk and are the contract of the JSON output."""

    REPORT = "report"
    STALLS = "stalls"
    FINDING_OPENED = "finding-opened"
    FINDING_CHANGED = "finding-changed"
    FINDING_ENDED = "finding-ended"
    CHANGE_APPLIED = "change-applied"
    CHANGE_UNDONE = "change-undone"
    SERVICE_STARTED = "service-started"
    SERVICE_STOPPED = "service-stopped"
    DEGRADED = "degraded"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, `count` times from `first_seconds` to `last_seconds`.

    Events of the same kind, cause and subject that follow each other within an hour are kept as one.

    :ivar cause: the cause of a report or finding ("fragmented"); "" where there is none.
    :ivar subject: what tells two events of one cause apart: the caller of a report, the identity of a finding, the key
        of a change, the function that was degraded.
    :ivar severity: "info", "notice", "warning" or "critical".
    :ivar text: one line for people; of several that of the last.
    :ivar details: what programs may want besides (numbers as text: order, gfp, old value, new value).
    """

    kind: EventKind
    first_seconds: float
    last_seconds: float
    text: str
    cause: str = ""
    subject: str = ""
    severity: str = "info"
    count: int = 1
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpenFinding:
    """A finding that has not ended.

    :ivar identity: what makes it the same finding at the next reading ("stranded/vm.lowmem_reserve_ratio").
    """

    identity: str
    cause: str
    severity: str
    text: str
    since_seconds: float


@dataclass(frozen=True, slots=True)
class Batch:
    """What one write adds. All of it is on disk afterwards, or none of it.

    :ivar findings: all that are open now, in place of those kept before; None leaves them.
    :ivar cursor: the place in the kernel's log up to which `events` tells; None leaves it.
    """

    samples: tuple[Sample, ...] = ()
    events: tuple[Event, ...] = ()
    findings: tuple[OpenFinding, ...] | None = None
    cursor: str | None = None

    def __bool__(self) -> bool:
        return bool(self.samples or self.events or self.findings is not None or self.cursor is not None)


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of time, and what the counters gained in it (those of `Sample`, and `pressure_some_us`)."""

    start_seconds: float
    end_seconds: float
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ZoneOverview:
    """One zone over a stretch of time.

    :ivar lowest: with the least free memory of all, at `lowest_seconds`.
    :ivar slices: of each slice the sample nearest to (or furthest below) its low mark; None where there is none.
    """

    page_size: int
    lowest_seconds: float
    lowest: ZoneSample
    slices: tuple[ZoneSample | None, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """What a stretch of the history comes to.

    :ivar first_seconds: of the first reading in it; `last_seconds` of the last; None where there is none.
    """

    since_seconds: float
    until_seconds: float
    reading_count: int
    boot_count: int
    first_seconds: float | None
    last_seconds: float | None
    zones: tuple[ZoneOverview, ...]
    slices: tuple[Slice, ...]

    def total(self, name: str) -> int | None:
        """What a counter gained over the whole time; None where it was never read."""
        values = [part.counts[name] for part in self.slices if name in part.counts]
        return sum(values) if values else None


@dataclass(frozen=True, slots=True)
class Probation:
    """A change that is being watched.

    :ivar value: what was written in place of `old_value`.
    """

    key: str
    value: str
    old_value: str
    until_seconds: float


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What the service says of itself after each reading, in `/run/pagewarden/state.json`.

    :ivar next_poll_seconds: when the next reading is due at the latest.
    :ivar poll_count: readings since the service started; `report_count` the kernel's reports seen since.
    :ivar plan: the changes that wait to be applied, one line each; empty where there are none.
    :ivar degraded: what does not work and why, one line each.
    """

    version: str
    pid: int
    since_seconds: float
    last_poll_seconds: float
    next_poll_seconds: float
    poll_count: int
    report_count: int = 0
    findings: tuple[OpenFinding, ...] = ()
    plan: tuple[str, ...] = ()
    probation: tuple[Probation, ...] = ()
    degraded: tuple[str, ...] = ()

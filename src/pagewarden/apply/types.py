"""What a change is made of: what is wanted, the plan for it, and the durable record of what was done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pagewarden.kernel.simulate import Simulation, Write, ZoneState


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that somebody wants changed.

    :ivar key: dotted ("vm.min_free_kbytes").
    :ivar value: as the kernel prints it; every slot of a vector.
    :ivar why: one sentence or more, for the snippet's head.
    :ivar evidence: one line each: what, its value, where it came from.
    :ivar identifier: of the recommendation this answers; empty for a value that an administrator chose.
    :ivar auto: a person has not looked at it first.
    """

    key: str
    value: str
    why: str
    evidence: tuple[str, ...] = ()
    identifier: str = ""
    auto: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One write to the running kernel, and what every zone must print after it.

    :ivar zones: in the order of zoneinfo; marks without boost, which comes and goes.
    :ivar sysctls: every setting that the plan touches, with its value after this step.
    """

    write: Write
    zones: tuple[ZoneState, ...]
    sysctls: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Winner:
    """The assignment, outside our own file, that decides a key at boot today.

    :ivar place: file and line ("/etc/sysctl.d/90-db.conf:3"), or "kernel command line".
    :ivar last_word: it is applied after our file, so that ours would lose.
    :ivar note: what else matters: systemd-sysctl and procps differ, a glob, the file is not read at boot.
    """

    key: str
    value: str
    place: str
    last_word: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A change that is not made, and why. Nothing is ever adjusted in silence instead."""

    key: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a change will do, before it does it.

    :ivar changes: those that are made; `refused` holds the others.
    :ivar before: every key the plan touches -> its value today, which is what an undo writes.
    :ivar steps: in the order of writing.
    :ivar snippet: the whole text of our file in /etc/sysctl.d afterwards; None where it will not exist.
    :ivar snippet_before: its text today; None where it does not exist.
    :ivar simulation: the machine before and after all steps; None where there are none.
    :ivar owned_after: what is ours once all of it is done; `retired_after` what was let go.
    :ivar notes: what is left alone because it is somebody else's now, one sentence each.
    :ivar winners: for each key of a change, what sets it at boot today, where anything does.
    :ivar overridden: of those, what --force overrides.
    :ivar warnings: what stands against the plan, the worst first.
    """

    changes: tuple[Change, ...]
    refused: tuple[Refused, ...]
    before: Mapping[str, str]
    steps: tuple[Step, ...]
    snippet: str | None
    snippet_before: str | None
    simulation: Simulation | None
    owned_after: tuple["Owned", ...] = ()
    retired_after: tuple["Retired", ...] = ()
    notes: tuple[str, ...] = ()
    winners: tuple[Winner, ...] = ()
    overridden: tuple[Winner, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def idle(self) -> bool:
        """There is nothing to do: no value and no file would change."""
        return not self.steps and self.snippet == self.snippet_before

    @property
    def undo(self) -> tuple[Write, ...]:
        """The writes that put the old values back: the last key written is the first restored."""
        keys = dict.fromkeys(step.write.key for step in reversed(self.steps))
        return tuple(Write(key, self.before[key]) for key in keys)


@dataclass(frozen=True, slots=True)
class Owned:
    """A setting in force because we set it.

    :ivar original: the value before our first change, which revert writes.
    :ivar applied_at: UTC, ISO 8601.
    :ivar boot_id: of the boot in which it was written.
    """

    key: str
    value: str
    original: str
    why: str
    evidence: tuple[str, ...]
    identifier: str
    applied_at: str
    boot_id: str
    version: str


@dataclass(frozen=True, slots=True)
class Retired:
    """A setting that was ours until somebody else set it; left alone until an administrator names it again."""

    key: str
    reason: str
    since: str


class Intent(StrEnum):
    """What an unfinished run wanted; an apply that is found unfinished is undone, a revert is finished."""

    APPLY = "apply"
    REVERT = "revert"


@dataclass(frozen=True, slots=True)
class Pending:
    """A run that has begun and is not committed: all that is needed to undo or finish it.

    :ivar before: key -> value before the run, which an undo writes.
    :ivar writes: every write of the run, in order.
    :ivar snippet_before: our file's text before the run, None where there was none; `snippet_after` likewise.
    :ivar owned_after: what is ours once the run is committed; `retired_after` likewise.
    """

    intent: Intent
    started_at: str
    boot_id: str
    before: Mapping[str, str]
    writes: tuple[Write, ...]
    snippet_before: str | None
    snippet_after: str | None
    owned_after: tuple[Owned, ...]
    retired_after: tuple[Retired, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """The durable state: what we set, what we let go, and a run that is not finished.

    :ivar snippet_sha256: digest of our file as we wrote it; None where we have none. Any other content is someone
        else's edit.
    """

    owned: tuple[Owned, ...] = ()
    retired: tuple[Retired, ...] = ()
    snippet_sha256: str | None = None
    pending: Pending | None = None

    def owns(self, key: str) -> Owned | None:
        """Give what we set for a key."""
        return next((entry for entry in self.owned if entry.key == key), None)


class SnippetState(StrEnum):
    """What became of our file in /etc/sysctl.d."""

    OURS = "ours"
    ABSENT = "absent"
    EDITED = "edited"
    REMOVED = "removed"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Snippet:
    """Our file as it is found.

    :ivar text: None where it does not exist or is no plain text file.
    :ivar oddity: why it is no plain text file of root ("a link to /dev/null"); empty where it is, or is not there.
    """

    text: str | None
    oddity: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of one setting that we own.

    :ivar current: the value in force; None where the setting is gone.
    :ivar foreign: why it is somebody else's now; empty where it is still ours.
    """

    owned: Owned
    current: str | None
    foreign: str


@dataclass(frozen=True, slots=True)
class Clock:
    """Time, passed in: `now` for stamps, `monotonic` and `sleep` for waiting (wall clocks jump)."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did.

    :ivar plan: what was wanted; without steps and with the same file there was nothing to do.
    :ivar done: it is in force and committed.
    :ivar notes: what else was found, finished, undone or left alone on the way, one sentence each.
    """

    plan: Plan
    record: Record
    done: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signs:
    """Counters since boot that grow where a change hurts.

    :ivar stalls: allocations that had to reclaim by themselves (allocstall, of all zones).
    :ivar oom_kills: None before 4.13.
    :ivar full_stall_us: time in which every task waited for memory (PSI full); None where the kernel has no PSI.
    """

    stalls: int
    oom_kills: int | None
    full_stall_us: int | None

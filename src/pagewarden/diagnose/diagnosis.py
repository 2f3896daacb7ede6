"""What a report means: its cause, whom it harmed, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum

from pagewarden.diagnose.callers import Caller
from pagewarden.diagnose.known_fixes import Fix
from pagewarden.diagnose.replay import Replay
from pagewarden.diagnose.types import Cause
from pagewarden.klog.types import Report


class Harm(StrEnum):
    """What the failure did."""

    NONE = "none"
    DEGRADED = "degraded"
    FAILED = "failed"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Remedy:
    """Something to do, or explicitly not worth doing.

    :ivar key: a sysctl or "action:WORD"; None for plain advice.
    :ivar value: what to set it to; None where there is no number to give.
    :ivar against: it says what does not help, and is nothing to do.
    """

    action: str
    key: str | None
    value: str | None
    why: str
    against: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """A cause and how it was reached.

    :ivar inferred: by reasoning from what is printed, not by the numbers alone.
    :ivar because: the deciding facts, in sentences.
    :ivar unwritten: what could be reclaimed had to be written first: no mark is the cure.
    :ivar never_refused: such a request is tried until it succeeds, but for a task that is being killed.
    :ivar boosted_pages: by how much a boost had raised the mark that decided; 0 where the request would have been
        refused without it as well.
    """

    cause: Cause
    inferred: bool
    because: tuple[str, ...]
    unwritten: bool = False
    never_refused: bool = False
    boosted_pages: int = 0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything there is to say about one report."""

    report: Report
    replay: Replay
    caller: Caller
    judgement: Judgement
    harm: Harm
    remedies: tuple[Remedy, ...]
    fixes: tuple[Fix, ...]
    explanation: str

"""What advice is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pagewarden.diagnose.types import Evidence, Finding
from pagewarden.kernel.projection import Projection
from pagewarden.kernel.simulate import Simulation


class Level(StrEnum):
    """How risky a change is, or how sure we are of it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Effect:
    """The predicted result of one change alone."""

    simulation: Simulation
    projection: Projection


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One setting to change: from what to what, why, and what follows.

    :ivar key: a sysctl, "transparent_hugepage", or "action:WORD" for what is not a setting.
    :ivar current: the value in force; `recommended` likewise as the kernel prints it (every slot of a vector).
    :ivar against: what would make this recommendation wrong.
    :ivar auto: whether it may be applied without a person looking at it first.
    :ivar reference: the page of the setting in the documentation.
    :ivar keep: what to do so that the change outlives a reboot.
    :ivar steps: the arithmetic, line by line, for somebody who checks it by hand.
    :ivar worse: what gets worse, beside the memory it costs; empty where nothing does.
    :ivar set_by: who gave the setting its present value; None where nothing tells.
    :ivar commands: what to type; `undo` to take it back. Empty for what is not done by a command.
    :ivar evidence_since: since when the evidence has stood; `evidence_latest` the newest of it. None where nothing
        tells: one look at a machine does not.
    """

    key: str
    current: str
    recommended: str
    cause: str
    reason: str
    against: str
    evidence: tuple[Evidence, ...]
    effect: Effect | None
    risk: Level
    confidence: Level
    auto: bool
    reference: str
    keep: str = ""
    steps: tuple[str, ...] = ()
    worse: str = ""
    set_by: str | None = None
    commands: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    evidence_since: datetime | None = None
    evidence_latest: datetime | None = None

    @property
    def identifier(self) -> str:
        """A name that stays the same as long as the same is proposed for the same reason."""
        if self.key.startswith("action:"):
            return f"{self.key}/{self.cause}"
        return f"{self.key}/{self.cause}/{self.recommended.replace(' ', ',')}"

    @property
    def cost_bytes(self) -> int:
        """Memory withdrawn from ordinary use; negative where some is given back."""
        return self.effect.simulation.cost_bytes if self.effect else 0


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the kernel would choose for one setting, in the setting's unit; None where a rule does not apply."""

    lowmem_formula: int | None
    hugepage_formula: int | None
    effective: str | None


@dataclass(frozen=True, slots=True)
class Advice:
    """Everything there is to say about one machine.

    :ivar withheld: why no recommendation can be made; empty where the model fits the machine.
    :ivar not_judged: settings that could not be judged, each with the reason.
    :ivar unseen: evidence that was not looked at: "logs", "counters".
    :ivar declined: identifiers of recommendations that are not made because the administrator declined them.
    """

    host: str | None
    kernel: str
    defaults: Mapping[str, Defaults]
    recommendations: tuple[Recommendation, ...]
    findings: tuple[Finding, ...]
    withheld: tuple[str, ...]
    not_judged: tuple[tuple[str, str], ...] = ()
    declined: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()

    @property
    def quiet(self) -> bool:
        """Nothing to change and nothing above info: there is nothing to say."""
        return not self.recommendations and all(finding.severity == "info" for finding in self.findings)

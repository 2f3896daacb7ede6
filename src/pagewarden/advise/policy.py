"""What an administrator decides about advice; every field is in the configuration too."""

from dataclasses import dataclass
from enum import StrEnum

LEAST_MARGIN, MOST_MARGIN = 1.5, 4.0


class Workload(StrEnum):
    """What the machine is for, where only its administrator knows."""

    GENERAL = "general"
    DATABASE = "database"
    FILESERVER = "fileserver"
    LATENCY = "latency"
    NUMA_PARTITIONED = "numa-partitioned"


@dataclass(frozen=True, slots=True)
class AdvicePolicy:
    """How advice is reached.

    :ivar burst_margin: how many times the largest burst seen a reserve or gap must hold, 1.5 to 4.
    :ivar evidence_days: older reports do not count.
    :ivar declined: identifiers of recommendations that stay silent until their evidence changes.
    """

    workload: Workload = Workload.GENERAL
    burst_margin: float = 2.0
    evidence_days: int = 30
    declined: tuple[str, ...] = ()

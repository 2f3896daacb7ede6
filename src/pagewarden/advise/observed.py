"""What is known of a machine beyond one instant: its logs, its counters over time, where quantities head."""

from dataclasses import dataclass

from pagewarden.diagnose.interval import Interval
from pagewarden.diagnose.log_evidence import LogEvidence
from pagewarden.diagnose.trend import Trend
from pagewarden.procfs.types import Link


@dataclass(frozen=True, slots=True)
class ZoneTrend:
    """Where the free pages of one zone head, and its free blocks of at least one order."""

    node: int
    zone: str
    free_pages: Trend | None
    order: int
    blocks: Trend | None


@dataclass(frozen=True, slots=True)
class Observed:
    """Evidence beside the snapshot; what was not looked at is None.

    :ivar interval: counters since an earlier snapshot.
    :ivar zones: trends of zones, from a series of snapshots.
    :ivar available_pages: the trend of what the kernel calls available.
    :ivar links: network interfaces: what could come in, at most.
    """

    logs: LogEvidence | None = None
    interval: Interval | None = None
    zones: tuple[ZoneTrend, ...] = ()
    available_pages: Trend | None = None
    links: tuple[Link, ...] | None = None


NOTHING = Observed()

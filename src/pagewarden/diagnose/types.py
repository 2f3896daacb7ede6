"""Causes, findings and their evidence."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters.

    info: known and harmless, or a trade that was chosen. notice: worth doing at the next maintenance.
    warning: something fails or stalls now that users can feel. critical: a kill or an outage is near, or a setting
    will cause one.
    """

    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    CRITICAL = "critical"


class FindingCause(StrEnum):
    """What can be found on a machine, beside the causes of refused requests (`diagnosis.Cause`)."""

    BELOW_KERNEL_DEFAULT = "below-kernel-default"
    TOO_HIGH = "too-high"
    STRANDED = "stranded"
    SQUEEZED = "squeezed"
    STALE_WATERMARKS = "stale-watermarks"
    BOOST_HIDDEN = "boost-hidden"
    DIRECT_RECLAIM_STALLS = "direct-reclaim-stalls"
    FRAGMENTATION_RISING = "fragmentation-rising"
    ZONE_RECLAIM_HARM = "zone-reclaim-harm"
    ZONE_RECLAIM_POINTLESS = "zone-reclaim-pointless"
    RECLAIMABLE_SLAB_HEAVY = "reclaimable-slab-heavy"
    HUGE_PAGE_RESERVE_LARGE = "huge-page-reserve-large"
    LOG_MISMATCH = "log-mismatch"
    EVIDENCE_OUTDATED = "evidence-outdated"
    MODEL_MISFIT = "model-misfit"
    FOREIGN_SETTING = "foreign-setting"
    LOW_MARK_NEAR = "low-mark-near"
    REMOTE_ALLOCATIONS = "remote-allocations"


class Cause(StrEnum):
    """Why a request was refused (the words of the JSON contract)."""

    ATOMIC_RESERVE_EXHAUSTED = "atomic-reserve-exhausted"
    FRAGMENTED = "fragmented"
    LOWMEM_RESERVE = "lowmem-reserve"
    ZONE_RESTRICTED = "zone-restricted"
    NODE_RESTRICTED = "node-restricted"
    RESERVED_FOR_OTHERS = "reserved-for-others"
    MEMORY_EXHAUSTED = "memory-exhausted"
    RECLAIM_TOO_SLOW = "reclaim-too-slow"
    REQUEST_TOO_LARGE = "request-too-large"
    MEMCG_LIMIT = "memcg-limit"
    ADDRESS_SPACE = "address-space"
    RECOVERED = "recovered"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One number or fact a finding rests on.

    :ivar what: what it is, with its unit ("node 0 DMA32 protection against Normal, pages").
    :ivar source: where it came from ("/proc/zoneinfo", "computed: square-root rule", a log's file and line).
    """

    what: str
    value: int | float | str
    source: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A named cause, with how much it matters, in words and with its evidence.

    :ivar cause: one of the causes of the JSON contract, for example "below-kernel-default".
    """

    cause: str
    severity: Severity
    text: str
    evidence: tuple[Evidence, ...] = ()

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

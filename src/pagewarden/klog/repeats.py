"""Repeats of one report, joined."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pagewarden.klog.callers import find_caller
from pagewarden.klog.types import Report, ReportGroup

MAX_LINE_NUMBERS = 1000
"""How many places of one group are kept: a log may hold a million repeats."""


@dataclass(slots=True)
class _Group:
    example: Report
    first_timestamp: str | None
    last_timestamp: str | None = None
    count: int = 0
    line_numbers: list[int] = field(default_factory=list)
    suppressed_count: int | None = None

    def add(self, report: Report) -> None:
        self.count += 1
        self.last_timestamp = report.timestamp
        if len(self.line_numbers) < MAX_LINE_NUMBERS:
            self.line_numbers.append(report.line_number)
        if report.suppressed:
            self.suppressed_count = (self.suppressed_count or 0) + sum(what.count for what in report.suppressed)
        if _worth(report) > _worth(self.example):
            self.example = report


def _worth(report: Report) -> tuple[bool, bool, bool]:
    return report.complete, bool(report.zones), bool(report.trace)


def repeat_key(report: Report) -> tuple[object, ...]:
    """What repeats have in common: kind, order, mask and calling function."""
    caller = find_caller(report.trace)
    return report.kind, report.order, report.gfp_mask, report.gfp_names, caller.function if caller else None


def report_key(report: Report) -> int:
    """What tells a report from others, whichever log it stands in and whatever stamps that log has.

    The counters of the whole machine are in it, which two reports hardly share; a report without any is known by its
    stamps.
    """
    numbers: object = tuple(sorted(report.counters_pages.items())) or tuple(
        (zone.node, zone.zone, zone.free_kb) for zone in report.zones
    )
    return hash(
        (
            *(report.kind, report.comm, report.pid, report.order, report.gfp_mask, report.gfp_names),
            numbers or (report.timestamp, report.seconds),
        )
    )


class Doubles:
    """Leaves out of each log the reports that an earlier one held: messages and kern.log have the same lines.

    A report that one log holds several times counts as often as it stands in the log that has it most often.
    """

    def __init__(self) -> None:
        self._counted: Counter[int] = Counter()

    def left_out(self, log: Iterable[Report]) -> Iterator[Report]:
        """Give the reports of one log that no earlier one held."""
        here: Counter[int] = Counter()
        for report in log:
            key = report_key(report)
            here[key] += 1
            if here[key] > self._counted[key]:
                self._counted[key] = here[key]
                yield report


def group_repeats(reports: Iterable[Report]) -> Iterator[ReportGroup]:
    """Join repeats, in the order of their first reports.

    One report of each group is kept, so that memory does not grow with the repeats.
    """
    groups: dict[tuple[object, ...], _Group] = {}
    for report in reports:
        groups.setdefault(repeat_key(report), _Group(report, report.timestamp)).add(report)
    for key, group in groups.items():
        yield ReportGroup(
            key=key,
            example=group.example,
            count=group.count,
            first_timestamp=group.first_timestamp,
            last_timestamp=group.last_timestamp,
            line_numbers=tuple(group.line_numbers),
            suppressed_count=group.suppressed_count,
        )

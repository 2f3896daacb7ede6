"""Repeats of one report, joined."""

from collections.abc import Iterable, Iterator

from pagewarden.klog.callers import find_caller
from pagewarden.klog.types import Report, ReportGroup


def group_repeats(reports: Iterable[Report]) -> Iterator[ReportGroup]:
    """Join repeats: the same kind, order, mask and calling function; in the order of their first reports."""
    groups: dict[tuple[object, ...], list[Report]] = {}
    for report in reports:
        caller = find_caller(report.trace)
        key = (report.kind, report.order, report.gfp_mask, report.gfp_names, caller.function if caller else None)
        groups.setdefault(key, []).append(report)
    for members in groups.values():
        held_back = [what.count for report in members for what in report.suppressed]
        yield ReportGroup(
            example=max(members, key=lambda report: (report.complete, bool(report.zones), bool(report.trace))),
            count=len(members),
            first_timestamp=members[0].timestamp,
            last_timestamp=members[-1].timestamp,
            line_numbers=tuple(report.line_number for report in members),
            suppressed_count=sum(held_back) if held_back else None,
        )

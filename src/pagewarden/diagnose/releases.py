"""Which kernel releases a report can come from, when it does not say: by what it prints and what it does not."""

from pagewarden.kernel.version import KernelVersion, parse_version
from pagewarden.klog.types import Report, ReportKind

REPRESENTATIVES = (
    "2.6.18",
    "2.6.24",
    "2.6.32",
    "2.6.39",
    "3.2",
    "3.4",
    "3.10",
    "4.1",
    "4.4",
    "4.8",
    "4.10",
    "4.12",
    "4.14",
    "4.19",
    "5.4",
    "5.10",
    "6.1",
    "6.6",
    "6.12",
    "6.18",
    "7.2",
)
"""One release for each way in which masks are numbered or the allocator checks its marks."""

_VERSIONS = tuple(version for name in REPRESENTATIVES if (version := parse_version(name)) is not None)
_OLDEST, _NEWEST = (0, 0, 0), (99, 0, 0)


def candidate_versions(report: Report, given: str | None) -> tuple[tuple[KernelVersion, ...], bool]:
    """List the releases to replay a report with.

    A release before 2.6 in the log is no guide: its masks are not known here, and it is mostly a garbled one.

    :param given: a release the user named, which wins over the log.
    :return: the releases and whether they are known (one) rather than inferred from the report's format.
    """
    for text in (given, report.release):
        version = parse_version(text) if text else None
        if version is not None and version.at_least(2, 6):
            return (version,), True
    lowest, highest = format_bounds(report)
    # Where what it prints contradicts itself, the newest rules are as good a guess as any.
    fits = tuple(version for version in _VERSIONS if lowest <= version.numbers < highest) or _VERSIONS[-1:]
    return fits, len(fits) == 1


def format_bounds(report: Report) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The releases (from, before) that print reports of this format.

    Kernel: mm/page_alloc.c:show_free_areas() and mm/show_mem.c, mm/oom_kill.c:dump_header(); releases in which each
    element was read, see kernel sources in the design notes.
    """
    zones = report.zones
    lowest, highest = _OLDEST, _NEWEST
    signs = (
        (any(zone.free_highatomic_kb is not None for zone in zones), (6, 15, 0)),
        (any(zone.boost_kb is not None for zone in zones), (5, 16, 0)),
        (any(zone.reserved_highatomic_kb is not None for zone in zones), (5, 5, 0)),
        (report.constraint is not None, (4, 18, 0)),  # 5.0, and Red Hat 8
        (bool(report.nodes), (4, 8, 0)),
        (report.gfp_names is not None, (4, 6, 0)),
        (report.kind is ReportKind.ALLOCATION_STALL, (4, 9, 0)),
        (any(zone.managed_kb is not None for zone in zones), (3, 8, 0)),
        (any(block.migrate_types for zone in zones for block in zone.free_blocks or ()), (3, 7, 0)),
        (any("active_anon" in zone.values_kb for zone in zones), (2, 6, 28)),
    )
    lowest = max([numbers for seen, numbers in signs if seen], default=lowest)
    lowest = max(lowest, _WORDINGS.get(report.wording or "", (lowest, highest))[0])
    highest = min(_upper_bounds(report), default=highest)
    return lowest, highest


# Which releases print an opening line so: from, before. Red Hat backported some to 2.6.18 and 2.6.32.
_WORDINGS = {
    "failure.": ((0, 0, 0), (3, 0, 0)),
    "failure:": ((3, 0, 0), (99, 0, 0)),
    "oomkilladj": ((0, 0, 0), (2, 6, 33)),
    "oom_adj": ((0, 0, 0), (3, 8, 0)),  # oom_score_adj may have been cut off
    "oom_adj,oom_score_adj": ((2, 6, 32), (3, 8, 0)),
    "oom_score_adj": ((3, 7, 0), (99, 0, 0)),
}


def _upper_bounds(report: Report) -> list[tuple[int, int, int]]:
    zones = [zone for zone in report.zones if zone.free_kb is not None]
    bounds = [_WORDINGS[report.wording][1]] if report.wording in _WORDINGS else []
    # XFS prints a bare mask on every kernel; the allocator's own reports have had names since 4.6. Where a kill has the
    # line of 5.0 and no names, somebody took these out.
    bare = report.gfp_mask is not None and report.gfp_names is None
    if bare and report.constraint is None and report.kind is not ReportKind.DEADLOCK_WARNING:
        bounds.append((4, 6, 0))
    if zones and not report.nodes and all(zone.pages_scanned is not None for zone in zones):
        bounds.append((4, 7, 0))
    if any("active" in zone.values_kb for zone in zones):
        bounds.append((2, 6, 28))
    if zones and all(zone.managed_kb is None for zone in zones):
        bounds.append((3, 8, 0))
    if zones and all(zone.boost_kb is None for zone in zones):
        bounds.append((5, 17, 0))
    if zones and all(zone.reserved_highatomic_kb is None for zone in zones):
        bounds.append((5, 7, 0))
    return bounds

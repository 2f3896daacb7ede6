"""Zones of the machine that a report does not print.

Kernel: mm/show_mem.c:show_free_areas(): SHOW_MEM_FILTER_NODES leaves out nodes that the task may not use (2.6.39), and
zones above the request's highest are not printed since 6.1.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from pagewarden.diagnose.replay import Replay, is_empty, layouts_of, zone_index, zone_name
from pagewarden.klog.types import Report, ZoneDump
from pagewarden.units import kb_to_pages

DRIFT_PAGES = 1024
"""The counters of the whole machine are read before those of the zones: free pages differ by a little in any report, by
what is reclaimed meanwhile over a slow console."""


def low_zones_left_out(report: Report, replay: Replay) -> bool:
    """Zones that share vm.min_free_kbytes are missing, so that the marks of the others do not tell it.

    HighMem takes no part in it.
    """
    return (
        bool(low_size_left_out(report, replay))
        or free_left_out(report, replay) > _drift(report, replay)
        or any(_grown(report))
    )


def free_left_out(report: Report, replay: Replay) -> int:
    """Pages free in zones that are not printed (a few by chance, see `DRIFT_PAGES`); 0 where only HighMem is missing,
    or the counter is.
    """
    counted = report.counters_pages.get("free")
    if counted is None or _only_highmem_missing(report, replay):
        return 0
    return max(0, counted - sum(kb_to_pages(dump.free_kb or 0, replay.page_size) for dump in report.zones))


def size_left_out(report: Report, replay: Replay, dumps: Sequence[ZoneDump]) -> int | None:
    """Pages of the zones that are not among DUMPS; None where the closing lines, or one of these, do not tell.

    Kernel: lib/show_mem.c:show_mem(): present pages of every zone since 3.12; before, holes were counted as well.
    """
    total = report.totals.ram_pages
    if total is None or replay.version is None or not replay.version.at_least(3, 12):
        return None
    sizes = [dump.present_kb for dump in dumps]
    if None in sizes:
        return None
    return max(0, total - sum(kb_to_pages(size or 0, replay.page_size) for size in sizes))


def low_size_left_out(report: Report, replay: Replay) -> int | None:
    """Likewise of the zones below HighMem."""
    missing = size_left_out(report, replay, [dump for dump in report.zones if dump.zone != "HighMem"])
    return None if missing is None else max(0, missing - (report.totals.highmem_pages or 0))


def usable_zone_lost(report: Report, replay: Replay) -> str | None:
    """The name of a zone that the request may use, that has memory and is not printed: lines of the log were lost."""
    highest = replay.flags.zone if replay.flags is not None else None
    if highest is None:
        return None
    open_nodes = {zone.dump.node for zone in replay.zones if not zone.by_node}
    for dump, row, found in _rows(report):
        usable = [layout[: zone_index(highest, layout) + 1] for layout in found]
        lost = [_grown_unprinted(dump, row, *each, report) for each in zip(found, usable, strict=True)]
        if dump.node in open_nodes and all(lost):
            return zone_name(replace(dump, zone=lost[-1][-1]))
    return None


def _drift(report: Report, replay: Replay) -> int:
    return max(DRIFT_PAGES, sum(kb_to_pages(dump.high_kb or 0, replay.page_size) for dump in report.zones))


def _only_highmem_missing(report: Report, replay: Replay) -> bool:
    return low_size_left_out(report, replay) == 0


def _grown(report: Report) -> Iterator[bool]:
    """For each zone whether its reserves grow where a zone is not printed: they are sums of the sizes above it."""
    for dump, row, found in _rows(report):
        yield all(
            _grown_unprinted(dump, row, layout, [name for name in layout if name != "HighMem"], report)
            for layout in found
        )


def _rows(report: Report) -> Iterator[tuple[ZoneDump, tuple[int, ...], tuple[tuple[str, ...], ...]]]:
    """Each zone with its row of reserves, and the layouts of zones that the row can be of."""
    for dump in report.zones:
        row = dump.lowmem_reserve_pages or ()
        found = layouts_of(report, len(row))
        if found:
            yield dump, row, found


def _grown_unprinted(
    dump: ZoneDump, row: tuple[int, ...], layout: tuple[str, ...], counted: Collection[str], report: Report
) -> list[str]:
    printed = {other.zone for other in report.zones if other.node == dump.node and not is_empty(other)}
    return [
        layout[index]
        for index in range(layout.index(dump.zone) + 1, len(row))
        if row[index] > row[index - 1] and layout[index] in counted and layout[index] not in printed
    ]

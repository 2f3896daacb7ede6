"""`pagewarden status` for people."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pagewarden.apply.types import Standing
from pagewarden.diagnose.settings import Setting
from pagewarden.kernel.fit import Fit
from pagewarden.kernel.fragmentation import HAS_BLOCK, fragmentation_indexes, unusable_free_index
from pagewarden.kernel.machine import (
    HUGE_SWITCH,
    MIN_FREE,
    RATIO,
    RECLAIM_MODE,
    SCALE_FACTOR,
    Machine,
    inferred_settings,
)
from pagewarden.procfs.types import Snapshot, Zone
from pagewarden.report.apply import render_changes
from pagewarden.report.words import Folded, count_text, heading, pages_text, plain_table, zone_name

BAR_WIDTH = 16


def render_status(
    snapshot: Snapshot, machine: Machine, settings: Sequence[Setting], changes: Sequence[Standing] = ()
) -> Iterator[RenderableType]:
    """Lay out the status for reading on 80 columns."""
    yield _head(snapshot)
    yield ""
    yield heading("Zones: free memory against the marks")
    yield Folded(_zones(machine))
    yield from _boost_note(machine)
    reserves = _reserves(machine)
    if reserves.row_count:
        yield ""
        yield heading("Kept back from requests that could have used a higher zone (protection)")
        yield Folded(reserves)
    if snapshot.free_blocks:
        yield ""
        yield heading("Free blocks by order, and the share of free memory in blocks too small for it")
        yield Folded(_blocks(snapshot, machine))
    yield ""
    yield heading("Settings")
    yield from _settings(settings)
    if changes:
        yield ""
        yield heading("Changed by pagewarden (undo: pagewarden revert)")
        yield from render_changes(changes)
    yield ""
    yield from _fit(machine.fit)
    yield from _inferred(machine)
    yield from _absent(snapshot)


def _head(snapshot: Snapshot) -> Text:
    page = f"{snapshot.page_size // 1024} KiB pages" + (" (assumed)" if snapshot.page_size_assumed else "")
    nodes = f"{len(snapshot.nodes)} node{'s' if len(snapshot.nodes) != 1 else ''}"
    cpus = None
    if snapshot.cpu_count is not None:
        cpus = f"{snapshot.cpu_count} CPU{'s' if snapshot.cpu_count != 1 else ''}"
    known = [snapshot.host, f"Linux {snapshot.kernel or '(release not known)'}", snapshot.arch, page, nodes, cpus]
    return Text(", ".join(part for part in known if part), style="bold")


def _zones(machine: Machine) -> Table:
    shown = [zone for zone in machine.zones if _has_pages(zone)]
    promo = any(zone.promo_pages is not None for zone in shown)
    table = plain_table("zone", "managed", "free", "min", "low", "high", *(["promo"] if promo else []), "")
    table.columns[-1].justify = "left"
    if promo and len(machine.nodes) > 1:
        table.padding = (0, 1, 0, 0)
    for zone in shown:
        managed = zone.present_pages if zone.managed_pages is None else zone.managed_pages
        marks = (zone.min_pages, zone.low_pages, zone.high_pages, *([zone.promo_pages] if promo else []))
        table.add_row(
            zone_name(machine, zone.node, zone.name),
            pages_text(managed, machine.page_size),
            pages_text(zone.free_pages, machine.page_size),
            *("-" if mark is None else pages_text(mark, machine.page_size) for mark in marks),
            _state(zone),
        )
    table.caption = "\n".join(_zone_notes(machine)) or None
    table.caption_justify = "left"
    return table


def _has_pages(zone: Zone) -> bool:
    # Pages that are present but not managed (all reserved, or a device's) are no one's to allocate.
    return zone.populated and zone.managed_pages != 0


def _state(zone: Zone) -> Text:
    if zone.free_pages <= zone.min_pages:
        return Text("below min", style="bold red")
    if zone.free_pages <= zone.low_pages:
        return Text("below low", style="yellow")
    if zone.free_pages <= zone.high_pages:
        return Text("below high", style="yellow")
    times = zone.free_pages / max(zone.high_pages, 1)
    return Text(f"{times:.1f} x high" if times < 100 else f"{times:.0f} x high", style="green")


def _zone_notes(machine: Machine) -> Iterator[str]:
    shown = [zone for zone in machine.zones if _has_pages(zone)]
    if any(zone.free_pages <= zone.min_pages for zone in shown):
        yield "below min: ordinary allocations reclaim for themselves (direct reclaim)"
    if any(zone.min_pages < zone.free_pages <= zone.low_pages for zone in shown):
        yield "below low: kswapd is awake and reclaims"
    empty = [zone_name(machine, zone.node, zone.name) for zone in machine.zones if not _has_pages(zone)]
    if empty:
        yield f"empty: {', '.join(empty)}"


def _boost_note(machine: Machine) -> Iterator[RenderableType]:
    boosted = [zone for zone in machine.zones if zone.boost_pages]
    for zone in boosted:
        boost = pages_text(zone.boost_pages or 0, machine.page_size)
        yield f"{zone_name(machine, zone.node, zone.name)}: the marks contain a boost of {boost} after fragmentation."


def _reserves(machine: Machine) -> Table:
    layout = machine.fit.layout or ()
    table = plain_table("zone", *(f"for {name}" for name in layout[1:]))
    for zone in machine.zones:
        if zone.populated and any(zone.protection_pages or ()):
            cells = [
                pages_text(pages, machine.page_size) if pages else "-" for pages in (zone.protection_pages or ())[1:]
            ]
            table.add_row(zone_name(machine, zone.node, zone.name), *cells)
    return table


def _blocks(snapshot: Snapshot, machine: Machine) -> Table:
    blocks = snapshot.free_blocks or {}
    width = max(len(row) for row in blocks.values())
    table = plain_table("order", *map(str, range(width)))
    for column in table.columns:
        column.header_style = "dim"
    table.padding = (0, 1, 0, 0)
    for (node, name), row in blocks.items():
        table.add_row(zone_name(machine, node, name), *map(count_text, row))
        unusable = [unusable_free_index(row, order) // 10 for order in range(width)]
        table.add_row(Text("  too small", style="dim"), *(Text(f"{percent}%", style="dim") for percent in unusable))
        indexes = fragmentation_indexes(row)
        if any(row) and indexes[-1] != HAS_BLOCK:
            cells = ("-" if index == HAS_BLOCK else f"{max(index, 0) / 1000:.2f}" for index in indexes)
            table.add_row(Text("  index", style="dim"), *(Text(cell, style="dim") for cell in cells))
            table.caption = INDEX_NOTE
            table.caption_justify = "left"
    return table


INDEX_NOTE = "index: 0 = memory is short, 1 = broken up, - = a block is there"
"""The kernel's fragmentation index; where it is above vm.extfrag_threshold, compaction is tried."""


ALWAYS_SHOWN = frozenset({MIN_FREE, SCALE_FACTOR, RATIO, RECLAIM_MODE, HUGE_SWITCH})
"""Settings the marks and reserves follow from; the others are shown where they are not the kernel's own."""


def _settings(settings: Sequence[Setting]) -> Iterator[RenderableType]:
    if not settings:
        yield "None could be read: there is no /proc/sys/vm here."
        return
    table = plain_table("setting", "value", "default", "set by")
    table.columns[3].justify = "left"
    table.columns[3].overflow = "fold"
    table.padding = (0, 1, 0, 0)
    notes, left_out = [], 0
    for setting in settings:
        differs = setting.kernel_default is not None and setting.value != setting.kernel_default
        if setting.key not in ALWAYS_SHOWN and not differs and not setting.note:
            left_out += 1
            continue
        mark = ""
        if setting.note:
            notes.append(setting.note)
            mark = f" [{len(notes)}]"
        table.add_row(
            setting.key,
            Text(setting.value, style="yellow" if differs else ""),
            "same" if setting.kernel_default == setting.value else setting.kernel_default or "-",
            (setting.set_by or "-") + mark,
        )
    yield Folded(table)
    for number, note in enumerate(notes, 1):
        yield Padding(f"[{number}] {note}", (0, 0, 0, 2))
    if left_out:
        yield Text(f"{left_out} more have the kernel's own value or none of its own (all: --format json).", style="dim")


def _fit(fit: Fit) -> Iterator[RenderableType]:
    if fit.exact:
        yield f"Model: every mark and reserve printed by this kernel is reproduced exactly ({fit.variant})."
        return
    if fit.stale:
        yield "Model: fits. Predictions are for the memory managed now; some numbers in force are older:"
    else:
        yield Text("Model: does NOT reproduce this kernel; nothing it predicts here can be trusted.", style="bold red")
    for zones, reason in _by_reason(fit.reasons):
        yield Padding(f"- {zones}: {reason}", (0, 0, 0, 2))
    if not fit.stale:
        for difference in fit.differences[:8]:
            text = f"node {difference.node} {difference.zone} {difference.what}: predicted {difference.predicted}"
            yield Padding(f"{text}, printed {difference.printed} pages", (0, 0, 0, 4))
        if len(fit.differences) > 8:
            yield Padding(f"and {len(fit.differences) - 8} more", (0, 0, 0, 4))


def _inferred(machine: Machine) -> Iterator[RenderableType]:
    if machine.fit.zones_left_out:
        yield Text("Zones are missing: protection speaks of more than this capture holds.", style="yellow")
        return
    inferred = [f"{key} {value}" for key, value in inferred_settings(machine).items()]
    if inferred and machine.fit.usable:
        yield f"Not in this capture, inferred from the marks: {', '.join(inferred)}."


def _by_reason(reasons: Iterable[str]) -> Iterator[tuple[str, str]]:
    # Said once for all zones it holds for.
    zones: dict[str, list[str]] = {}
    for reason in reasons:
        zone, _, why = reason.partition(": ")
        zones.setdefault(why, []).append(zone)
    for why, named in zones.items():
        yield ", ".join(named), why


def _absent(snapshot: Snapshot) -> Iterator[RenderableType]:
    for reason in snapshot.torn:
        yield Text(f"Torn: {reason}", style="yellow")
    # A setting that is not there is one this kernel does not have.
    absent = {path: why for path, why in snapshot.absent.items() if "sys/vm/" not in path or "no such" not in why}
    paths: dict[str, list[str]] = {}
    for path, why in absent.items():
        paths.setdefault(why, []).append(path)
    for why, named in paths.items():
        yield Text(f"Not read ({why}): {', '.join(named)}", style="dim")

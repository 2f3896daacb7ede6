"""`pagewarden history` for people."""

from collections.abc import Iterator, Sequence
from datetime import tzinfo

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pagewarden.history.types import Event, EventKind, OpenFinding, Overview, ZoneOverview, ZoneSample
from pagewarden.report.words import Folded, duration_text, heading, moment_text, pages_text, plain_table, printable

_BESIDE_STRIP = 50
_LONGEST_STRIP = 72

EVENTS_SHOWN = 40

LABELS = {
    EventKind.REPORT: "kernel report",
    EventKind.STALLS: "stalls",
    EventKind.FINDING_OPENED: "finding",
    EventKind.FINDING_CHANGED: "finding changed",
    EventKind.FINDING_ENDED: "finding ended",
    EventKind.CHANGE_APPLIED: "changed",
    EventKind.CHANGE_UNDONE: "undone",
    EventKind.SERVICE_STARTED: "service started",
    EventKind.SERVICE_STOPPED: "service stopped",
    EventKind.DEGRADED: "not working",
    EventKind.RECOVERED: "works again",
}
"""What an event is, in words."""

_STYLES = {"critical": "bold red", "warning": "yellow", "notice": "cyan"}


def strip_slices(width: int) -> int:
    """How many slices of time the strip of a zone shows on lines of this width, one column each."""
    return min(max(width - _BESIDE_STRIP, 10), _LONGEST_STRIP)


def render_history(
    overview: Overview, events: Sequence[Event], findings: Sequence[OpenFinding], zone: tzinfo | None
) -> Iterator[RenderableType]:
    """Lay out what was seen for reading on 80 columns.

    :param zone: the time zone that times are written in; None: the machine's own.
    """
    yield _head(overview, zone)
    if overview.zones:
        yield ""
        yield heading("Free memory: the lowest seen, and over time against the marks")
        yield Folded(_zones(overview, zone))
        yield _legend(overview)
        yield ""
        yield heading("Counted")
        yield from _counts(overview)
    yield ""
    yield heading("What happened")
    yield from _events(events, zone)
    yield ""
    yield heading("Findings that are open")
    yield from _findings(findings, zone)


def _head(overview: Overview, zone: tzinfo | None) -> Text:
    span = duration_text(overview.until_seconds - overview.since_seconds)
    start = f"{moment_text(overview.since_seconds, zone)} to {moment_text(overview.until_seconds, zone)} ({span})"
    if overview.first_seconds is None or overview.last_seconds is None:
        return Text(f"{start}: no reading", style="bold")
    readings = f"{overview.reading_count} reading{'s' if overview.reading_count != 1 else ''} kept"
    boots = f", {overview.boot_count} boots" if overview.boot_count > 1 else ""
    last = duration_text(max(overview.until_seconds - overview.last_seconds, 0.0))
    return Text(f"{start}\n{readings}{boots}, the last {last} ago", style="bold")


def _zones(overview: Overview, zone: tzinfo | None) -> Table:
    table = plain_table("zone", "lowest", "when", "min", "low", "over time")
    table.columns[-1].justify = "left"
    table.columns[-1].no_wrap = True
    several = len({entry.lowest.node for entry in overview.zones}) > 1
    table.padding = (0, 1, 0, 0)
    for entry in overview.zones:
        lowest = entry.lowest
        table.add_row(
            printable(f"{lowest.node} {lowest.zone}" if several else lowest.zone),
            pages_text(lowest.lowest_free_pages, entry.page_size),
            moment_text(entry.lowest_seconds, zone)[5:],
            pages_text(lowest.min_pages, entry.page_size),
            pages_text(lowest.low_pages, entry.page_size),
            _strip(entry),
        )
    return table


def _strip(zone: ZoneOverview) -> Text:
    text = Text()
    for part in zone.slices:
        text.append(*_cell(part))
    return text


def _cell(part: ZoneSample | None) -> tuple[str, str]:
    if part is None:
        return " ", ""
    free = part.lowest_free_pages
    if free <= part.min_pages:
        return "#", "bold red"
    if free <= part.low_pages:
        return "v", "yellow"
    return ("-", "yellow") if free <= part.high_pages else (".", "green")


def _legend(overview: Overview) -> Text:
    each = duration_text(overview.slices[0].end_seconds - overview.slices[0].start_seconds)
    return Text(f"a column is {each}: . above high, - below high, v below low, # below min", style="dim")


def _counts(overview: Overview) -> Iterator[RenderableType]:
    table = plain_table("", "")
    table.show_header = False
    table.columns[1].justify = "left"
    seconds = overview.until_seconds - overview.since_seconds
    for label, name in (
        ("waits for memory (direct reclaim)", "allocstall"),
        ("OOM kills", "oom_kill"),
        ("waits for a larger block (compaction)", "compact_stall"),
        ("pages freed by kswapd", "pgsteal_kswapd"),
        ("pages freed by those who waited", "pgsteal_direct"),
    ):
        total = overview.total(name)
        table.add_row(label, "not known" if total is None else f"{total:,}")
    for label, name in (("some", "pressure_some_us"), ("all", "pressure_full_us")):
        total = overview.total(name)
        share = "not known" if total is None else f"{total / 1e6:,.1f} s ({total / 1e4 / max(seconds, 1.0):.2f} %)"
        table.add_row(f"time in which {label} tasks waited for memory", share)
    yield table


def _events(events: Sequence[Event], zone: tzinfo | None) -> Iterator[RenderableType]:
    if not events:
        yield "nothing"
        return
    hidden = len(events) - EVENTS_SHOWN
    if hidden > 0:
        yield Text(f"({hidden} earlier ones are not shown; --format json has all)", style="dim")
    table = plain_table("when", "times", "what")
    table.columns[2].justify = "left"
    for event in events[-EVENTS_SHOWN:]:
        table.add_row(moment_text(event.first_seconds, zone), str(event.count), _event(event, zone))
    yield table


def _event(event: Event, zone: tzinfo | None) -> Text:
    text = Text(LABELS[event.kind], style=_STYLES.get(event.severity, ""))
    if event.cause:
        text.append(f", {printable(event.cause)}")
    text.append(f": {printable(event.text)}", style="not bold default")
    if event.count > 1 and event.last_seconds > event.first_seconds:
        text.append(f" (last {moment_text(event.last_seconds, zone)[5:]})", style="not bold default")
    return text


def _findings(findings: Sequence[OpenFinding], zone: tzinfo | None) -> Iterator[RenderableType]:
    if not findings:
        yield "none"
        return
    table = plain_table("since", "severity", "what")
    table.columns[1].justify = table.columns[2].justify = "left"
    for finding in findings:
        severity = Text(printable(finding.severity), style=_STYLES.get(finding.severity, ""))
        what = f"{printable(finding.cause)}: {printable(finding.text)}"
        table.add_row(moment_text(finding.since_seconds, zone), severity, what)
    yield table

"""Small pieces of text several reports share."""

import re
from datetime import UTC, datetime, tzinfo

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from pagewarden.kernel.machine import Machine
from pagewarden.klog.types import LogRead
from pagewarden.units import human_bytes, human_count


def plain_table(*columns: str, title: str = "") -> Table:
    """Make a table without lines: the first column to the left, numbers to the right, headings dim."""
    table = Table(
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="dim",
        title=title,
        title_justify="left",
        title_style="bold",
    )
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=index == 0)
    return table


def hanging(label: str, text: RenderableType, style: str = "") -> RenderableType:
    """A label, and beside it a text that may take several lines."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True, style=style)
    grid.add_column(style=style)
    grid.add_row(label, text)
    return grid


class Folded:
    """A table of numbers; where the page is too narrow for it, two or more of fewer columns, one below the other.

    No number is cut or parted from its unit: only a column that overflows by folding is made narrower.
    """

    NARROWEST_FOLD = 14

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = self._table
        gap = table.padding[1]
        first, *others = ((column, self._needed(console, options, column)) for column in table.columns)
        parts = [[first]]
        for entry in others:
            if len(parts[-1]) > 1 and _across([*parts[-1], entry], gap) > options.max_width:
                parts.append([first])
            parts[-1].append(entry)
        for part in parts:
            yield from console.render(
                self._part([column for column, _ in part], caption=len(parts) == 1),
                options.update(width=max(options.max_width, _across(part, gap))),
            )
        if len(parts) > 1 and table.caption:
            yield Text(str(table.caption), style="table.caption")

    def _needed(self, console: Console, options: ConsoleOptions, column: Column) -> int:
        endless = options.update(width=10_000)
        width = max(Measurement.get(console, endless, cell).maximum for cell in (column.header, *column.cells))
        return min(width, self.NARROWEST_FOLD) if column.overflow == "fold" else width

    def _part(self, columns: list[Column], *, caption: bool) -> Table:
        table = self._table
        part = Table(box=None, pad_edge=False, padding=table.padding, header_style=table.header_style)
        if caption:
            part.caption, part.caption_justify = table.caption, table.caption_justify
        for column in columns:
            part.add_column(
                column.header,
                justify=column.justify,
                header_style=column.header_style,
                overflow=column.overflow,
                no_wrap=column.overflow != "fold",
            )
        for cells in zip(*(column.cells for column in columns), strict=True):
            part.add_row(*cells)
        return part


def _across(part: list[tuple[Column, int]], gap: int) -> int:
    return sum(width for _, width in part) + gap * (len(part) - 1)


class Flowing:
    """Text in which the names of a GFP mask stay whole: a mask wider than the space is broken behind a `|`."""

    def __init__(self, text: Text) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        breaks = []
        for word in re.finditer(r"\S*\|\S*", self._text.plain):
            at, start = word.start(), word.start()
            for part in re.finditer(r"[^|]*\|?", word[0]):
                end = word.start() + part.end()
                if word.end() - word.start() > width and end - start > width and at > start:
                    breaks.append(at)
                    start = at
                at = end
        yield Text("\n", overflow=self._text.overflow).join(self._text.divide(breaks)) if breaks else self._text

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        parts = re.findall(r"[^|\s]+\|?", self._text.plain)
        widest = max((len(line) for line in self._text.plain.split("\n")), default=0)
        return Measurement(max(map(len, parts), default=0), widest).with_maximum(options.max_width)


def zone_name(machine: Machine, node: int, zone: str) -> str:
    """A zone's name for people: with its node where there are several."""
    return f"node {node} {zone}" if len(machine.nodes) > 1 else zone


def pages_text(pages: int, page_size: int) -> str:
    """A quantity of pages in bytes for people."""
    return human_bytes(pages * page_size)


def heading(text: str) -> Text:
    """A section's heading."""
    return Text(text, style="bold")


def count_text(count: int) -> str:
    """A count that fits a narrow column: 12k rather than 12345."""
    return human_count(count)


def log_name(name: str) -> str:
    """A log's name for people: "-" is standard input."""
    return "standard input" if name == "-" else printable(name)


def lines_read(log: LogRead) -> str:
    """How much of a log was read: nothing at all is something else than nothing found."""
    if log.lines is None:
        return "not read, or not to the end"
    if not log.lines:
        return "empty: no line was read"
    read = f"{log.lines} line{'s' if log.lines != 1 else ''} read"
    if log.trouble_lines == 1 and log.trouble_whole:
        return f"{read}; line {log.first_trouble} speaks of memory trouble without a report"
    if log.trouble_lines:
        least = "" if log.trouble_whole else "at least "
        speak = "lines speak" if log.trouble_lines > 1 else "line speaks"
        what = f"{least}{log.trouble_lines} {speak} of memory trouble without a report"
        return f"{read}; {what}, the first in line {log.first_trouble}"
    return read


def printable(text: str) -> str:
    """Text that others chose (a task's name, a line of a log): control characters as \\x1b."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def moment_text(seconds: float, zone: tzinfo | None) -> str:
    """A point in time for people, `2026-11-25 04:12`, in a time zone (None: the machine's own)."""
    try:
        return datetime.fromtimestamp(seconds, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):  # a clock that was never set, a file that was damaged
        return "(no such time)"


def duration_text(seconds: float) -> str:
    """A length of time for people in its two largest units: `2 days`, `1 h 20 min`, `45 s`."""
    total = int(seconds + 0.5)
    parts: list[str] = []
    for unit, size in ((" days", 86_400), (" h", 3600), (" min", 60), (" s", 1)):
        count, total = divmod(total, size)
        if count or (not parts and size == 1):
            parts.append("1 day" if (count, size) == (1, 86_400) else f"{count}{unit}")
        if len(parts) == 2 or (parts and not count):
            break
    return " ".join(parts)

"""Small pieces of text several reports share."""

from rich.table import Table
from rich.text import Text

from pagewarden.kernel.machine import Machine
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

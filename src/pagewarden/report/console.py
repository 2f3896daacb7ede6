"""The terminal: one console for all text output, plain where it is not a terminal."""

import os
import sys
from typing import TextIO

from rich.console import Console

PLAIN_WIDTH = 80
"""Width of text that goes to a file or a pipe, the same everywhere: fit for mail and the narrowest terminal."""
NARROWEST, WIDEST = 20, 1000
"""Widths between which text is laid out, whatever COLUMNS says."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the command end as every other writer into a closed pipe does; rich would exit with status 1."""
        raise BrokenPipeError


def console(stderr: bool = False) -> Console:
    """Make the console that text reports are printed on.

    Colour and the terminal's width only on a terminal, unless COLUMNS says how wide; NO_COLOR and TERM=dumb are
    honoured. Output is never interpreted as markup or highlighted: what comes from logs and files is printed as it is.
    """
    stream = sys.stderr if stderr else sys.stdout
    terminal = stream.isatty()
    return _Console(
        file=stream,
        width=_width(stream),
        height=25,  # nothing is laid out by it; without one, rich measures by COLUMNS once more
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
        no_color=None if terminal else True,
        force_terminal=None if terminal else False,
    )


def _width(stream: TextIO) -> int:
    # Not left to rich, which takes COLUMNS=0 as it is and prints nothing.
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return min(max(int(columns), NARROWEST), WIDEST)
    try:
        return max(os.get_terminal_size(stream.fileno()).columns or PLAIN_WIDTH, NARROWEST)
    except (OSError, ValueError):  # not a terminal; not even a file
        return PLAIN_WIDTH

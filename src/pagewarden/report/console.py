"""The terminal: one console for all text output, plain where it is not a terminal."""

import os
import sys

from rich.console import Console

PLAIN_WIDTH = 80
"""Width of text that goes to a file or a pipe, the same everywhere: fit for mail and the narrowest terminal."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the command end as every other writer into a closed pipe does; rich would exit with status 1."""
        raise BrokenPipeError


def console(stderr: bool = False) -> Console:
    """Make the console that text reports are printed on.

    Colour and the terminal's width only on a terminal; NO_COLOR and TERM=dumb are honoured. Output is never
    interpreted as markup or highlighted: what comes from logs and files is printed as it is.
    """
    stream = sys.stderr if stderr else sys.stdout
    terminal = stream.isatty()
    return _Console(
        file=stream,
        width=None if terminal or "COLUMNS" in os.environ else PLAIN_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
        no_color=None if terminal else True,
        force_terminal=None if terminal else False,
    )

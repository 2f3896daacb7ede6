"""The `pagewarden` command: finds the subcommand, turns what it raises into one line and an exit status."""

import argparse
import io
import os
import sys
from collections.abc import Container, Sequence
from importlib import import_module
from types import ModuleType
from typing import NoReturn, Protocol

from pagewarden import __version__
from pagewarden.errors import ExitStatus, PagewardenError

COMMANDS = {
    "status": "the zones now, the settings, who set them, and how well the model fits this kernel",
    "advise": "what to change on this machine, and why (or that there is nothing to change)",
    "simulate": "what a setting would do to every zone, before anything is written",
    "apply": "change settings, verified against the kernel, undone where that fails",
    "revert": "put back what apply changed",
    "rollback-status": "what apply changed, when, why, and what revert would put back",
    "probation": "how the last change does, and what became of those before",
    "explain": "decode allocation failures, OOM kills and stalls found in kernel logs",
    "gfp": "decode a GFP mask as a given kernel numbered it",
    "history": "what the service saw over the past days",
    "report": "a page to look at: what happened over time as pictures, the advice, the zones",
    "metrics": "numbers for Prometheus: zones, marks, reserves, settings, findings, reports",
    "config": "the configuration in force, and where each value came from",
    "capture": "save everything the other commands need, to look at elsewhere",
    "daemon": "the service itself: watch this machine, tell the journal what appears, changes and ends",
    "schema": "print the JSON Schema of a command's JSON output",
    "install-service": "write the service's units, for installations by pip or pipx",
}
"""Every subcommand, and its line in the overview. Each lives in the module of its name (`_` for `-`) beside this."""

EPILOG = """\
exit status:
  0 done            1 the operation failed     2 wrong usage or unreadable input
  3 --check found something to change          4 a change failed and was undone
  5 a change failed and could not be undone    77 no permission      78 bad configuration

examples:
  pagewarden advise                            what to change on this machine
  journalctl -k | pagewarden explain -         what the kernel's reports mean
  pagewarden simulate vm.min_free_kbytes=131072
  pagewarden status --root sosreport-db1/      another machine, from a capture
"""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Measures the terminal itself: argparse imports shutil and with it all compressors for that, at every start."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Fill paragraphs, but keep the lines of those that are laid out by hand: examples, tables."""
        import textwrap

        blocks = text.strip("\n").split("\n\n")
        filled = (
            block if "\n  " in f"\n{block}" else textwrap.fill(block, width, break_long_words=False) for block in blocks
        )
        return "\n\n".join(textwrap.indent(block, indent) for block in filled)


def _columns() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80


class _Writable(Protocol):
    def write(self, text: str, /) -> object: ...


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with one line; argparse itself would print the whole usage before it."""
        self.exit(ExitStatus.USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def _print_message(self, message: str, file: _Writable | None = None) -> None:
        """Print the help or the version; argparse itself hides that it could not be written."""
        is_answer = file is sys.stdout
        if is_answer:
            sys.stdout.write(message)
            sys.stdout.flush()
        else:
            super()._print_message(message, file)


def build_parser(wanted: Container[str]) -> tuple[argparse.ArgumentParser, dict[str, ModuleType]]:
    """Give the parser, in which only the `wanted` subcommands know their arguments, and the modules of those."""
    parser = _Parser(
        prog="pagewarden",
        description="The Linux page allocator, watched and explained: free memory against watermarks and reserves,\n"
        "allocation failures decoded, vm.* settings computed with the kernel's own arithmetic.",
        epilog=EPILOG,
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pagewarden {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    modules: dict[str, ModuleType] = {}
    for name, text in COMMANDS.items():
        if name in wanted:
            modules[name] = module = import_module(f"pagewarden.cli.{name.replace('-', '_')}")
            module.configure(
                subparsers.add_parser(
                    name,
                    help=text,
                    description=module.HELP,
                    epilog=module.EPILOG,
                    formatter_class=_Formatter,
                    allow_abbrev=False,
                )
            )
        else:
            subparsers.add_parser(name, help=text, add_help=False)
    return parser, modules


def main(argv: Sequence[str]) -> ExitStatus:
    """Run the command; everything raised on purpose becomes one line on standard error."""
    # Only the module of the command that was asked for is imported: start-up time is part of being pleasant.
    wanted = [word for word in argv if not word.startswith("-")][:1]
    parser, modules = build_parser(wanted)
    if wanted and wanted[0] not in COMMANDS and not {"-h", "--help", "--version"} & set(argv[: argv.index(wanted[0])]):
        parser.error(_no_such_command(wanted[0]))
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        # argparse itself would leave out which command does not know them.
        _Parser(prog=f"pagewarden {args.command}").error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        status = modules[args.command].run(args)
        sys.stdout.flush()
    except PagewardenError as error:
        print(f"pagewarden {args.command}: {error}", file=sys.stderr)
        return error.exit_status
    return ExitStatus(status)


def _no_such_command(word: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, COMMANDS, n=1)
    return f"{word!r}: no such command" + (f"; did you mean {near[0]}?" if near else "")


def entry_point() -> None:
    """Installed as `pagewarden`."""
    if sys.stdout is None:  # closed by the caller (>&-)
        sys.exit("pagewarden: standard output is closed")
    _replace_what_cannot_be_shown()
    try:
        status = int(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("pagewarden: interrupted", file=sys.stderr)
        status = 130
    except BrokenPipeError:
        # The reader (head, less) went away: not an error of ours.
        _drop_output()
        status = 141
    except OSError as error:
        # Files that are read raise ReadError; what is left is writing the answer, to a full disk for example.
        _drop_output()
        print(f"pagewarden: {error.filename or 'standard output'}: {error.strerror or error}", file=sys.stderr)
        status = int(ExitStatus.FAILED)
    sys.exit(status)


def _replace_what_cannot_be_shown() -> None:
    # Standard error does so by itself. A name of a file that is no UTF-8 goes to a UTF-8 terminal as it came.
    output = sys.stdout
    own_choice = output.errors not in ("strict", "surrogateescape")
    as_it_came = output.errors == "surrogateescape" and output.encoding.lower().replace("-", "") == "utf8"
    if isinstance(output, io.TextIOWrapper) and not own_choice and not as_it_came:
        output.reconfigure(errors="replace")


def _drop_output() -> None:
    # Standard output must not be flushed again at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

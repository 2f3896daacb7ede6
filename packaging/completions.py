"""Completion of the command line for a shell: `python3 packaging/completions.py bash|zsh|fish`.

bash and zsh by shtab, fish in its own few words, all from the program's parser.
"""

import argparse
import sys
from collections.abc import Iterator

import shtab

from pagewarden.cli.main import COMMANDS, build_parser


def _takes_file(action: argparse.Action) -> bool:
    return str(action.metavar).startswith(("FILE", "DIR"))


def main(shell: str) -> str:
    """Give the completion's text."""
    parser, _ = build_parser(COMMANDS)
    commands = _commands(parser)
    for command in commands.values():
        for action in command._actions:
            if _takes_file(action):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return "\n".join(_fish(commands)) + "\n" if shell == "fish" else str(shtab.complete(parser, shell=shell))


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (subparsers,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(subparsers.choices)


def _fish(commands: dict[str, argparse.ArgumentParser]) -> Iterator[str]:
    yield "# Made by packaging/completions.py; do not edit."
    yield "complete -c pagewarden -f"
    yield f"complete -c pagewarden -n __fish_use_subcommand -l version -d {_quoted('the version')}"
    for name, line in COMMANDS.items():
        yield f"complete -c pagewarden -n __fish_use_subcommand -a {name} -d {_quoted(line)}"
    for name, command in commands.items():
        for action in command._actions:
            words = _fish_words(action)
            if words:
                yield f"complete -c pagewarden -n '__fish_seen_subcommand_from {name}' {words}"


def _fish_words(action: argparse.Action) -> str:
    """The options of fish's `complete` for one argument, or nothing where there is nothing to offer."""
    options = " ".join(
        f"-l {text[2:]}" if text.startswith("--") else f"-s {text[1:]}" for text in action.option_strings
    )
    value = ""
    if action.choices:
        value = f"-a {_quoted(' '.join(str(choice) for choice in action.choices))}"
    elif _takes_file(action):
        value = "-F"
    if not options:
        return value
    needed = "" if action.nargs == 0 else " -r" if _takes_file(action) else " -x"
    return f"{options}{needed} {value} -d {_quoted(action.help or '')}".replace("  ", " ")


def _quoted(text: str) -> str:
    escaped = " ".join(text.replace("%%", "%").split()).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("bash", "zsh", "fish"):
        sys.exit("completions.py: expected one of bash, zsh, fish")
    sys.stdout.write(main(sys.argv[1]))

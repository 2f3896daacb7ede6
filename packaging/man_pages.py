"""The man pages, from the program's parser: `python3 packaging/man_pages.py FOLDER`.

`pagewarden(1)` and one page a command. What the parser does not say stands in packaging/man.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pagewarden import __version__
from pagewarden.cli.main import COMMANDS, build_parser

TEXTS = Path(__file__).parent / "man"
OVERVIEW = "explain page allocation failures and compute vm.* settings"


def escaped(text: str) -> str:
    """Text as roff takes it: no line may begin with a command, no sign may become another."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return re.sub(r"^(?=\.)", r"\\&", plain, flags=re.MULTILINE)


def as_it_is(lines: list[str]) -> Iterator[str]:
    """Lines that are not filled."""
    yield from (".nf", *(escaped(line.removeprefix("  ")) for line in lines), ".fi")


def paragraphs(text: str) -> Iterator[str]:
    """Filled, but for blocks that are indented."""
    for number, part in enumerate(text.strip().split("\n\n")):
        if number:
            yield ".PP"
        yield from as_it_is(part.split("\n")) if part.startswith("  ") else (escaped(part),)


def sections(epilog: str) -> Iterator[str]:
    """`name:` and indented lines below it, as sections whose lines stay as they are."""
    for part in re.split(r"^(?=\S[^\n]*:$)", epilog, flags=re.MULTILINE):
        title, _, body = part.strip("\n").partition("\n")
        if body:
            yield f'.SH "{escaped(title.rstrip(":").upper())}"'
            yield from as_it_is(body.rstrip().split("\n"))


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """What the parser takes: arguments, then options."""
    formatter = parser._get_formatter()
    listed = [action for action in parser._actions if not isinstance(action, argparse._SubParsersAction)]
    for title, wanted in (("ARGUMENTS", False), ("OPTIONS", True)):
        actions = [action for action in listed if bool(action.option_strings) is wanted]
        if actions:
            yield f".SH {title}"
        for action in actions:
            yield from (".TP", f'.B "{escaped(formatter._format_action_invocation(action))}"')
            yield escaped(" ".join(formatter._expand_help(action).split())) if action.help else "\\&"


def page(name: str, line: str, parser: argparse.ArgumentParser, made: datetime) -> str:
    """One page, whole."""
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    lines = [
        f'.TH {name.upper()} 1 "{made:%Y-%m-%d}" "pagewarden {__version__}" "User Commands"',
        *(".SH NAME", f"{escaped(name)} \\- {escaped(line)}"),
        *(".SH SYNOPSIS", escaped(usage)),
        *(".SH DESCRIPTION", *paragraphs(parser.description or "")),
    ]
    if name == "pagewarden":
        lines += [".SH COMMANDS"]
        for command, text in COMMANDS.items():
            lines += [".TP", f".BR {escaped(f'pagewarden-{command}')} (1)", escaped(text)]
        lines += [(TEXTS / "overview.roff").read_text().rstrip()]
    lines += [*options(parser), *sections(parser.epilog or ""), (TEXTS / "closing.roff").read_text().rstrip()]
    return "\n".join(lines) + "\n"


def main(folder: Path) -> None:
    """Write every page."""
    os.environ["COLUMNS"] = "100"
    made = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")) or datetime.now(UTC).timestamp(), UTC)
    parser, _ = build_parser(COMMANDS)
    (subparsers,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    (folder / "pagewarden.1").write_text(page("pagewarden", OVERVIEW, parser, made))
    for command, line in COMMANDS.items():
        name = f"pagewarden-{command}"
        (folder / f"{name}.1").write_text(page(name, line, subparsers.choices[command], made))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("man_pages.py: expected a folder")
    main(Path(sys.argv[1]))

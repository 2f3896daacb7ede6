"""`pagewarden config`."""

import argparse
import sys
from collections.abc import Iterator
from itertools import groupby

from pagewarden.cli.common import add_format, add_root, print_json
from pagewarden.config.documents import toml_value
from pagewarden.config.load import read_config
from pagewarden.config.settings import Merged
from pagewarden.errors import ExitStatus
from pagewarden.procfs.roots import open_root

HELP = """\
Print the configuration that is in force, merged from /etc/pagewarden/pagewarden.toml and the drop-ins beside it, and
where each value came from. The text is TOML itself. Ends with status 78 and one line where a file is wrong."""

EPILOG = """\
examples:
  pagewarden config
  pagewarden config --format json | jq -r '.settings[] | select(.file) | "\\(.file):\\(.line) \\(.section).\\(.name)"'
  pagewarden config > /dev/null && systemctl reload pagewarden
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_root(parser)
    add_format(parser)


def run(args: argparse.Namespace) -> ExitStatus:
    """Read, check, merge, print."""
    merged = read_config(open_root(args.root))
    if args.format == "json":
        from pagewarden.report.wire_config import config_document

        print_json(config_document(merged))
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _lines(merged)))
    return ExitStatus.DONE


def _lines(merged: Merged) -> Iterator[str]:
    yield f"# read: {', '.join(merged.files) or 'no file; every setting has its default'}"
    for section, entries in groupby(merged.entries, lambda entry: entry.setting.section):
        rows = [(f"{entry.setting.name} = {toml_value(entry.value)}", entry.place) for entry in entries]
        width = min(max(len(text) for text, _ in rows), 60)
        yield ""
        yield f"[{section}]"
        for text, place in rows:
            yield f"{text.ljust(width)}  # {place}"

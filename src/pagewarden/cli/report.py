"""`pagewarden report`."""

import argparse
import sys
from datetime import datetime
from pathlib import Path

from pagewarden.advise.advice import advise
from pagewarden.cli.common import add_root, advice_policy, how_to_start, print_utf8, read_machine
from pagewarden.cli.history import add_since, read_kept, since_of
from pagewarden.diagnose.settings import settings_of
from pagewarden.errors import ExitStatus, PagewardenError
from pagewarden.history.summary import overview
from pagewarden.report.output_file import write_output

HELP = """\
Write a page to look at and to send to others: free memory of every zone against its marks over time, waits and memory
pressure, what happened, what to change and why, the zones and settings now. One file that needs nothing else, no
network, no scripts."""

EPILOG = """\
examples:
  pagewarden report --html report.html
  pagewarden report --html - --since -14d > two-weeks.html
  pagewarden report --html db1.html --root db1.tar.gz        a capture: without the history
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_root(parser)
    add_since(parser)
    parser.add_argument(
        "--html",
        required=True,
        metavar="FILE",
        help="where to write it, at once; an earlier page is replaced, no other file; - for standard output",
    )


def run(args: argparse.Namespace) -> ExitStatus:
    """Read, advise, sum up, write."""
    try:
        from pagewarden.report.page import PAGE_MARK, PAGE_SLICES, Page, render_page
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("jinja2"):
            raise
        raise PagewardenError("the Python package jinja2 is missing (pip install 'pagewarden[html]')") from None
    now = datetime.now().astimezone()
    since = since_of(args.since, now)
    snapshot, machine = read_machine(args.root)
    # An archive holds no history.
    kept = read_kept(args.root, since.timestamp()) if Path(args.root).is_dir() else None
    text = render_page(
        Page(
            snapshot=snapshot,
            machine=machine,
            settings=settings_of(snapshot, machine),
            advice=advise(snapshot, machine, advice_policy(args.root)),
            overview=overview(kept.samples, since.timestamp(), now.timestamp(), PAGE_SLICES) if kept else None,
            events=kept.events if kept else (),
            findings=kept.findings if kept else (),
            made_seconds=now.timestamp(),
            how_to_start=how_to_start(args.root),
        )
    )
    if args.html == "-":
        print_utf8(text)
    else:
        write_output(args.html, text.encode(), only_over=PAGE_MARK)
        print(f"pagewarden report: wrote {args.html}", file=sys.stderr)
    return ExitStatus.DONE

"""`pagewarden history`."""

import argparse
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pagewarden.cli.common import add_format, add_root, how_to_start, print_json, print_text
from pagewarden.errors import ExitStatus, ReadError, UsageError
from pagewarden.history.read import open_reader
from pagewarden.history.summary import overview
from pagewarden.history.types import HISTORY_FILE, Event, OpenFinding, Sample
from pagewarden.klog.since import parse_since

HELP = """\
Show what the service saw over the past days: free memory against the marks, waits for memory, the kernel's reports by
cause, findings and changes, and which findings are open. The service keeps it in
/var/lib/pagewarden/history/history.db; this only reads."""

EPILOG = """\
examples:
  pagewarden history
  pagewarden history --since -30d
  pagewarden history --since yesterday --format json | jq '.events[] | select(.kind == "report")'
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the history holds of a stretch of time."""

    samples: tuple[Sample, ...]
    events: tuple[Event, ...]
    findings: tuple[OpenFinding, ...]


def add_since(parser: argparse.ArgumentParser) -> None:
    """Add --since."""
    parser.add_argument(
        "--since", default="-2d", metavar="TIME", help="from then on: -7d, yesterday, 2026-11-20 08:00 (default: -2d)"
    )
    # Else argparse takes the -2d of "--since -2d" for an option. This parser has none that begins with a digit.
    parser._negative_number_matcher = re.compile(r"-\d")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_root(parser)
    add_format(parser)
    add_since(parser)


def run(args: argparse.Namespace) -> ExitStatus:
    """Read, sum up, print."""
    now = datetime.now().astimezone()
    since = since_of(args.since, now)
    kept = read_kept(args.root, since.timestamp())
    samples, events, findings = (kept.samples, kept.events, kept.findings) if kept else ((), (), ())
    if args.format == "json":
        from pagewarden.report.wire_history import history_document

        summed = overview(samples, since.timestamp(), now.timestamp(), 1)
        print_json(history_document(summed, samples, events, findings, kept=kept is not None))
    elif kept is None:
        print(_none_yet(args.root))
    else:
        from pagewarden.report.console import console
        from pagewarden.report.history import render_history, strip_slices

        summed = overview(samples, since.timestamp(), now.timestamp(), strip_slices(console().width))
        print_text(render_history(summed, events, findings, None))
    return ExitStatus.DONE


def _none_yet(root: str) -> str:
    advice = how_to_start(root)
    if not advice:
        return f"{root}: there is no history: the service had not run there, or its files were not copied"
    return f"there is no history yet: the service has not run here ({advice})"


def since_of(text: str, now: datetime) -> datetime:
    """Read --since.

    :raises UsageError: no time, or one that is still to come.
    """
    since = parse_since(text, now)
    if since >= now:
        raise UsageError(f"--since {text!r}: expected a time that has passed")
    return since


def read_kept(root: str, since_seconds: float) -> Kept | None:
    """Read the history below a root; None where there is none.

    :raises ReadError: it may not be read.
    :raises HistoryError: it is damaged.
    """
    if root != "/" and not Path(root).is_dir():
        raise ReadError(root, "expected a folder; archives hold no history")
    path = HISTORY_FILE if root == "/" else f"{root.rstrip('/')}{HISTORY_FILE}"
    try:
        with open_reader(path) as reader:
            return Kept(tuple(reader.samples(since_seconds)), tuple(reader.events(since_seconds)), reader.findings())
    except ReadError as error:
        if error.missing:
            return None
        raise

"""`pagewarden explain`."""

import argparse
import re
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import datetime
from functools import partial

from pagewarden.cli.common import add_format, kernel_named, print_json, print_text
from pagewarden.diagnose.diagnosis import Diagnosis
from pagewarden.diagnose.explain import diagnose
from pagewarden.errors import ExitStatus, ReadError, UsageError
from pagewarden.klog.repeats import group_repeats
from pagewarden.klog.sources import read_reports
from pagewarden.klog.trouble import TroubleLines
from pagewarden.klog.types import LogRead, Report, ReportGroup

HELP = """\
Decode every allocation failure, OOM kill and stall in kernel logs: who asked for what, which zones refused and on which
comparison, by how many pages, whether it harmed anything, and what would have prevented it. Any kernel from 2.6 on; any
form the log reached you in (dmesg, journalctl, syslog, serial consoles, mails), plain or compressed."""

EPILOG = """\
examples:
  journalctl -k | pagewarden explain -
  pagewarden explain /var/log/kern.log /var/log/kern.log.1.gz
  pagewarden explain --journal --since -2d
  pagewarden explain --all --format json FILE      JSON Lines, one report a line
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_format(parser)
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="a log, plain or .gz, .xz, .bz2, .zst; - for standard input"
    )
    parser.add_argument("--journal", action="store_true", help="read the kernel's messages from the systemd journal")
    parser.add_argument(
        "--since", metavar="TIME", help="with --journal: from then on (-2d, yesterday, 2026-11-20 08:00)"
    )
    # Else argparse takes the -2d of "--since -2d" for an option. This parser has none that begins with a digit.
    parser._negative_number_matcher = re.compile(r"-\d")
    parser.add_argument("--kmsg", action="store_true", help="read the kernel's own buffer, /dev/kmsg")
    parser.add_argument(
        "--all", action="store_true", help="show every report; otherwise repeats are grouped and counted"
    )
    parser.add_argument("--kernel", metavar="RELEASE", help="the kernel that wrote the log, where the log does not say")


def run(args: argparse.Namespace) -> ExitStatus:
    """Read the logs, explain each report, print."""
    kernel_named(args.kernel)
    if args.since is not None and not args.journal:
        raise UsageError("--since goes with --journal")
    sources = list(_sources(args))
    if not sources:
        raise UsageError("nothing to read: name a FILE, - for standard input, --journal or --kmsg")
    errors: list[ReadError] = []
    logs: list[LogRead] = []
    groups = (
        (name, group)
        for name, read in sources
        for group in _grouped(_until_damage(name, read, logs, errors), every=args.all)
    )
    if args.format == "json":
        _print_json(groups, args.kernel)
    else:
        rows = [(name, group, diagnose(group.example, args.kernel)) for name, group in groups]
        if rows or any(log.lines is not None for log in logs):
            _print_text(rows, logs)
    sys.stdout.flush()
    for error in errors:
        print(f"pagewarden explain: {error}", file=sys.stderr)
    return errors[0].exit_status if errors else ExitStatus.DONE


Reading = Generator[Report, None, int]


def _until_damage(
    name: str, read: Callable[[TroubleLines], Reading], logs: list[LogRead], errors: list[ReadError]
) -> Iterator[Report]:
    """Give what can be read: a log that is cut off or missing takes nothing away from the others."""
    lines, trouble = None, TroubleLines()
    try:
        lines = yield from trouble.until_a_report(read(trouble))
    except ReadError as error:
        errors.append(error)
    logs.append(LogRead(name, lines, trouble.count, trouble.first, trouble.whole))


def _sources(args: argparse.Namespace) -> Iterator[tuple[str, Callable[[TroubleLines], Reading]]]:
    for path in dict.fromkeys(args.files):  # one that is named twice is read once
        yield path, partial(_with_progress, path)
    if args.journal:
        from pagewarden.klog.journal import read_journal

        since = _since(args.since)
        yield "journal", lambda trouble: read_journal(since, trouble=trouble)
    if args.kmsg:
        from pagewarden.klog.kmsg import read_kmsg

        yield "/dev/kmsg", lambda trouble: read_kmsg(trouble=trouble)


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    from pagewarden.klog.since import parse_since

    return parse_since(text, datetime.now().astimezone())


def _with_progress(path: str, trouble: TroubleLines) -> Reading:
    if not sys.stderr.isatty():
        return (yield from read_reports(path, trouble=trouble))
    from pagewarden.report.progress import reading

    with reading(path) as progress:
        return (yield from read_reports(path, progress=progress, trouble=trouble))


def _grouped(reports: Iterable[Report], *, every: bool) -> Iterator[ReportGroup]:
    if not every:
        yield from group_repeats(reports)
        return
    for report in reports:
        yield from group_repeats([report])


def _print_json(groups: Iterable[tuple[str, ReportGroup]], kernel: str | None) -> None:
    from pagewarden.report.wire_report import report_document

    for name, group in groups:
        print_json(report_document(name, group, diagnose(group.example, kernel)))


def _print_text(rows: list[tuple[str, ReportGroup, Diagnosis]], logs: list[LogRead]) -> None:
    from pagewarden.report.explain import render_report, render_summary

    print_text(render_summary(rows, logs))
    for number, (name, group, diagnosis) in enumerate(rows, 1):
        print_text(render_report(number, name, group, diagnosis))

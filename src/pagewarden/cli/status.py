"""`pagewarden status`."""

import argparse

from pagewarden.cli.applying import changes_below
from pagewarden.cli.common import add_format, add_root, print_json, print_text, read_machine
from pagewarden.diagnose.settings import settings_of
from pagewarden.errors import ExitStatus

HELP = """\
Show every zone's free memory against its marks, what is kept back for lower zones, free blocks and fragmentation by
order, each setting beside what the kernel itself would have chosen and who set it, and what 'apply' changed. Ends with
how well the kernel model reproduces what this kernel prints."""

EPILOG = """\
examples:
  pagewarden status
  pagewarden status --root sosreport-db1-2026-11-20/
  pagewarden status --format json | jq '.zones[] | select(.present_pages > 0 and .free_pages <= .low_pages)'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_root(parser)
    add_format(parser)


def run(args: argparse.Namespace) -> ExitStatus:
    """Read, fit, print."""
    snapshot, machine = read_machine(args.root)
    settings = settings_of(snapshot, machine)
    changes = changes_below(args.root, snapshot)
    if args.format == "json":
        from pagewarden.report.wire import status_document

        print_json(status_document(snapshot, machine, settings, changes))
    else:
        from pagewarden.report.status import render_status

        print_text(render_status(snapshot, machine, settings, changes))
    return ExitStatus.DONE

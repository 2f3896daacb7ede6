"""`pagewarden revert`."""

import argparse

from pagewarden.apply.bounds import KEYS
from pagewarden.apply.paths import SNIPPET
from pagewarden.apply.signals import ended_by_signals
from pagewarden.apply.transaction import revert_changes
from pagewarden.cli.applying import need_root, parse_key, running_system
from pagewarden.cli.common import add_format, print_json, print_text
from pagewarden.errors import ExitStatus

HELP = """\
Put back what pagewarden changed: the old values into the running kernel, and our lines out of
/etc/sysctl.d/60-pagewarden.conf (the last one takes the file with it). A setting that somebody else has written since
is left alone, and said."""

EPILOG = """\
examples:
  pagewarden rollback-status                   what would be put back
  sudo pagewarden revert                       all of it
  sudo pagewarden revert vm.min_free_kbytes    this one

exit status: 0 done, or nothing to do   4 it failed, and settings and files are as they were
  5 it failed half-way (the next run tries again)   77 no permission
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_format(parser)
    parser.add_argument("keys", nargs="*", metavar="KEY", help="a setting that pagewarden changed (default: all)")


def run(args: argparse.Namespace) -> ExitStatus:
    """Put back, and say what was."""
    keys = [parse_key(word, KEYS) for word in args.keys]
    need_root("revert", args.keys, look="pagewarden rollback-status")
    with ended_by_signals():
        outcome = revert_changes(running_system(), keys)
    if args.format == "json":
        from pagewarden.report.wire_apply import revert_document

        print_json(revert_document(outcome, SNIPPET))
    else:
        from pagewarden.report.apply import render_reverted

        print_text(render_reverted(outcome, SNIPPET))
    return ExitStatus.DONE

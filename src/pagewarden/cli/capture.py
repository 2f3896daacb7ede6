"""`pagewarden capture`."""

import argparse
import sys
from pathlib import Path

from pagewarden.cli.common import add_root
from pagewarden.errors import ExitStatus, UsageError
from pagewarden.procfs.archive import write_capture

HELP = """\
Save every file the other commands read into one archive, to look at elsewhere with --root FILE or to send to somebody
else. It holds counters and settings: no process names, no logs (send those beside it, for --logs); the host name and
the kernel command line are in it."""

EPILOG = """\
examples:
  pagewarden capture db1.tar.gz
  pagewarden status --root db1.tar.gz
  sudo pagewarden capture db1.tar.gz           as root it also holds pagetypeinfo
"""

SUFFIXES = (".tar.gz", ".tgz")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_root(parser)
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    parser.add_argument("file", type=Path, metavar="FILE.tar.gz", help="the archive to write")


def run(args: argparse.Namespace) -> ExitStatus:
    """Write the archive and say what is in it."""
    if not args.file.name.endswith(SUFFIXES):
        raise UsageError(f"{args.file}: expected a name that ends in .tar.gz")
    result = write_capture(args.root, args.file, overwrite=args.force)
    print(f"{result.path}: {len(result.captured)} files")
    for path, reason in result.absent.items():
        if "no such" not in reason:
            print(f"pagewarden capture: not in it: {path}: {reason}", file=sys.stderr)
    for note in result.notes:
        print(f"pagewarden capture: {note}", file=sys.stderr)
    return ExitStatus.DONE

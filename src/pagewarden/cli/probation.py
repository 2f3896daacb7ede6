"""`pagewarden probation`."""

import argparse
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pagewarden.apply.paths import Paths
from pagewarden.apply.probation_file import load_probation, load_trials
from pagewarden.apply.state import open_lock
from pagewarden.cli.applying import need_root, running_system
from pagewarden.cli.common import add_format, print_json, print_text
from pagewarden.cli.following import watch
from pagewarden.errors import ApplyError, ExitStatus, UsageError

HELP = """\
Show the change that is on probation: what it promised, what was before, what has been counted since; and what became of
earlier changes. A change that hurts is taken back at once, one that does not help at the end. --watch does the
watching, until the end; pagewarden-probation.service runs it where its path unit is up."""

EPILOG = """\
examples:
  pagewarden probation
  sudo pagewarden probation --watch            after 'apply' on a machine without the units
  pagewarden probation --format json | jq '.trials[-1]'

exit status of --watch: 0 the change stays, or nothing is on probation   4 it was taken back
  5 it could not be taken back   77 no permission
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_format(parser)
    parser.add_argument("--watch", action="store_true", help="watch until it ends, and take it back where it must be")


def run(args: argparse.Namespace) -> ExitStatus:
    """Show, or watch."""
    if args.watch:
        if args.format != "text":
            raise UsageError("--watch prints no JSON; ask 'pagewarden probation --format json' when it has ended")
        need_root("probation", ["--watch"], look="pagewarden probation")
        system = running_system()
        with only_watcher(system.paths):
            return watch(system)
    paths = Paths()
    probation, trials = load_probation(paths), load_trials(paths)
    if args.format == "json":
        from pagewarden.report.wire_probation import probation_document

        print_json(probation_document(probation, trials))
    else:
        from pagewarden.report.probation import render_probation

        print_text(render_probation(probation, trials))
    return ExitStatus.DONE


@contextmanager
def only_watcher(paths: Paths) -> Iterator[None]:
    """Keep a second watcher out; it ends with the process, however that ends.

    :raises ApplyError: there is one already.
    """
    if not paths.state.is_dir():
        yield  # nothing was ever changed
        return
    path = paths.state / "watch.lock"
    try:
        handle = open_lock(path)
    except OSError as error:
        raise ApplyError(f"{path}: {str(error.strerror or error).lower()}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ApplyError("it is watched already by another pagewarden (the service, perhaps)") from None
    finally:
        os.close(handle)

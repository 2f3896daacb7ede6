"""`pagewarden status`."""

import argparse
import time
from dataclasses import replace
from itertools import chain

from pagewarden.cli.applying import changes_below, probation_below
from pagewarden.cli.common import (
    add_format,
    add_root,
    how_to_start,
    print_json,
    print_text,
    read_machine,
    tell_container,
)
from pagewarden.diagnose.settings import settings_of
from pagewarden.errors import ExitStatus, ReadError
from pagewarden.history.state import parse_state
from pagewarden.history.types import STATE_FILE, ServiceState
from pagewarden.procfs.roots import open_root

HELP = """\
Show every zone's free memory against its marks, what is kept back for lower zones, free blocks and fragmentation by
order, and each setting beside what the kernel itself would have chosen and who set it; how well the kernel model
reproduces what this kernel prints; what 'apply' changed; and what the service says: its last reading, findings, plan,
probation."""

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
    tell_container(args.root)
    snapshot, machine = read_machine(args.root)
    settings = settings_of(snapshot, machine)
    changes = changes_below(args.root, snapshot)
    probation = probation_below(args.root)
    service = service_state(args.root)
    if args.format == "json":
        from pagewarden.report.wire_status import service_document, status_document

        document = status_document(snapshot, machine, settings, changes)
        keys = [change.key for change in probation.changes] if probation else []
        print_json(replace(document, service=service_document(service), on_probation=keys))
    else:
        from pagewarden.report.probation import render_watched
        from pagewarden.report.service import render_service
        from pagewarden.report.status import render_status

        absent = service is None and args.root != "/"
        told = () if absent else render_service(service, time.time(), None, how_to_start(args.root))
        watched = render_watched(probation) if probation else ()
        print_text(chain(render_status(snapshot, machine, settings, changes), watched, told))
    return ExitStatus.DONE


def service_state(root: str) -> ServiceState | str | None:
    """Read what the service says of itself: why that cannot be read, or None where it does not run."""
    machine = open_root(root)
    path = STATE_FILE.removeprefix("/")
    try:
        return parse_state(machine.read(path), machine.shown(path))
    except ReadError as error:
        return None if error.missing else str(error)

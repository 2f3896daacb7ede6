"""`pagewarden rollback-status`."""

import argparse

from pagewarden.apply.paths import SNIPPET
from pagewarden.apply.standing import snippet_state, standings, state_note
from pagewarden.cli.applying import offline_scene
from pagewarden.cli.common import add_format, add_root, print_json, print_text
from pagewarden.errors import ExitStatus

HELP = """\
Show what pagewarden changed on this machine, when and why, the values 'revert' would put back, and what it would leave
alone because somebody else has written it since. Nothing is written."""

EPILOG = """\
examples:
  pagewarden rollback-status
  pagewarden rollback-status --format json | jq -r '.owned[] | select(.foreign == null) | .key'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_root(parser)
    add_format(parser)


def run(args: argparse.Namespace) -> ExitStatus:
    """Read, judge, print."""
    scene = offline_scene(args.root)
    judged = standings(scene.record, scene.snippet, scene.snapshot.sysctls, scene.boot_id)
    state = snippet_state(scene.record, scene.snippet)
    note = state_note(state, scene.snippet)
    if args.format == "json":
        from pagewarden.report.wire_apply import rollback_document

        print_json(rollback_document(scene.record, judged, state, note, SNIPPET))
    else:
        from pagewarden.report.apply import render_rollback_status

        print_text(render_rollback_status(scene.record, judged, note))
    return ExitStatus.DONE

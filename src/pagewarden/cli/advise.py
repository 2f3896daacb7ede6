"""`pagewarden advise`."""

import argparse
from itertools import chain

from pagewarden.advise.advice import advise
from pagewarden.advise.types import Workload
from pagewarden.apply.policy import Policy
from pagewarden.cli.common import add_format, add_root, print_json, print_text, read_machine
from pagewarden.errors import ExitStatus

HELP = """\
Say what to change on this machine and why, or that there is nothing to change. Each recommendation names the present
and the proposed value, the evidence, the predicted effect on every zone, the price, and what would make it wrong; on
this machine also whether it would be applied without a person, and if not, why. Nothing is ever written."""

EPILOG = """\
examples:
  pagewarden advise
  pagewarden advise --check && echo nothing to change
  pagewarden advise --root capture.tar.gz --workload numa-partitioned
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_root(parser)
    add_format(parser)
    parser.add_argument(
        "--workload",
        choices=[workload.value for workload in Workload],
        default=Workload.GENERAL.value,
        help="what the machine is for, which it cannot know itself (default: general)",
    )
    parser.add_argument("--check", action="store_true", help="exit with status 3 when there is something to change")


def run(args: argparse.Namespace) -> ExitStatus:
    """Read, fit, advise, print."""
    snapshot, machine = read_machine(args.root)
    advice = advise(snapshot, machine, Workload(args.workload))
    verdicts, policy = {}, Policy()
    if args.root == "/" and advice.recommendations:
        # Only here, for they bring pydantic with them.
        from pagewarden.cli.previews import previews
        from pagewarden.cli.unattended import configured_policy

        policy = configured_policy()
        verdicts = dict(previews(advice.recommendations, snapshot, machine, policy))
    if args.format == "json":
        from pagewarden.report.wire import advice_document, unattended_document

        document = advice_document(advice)
        print_json(document.model_copy(update={"unattended": unattended_document(verdicts)}))
    else:
        from pagewarden.report.advice import render_advice, render_unattended

        print_text(chain(render_advice(advice), render_unattended(verdicts, policy)))
    return ExitStatus.FOUND if args.check and not advice.quiet else ExitStatus.DONE

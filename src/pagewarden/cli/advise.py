"""`pagewarden advise`."""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain

from pagewarden.advise.advice import advise
from pagewarden.advise.policy import Workload
from pagewarden.advise.types import Advice
from pagewarden.apply.policy import Policy, Verdict
from pagewarden.cli.common import (
    add_format,
    add_root,
    advice_policy,
    documentation_folder,
    print_json,
    print_text,
    tell_container,
)
from pagewarden.cli.observe import add_observation, check_observation, observe
from pagewarden.errors import ExitStatus

HELP = """\
Say what to change on this machine and why, or that there is nothing to change. Each recommendation names the present
and the proposed value, the evidence, the predicted effect on every zone, the price, and what would make it wrong; on
this machine also whether it would be applied without a person, and if not, why. One look shows settings that are wrong
by themselves; logs and counters show what fails or stalls, and what answers it. Nothing is ever written."""

EPILOG = """\
examples:
  pagewarden advise                                    from one look at this machine
  pagewarden advise --journal                          and from what failed in the last 30 days
  pagewarden advise --watch 10m                        and from how often tasks wait for memory meanwhile
  pagewarden advise --logs /var/log/kern.log* --explain    with the arithmetic, step by step
  pagewarden advise --check && echo nothing to change
  pagewarden advise --root capture.tar.gz --workload numa-partitioned
  pagewarden advise --root before.tar.gz --later after.tar.gz
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_root(parser)
    add_format(parser)
    add_observation(parser)
    parser.add_argument(
        "--workload",
        choices=[workload.value for workload in Workload],
        help="what the machine is for, which it cannot know itself (default: as configured, else general)",
    )
    parser.add_argument("--explain", action="store_true", help="show the arithmetic of each recommendation")
    parser.add_argument("--check", action="store_true", help="exit with status 3 when there is something to change")


def run(args: argparse.Namespace) -> ExitStatus:
    """Read, fit, observe, advise, print."""
    check_observation(args)
    tell_container(args.root)
    policy = advice_policy(args.root, args.workload)
    snapshot, machine, observed = observe(args, policy)
    advice = advise(snapshot, machine, policy, observed)
    verdicts, limits = {}, Policy()
    if args.root == "/" and advice.recommendations:
        # What judges changes takes a tenth of a second to load.
        from pagewarden.cli.previews import previews
        from pagewarden.cli.unattended import configured_policy

        limits = configured_policy()
        verdicts = dict(previews(advice.recommendations, snapshot, machine, limits))
        advice = with_verdicts(advice, verdicts)
    if args.format == "json":
        from pagewarden.report.wire import advice_document, unattended_document

        document = advice_document(advice)
        print_json(replace(document, unattended=unattended_document(verdicts)))
    else:
        from pagewarden.report.advice import render_advice, render_unattended

        parts = render_advice(advice, observed.logs, steps=args.explain, pages=documentation_folder())
        print_text(chain(parts, render_unattended(verdicts, limits)))
    return ExitStatus.FOUND if args.check and not advice.quiet else ExitStatus.DONE


def with_verdicts(advice: Advice, verdicts: Mapping[str, Verdict]) -> Advice:
    """Note in each recommendation whether it would be applied without a person: the adviser knows no policy."""
    judged = tuple(replace(entry, auto=verdicts[entry.key].allowed) for entry in advice.recommendations)
    return replace(advice, recommendations=judged)

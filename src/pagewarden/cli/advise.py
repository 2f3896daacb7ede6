"""`pagewarden advise`."""

import argparse
from dataclasses import replace

from pagewarden.advise.advice import advise
from pagewarden.advise.observed import Observed
from pagewarden.advise.policy import Workload
from pagewarden.cli.common import add_format, add_root, advice_policy, print_json, print_text, read_machine
from pagewarden.cli.observe import (
    add_observation,
    check_observation,
    observed_later,
    observed_logs,
    wants_links,
    watch,
)
from pagewarden.errors import ExitStatus
from pagewarden.kernel.machine import machine_of

HELP = """\
Say what to change on this machine and why, or that there is nothing to change. Each recommendation names the present
and the proposed value, the evidence, the predicted effect on every zone, the price, and what would make it wrong.
One look shows settings that are wrong by themselves; logs and counters show what fails or stalls, and what answers it.
Nothing is ever written."""

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
    policy = advice_policy(args.root, args.workload)
    snapshot, machine = read_machine(args.root)
    observed = Observed()
    if args.watch is not None:
        snapshot, observed = watch(args.watch, snapshot)
        machine = machine_of(snapshot)
    elif args.later is not None:
        earlier = snapshot
        snapshot, machine = read_machine(args.later)
        observed = Observed(interval=observed_later(args, earlier, snapshot))
    observed = replace(observed, logs=observed_logs(args, snapshot, machine, policy))
    if wants_links(snapshot, observed.logs):
        from pagewarden.procfs.network import read_links

        observed = replace(observed, links=read_links())
    advice = advise(snapshot, machine, policy, observed)
    if args.format == "json":
        from pagewarden.report.wire import advice_document

        print_json(advice_document(advice))
    else:
        from pagewarden.report.advice import render_advice

        print_text(render_advice(advice, steps=args.explain))
    return ExitStatus.FOUND if args.check and not advice.quiet else ExitStatus.DONE

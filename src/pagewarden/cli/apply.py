"""`pagewarden apply`."""

import argparse
import sys

from pagewarden.advise.advice import advise
from pagewarden.advise.policy import Workload
from pagewarden.apply.bounds import KEYS
from pagewarden.apply.paths import SNIPPET
from pagewarden.apply.plan import changes_of, plan_changes
from pagewarden.apply.signals import ended_by_signals
from pagewarden.apply.types import Change, Outcome
from pagewarden.cli.applying import need_root, offline_scene, parse_key, running_system
from pagewarden.cli.common import add_format, add_root, advice_policy, print_json, print_text, tell_container
from pagewarden.cli.observe import add_observation, check_observation, observe
from pagewarden.errors import ExitStatus, UsageError

HELP = """\
Change settings, in the running kernel and in /etc/sysctl.d/60-pagewarden.conf for the next boot: those that 'advise'
recommends (all, or the KEYs named), or values of your own (KEY=VALUE), with the same checks. Old values are recorded
first; every write is read back, and every zone compared with the prediction. What does not come out as predicted, or
hurts, is undone at once. Settings made elsewhere are left alone. Afterwards the change is on probation: watched by
pagewarden-probation.service where its path unit is up, otherwise by this command while it stays on a terminal, and
taken back if it hurts or does not help. Undo: pagewarden revert."""

EPILOG = f"""\
examples:
  pagewarden apply --dry-run                   the file, each write and every zone, before anything is done
  sudo pagewarden apply
  sudo pagewarden apply --journal              what failed in the last 30 days counts as well, as for 'advise'
  sudo pagewarden apply vm.min_free_kbytes=131072
  pagewarden apply --dry-run --root capture.tar.gz

settings: {", ".join(KEYS[:4])},
  {", ".join(KEYS[4:])}

exit status: 0 done, or nothing to do   1 refused, nothing was changed   4 it failed and was undone
  5 it failed and could not be undone   77 no permission
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_root(parser)
    add_format(parser)
    add_observation(parser)
    parser.add_argument("--dry-run", action="store_true", help="show everything that would be done, and do nothing")
    parser.add_argument(
        "--force", action="store_true", help="also where a file that is read before ours sets the key; says which"
    )
    parser.add_argument(
        "--workload",
        choices=[workload.value for workload in Workload],
        help="what the machine is for, as for 'advise' (default: as configured, else general)",
    )
    parser.add_argument(
        "--no-watch", action="store_true", help="do not stay and watch the change, where a terminal is there to stay on"
    )
    parser.add_argument("--plan", metavar="FILE", help="with --unattended: the plan that the service left")
    parser.add_argument(
        "--unattended", action="store_true", help="make what the plan asks for and the configured policy allows"
    )
    parser.add_argument("words", nargs="*", metavar="KEY[=VALUE]", help="a recommended setting, or one of your own")


def run(args: argparse.Namespace) -> ExitStatus:
    """Plan, then print the plan or carry it out."""
    if args.plan is not None or args.unattended:
        return _unattended(args)
    check_observation(args)
    own, named = parse_words(args.words)
    if args.dry_run:
        return _dry_run(args, own, named)
    if args.root != "/":
        raise UsageError("--root is for --dry-run: settings are changed on this machine alone")
    need_root("apply", args.words, look="pagewarden apply --dry-run")
    tell_container(args.root)
    changes = _wanted(args, own, named)
    from pagewarden.apply.probation_run import apply_on_probation
    from pagewarden.cli.following import follow, terms_of

    system = running_system()
    with ended_by_signals():
        outcome = apply_on_probation(
            system, changes, terms_of(changes), force=args.force, all_or_nothing=bool(args.words)
        )
    status = _answer(args, outcome)
    if status is ExitStatus.DONE and outcome.done and outcome.plan.steps:
        return follow(system, stay=not args.no_watch)
    return status


def _unattended(args: argparse.Namespace) -> ExitStatus:
    if args.plan is None or not args.unattended:
        raise UsageError("--plan and --unattended go together: apply --plan FILE --unattended")
    if args.words or args.dry_run or args.force or args.root != "/" or args.format != "text":
        raise UsageError("--plan --unattended takes no other arguments: the plan says what, the configuration whether")
    need_root("apply", ["--plan", args.plan, "--unattended"], look="pagewarden advise")
    from pagewarden.cli.unattended import run_plan

    return run_plan(args.plan)


def parse_words(words: list[str]) -> tuple[list[Change], list[str]]:
    """Read KEY=VALUE and KEY words: (values of one's own, keys to take from the recommendations).

    :raises UsageError: an unknown key, a key given twice, or no value after the equals sign.
    """
    own: list[Change] = []
    named: list[str] = []
    for word in words:
        written, equals, value = word.partition("=")
        key = parse_key(written, KEYS)
        if key in named or any(change.key == key for change in own):
            raise UsageError(f"'{key}' is given twice; give each setting once")
        if not equals:
            named.append(key)
        elif not value.split():
            raise UsageError(f"'{word}': expected a value, for example {key}=131072")
        else:
            text = " ".join(value.split())
            own.append(Change(key, text, f'An administrator\'s own choice: pagewarden apply {key}="{text}"'))
    return own, named


def _wanted(args: argparse.Namespace, own: list[Change], named: list[str]) -> tuple[Change, ...]:
    """Add what is recommended to what was given."""
    if args.words and not named:
        return tuple(own)
    policy = advice_policy(args.root, args.workload)
    snapshot, machine, observed = observe(args, policy)
    recommendations = advise(snapshot, machine, policy, observed).recommendations
    for entry in recommendations:
        if not named and entry.key == "action:rewrite":
            # Not a change of a value, so there is nothing that a record could hold and revert put back.
            print(
                "pagewarden apply: stale marks are yours to renew: "
                f"sudo {'; '.join(entry.commands)} (the value in force, written again)",
                file=sys.stderr,
            )
    recommended = changes_of(recommendations, named)
    missing = [key for key in named if key not in {change.key for change in recommended}]
    for key in missing:
        print(f"pagewarden apply: {key}: no change is recommended (see pagewarden advise)", file=sys.stderr)
    return (*own, *recommended)


def _dry_run(args: argparse.Namespace, own: list[Change], named: list[str]) -> ExitStatus:
    tell_container(args.root)
    scene = offline_scene(args.root)
    plan = plan_changes(scene, _wanted(args, own, named), force=args.force)
    notes = plan.notes
    if scene.record.pending is not None:
        notes = ("a run that did not come to its end would be undone or finished first", *notes)
    outcome = Outcome(plan, scene.record, False, notes)
    if args.format == "json":
        from pagewarden.report.wire_apply import apply_document

        print_json(apply_document(outcome, SNIPPET, dry_run=True))
    else:
        from pagewarden.report.apply import render_applied, render_plan

        render = render_plan if plan.changes or plan.refused else render_applied
        print_text(render(outcome, SNIPPET))
    return ExitStatus.FAILED if _is_refused(args, outcome) else ExitStatus.DONE


def _answer(args: argparse.Namespace, outcome: Outcome) -> ExitStatus:
    if args.format == "json":
        from pagewarden.report.wire_apply import apply_document

        print_json(apply_document(outcome, SNIPPET, dry_run=False))
    else:
        from pagewarden.report.apply import render_applied

        print_text(render_applied(outcome, SNIPPET))
    if not _is_refused(args, outcome):
        return ExitStatus.DONE
    print("pagewarden apply: nothing was changed", file=sys.stderr)
    return ExitStatus.FAILED


def _is_refused(args: argparse.Namespace, outcome: Outcome) -> bool:
    """Whether what was asked for is not done: one of the words given, or all that is recommended."""
    return bool(outcome.plan.refused) and (bool(args.words) or not outcome.plan.changes)

"""`pagewarden apply`."""

import argparse
import sys

from pagewarden.advise.advice import advise
from pagewarden.advise.types import Workload
from pagewarden.apply.bounds import KEYS
from pagewarden.apply.paths import SNIPPET
from pagewarden.apply.plan import changes_of, plan_changes
from pagewarden.apply.signals import ended_by_signals
from pagewarden.apply.transaction import apply_changes
from pagewarden.apply.types import Change, Outcome
from pagewarden.cli.applying import need_root, offline_scene, parse_key, running_system
from pagewarden.cli.common import add_format, add_root, print_json, print_text, read_machine
from pagewarden.errors import ExitStatus, UsageError

HELP = """\
Change settings, in the running kernel and in /etc/sysctl.d/60-pagewarden.conf for the next boot: those that 'advise'
recommends (all, or the KEYs named), or values of your own (KEY=VALUE), with the same checks. Old values are recorded
first; every write is read back, and every zone compared with the prediction. What does not come out as predicted, or
hurts, is undone at once. Settings made elsewhere are left alone. Undo: pagewarden revert."""

EPILOG = f"""\
examples:
  pagewarden apply --dry-run                   the file, each write and every zone, before anything is done
  sudo pagewarden apply
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
    parser.add_argument("--dry-run", action="store_true", help="show everything that would be done, and do nothing")
    parser.add_argument(
        "--force", action="store_true", help="also where a file that is read before ours sets the key; says which"
    )
    parser.add_argument(
        "--workload",
        choices=[workload.value for workload in Workload],
        default=Workload.GENERAL.value,
        help="what the machine is for, as for 'advise' (default: general)",
    )
    parser.add_argument("words", nargs="*", metavar="KEY[=VALUE]", help="a recommended setting, or one of your own")


def run(args: argparse.Namespace) -> ExitStatus:
    """Plan, then print the plan or carry it out."""
    own, named = parse_words(args.words)
    if args.dry_run:
        return _dry_run(args, own, named)
    if args.root != "/":
        raise UsageError("--root is for --dry-run: settings are changed on this machine alone")
    need_root("apply", args.words, look="pagewarden apply --dry-run")
    changes = _wanted(args, own, named)
    with ended_by_signals():
        outcome = apply_changes(running_system(), changes, force=args.force, all_or_nothing=bool(args.words))
    return _answer(args, outcome)


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
    snapshot, machine = read_machine(args.root)
    recommended = changes_of(advise(snapshot, machine, Workload(args.workload)).recommendations, named)
    missing = [key for key in named if key not in {change.key for change in recommended}]
    for key in missing:
        print(f"pagewarden apply: {key}: no change is recommended (see pagewarden advise)", file=sys.stderr)
    return (*own, *recommended)


def _dry_run(args: argparse.Namespace, own: list[Change], named: list[str]) -> ExitStatus:
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

        print_text(render_plan(plan, SNIPPET) if plan.changes or plan.refused else render_applied(outcome, SNIPPET))
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

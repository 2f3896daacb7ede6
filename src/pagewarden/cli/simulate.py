"""`pagewarden simulate`."""

import argparse
import os
import sys
from difflib import get_close_matches

from pagewarden.advise.effect import predict_effect
from pagewarden.cli.common import add_format, add_root, print_json, print_text, read_machine
from pagewarden.errors import ExitStatus, UsageError
from pagewarden.kernel.machine import HUGE_SWITCH
from pagewarden.kernel.simulate import KEYS, Write

HELP = """\
Show every zone's marks and reserves as the kernel would compute them after a write, beside today's, with the price and
the warnings. KEY is a vm. setting or transparent_hugepage (always, madvise, never). Several writes are made in the
order given. Nothing is written; values the kernel would refuse are said."""

EPILOG = """\
examples:
  pagewarden simulate vm.min_free_kbytes=131072
  pagewarden simulate vm.min_free_kbytes=131072 vm.lowmem_reserve_ratio="256 128 32"
  pagewarden simulate --root capture.tar.gz transparent_hugepage=never

exit status: 1 when the kernel would refuse a value (with --format json: 0, and an entry in "errors")
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_root(parser)
    add_format(parser)
    parser.add_argument("writes", nargs="+", metavar="KEY=VALUE", help="a write, as sysctl -w takes it")


def run(args: argparse.Namespace) -> ExitStatus:
    """Read, fit, simulate, print."""
    writes = parse_writes(args.writes)
    snapshot, machine = read_machine(args.root)
    effect = predict_effect(snapshot, machine, *writes)
    if args.format == "json":
        from pagewarden.report.wire import simulation_document

        print_json(simulation_document(effect.simulation, effect.projection))
        return ExitStatus.DONE
    from pagewarden.report.simulation import refusal_text, render_simulation

    print_text(render_simulation(effect.simulation, effect.projection))
    for refusal in effect.simulation.refusals:
        print(f"pagewarden simulate: {refusal.key}={refusal.text}: {refusal_text(refusal)}", file=sys.stderr)
    return ExitStatus.FAILED if effect.simulation.refusals else ExitStatus.DONE


def parse_writes(words: list[str]) -> list[Write]:
    """Read KEY=VALUE words; `vm/min_free_kbytes` is accepted as sysctl accepts it.

    :raises UsageError: for a word without `=`, a key we do not know, or a key given twice.
    """
    writes: dict[str, Write] = {}
    for word in words:
        # Bytes that are no text stay legible: the kernel will refuse them, and they must not stop the printing of that.
        key, equals, value = os.fsencode(word).decode(errors="backslashreplace").partition("=")
        key = key.strip().replace("/", ".")
        if not equals:
            raise UsageError(f"'{word}': expected KEY=VALUE, for example vm.min_free_kbytes=131072")
        if key not in KEYS and key != HUGE_SWITCH:
            raise UsageError(f"'{key}': not a setting known here{_suggestion(key)}")
        if key in writes:
            raise UsageError(f"'{key}' is given twice; give each setting once")
        writes[key] = Write(key, value)
    return list(writes.values())


def _suggestion(key: str) -> str:
    known = [*sorted(KEYS), HUGE_SWITCH]
    if f"vm.{key}" in KEYS:
        return f"; did you mean vm.{key}?"
    near = get_close_matches(key, known, 1)
    return f"; did you mean {near[0]}?" if near else f" (known: {', '.join(known)})"

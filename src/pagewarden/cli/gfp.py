"""`pagewarden gfp`."""

import argparse
import re
from difflib import get_close_matches

from pagewarden.cli.common import add_format, kernel_named, print_json, print_text
from pagewarden.errors import ExitStatus, UsageError
from pagewarden.kernel.allocation_rules import allocation_rules
from pagewarden.kernel.gfp import flags_from_names, parse_names
from pagewarden.kernel.gfp_readings import (
    Reading,
    consistent_generations,
    read_mask,
    read_names,
    read_names_everywhere,
)
from pagewarden.kernel.gfp_rights import caller_rights
from pagewarden.kernel.gfp_tables import COMPOSITE_ORDER, PRINT_ORDER, generation_for
from pagewarden.kernel.version import KernelVersion

HELP = """\
Decode the GFP mask of a kernel report: what was asked for, and what the caller may do. Until 4.5 kernels print the
number alone, and each generation numbers its bits anew: give the kernel. Without one, every generation's reading is
shown and those that make sense are marked. Names are accepted too, and give the mask."""

EPILOG = """\
examples:
  pagewarden gfp 0x4020 --kernel 3.4
  pagewarden gfp 0x20                                   every kernel's reading
  pagewarden gfp 'GFP_ATOMIC|__GFP_COMP' --kernel 6.1
  pagewarden gfp 'mode:0x40cc0(GFP_KERNEL|__GFP_COMP)'  as copied from a log
"""

_MOST = 0xFFFFFFFF
_COPIED = re.compile(r"(?:mode:|gfp_mask=|gfp=)?(0[xX][0-9a-fA-F]+)(?:\(([^()]*)\))?,?")
_NAMES = re.compile(r"\(?_*GFP_\w+(?:\s*\|\s*(?:_*GFP_\w+|0[xX][0-9a-fA-F]+))*\)?", re.ASCII)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_format(parser)
    parser.add_argument("mask", metavar="MASK", help="0x20, GFP_ATOMIC|__GFP_COMP, or both as a log prints them")
    parser.add_argument("--kernel", metavar="RELEASE", help="the kernel that printed it, for example 2.6.32-358.el6")


def run(args: argparse.Namespace) -> ExitStatus:
    """Read the mask, decode, print."""
    mask, names = parse_mask(args.mask)
    version = kernel_named(args.kernel)
    readings = _read(mask, names, version)
    rights = caller_rights(readings[0].flags, allocation_rules(version)) if version is not None else None
    if args.format == "json":
        from pagewarden.report.wire_gfp import gfp_document

        print_json(gfp_document(mask, names, args.kernel, readings, rights))
        return ExitStatus.DONE
    from pagewarden.report.gfp import render_reading, render_readings

    if version is None:
        print_text(render_readings(_asked(args.mask, mask, names), readings))
    else:
        print_text(render_reading(readings[0], version.release, rights))
    return ExitStatus.DONE


def parse_mask(text: str) -> tuple[int | None, tuple[str, ...] | None]:
    """Read what a user copied: a number, names, or a number with its names.

    Decimal numbers are taken as such, as `0x` is what kernels print.

    :raises UsageError: for anything else.
    """
    word = text.strip()
    copied = _COPIED.fullmatch(word)
    if copied:
        mask = int(copied[1], 16)
        names = None if copied[2] is None else parse_names(copied[2])
    elif _NAMES.fullmatch(word):
        return None, _known(parse_names(word))
    elif re.fullmatch(r"[0-9]{1,10}", word):
        mask, names = int(word), None
    else:
        hint = f"; did you mean 0x{word}?" if re.fullmatch(r"[0-9a-fA-F]{1,8}", word) else ""
        shown = word[:40].encode("unicode_escape").decode("ascii")
        raise UsageError(f"'{shown}': expected a mask such as 0x20 or GFP_ATOMIC|__GFP_COMP{hint}")
    if mask > _MOST:
        raise UsageError(f"{mask:#x}: a GFP mask has 32 bits at most")
    return mask, names


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a name that no kernel has: typed, not copied, it is a slip."""
    for name in flags_from_names(names).unknown_names:
        near = get_close_matches(name, [*(f"__GFP_{flag}" for flag in PRINT_ORDER), *COMPOSITE_ORDER], n=1)
        raise UsageError(
            f"'{name}': no kernel has a flag of this name" + (f"; the nearest is {near[0]}" if near else "")
        )
    return names


def _asked(text: str, mask: int | None, names: tuple[str, ...] | None) -> str:
    if mask is None:
        return "|".join(names or ())
    number = f"{mask:#x}" if text.strip().lower().find("0x") >= 0 else f"{mask}, which is {mask:#x}"
    return f"{number} ({'|'.join(names)})" if names else number


def _read(mask: int | None, names: tuple[str, ...] | None, version: KernelVersion | None) -> tuple[Reading, ...]:
    if version is None:
        if names is not None:
            return read_names_everywhere(names, mask)
        return consistent_generations(mask or 0)
    generation = generation_for(version)
    return ((read_mask(mask or 0, generation) if names is None else read_names(names, generation, mask)),)

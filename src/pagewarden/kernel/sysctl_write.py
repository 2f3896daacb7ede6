"""What the kernel's sysctl handlers make of the bytes written to them: the value taken, or the error.

Kernel: kernel/sysctl.c: proc_get_long(), do_proc_dointvec(), proc_dointvec_minmax(). Equal to
the kernels 5.10 to 7.2 that were tried; older ones are assumed to parse alike, except where `SysctlRules` says so.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

INT_MAX = 2**31 - 1
_SPACES = " \t\n\v\f\r"
_SEPARATORS = " \t\n"
_LONGEST_NUMBER = 21  # TMPBUFLEN - 1 of proc_get_long(): more characters cannot be told from two numbers
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*")


@dataclass(frozen=True, slots=True)
class Taken:
    """What a write left behind.

    :ivar values: the integers stored before the text ended or an error stopped the handler.
    :ivar error: name of the errno that stopped it ("EINVAL"), or None. Some handlers ignore it.
    """

    values: tuple[int, ...]
    error: str | None


def parse_integers(text: str, most: int, low: int | None = None, high: int | None = None) -> Taken:
    """Read up to MOST integers as do_proc_dointvec() does: decimal, 0x hexadecimal or 0 octal, no leading plus.

    What follows the last wanted number is not looked at; a number must end at a blank, tab, newline or the text's end.

    :param text: what is written, without the newline that the writing program adds.
    :param low: smallest value accepted, as in proc_dointvec_minmax(); None for no check.
    """
    rest = text + "\n"
    values: list[int] = []
    while len(values) < most:
        rest = rest.lstrip(_SPACES)
        if not rest:
            break
        number = _get_long(rest)
        if number is None:
            return Taken(tuple(values), "EINVAL")
        value, length = number
        if (
            not -INT_MAX - 1 <= value <= INT_MAX
            or (low is not None and value < low)
            or (high is not None and value > high)
        ):
            return Taken(tuple(values), "EINVAL")
        values.append(value)
        rest = rest[length:]
    return Taken(tuple(values), None if values else "EINVAL")


def _get_long(text: str) -> tuple[int, int] | None:
    window = text[:_LONGEST_NUMBER]
    sign = -1 if window.startswith("-") and len(text) > 1 else 1
    start = 1 if sign < 0 else 0
    match = _NUMBER.match(window, start)
    if match is None:
        return None
    end = match.end()
    if end == _LONGEST_NUMBER or (end < len(text) and text[end] not in _SEPARATORS):
        return None
    digits = match[0]
    base = 16 if digits[:2].lower() == "0x" else 8 if digits.startswith("0") else 10
    return sign * int(digits, base), end


def write_vector(old: Sequence[int], text: str, *, strict: bool) -> tuple[tuple[int, ...], str | None]:
    """Write lowmem_reserve_ratio: the values that could be read replace the first entries.

    :param strict: 7.3 and later: negative entries and bad text are refused as a whole. Before, errors were ignored and
        what had been stored up to there stayed.
    :return: the new entries (not yet rewritten where below 1), and the errno name or None.
    """
    taken = parse_integers(text, len(old), low=0 if strict else None)
    if strict and taken.error is not None:
        return tuple(old), taken.error
    return taken.values + tuple(old[len(taken.values) :]), None

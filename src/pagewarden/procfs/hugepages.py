"""Files of `/sys/kernel/mm/transparent_hugepage/`: one choice in brackets, or one number."""

import re

from pagewarden.errors import ParseError
from pagewarden.procfs.fields import parse_unsigned

_CHOICES = re.compile(r"(?:[a-z_]+ )*\[([a-z_]+)\](?: [a-z_]+)*")
_SWITCH = {"1": True, "yes": True, "0": False, "no": False}


def parse_choice(text: str, path: str) -> str:
    """Read the word in brackets of `always [madvise] never`.

    :raises ParseError: not words with exactly one in brackets.
    """
    match = _CHOICES.fullmatch(text.strip())
    if match is None:
        raise ParseError(path, 1, text.strip(), "words, the chosen one in brackets ('always [madvise] never')")
    return match[1]


def parse_switch(text: str, path: str) -> bool:
    """Read `0` or `1`, or `[yes] no` as kernels up to 2.6.38 print it.

    :raises ParseError: anything else.
    """
    word = text.strip()
    word = parse_choice(text, path) if "[" in word else word
    if word not in _SWITCH:
        raise ParseError(path, 1, word, "'0' or '1'")
    return _SWITCH[word]


def parse_size(text: str, path: str) -> int:
    """Read a size in bytes (`hpage_pmd_size`).

    :raises ParseError: not an unsigned number.
    """
    return parse_unsigned(text.strip(), path, 1, text.strip(), "a size in bytes")

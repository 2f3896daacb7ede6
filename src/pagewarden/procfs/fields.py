"""What the parsers of this room share: checking a text as a whole, lines, and the kernel's unsigned numbers."""

import re
from collections.abc import Iterator
from functools import lru_cache
from textwrap import dedent

from pagewarden.errors import ParseError

UNSIGNED_LIMIT = 1 << 64
_DIGITS = re.compile(r"[0-9]{1,20}")


def check_text(text: str, path: str, expected: str) -> str:
    """Refuse what no kernel file holds and bring line ends to one form.

    A capture that went through mail or Windows may have CRLF at the end of every line, and one taken from an indented
    block of a page the same blanks before every line: both are taken away.

    :param expected: what the file should have held, for the message.
    :raises ParseError: the text is empty, holds NUL or non-ASCII characters, or carriage returns in odd places.
    """
    if not text or text.isspace():
        raise ParseError(path, 0, text, f"{expected}, not an empty file")
    if not text.isascii():
        at = next(index for index, character in enumerate(text) if ord(character) > 127)
        raise error_at(text, at, path, f"{expected} in ASCII")
    if "\0" in text:
        raise error_at(text, text.index("\0"), path, f"{expected}, not binary data")
    plain = _plain_line_ends(text, path) if "\r" in text else text
    return dedent(plain) if plain.startswith((" ", "\t", "\n")) else plain


def _plain_line_ends(text: str, path: str) -> str:
    plain = text.replace("\r\n", "\n")
    if "\r" in plain or text.count("\r") not in (text.count("\n"), text.count("\n") + 1):
        raise error_at(text, text.index("\r"), path, "the same line end on every line")
    return plain


def error_at(text: str, offset: int, path: str, expected: str) -> ParseError:
    """Build the error for the line of `text` that holds `offset`."""
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    line = text[start : end if end >= 0 else len(text)]
    return ParseError(path, text.count("\n", 0, start) + 1, line, expected)


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (1-based number, line without trailing blanks) of each line that is not blank."""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.rstrip()
        if stripped:
            yield number, stripped


def parse_unsigned(token: str, path: str, number: int, line: str, what: str = "an unsigned number") -> int:
    """Read a number as the kernel prints `%lu`.

    :raises ParseError: not decimal digits alone, or 2^64 and more.
    """
    if _DIGITS.fullmatch(token) is None or int(token) >= UNSIGNED_LIMIT:
        raise ParseError(path, number, line, f"{what} below 2^64")
    return int(token)


def fast_pairs(block: str) -> tuple[tuple[str, ...], list[int]] | None:
    """Read a block of `name value` lines without a Python loop: the names and the values.

    Polls spend their time here, so the usual case is left to a few calls in C; anything out of the ordinary gives None,
    and the caller goes through the lines one by one to say what is wrong where.

    :param block: whole lines, each with its line end.
    """
    tokens = block.split()
    names, texts = tuple(tokens[::2]), tokens[1::2]
    digits = "".join(texts)
    if len(names) != len(texts) or block.count("\n") != len(names) or not _sound_names(names):
        return None
    if names and (not digits.isdigit() or len(digits) > 20 * len(texts)):
        return None
    values = list(map(int, texts))
    return (names, values) if max(values, default=0) < UNSIGNED_LIMIT else None


@lru_cache(maxsize=64)
def _sound_names(names: tuple[str, ...]) -> bool:
    """Whether these are names, each there once. A kernel prints the same ones at every poll, so the answer is kept."""
    return all(map(str.isidentifier, names)) and len(set(names)) == len(names)

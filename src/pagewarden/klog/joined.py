"""Records of several lines, lines of several records, and bytes that were written as escapes on the way."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from pagewarden.klog.prefix_forms import MAX_JOINED, Found, clean_text
from pagewarden.klog.types import LogLine

_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})|#0([0-7]{2})|\\([nrt])")
_LETTERS = {"n": 10, "r": 13, "t": 9}
_RECORD = re.compile(r"\[ {0,11}(\d{1,10}\.\d{6})\](?:\[ {0,8}([TC]\d{1,10})\])? ")
# Seconds between the stamps of two records on one line. What is farther away is a log that is quoted in another.
_BEFORE, _AFTER = 1.0, 120.0


def split_records(found: Found) -> Iterator[Found]:
    """One `Found` for each record on a line: a message without its newline is followed by another's stamp and text.

    Kernels up to 4.18 print so what they print bit by bit, later ones where a console lost the end of a line.
    """
    begin, current = 0, found
    marks = _RECORD.finditer(found.text) if found.stamp is not None else iter(())
    for mark in islice(marks, MAX_JOINED):
        if -_BEFORE <= float(mark[1]) - float(current.stamp or mark[1]) <= _AFTER:
            yield replace(current, text=found.text[begin : mark.start()])
            begin, current = mark.end(), replace(found, stamp=mark[1], caller_id=mark[2])
    yield replace(current, text=found.text[begin:]) if begin else found


def split_joined(number: int, found: Found, cut: bool) -> list[LogLine]:
    """One `LogLine` for each line of a record whose newlines were escaped on the way (`#012`, `\\n`, `\\x0a`)."""
    text = found.text
    if "\\" in text or "#0" in text:
        text = unescape(text)
    seconds = float(found.stamp) if found.stamp is not None else None
    level = facility = None
    if found.priority is not None and found.priority < 8192:
        facility, level = divmod(found.priority, 8)
    return [
        LogLine(
            number=number,
            text=clean_text(part).strip(),
            timestamp=found.wall or found.stamp,
            seconds=seconds,
            host=found.host,
            caller_id=found.caller_id,
            level=level,
            facility=facility,
            release=found.release,
            prefixed=found.prefixed,
            cut=cut,
        )
        for part in text.split("\n")[:MAX_JOINED]
    ]


def unescape(text: str) -> str:
    """Undo escapes; bytes beyond ASCII (each escaped on its own, in /dev/kmsg) become the characters they encode."""
    text = _ESCAPED.sub(_unescaped, text)
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _unescaped(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else int(match[2], 8) if match[2] else _LETTERS[match[3]]
    if code >= 0x80:
        return chr(0xDC00 + code)
    if code in (10, 13):
        return "\n"
    return " " if code == 9 else chr(code) if 32 <= code < 127 else ""

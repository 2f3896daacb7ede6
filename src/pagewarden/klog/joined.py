"""Records of several lines, and bytes that were written as escapes on the way."""

import re

from pagewarden.klog.prefix_forms import MAX_JOINED, Found, clean_text
from pagewarden.klog.types import LogLine

_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})|#0([0-7]{2})|\\([nrt])")
_LETTERS = {"n": 10, "r": 13, "t": 9}


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

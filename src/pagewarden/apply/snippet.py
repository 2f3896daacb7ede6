"""The text of our file in /etc/sysctl.d: each setting with its reason, evidence, old value, date and undo."""

import hashlib
from collections.abc import Iterable, Iterator
from textwrap import wrap

from pagewarden.apply.bounds import KEYS
from pagewarden.apply.types import Owned

_WIDTH = 78


def render_snippet(owned: Iterable[Owned], version: str) -> str:
    """Write the file for these settings, in the order in which they are to be applied; empty for none."""
    entries = sorted(owned, key=lambda entry: KEYS.index(entry.key))
    if not entries:
        return ""
    lines = [
        f"# Written by pagewarden {version}; last change {max(entry.applied_at for entry in entries)}.",
        "# What was changed, when and why: pagewarden rollback-status",
        "# Undo all of it: pagewarden revert",
        "# If you edit this file it is yours: pagewarden then leaves it alone.",
    ]
    for entry in entries:
        lines += ["", *_entry(entry)]
    return "\n".join(lines) + "\n"


def _entry(entry: Owned) -> Iterator[str]:
    yield from _comment(f"{entry.key}: was {entry.original}; set {entry.applied_at}, pagewarden {entry.version}")
    yield from _comment(f"Why: {entry.why}")
    for line in entry.evidence:
        yield from _comment(f"- {line}", "  ")
    yield from _comment(f"Undo: pagewarden revert {entry.key}")
    yield f"{entry.key} = {entry.value}"


def _comment(text: str, hanging: str = "") -> list[str]:
    # Nothing of a reason may become a line of its own: what does not start with # would be a setting.
    words = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return [f"# {line}" for line in wrap(words, _WIDTH - 2, subsequent_indent=hanging)]


def digest(text: str) -> str:
    """Give the SHA-256 by which our own text is known again."""
    return hashlib.sha256(text.encode()).hexdigest()

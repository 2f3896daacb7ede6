"""`pagewarden-capture.json`: what our own captures say that the files in them do not."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pagewarden.errors import ParseError

_T = TypeVar("_T")
SCHEMA = "pagewarden.capture/1"


@dataclass(frozen=True, slots=True)
class CaptureNotes:
    """The notes of a capture; all empty for any other root.

    :ivar page_size: bytes; None where it was only assumed.
    :ivar systemd: whether the machine applies sysctl.d files with systemd.
    :ivar absent: path -> why it could not be captured.
    :ivar torn: why its files cannot be of one instant.
    """

    version: str | None = None
    when: str | None = None
    page_size: int | None = None
    arch: str | None = None
    host: str | None = None
    kernel: str | None = None
    systemd: bool | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    torn: tuple[str, ...] = ()


def render_notes(notes: CaptureNotes) -> str:
    """Write the notes; the same notes give the same text."""
    plain = {name: getattr(notes, name) for name in notes.__slots__}
    return json.dumps({"schema": SCHEMA, **plain, "absent": dict(notes.absent)}, indent=2, sort_keys=True) + "\n"


def parse_notes(text: str, path: str) -> CaptureNotes:
    """Read the notes; what is not known to this version is left out.

    :raises ParseError: no JSON object, or a note of the wrong kind.
    """
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):  # besides bad syntax: absurd numbers, absurd nesting
        raise ParseError(path, 0, text, "JSON") from None
    if not isinstance(plain, dict):
        raise ParseError(path, 1, text, "a JSON object")
    absent, torn = plain.get("absent", {}), plain.get("torn", [])
    if not isinstance(absent, dict) or not isinstance(torn, list):
        raise ParseError(path, 1, text, "'absent' by path and a list 'torn'")
    size = _of_kind(plain, "page_size", int, path)
    if size is not None and (size < 1024 or size & (size - 1)):
        raise ParseError(path, 1, str(size), "a page size: a power of two")
    return CaptureNotes(
        _of_kind(plain, "version", str, path),
        _of_kind(plain, "when", str, path),
        size,
        _of_kind(plain, "arch", str, path),
        _of_kind(plain, "host", str, path),
        _of_kind(plain, "kernel", str, path),
        _of_kind(plain, "systemd", bool, path),
        {str(key): str(reason) for key, reason in absent.items()},
        tuple(str(reason) for reason in torn),
    )


def _of_kind(plain: Mapping[str, object], name: str, kind: type[_T], path: str) -> _T | None:
    """Give a note that may be missing or null."""
    value = plain.get(name)
    if value is None:
        return None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ParseError(path, 1, f"{name}: {value}", f"'{name}' to be of type {kind.__name__}")
    return value

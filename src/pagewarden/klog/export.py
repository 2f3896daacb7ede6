"""`journalctl -o export`: fields `NAME=value`, one a line; a message of several as `NAME`, a length and the bytes."""

import re

from pagewarden.klog.joined import split_joined
from pagewarden.klog.prefix_forms import Found, clean_text, microseconds
from pagewarden.klog.types import LogLine

_MAX_LINE = 16 * 1024
_LONGEST_MESSAGE = 1 << 24
_START = re.compile(rb"(?:__CURSOR|__REALTIME_TIMESTAMP|__MONOTONIC_TIMESTAMP)=")
_FIELD = re.compile(rb"([A-Z_][A-Z0-9_]{0,63})=")


class ExportReader:
    """Reads an export line by line; knows the entry that is being read."""

    def __init__(self) -> None:
        self._active = False
        self._entry = Found("")
        self._length_head: bytes | None = None
        self._binary_left = 0

    def owns(self, raw: bytes) -> bool:
        """Whether the line is part of an export."""
        if self._length_head is not None or self._binary_left > 0 or _START.match(raw):
            return True
        self._active = self._active and (raw in (b"", b"MESSAGE") or _FIELD.match(raw) is not None)
        return self._active

    def read(self, number: int, raw: bytes) -> list[LogLine]:
        """Give the kernel's lines in a line that `owns` claimed: none but for messages."""
        if self._length_head is not None:
            return self._read_length(number, raw)
        if self._binary_left > 0:
            return self._read_binary(number, raw)
        self._active = True
        if raw == b"":
            self._entry = Found("")
        elif raw == b"MESSAGE":
            self._length_head = b""
        field = _FIELD.match(raw)
        if field is None:
            return []
        return self._read_field(number, field[1], raw[field.end() : _MAX_LINE].decode("utf-8", "replace"))

    def _read_field(self, number: int, name: bytes, value: str) -> list[LogLine]:
        if name == b"__CURSOR":
            self._entry = Found("")
        elif name == b"__REALTIME_TIMESTAMP":
            self._entry = Found("", wall=microseconds(value))
        elif name in (b"__MONOTONIC_TIMESTAMP", b"_SOURCE_MONOTONIC_TIMESTAMP"):
            self._entry.stamp = microseconds(value)
        elif name == b"_HOSTNAME":
            self._entry.host = clean_text(value)[:255]
        elif name == b"MESSAGE":
            return self._message(number, value)
        return []

    def _message(self, number: int, value: str) -> list[LogLine]:
        entry = self._entry
        found = Found(clean_text(value), entry.wall, entry.stamp, entry.host, prefixed=True)
        return split_joined(number, found, False)

    def _read_length(self, number: int, raw: bytes) -> list[LogLine]:
        head = (self._length_head or b"") + raw
        if len(head) < 8:
            self._length_head = head + b"\n"
            return []
        self._length_head = None
        length = int.from_bytes(head[:8], "little")
        self._binary_left = length if length <= _LONGEST_MESSAGE else 0
        return self._read_binary(number, head[8:])

    def _read_binary(self, number: int, raw: bytes) -> list[LogLine]:
        self._binary_left -= len(raw) + 1
        return self._message(number, raw[:_MAX_LINE].decode("utf-8", "replace"))

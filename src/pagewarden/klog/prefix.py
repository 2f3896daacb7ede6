"""Free a log line from what its journey put in front of it: `LogLine`s from raw lines.

A line may carry several prefixes, in any order that people and programs produce: mail quoting, syslog, journal,
`<4>`, `[ 12.345678][ T123]`, /dev/kmsg and netconsole records, serial console noise. They are taken off one by one
until none is recognised.
"""

import re

from pagewarden.klog.export import ExportReader
from pagewarden.klog.joined import split_joined, split_records
from pagewarden.klog.prefix_forms import (
    KMSG_PROPERTY,
    MAX_JOINED,
    array_entry,
    clean_text,
    starts_array,
    strip_known_host,
    strip_prefixes,
    unescape_entities,
)
from pagewarden.klog.types import LogLine

MAX_LINE = 16 * 1024

_QUOTED_PRINTABLE = re.compile(
    rb"=3D|=20$|=09$|=0A=\r?$|(?i:quoted-printable)|"
    rb"page allocation failure.{0,400}[^=](?<!nodemask)(?<!cpuset)(?<!mems_allowed)=\r?$|"
    rb"(?:free|active_anon): ?\d{1,20}kB.{20,400}=\r?$"
)
_ENCODED_END = re.compile(rb"(?:=0D)?=0A=\r?$")
_SOFT_BREAK = re.compile(rb"[^=]=\r?$")
_ENCODED = re.compile(rb"=3D|=C2=A0|=09|=20(?=$)")
_DECODED = {b"=3D": b"=", b"=C2=A0": b" ", b"=09": b" ", b"=20": b" "}
# A mail program breaks encoded lines at 76 characters; a quote may stand before them.
_SOFT_LENGTHS = range(40, 90)

# The two forms that nearly every log has, and what must not be in such a line to read it at once.
_PLAIN = re.compile(
    rb"(?:([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) ([.-]{0,8}\w[\w.-]{0,64}) kernel: )?"
    rb"\[ {0,11}(\d{1,10}\.\d{6})\](?:\[ {0,8}([TC]\d{1,10})\])? (.*)"
)
_ANOTHER_STAMP = re.compile(rb"\.\d{6}\]")
_NOT_PLAIN = re.compile(rb"[^ -~]|[&\\^]|#0|=3D|=20$|=09$|kernel: .{0,300}kernel: ")


class PrefixReader:
    """Turns raw lines into `LogLine`s; keeps what one line says about the next ones."""

    def __init__(self) -> None:
        self._export = ExportReader()
        self._after_record = False
        self._in_array = False
        self._bare_host: str | None = None
        self._encoded = False
        self._soft: tuple[int, bytes] | None = None

    def read(self, number: int, raw: bytes) -> list[LogLine]:
        """Give the kernel's lines in one raw line: one as a rule, none for a journal's other fields, several where a
        record carries joined lines. Never raises.

        :param number: 1-based line number, kept in the result.
        :param raw: without its newline.
        """
        if not self._encoded:
            plain = _read_plain(number, raw)
            if plain is not None:
                self._after_record = self._in_array = False
                return [plain]
        if self._export.owns(raw):
            return self._export.read(number, raw)
        if b"=" in raw or b"uoted-" in raw:
            raw, waits = self._decode_mail(number, raw)
            if waits:
                return []
        if self._soft is not None:
            (number, head), self._soft = self._soft, None
            raw = head + raw
        cut = len(raw) > MAX_LINE
        return self.read_text(number, raw[:MAX_LINE].decode("utf-8", "replace"), cut)

    def read_text(self, number: int, text: str, cut: bool = False) -> list[LogLine]:
        """The same for text that is decoded already (journal entries)."""
        cut = cut or len(text) > MAX_LINE
        text = text[:MAX_LINE]
        if self._after_record and KMSG_PROPERTY.match(text):
            return []
        pieces = [piece for piece in text.split("\r") if piece] if "\r" in text else [text]
        lines: list[LogLine] = []
        for piece in pieces[:MAX_JOINED] or [""]:
            found = strip_prefixes(self._array_entry(clean_text(unescape_entities(piece))))
            self._after_record = found.kmsg
            if found.host is not None and found.stamp is not None and not found.tagged:
                self._bare_host = found.host
            elif self._bare_host is not None:
                strip_known_host(found, self._bare_host)
            for record in split_records(found):
                lines += split_joined(number, record, cut)
        return lines

    def finish(self) -> list[LogLine]:
        """Give what was held back for the rest of its line, at the end of the log."""
        if self._soft is None:
            return []
        (number, head), self._soft = self._soft, None
        return self.read_text(number, head.decode("utf-8", "replace"))

    def _array_entry(self, text: str) -> str:
        """The line inside an entry of a JSON array of lines; elsewhere a quoted line is somebody's quotation."""
        entry = array_entry(text) if self._in_array else None
        self._in_array = entry is not None or starts_array(text)
        return text if entry is None else entry

    def _decode_mail(self, number: int, raw: bytes) -> tuple[bytes, bool]:
        """Undo quoted-printable as far as logs need it: `=3D`, blanks, and lines broken with a trailing `=`.

        :return: the line, and whether it was kept until the next one completes it.
        """
        if _QUOTED_PRINTABLE.search(raw) is not None:
            self._encoded = True
        if not self._encoded:
            return raw, False
        raw = _ENCODED_END.sub(b"", raw)
        breaks = _SOFT_BREAK.search(raw) is not None and len(raw) in _SOFT_LENGTHS
        decoded = _ENCODED.sub(lambda match: _DECODED[match[0]], raw)
        if not breaks:
            return decoded, False
        head = self._soft[1] if self._soft is not None else b""
        first = self._soft[0] if self._soft is not None else number
        self._soft = (first, (head + decoded.rstrip(b"\r")[:-1])[:MAX_LINE])
        return b"", True


def _read_plain(number: int, raw: bytes) -> LogLine | None:
    """Read a line of the commonest forms, `[ 12.345678] text` with or without syslog before it; None for all others.

    Gives what the long way gives, several times faster.
    """
    match = _PLAIN.match(raw)
    if match is None or len(raw) > MAX_LINE or _NOT_PLAIN.search(raw) is not None:
        return None
    wall, host, stamp, caller, rest = match.groups()
    text = rest.strip(b" ")
    if text.startswith((b"[", b"klogd:", b"vmunix:")) or (wall is None and b"kernel: " in rest):
        return None
    if b"[" in rest and _ANOTHER_STAMP.search(rest) is not None:
        return None
    seconds = stamp.decode()
    return LogLine(
        number,
        text.decode(),
        wall.decode() if wall else seconds,
        float(seconds),
        host.decode() if host else None,
        caller.decode() if caller else None,
        prefixed=True,
    )

"""Reports of our own, and ways to write them down as logs do."""

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pagewarden.klog.group import group_lines
from pagewarden.klog.prefix import PrefixReader
from pagewarden.klog.types import LogLine, Report

FOLDER = Path(__file__).parents[2] / "data" / "klog"
NAMES = sorted(path.stem for path in FOLDER.glob("*.log"))

Style = Callable[[Sequence[str]], bytes]


def sample(name: str) -> list[str]:
    return (FOLDER / f"{name}.log").read_text(encoding="utf-8").splitlines()


def lines_of(data: bytes) -> list[LogLine]:
    reader = PrefixReader()
    lines = [line for number, raw in enumerate(data.split(b"\n"), 1) for line in reader.read(number, raw)]
    return lines + reader.finish()


def reports_of(data: bytes | str) -> list[Report]:
    return list(group_lines(lines_of(data.encode() if isinstance(data, str) else data)))


def only_report(data: bytes | str) -> Report:
    (report,) = reports_of(data)
    return report


def without_origin(report: Report) -> Report:
    """The report without what the log's form, and not the kernel, decides."""
    zones = tuple(dataclasses.replace(zone, line_number=0) for zone in report.zones)
    return dataclasses.replace(
        report, line_number=0, last_line_number=0, timestamp=None, seconds=None, host=None, zones=zones
    )


def _each(make: Callable[[int, str], str]) -> Style:
    return lambda lines: "".join(f"{make(number, line)}\n" for number, line in enumerate(lines)).encode()


def _seconds(number: int) -> str:
    return f"{8421 + number // 90:5}.{number * 11111 % 1000000:06}"


def _messages(lines: Sequence[str]) -> list[str]:
    """The lines as the kernel sends them: the counters of a memory dump are one message of several lines."""
    messages: list[str] = []
    for line in lines:
        if line.startswith(" ") and ":" in line and "+0x" not in line and messages and "_anon:" in messages[-1][:20]:
            messages[-1] += "\n" + line
        else:
            messages.append(line)
    return messages


def _joined(separator: str) -> Style:
    def write(lines: Sequence[str]) -> bytes:
        records = [message.replace("\n", separator) for message in _messages(lines)]
        return "".join(f"Nov 21 01:30:07 box kernel: {record}\n" for record in records).encode()

    return write


def _dmesg_continued(lines: Sequence[str]) -> bytes:
    out = []
    for number, message in enumerate(_messages(lines)):
        first, *more = message.split("\n")
        out += [f"[{_seconds(number)}] {first}", *(" " * 15 + line for line in more)]
    return "\n".join(out).encode() + b"\n"


def _export(lines: Sequence[str]) -> bytes:
    out = b""
    for number, message in enumerate(_messages(lines)):
        out += b"__CURSOR=s=1;i=%d\n__REALTIME_TIMESTAMP=%d\n" % (number, 1795224607000000 + number)
        out += b"_SOURCE_MONOTONIC_TIMESTAMP=%d\n_TRANSPORT=kernel\nPRIORITY=4\n" % (8421000000 + number)
        data = message.encode()
        if b"\n" in data:
            out += b"MESSAGE\n" + len(data).to_bytes(8, "little") + data + b"\n"
        else:
            out += b"MESSAGE=" + data + b"\n"
        out += b"_HOSTNAME=box\n\n"
    return out


def _json(lines: Sequence[str]) -> bytes:
    records = []
    for number, message in enumerate(_messages(lines)):
        text: str | list[int] = list(message.encode()) if number % 3 == 0 else message
        records.append(json.dumps({"MESSAGE": text, "_HOSTNAME": "box", "PRIORITY": "4"}))
    return "\n".join(records).encode()


def _wrapped(width: int, prefix: str) -> Style:
    """As a mail program wraps: at blanks, the rest on a line without the prefix."""

    def write(lines: Sequence[str]) -> bytes:
        out: list[str] = []
        for number, line in enumerate(lines):
            rest = f"[{_seconds(number)}] {line}" if prefix == "> " else line
            while len(rest) > width and " " in rest[20:width]:
                at = rest.rindex(" ", 20, width)
                out.append(prefix + rest[:at])
                rest = rest[at + 1 :]
            out.append(prefix + rest)
        return "\n".join(out).encode()

    return write


_PIECES = re.compile(
    r"^.{1,15}: (?=page alloc)|^.{1,15} invoked oom-killer: .*nodemask=|^page alloc[^,]*(?=, mode)|^, mode:.*nodemask=|"
    r"^.{1,15} cpuset=|^/(?= mems)|^Node \d (?=[A-Z])|^[A-Za-z\d]+: (?=\d)|^lowmem_reserve\[\]:|"
    r"^ ?\d+\*\d+kB|^ \([A-Z]+\)|^ -?\d+(?= |$)|^ = \d+kB"
)


def _pieces(lines: Sequence[str]) -> bytes:
    """As kernels 4.10 to 4.18 send to a network console what they print bit by bit."""
    out: list[str] = []
    for line in lines:
        split = line.startswith(("Node 0 DMA", "lowmem_reserve")) or "cpuset=" in line or ", nodemask=" in line
        rest = line
        while split and rest:
            match = _PIECES.match(rest)
            end = match.end() if match is not None else len(rest)
            out.append(rest[:end])
            rest = rest[end:]
        out += [] if split else [line]
    return "".join(f"[{_seconds(number)}] {piece}\n" for number, piece in enumerate(out)).encode()


def _chopped(width: int) -> Style:
    """As a terminal wraps: in the middle of a word."""

    def write(lines: Sequence[str]) -> bytes:
        out: list[str] = []
        for number, line in enumerate(lines):
            rest = f"[{_seconds(number)}] {line}"
            if "+0x" not in rest and "CPU: " not in rest and "[  pid" not in rest and "object size" not in rest:
                while len(rest) > width:
                    out.append(rest[:width])
                    rest = rest[width:]
            out.append(rest)
        return "\n".join(out).encode()

    return write


# Forms that keep every line as it was.
LINE_STYLES: dict[str, Style] = {
    "bare": _each(lambda number, line: line),
    "dmesg": _each(lambda number, line: f"[{_seconds(number)}] {line}"),
    "dmesg-caller": _each(lambda number, line: f"[{_seconds(number)}][ T4711] {line}"),
    "dmesg-caller-6.17": _each(lambda number, line: f"[{_seconds(number)}] [ T4711] {line}"),
    "dmesg-T": _each(lambda number, line: f"[Sat Nov 21 01:30:07 2026] {line}"),
    "dmesg-x": _each(lambda number, line: f"kern  :warn  : [{_seconds(number)}] {line}"),
    "dmesg-delta": _each(lambda number, line: f"[{_seconds(number)} <    0.000012>] {line}"),
    "dmesg-iso": _each(lambda number, line: f"2026-11-21T01:30:07,123456+01:00 {line}"),
    "level": _each(lambda number, line: f"<4>{line}"),
    "level-dmesg": _each(lambda number, line: f"<4>[{_seconds(number)}] {line}"),
    "syslog": _each(lambda number, line: f"Nov 21 01:30:07 box kernel: {line}"),
    "syslog-dmesg": _each(lambda number, line: f"Nov  1 01:30:07 box.example.org kernel: [{_seconds(number)}] {line}"),
    "syslog-year": _each(
        lambda number, line: f"Sat Nov 21 01:30:07 2026 kern.warn kernel: [{_seconds(number)}] {line}"
    ),
    "syslog-iso": _each(
        lambda number, line: f"2026-11-21T01:30:07.123456+01:00 box kernel: [{_seconds(number)}] {line}"
    ),
    "rfc5424": _each(lambda number, line: f"<4>1 2026-11-21T01:30:07Z box kernel - - - {line}"),
    "short-iso": _each(lambda number, line: f"2026-11-21T01:30:07+0100 box kernel: {line}"),
    "short-full": _each(lambda number, line: f"Sat 2026-11-21 01:30:07 CET box kernel: {line}"),
    "short-monotonic": _each(lambda number, line: f"[{_seconds(number)}] box kernel: {line}"),
    "short-unix": _each(lambda number, line: f"1795224607.123456 box kernel: {line}"),
    "cat": _each(lambda number, line: f"kernel: {line}"),
    "verbose": _each(lambda number, line: f"    MESSAGE={line}"),
    "kmsg": _each(lambda number, line: f"4,{number},{8421000000 + number},-;{line}"),
    "kmsg-caller": _each(lambda number, line: f"4,{number},{8421000000 + number},-,caller=T4711;{line}"),
    "netconsole": _each(lambda number, line: f"6.1.0-13-amd64,4,{number},{8421000000 + number},-;{line}"),
    "container": _each(lambda number, line: f"2026-11-21T01:30:07.123456789Z stdout F [{_seconds(number)}] {line}"),
    "docker": _each(lambda number, line: json.dumps({"log": f"{line}\n", "stream": "stdout", "time": "2026-11-21"})),
    "talos": _each(lambda number, line: f"10.1.1.2: kern: warning: [2026-11-21T01:30:07.123456789Z]: {line}"),
    "logcat": _each(lambda number, line: f"11-21 01:30:07.123     0     0 W kernel  : {line}"),
    "timestamped-console": _each(lambda number, line: f"[2026-11-21 01:30:07] [{_seconds(number)}] {line}"),
    "quoted": _each(lambda number, line: f"> [{_seconds(number)}] {line}"),
    "quoted-twice": _each(lambda number, line: f">> > [{_seconds(number)}] {line}"),
    "initials": _each(lambda number, line: f"AM> [{_seconds(number)}] {line}"),
    "bullets": _each(lambda number, line: f"# [{_seconds(number)}] {line}"),
    "numbered": _each(lambda number, line: f"{number + 1:6}\tNov 21 01:30:07 box kernel: {line}"),
    "pdsh": _each(lambda number, line: f"node1: Nov 21 01:30:07 node1 kernel: [{_seconds(number)}] {line}"),
    "colours-in-octal": _each(lambda number, line: f"#033[32m[{_seconds(number)}] #033[0m{line}#033[0m"),
    "code": _each(lambda number, line: f"`[{_seconds(number)}] {line}`"),
    "indented": _each(lambda number, line: f"    [{_seconds(number)}] {line}"),
    "crlf": _each(lambda number, line: f"[{_seconds(number)}] {line}\r"),
    "serial": _each(lambda number, line: f"\r\x1b[K[{_seconds(number)}] {line}\r\r"),
    "colours": _each(lambda number, line: f"\x1b[32m[{_seconds(number)}] \x1b[0m{line}\x1b[0m"),
    "html": _each(lambda number, line: f"[{_seconds(number)}] {line}".replace("<", "&lt;").replace(">", "&gt;")),
    "no-break-spaces": _each(lambda number, line: f"[{_seconds(number)}] {line}".replace("  ", "\u00a0 ")),
    "grep": _each(lambda number, line: f"/var/log/kern.log.1:{number + 1}:Nov 21 01:30:07 box kernel: {line}"),
    "octal-joined": _joined("#012"),
    "escape-joined": _joined("\\n"),
    "hex-joined": _joined("\\x0a"),
    "dmesg-continued": _dmesg_continued,
    "export": _export,
    "json": _json,
}
# Forms that break lines, too.
WRAPPED_STYLES: dict[str, Style] = {
    "pieces": _pieces,
    "mail": _wrapped(76, ""),
    "quoted-mail": _wrapped(74, "> "),
    "terminal": _chopped(200),
}


def write_in(styles: Iterable[str]) -> list[tuple[str, Style]]:
    return [(name, {**LINE_STYLES, **WRAPPED_STYLES}[name]) for name in styles]

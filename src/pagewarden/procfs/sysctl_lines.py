"""The lines of a sysctl.d file, as each of the two programs that apply them reads them.

Every difference here was seen with the programs themselves (systemd 252 and 257, procps 4.0.2 and 4.0.4); the tests in
`tests/differential` compare again wherever the programs are at hand.
"""

import posixpath
import re
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from pagewarden.procfs.types import SysctlAssignment


class Program(StrEnum):
    """A program that applies the files at boot or by hand."""

    SYSTEMD = "systemd-sysctl"
    PROCPS = "sysctl --system"


# What each program takes off both ends of a line, and where a line ends besides "\n". systemd also ends a line at a
# NUL; for procps the rest of the line is gone with it.
_BLANKS = {Program.SYSTEMD: " \t\r\n", Program.PROCPS: " \t\r\n\v\f"}
_ENDS = re.compile(r"[\r\0]")
_SWAP = str.maketrans("./", "/.")


@dataclass(frozen=True, slots=True)
class SysctlLine:
    """One line that says something about a key.

    :ivar path: the key as the program turns it into a path below /proc/sys ("vm/min_free_kbytes"); may be a glob.
    :ivar value: None for `-key` alone, which keeps globs away from the key.
    """

    path: str
    value: str | None
    line_number: int

    @property
    def is_glob(self) -> bool:
        """Whether the key is a pattern for several."""
        return is_glob(self.path)

    @property
    def key(self) -> str:
        """The key in dots, in one spelling for all spellings that open the same file."""
        return self._opened.translate(_SWAP)

    @property
    def _opened(self) -> str:
        return posixpath.normpath("/" + self.path.lstrip("/"))[1:]

    @property
    def opens(self) -> bool:
        """Whether the path can be opened as a setting: one that ends in a slash names a folder."""
        return not self.path.endswith("/") and not self.path.startswith(" ")

    def takes(self, key: str) -> bool:
        """Whether this glob takes a key (dotted); `*` does not cross separators."""
        parts = key.translate(_SWAP).split("/")
        patterns = self._opened.split("/")
        return len(parts) == len(patterns) and all(map(_matches, parts, patterns))


@dataclass(frozen=True, slots=True)
class SysctlLines:
    """What stands in one file.

    :ivar lines: every `key = value` and `-key`, in order.
    :ivar invalid: (line number, line) of lines that are neither; both programs complain and go on.
    """

    source: str
    lines: tuple[SysctlLine, ...]
    invalid: tuple[tuple[int, str], ...]

    @property
    def assignments(self) -> tuple[SysctlAssignment, ...]:
        """Every `key = value`; a key may be a glob ("vm.*")."""
        return tuple(assignment(line, self.source) for line in self.lines if line.value is not None)

    @property
    def excluded(self) -> frozenset[str]:
        """Keys named by `-key` alone."""
        return frozenset(line.key for line in self.lines if line.value is None)


def assignment(line: SysctlLine, source: str, key: str | None = None) -> SysctlAssignment:
    """Give a line as the fact that `status` shows; `key`, where it is a glob that took this one."""
    return SysctlAssignment(key or line.key, " ".join((line.value or "").split()), source, line.line_number)


def dotted_key(written: str) -> str:
    """Give the dotted form of a key: a key whose first separator is a slash ("vm/x", "net/a.b/c") is turned round."""
    return SysctlLine(_path(written, Program.SYSTEMD), "", 0).key


def is_glob(key: str) -> bool:
    """Whether a key is a pattern for several."""
    return any(character in key for character in "*?[")


def parse_sysctl_file(text: str, source: str, program: Program = Program.SYSTEMD) -> SysctlLines:
    """Read one file as a program does: comments start with `#` or `;`, `-key = value` ignores failures.

    Never raises: a line that cannot be read is listed in `invalid`, as boot goes on past it.
    """
    lines: list[SysctlLine] = []
    invalid: list[tuple[int, str]] = []
    for number, raw in enumerate(text.split("\n"), 1):
        for piece in _ENDS.split(raw) if program is Program.SYSTEMD else (raw.partition("\0")[0],):
            stripped = piece.strip(_BLANKS[program])
            if not stripped or stripped[0] in "#;":
                continue
            line = _parse_line(stripped, number, program)
            if line is not None:
                lines.append(line)
            else:
                invalid.append((number, stripped))
    return SysctlLines(source, tuple(lines), tuple(invalid))


def _parse_line(text: str, number: int, program: Program) -> SysctlLine | None:
    blanks = _BLANKS[program]
    written, equals, value = text.partition("=")
    if program is Program.SYSTEMD:
        key = written.removeprefix("-").strip(blanks)
    else:
        # procps takes every dash off, and no blank after them: "- key" names nothing that exists.
        key = written.rstrip(blanks).lstrip("-") if equals else written[1:]
    if not key or not (equals or written.startswith("-")):
        return None
    return SysctlLine(_path(key, program), value.strip(blanks) if equals else None, number)


def _path(key: str, program: Program) -> str:
    """Turn a key into a path: dots become slashes unless the first separator is a slash already."""
    first = re.search(r"[./]", key)
    path = key.translate(_SWAP) if first is not None and first[0] == "." else key
    if program is Program.PROCPS:
        return path
    # systemd drops empty parts and "." parts, and opens nothing with ".." in it.
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "/".join(parts) if ".." not in parts else "/".join(parts) + "/"


def _matches(part: str, pattern: str) -> bool:
    """Match as glob(3): `[^...]` is `[!...]`, a backslash takes the meaning off, and a dot in front is not matched."""
    translated = re.sub(r"\\(.)", r"[\1]", pattern).replace("[^", "[!")
    return fnmatchcase(part, translated) and (not part.startswith(".") or pattern.startswith("."))

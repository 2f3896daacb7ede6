"""Settings made at boot: `sysctl.d` files, `/etc/sysctl.conf` and `sysctl.` words of the kernel command line.

Pure: texts in, assignments out, in the order in which they are applied and with the winner of each key known.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from pagewarden.procfs.types import SysctlAssignment

# Highest priority first: a file hides those of the same name in the folders after its own.
SYSCTL_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
SYSCTL_CONF = "/etc/sysctl.conf"
COMMAND_LINE = "kernel command line"

_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_SWAP = str.maketrans("./", "/.")


@dataclass(frozen=True, slots=True)
class SysctlFile:
    """One file of a `sysctl.d` folder, or `/etc/sysctl.conf`.

    :ivar path: as seen on the machine ("/etc/sysctl.d/90-db.conf").
    :ivar text: None where it is a link to /dev/null (it only hides others) or could not be read.
    """

    path: str
    text: str | None

    @property
    def name(self) -> str:
        """The name that decides hiding and order."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class SysctlLines:
    """What stands in one file.

    :ivar assignments: every `key = value`, keys dotted; a key may be a glob ("vm.*").
    :ivar excluded: keys named by `-key` alone: globs leave them out.
    :ivar invalid: (line number, line) of lines that are neither; systemd-sysctl complains and goes on.
    """

    assignments: tuple[SysctlAssignment, ...]
    excluded: frozenset[str]
    invalid: tuple[tuple[int, str], ...]


def dotted_key(written: str) -> str:
    """Give the dotted form of a key: a key whose first separator is a slash ("vm/x", "net/a.b/c") is turned round."""
    first = re.search(r"[./]", written)
    return written.translate(_SWAP) if first is not None and first[0] == "/" else written


def is_glob(key: str) -> bool:
    """Whether a key is a pattern for several."""
    return any(character in key for character in "*?[")


def parse_sysctl_file(text: str, source: str) -> SysctlLines:
    """Read one file as systemd-sysctl and procps do: comments start with `#` or `;`, `-key` ignores failures.

    Never raises: a line that cannot be read is listed in `invalid`, as boot goes on past it.
    """
    assignments: list[SysctlAssignment] = []
    excluded: set[str] = set()
    invalid: list[tuple[int, str]] = []
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        written, equals, value = line.partition("=")
        key = dotted_key(written.strip().removeprefix("-").strip())
        if equals and key:
            assignments.append(SysctlAssignment(key, " ".join(value.split()), source, number))
        elif key and written.startswith("-"):
            excluded.add(key)
        else:
            invalid.append((number, line))
    return SysctlLines(tuple(assignments), frozenset(excluded), tuple(invalid))


def parse_command_line(text: str) -> tuple[SysctlAssignment, ...]:
    """Read the `sysctl.key=value` words of a kernel command line (honoured since 5.8, before any service starts).

    Kernel: fs/proc/proc_sysctl.c:process_sysctl_arg(), since 5.8
    """
    found: list[SysctlAssignment] = []
    for word in _WORD.findall(text):
        if word == "--":
            break
        name, equals, value = word.replace('"', "").partition("=")
        if equals and re.match(r"sysctl[./].", name):
            found.append(SysctlAssignment(dotted_key(name[len("sysctl.") :]), " ".join(value.split()), COMMAND_LINE, 0))
    return tuple(found)


def files_in_force(files: Iterable[SysctlFile]) -> tuple[SysctlFile, ...]:
    """Choose the files that count, in the order in which they are read.

    A name in a folder of higher priority hides the same name in the others (also as a link to /dev/null); the rest is
    sorted by name across all folders.
    """
    chosen: dict[str, SysctlFile] = {}
    for file in sorted(files, key=lambda file: SYSCTL_FOLDERS.index(file.path.rpartition("/")[0])):
        chosen.setdefault(file.name, file)
    return tuple(file for _, file in sorted(chosen.items()) if file.text is not None)


def resolve_assignments(
    files: Sequence[SysctlFile],
    *,
    command_line: str = "",
    sysctl_conf: SysctlFile | None = None,
    systemd: bool = True,
    keys: Iterable[str] = (),
) -> tuple[SysctlAssignment, ...]:
    """List every assignment of a `vm.` key in the order in which they are applied, and mark those that lose.

    :param files: all files of the folders in `SYSCTL_FOLDERS`, hidden ones too.
    :param sysctl_conf: `/etc/sysctl.conf`, unless a file of a folder is a link to it. systemd-sysctl does not read it;
        procps reads it last, so it wins there.
    :param systemd: the machine applies the files with systemd-sysctl, not with `sysctl --system`.
    :param keys: the keys this kernel has, against which globs are resolved; an explicit assignment beats any glob.
    """
    read = [parse_sysctl_file(file.text or "", file.path) for file in files_in_force(files)]
    written = [*parse_command_line(command_line), *(line for lines in read for line in lines.assignments)]
    own = parse_sysctl_file(sysctl_conf.text or "", sysctl_conf.path).assignments if sysctl_conf is not None else ()
    if systemd:
        written += [replace(line, needs_procps=True) for line in own]
    else:
        written += own
    excluded = frozenset[str]().union(*(lines.excluded for lines in read))
    return _mark_overridden(_expand(written, excluded, tuple(keys)))


def _expand(
    written: Iterable[SysctlAssignment], excluded: frozenset[str], keys: tuple[str, ...]
) -> list[tuple[SysctlAssignment, bool]]:
    """Resolve globs to keys and keep what is of `vm.`: (assignment, came from a glob)."""
    expanded: list[tuple[SysctlAssignment, bool]] = []
    for line in written:
        if is_glob(line.key):
            matches = [key for key in keys if _matches(key, line.key) and key not in excluded]
            expanded += [(replace(line, key=key), True) for key in matches]
        else:
            expanded.append((line, False))
    return [(line, globbed) for line, globbed in expanded if line.key.startswith("vm.")]


def _matches(key: str, pattern: str) -> bool:
    """Whether a glob takes a key; `*` does not cross separators."""
    parts, patterns = key.split("."), pattern.split(".")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _mark_overridden(lines: Sequence[tuple[SysctlAssignment, bool]]) -> tuple[SysctlAssignment, ...]:
    """Mark every assignment but the winner of its key: the last of the strongest kind."""
    winners: dict[str, tuple[tuple[bool, bool], int]] = {}
    for index, (line, globbed) in enumerate(lines):
        strength = not line.needs_procps, not globbed
        if line.key not in winners or strength >= winners[line.key][0]:
            winners[line.key] = strength, index
    return tuple(replace(line, overridden=winners[line.key][1] != index) for index, (line, _) in enumerate(lines))

"""Settings made at boot: `sysctl.d` files, `/etc/sysctl.conf` and `sysctl.` words of the kernel command line.

Pure: texts in, assignments out, in the order in which they are applied and with the winner of each key known.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from pagewarden.procfs.sysctl_lines import Program, SysctlLine, SysctlLines, assignment, dotted_key, parse_sysctl_file
from pagewarden.procfs.types import SysctlAssignment, SysctlFile

# Highest priority first: a file hides those of the same name in the folders after its own.
SYSCTL_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
SYSCTL_CONF = "/etc/sysctl.conf"
COMMAND_LINE = "kernel command line"

_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')


@dataclass(frozen=True, slots=True)
class SysctlWrite:
    """One value that a program writes to one key.

    :ivar globbed: the line names the key by a pattern.
    """

    assignment: SysctlAssignment
    globbed: bool


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


def files_in_force(files: Iterable[SysctlFile], program: Program = Program.SYSTEMD) -> tuple[SysctlFile, ...]:
    """Choose the files that count, in the order in which they are read.

    A name in a folder of higher priority hides the same name in the others (also as a link to /dev/null, an empty file
    or one that cannot be read); the rest is sorted by name across all folders. procps reads `/etc/sysctl.conf` after
    all of them, whether or not it was linked among them; systemd passes over names that start with a dot.
    """
    chosen: dict[str, SysctlFile] = {}
    listed = [file for file in files if file.path != SYSCTL_CONF]
    for file in sorted(listed, key=lambda file: SYSCTL_FOLDERS.index(file.folder)):
        if program is Program.PROCPS or not file.name.startswith("."):
            chosen.setdefault(file.name, file)
    order = [file for _, file in sorted(chosen.items())]
    if program is Program.PROCPS:
        order += [file for file in files if file.path == SYSCTL_CONF]
    return tuple(file for file in order if file.text is not None)


def writes_of(files: Collection[SysctlFile], program: Program, keys: Iterable[str]) -> tuple[SysctlWrite, ...]:
    """List what a program writes, in its order: the last write of a key that the kernel takes is what stays.

    :param files: those of the folders in `SYSCTL_FOLDERS`, hidden ones too, and `/etc/sysctl.conf`.
    :param keys: the keys this kernel has, against which globs are resolved.
    """
    read = [parse_sysctl_file(file.text or "", file.path, program) for file in files_in_force(files, program)]
    lines = _merged(read) if program is Program.SYSTEMD else _in_order(read)
    named = {line.path for line, _ in lines}
    known = tuple(keys)
    found: list[SysctlWrite] = []
    for line, source in lines:
        if line.value is None:
            continue
        if line.is_glob:
            taken = [key for key in known if line.takes(key) and key.replace(".", "/") not in named]
            found += [SysctlWrite(assignment(line, source, key), True) for key in taken]
        elif line.opens:
            found.append(SysctlWrite(assignment(line, source), False))
    return tuple(found)


def _in_order(read: Iterable[SysctlLines]) -> list[tuple[SysctlLine, str]]:
    """Give the lines as procps keeps them: each is written, one after the other."""
    return [(line, lines.source) for lines in read for line in lines.lines]


def _merged(read: Iterable[SysctlLines]) -> list[tuple[SysctlLine, str]]:
    """Give the lines as systemd keeps them: one a key, the last.

    `-key` alone takes an earlier value away, and the same value again stays where it first stood.
    """
    kept: dict[str, tuple[SysctlLine, str]] = {}
    for line, source in _in_order(read):
        before = kept.get(line.path)
        if before is None or before[0].value != line.value:
            kept.pop(line.path, None)
            kept[line.path] = line, source
    return list(kept.values())


def resolve_assignments(
    files: Collection[SysctlFile], *, command_line: str = "", systemd: bool = True, keys: Iterable[str] = ()
) -> tuple[SysctlAssignment, ...]:
    """List every assignment of a `vm.` key in the order in which they are applied, and mark those that lose.

    :param files: all files of the folders in `SYSCTL_FOLDERS`, hidden ones too, and `/etc/sysctl.conf`. Where no file
        in force is a link to the latter, systemd-sysctl does not read it, and what it says is marked `needs_procps`.
    :param systemd: the machine applies the files with systemd-sysctl, not with `sysctl --system`.
    :param keys: the keys this kernel has, against which globs are resolved.
    """
    program = Program.SYSTEMD if systemd else Program.PROCPS
    known = tuple(keys)
    written = [*parse_command_line(command_line), *(write.assignment for write in writes_of(files, program, known))]
    winners = {each.key: each for each in written}
    read = files_in_force(files, program)
    conf_only = [file for file in files if file.path == SYSCTL_CONF and file.text is not None and file not in read]
    if any(file.link == SYSCTL_CONF for file in read):
        conf_only = []
    unread = [replace(each, needs_procps=True) for each in every_assignment(conf_only, Program.PROCPS, known)]
    shown = [*parse_command_line(command_line), *every_assignment(read, program, known), *unread]
    winners = {each.key: each for each in unread} | winners
    return tuple(
        replace(each, overridden=winners.get(each.key) != each) for each in shown if each.key.startswith("vm.")
    )


def every_assignment(
    files: Iterable[SysctlFile], program: Program, keys: Collection[str]
) -> tuple[SysctlAssignment, ...]:
    """Give every assignment of these files, those that lose too; a glob once for each key that it reaches."""
    read = [parse_sysctl_file(file.text or "", file.path, program) for file in files]
    excluded = frozenset[str]().union(*(lines.excluded for lines in read))
    found: list[SysctlAssignment] = []
    for line, source in _in_order(read):
        if line.value is not None and line.is_glob:
            reached = [key for key in keys if line.takes(key) and key not in excluded]
            found += [assignment(line, source, key) for key in reached]
        elif line.value is not None:
            found.append(assignment(line, source))
    return tuple(found)

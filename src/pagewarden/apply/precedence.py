"""Which file wins for a key at boot: as systemd-sysctl has it, as procps `sysctl --system` has it. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from pagewarden.procfs.sysctl_files import SYSCTL_CONF, every_assignment, files_in_force, writes_of
from pagewarden.procfs.sysctl_lines import Program
from pagewarden.procfs.types import SysctlAssignment, SysctlFile

Accepts = Callable[[str, str], bool]
"""Whether the kernel takes this value for this key; a value that it refuses leaves the one before in force."""


@dataclass(frozen=True, slots=True)
class Precedence:
    """Who sets one key.

    :ivar systemd: what is left after systemd-sysctl has run (at boot); None where no file sets the key.
    :ivar procps: the same after `sysctl --system`.
    :ivar others: every line that sets the key in a file that either program reads, in order of reading: those that
        win and those that lose.
    """

    key: str
    systemd: SysctlAssignment | None
    procps: SysctlAssignment | None
    others: tuple[SysctlAssignment, ...]

    @property
    def differs(self) -> bool:
        """Whether the two programs leave different values behind."""
        return _value(self.systemd) != _value(self.procps)

    @property
    def warning(self) -> str | None:
        """One line where the two programs differ, None where they agree."""
        if not self.differs:
            return None
        return (
            f"{self.key}: systemd-sysctl (at boot) and 'sysctl --system' do not agree: "
            f"{_said(Program.SYSTEMD, self.systemd)}; {_said(Program.PROCPS, self.procps)}"
        )


def precedence(
    files: Collection[SysctlFile],
    keys: Iterable[str],
    known_keys: Iterable[str] = (),
    accepts: Accepts = lambda key, value: True,
) -> Mapping[str, Precedence]:
    """Find out for each key which line of which file wins under either program.

    :param files: every file of every `sysctl.d` folder and `/etc/sysctl.conf` (`Snapshot.sysctl_files`).
    :param keys: the keys asked about, dotted.
    :param known_keys: all keys of this kernel, for globs; the keys asked about are always among them.
    """
    asked = tuple(keys)
    known = tuple(dict.fromkeys((*asked, *known_keys)))
    left = {program: _left_behind(files, program, known, accepts) for program in Program}
    others = _every_line(files, asked)
    return {
        key: Precedence(key, left[Program.SYSTEMD].get(key), left[Program.PROCPS].get(key), others[key])
        for key in asked
    }


def with_snippet(files: Collection[SysctlFile], path: str, text: str | None) -> tuple[SysctlFile, ...]:
    """Give the files as they would be with this one written over, added, or (text None) removed."""
    kept = [file for file in files if file.path != path]
    return tuple(kept if text is None else [*kept, SysctlFile(path, text)])


def foreign_lines(found: Precedence, own_path: str) -> tuple[SysctlAssignment, ...]:
    """Give the lines of other people's files that set a key: theirs, whether they win or lose against ours."""
    return tuple(line for line in found.others if line.source != own_path)


def unread_files(files: Iterable[SysctlFile]) -> tuple[str, ...]:
    """Name the files whose content is not known: what they set cannot be said."""
    return tuple(file.path for file in files if file.text is None and file.link is None)


def _left_behind(
    files: Collection[SysctlFile], program: Program, known: tuple[str, ...], accepts: Accepts
) -> dict[str, SysctlAssignment]:
    """Give the last write of each key that the kernel takes."""
    writes = [write.assignment for write in writes_of(files, program, known)]
    return {each.key: each for each in writes if accepts(each.key, each.value)}


def _every_line(files: Collection[SysctlFile], asked: tuple[str, ...]) -> dict[str, tuple[SysctlAssignment, ...]]:
    """Give every line of the files that either program reads, by key; a glob counts for each key that it fits."""
    read = {file.path: file for program in Program for file in files_in_force(files, program)}
    if any(file.link == SYSCTL_CONF for file in read.values()):
        # One file under two names: it is named once.
        read.pop(SYSCTL_CONF, None)
    lines = [line for program in Program for line in every_assignment(read.values(), program, asked)]
    return {key: tuple(dict.fromkeys(line for line in lines if line.key == key)) for key in asked}


def _value(entry: SysctlAssignment | None) -> str | None:
    return None if entry is None else entry.value


def _said(program: Program, entry: SysctlAssignment | None) -> str:
    if entry is None:
        return f"{program} sets nothing"
    return f"{program} sets {entry.value} ({entry.source}:{entry.line_number})"

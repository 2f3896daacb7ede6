"""What sets a key at boot today, outside our own file, and whether it would win over ours. Pure."""

from pagewarden.apply.paths import SNIPPET
from pagewarden.apply.precedence import Precedence, foreign_lines, precedence, unread_files, with_snippet
from pagewarden.apply.types import Winner
from pagewarden.procfs.sysctl_files import COMMAND_LINE
from pagewarden.procfs.types import Snapshot, SysctlAssignment


def winner_of(snapshot: Snapshot, key: str, value: str) -> Winner | None:
    """Give what sets this key outside our file: what wins there today; None where nothing sets it.

    :param value: what our file would set.
    """
    others = with_snippet(snapshot.sysctl_files, SNIPPET, None)
    today = precedence(others, [key], snapshot.sysctls)[key]
    lines = foreign_lines(today, SNIPPET)
    if not lines:
        return _on_command_line(snapshot, key)
    found = today.systemd or today.procps or lines[-1]
    with_ours = precedence(with_snippet(others, SNIPPET, f"{key} = {value}\n"), [key], snapshot.sysctls)[key]
    return Winner(key, found.value, _place(found), _beats_ours(with_ours), today.warning or "")


def _on_command_line(snapshot: Snapshot, key: str) -> Winner | None:
    # Read before any file is: ours would win.
    entry = next((e for e in snapshot.assignments if e.key == key and e.source == COMMAND_LINE), None)
    return None if entry is None else Winner(key, entry.value, COMMAND_LINE, False)


def _beats_ours(found: Precedence) -> bool:
    return any(entry is not None and entry.source != SNIPPET for entry in (found.systemd, found.procps))


def _place(entry: SysctlAssignment) -> str:
    return f"{entry.source}:{entry.line_number}"


def unknown_files(snapshot: Snapshot) -> tuple[str, ...]:
    """Name the files of sysctl.d that could not be read: what they set cannot be said."""
    return unread_files(snapshot.sysctl_files)

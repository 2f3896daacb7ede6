"""What sets a key at boot today, outside our own file. The one place that asks who wins."""

from pagewarden.apply.paths import SNIPPET
from pagewarden.apply.types import Winner
from pagewarden.procfs.sysctl_files import COMMAND_LINE
from pagewarden.procfs.types import Snapshot


def winner_of(snapshot: Snapshot, key: str) -> Winner | None:
    """Give the assignment of this key that wins at boot among those that are not ours; None where there is none."""
    others = [entry for entry in snapshot.assignments if entry.key == key and entry.source != SNIPPET]
    if not others:
        return None
    last = next((entry for entry in reversed(others) if not entry.overridden), others[-1])
    place = last.source if last.source == COMMAND_LINE else f"{last.source}:{last.line_number}"
    name = last.source.rpartition("/")[2]
    after = last.source != COMMAND_LINE and (last.needs_procps or name > SNIPPET.rpartition("/")[2])
    note = "systemd does not read this file, procps reads it last" if last.needs_procps else ""
    return Winner(key, last.value, place, after, note)

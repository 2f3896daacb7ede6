"""What became of what we set: still ours, or somebody else's. Pure; looks at values, never decides by time."""

from collections.abc import Mapping, Sequence

from pagewarden.apply.bounds import KEYS
from pagewarden.apply.paths import SNIPPET
from pagewarden.apply.snippet import digest
from pagewarden.apply.types import Record, Retired, Snippet, SnippetState, Standing
from pagewarden.procfs.sysctl_files import every_assignment
from pagewarden.procfs.sysctl_lines import Program
from pagewarden.procfs.types import SysctlFile


def snippet_state(record: Record, snippet: Snippet) -> SnippetState:
    """Compare our file with the digest of what we wrote."""
    if record.snippet_sha256 is None:
        return SnippetState.ABSENT if snippet.text is None and not snippet.oddity else SnippetState.FOREIGN
    if snippet.oddity:
        return SnippetState.EDITED
    if snippet.text is None:
        return SnippetState.REMOVED
    return SnippetState.OURS if digest(snippet.text) == record.snippet_sha256 else SnippetState.EDITED


def standings(record: Record, snippet: Snippet, current: Mapping[str, str], boot_id: str) -> tuple[Standing, ...]:
    """Judge every setting that we own.

    :param current: the values in force, white space folded.
    """
    state = snippet_state(record, snippet)
    set_by_edit = _keys_of(snippet) if state is SnippetState.EDITED else frozenset[str]()
    found = []
    for owned in record.owned:
        value = current.get(owned.key)
        if value is None:
            why = "this kernel has no such setting any more"
        elif value != owned.value:
            why = f"it is {value} now, not the {owned.value} written by pagewarden"
            if value == owned.original:
                again = (
                    "somebody put the old value back" if owned.boot_id == boot_id else "the last boot did not set it"
                )
                why = f"it is {value} again, as before pagewarden: {again}"
        elif owned.key in set_by_edit:
            why = f"{SNIPPET} was edited and sets it"
        else:
            why = ""
        found.append(Standing(owned, value, why))
    return tuple(found)


def _keys_of(snippet: Snippet) -> frozenset[str]:
    lines = every_assignment([SysctlFile(SNIPPET, snippet.text)], Program.SYSTEMD, KEYS)
    return frozenset(line.key for line in lines)


def retire(record: Record, lost: Sequence[Standing], now: str) -> tuple[Retired, ...]:
    """Add those that are somebody else's now to what was retired before."""
    gone = {standing.owned.key for standing in lost}
    kept = tuple(entry for entry in record.retired if entry.key not in gone)
    return kept + tuple(Retired(standing.owned.key, standing.foreign, now) for standing in lost)


def state_note(state: SnippetState, snippet: Snippet) -> str:
    """Say in a sentence what became of our file; empty where it is as we left it."""
    what = f" ({snippet.oddity})" if snippet.oddity else ""
    return {
        SnippetState.EDITED: f"{SNIPPET} was edited after pagewarden wrote it{what}: it is yours now and is left alone",
        SnippetState.REMOVED: f"{SNIPPET} was removed by somebody else",
        SnippetState.FOREIGN: f"{SNIPPET} was not written by pagewarden{what}: it is left alone",
    }.get(state, "")

"""A machine that is only looked at, live or captured: what it takes to say what a change would come to there."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pagewarden import __version__
from pagewarden.advise.types import Recommendation
from pagewarden.apply.bounds import key_refusal
from pagewarden.apply.paths import SNIPPET, Paths
from pagewarden.apply.plan import Scene, changes_of, plan_changes
from pagewarden.apply.runtime import Kernel
from pagewarden.apply.state import load_record
from pagewarden.apply.types import Record, Snippet
from pagewarden.errors import ApplyError
from pagewarden.kernel.machine import Machine
from pagewarden.procfs.reader import FolderRoot
from pagewarden.procfs.tuners import TunerFacts, read_tuners
from pagewarden.procfs.types import Snapshot


def scene_of(root: str, snapshot: Snapshot, machine: Machine) -> Scene:
    """Give what a plan is made from. Needs no root.

    :raises ApplyError: the record is damaged.
    :raises PermissionDenied: it is for others to read.
    """
    return Scene(
        snapshot=snapshot,
        machine=machine,
        record=record_below(root),
        snippet=snippet_of(snapshot),
        boot_id=boot_id_below(root),
        now=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        tuners=read_tuners(FolderRoot("/")) if snapshot.live else TunerFacts(),
    )


def stands_against(scene: Scene, entry: Recommendation) -> Sequence[str]:
    """Say why `apply` itself would not make a change without a person, whatever the policy allows; empty: it would."""
    refused = key_refusal(scene.machine, entry.key)
    if refused is not None:
        return (refused,)
    changes = [replace(change, auto=True) for change in changes_of([entry])]
    return [found.reason for found in plan_changes(scene, changes).refused]


def record_below(root: str) -> Record:
    """Read what we changed on a machine; nothing where the root is an archive, which does not hold it.

    :raises ApplyError: the record is damaged.
    :raises PermissionDenied: it is for others to read.
    """
    return load_record(Paths(Path(root))) if Path(root).is_dir() else Record()


def boot_id_below(root: str) -> str:
    """Name the boot; empty where nothing tells."""
    try:
        return Kernel(Paths(Path(root))).boot_id()
    except ApplyError:
        return ""


def snippet_of(snapshot: Snapshot) -> Snippet:
    """Give our file as it was read with all others."""
    found = next((file for file in snapshot.sysctl_files if file.path == SNIPPET), None)
    if found is None:
        return Snippet(None)
    if found.link is not None:
        return Snippet(None, "a link")
    return Snippet(found.text, "" if found.text is not None else "it could not be read")

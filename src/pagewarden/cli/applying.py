"""What the commands that change settings share."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from pagewarden import __version__
from pagewarden.apply.paths import SNIPPET, Paths
from pagewarden.apply.plan import Scene
from pagewarden.apply.runtime import Kernel
from pagewarden.apply.standing import standings
from pagewarden.apply.state import load_record
from pagewarden.apply.transaction import System
from pagewarden.apply.types import Clock, Record, Snippet, Standing
from pagewarden.cli.common import read_machine
from pagewarden.errors import ApplyError, NeedsRoot, UsageError
from pagewarden.procfs.reader import FolderRoot
from pagewarden.procfs.tuners import TunerFacts, read_tuners
from pagewarden.procfs.types import Snapshot


def running_system() -> System:
    """Give this machine; on a terminal it says what it waits for."""
    clock = Clock(lambda: datetime.now(UTC), time.monotonic, time.sleep)
    paths = Paths()
    system = System(paths, Kernel(paths), clock)
    return replace(system, tell=_say) if sys.stderr.isatty() else system


def _say(text: str) -> None:
    print(f"pagewarden: {text}", file=sys.stderr)


def need_root(command: str, words: Sequence[str], look: str) -> None:
    """Refuse to begin without the one user that the kernel lets write.

    :raises NeedsRoot: says what to run instead.
    """
    if os.geteuid() != 0:
        again = " ".join(["sudo pagewarden", command, *words])
        raise NeedsRoot(f"only root may change settings: run '{again}', or look without: '{look}'")


def parse_key(written: str, known: Sequence[str]) -> str:
    """Read a key as sysctl takes it ("vm/min_free_kbytes").

    :raises UsageError: not one of those known here.
    """
    key = written.strip().replace("/", ".")
    if key in known:
        return key
    if f"vm.{key}" in known:
        raise UsageError(f"'{key}': not a setting known here; did you mean vm.{key}?")
    near = get_close_matches(key, known, 1)
    hint = f"; did you mean {near[0]}?" if near else f" (pagewarden changes {', '.join(known)})"
    raise UsageError(f"'{key}': not a setting that pagewarden changes{hint}")


def offline_scene(root: str) -> Scene:
    """Read a machine, live or captured, for a plan that is only looked at. Needs no root.

    :raises PagewardenError: nothing there, or damaged.
    """
    snapshot, machine = read_machine(root)
    return Scene(
        snapshot=snapshot,
        machine=machine,
        record=record_below(root),
        snippet=_snippet(snapshot),
        boot_id=boot_id_below(root),
        now=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        tuners=read_tuners(FolderRoot("/")) if snapshot.live else TunerFacts(),
    )


def record_below(root: str) -> Record:
    """Read what we changed on a machine; nothing where the root is an archive, which does not hold it.

    :raises ApplyError: the record is damaged.
    """
    return load_record(Paths(Path(root))) if Path(root).is_dir() else Record()


def changes_below(root: str, snapshot: Snapshot) -> tuple[Standing, ...]:
    """Judge what we changed on a machine.

    :raises ApplyError: the record is damaged.
    """
    return standings(record_below(root), _snippet(snapshot), snapshot.sysctls, boot_id_below(root))


def boot_id_below(root: str) -> str:
    """Name the boot; empty where nothing tells."""
    try:
        return Kernel(Paths(Path(root))).boot_id()
    except ApplyError:
        return ""


def _snippet(snapshot: Snapshot) -> Snippet:
    found = next((file for file in snapshot.sysctl_files if file.path == SNIPPET), None)
    if found is None:
        return Snippet(None)
    if found.link is not None:
        return Snippet(None, "a link")
    return Snippet(found.text, "" if found.text is not None else "it could not be read")

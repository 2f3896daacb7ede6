"""What the commands that change settings share."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from pagewarden.apply.looking import boot_id_below, record_below, scene_of, snippet_of
from pagewarden.apply.paths import Paths
from pagewarden.apply.plan import Scene
from pagewarden.apply.probation import Probation
from pagewarden.apply.runtime import Kernel
from pagewarden.apply.standing import standings
from pagewarden.apply.transaction import System
from pagewarden.apply.types import Clock, Standing
from pagewarden.cli.common import read_machine
from pagewarden.errors import NeedsRoot, PermissionDenied, UsageError
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
    return scene_of(root, *read_machine(root))


def changes_below(root: str, snapshot: Snapshot) -> tuple[Standing, ...]:
    """Judge what we changed on a machine; where that is for others to read, say so and go on without.

    :raises ApplyError: the record is damaged.
    """
    try:
        record = record_below(root)
    except PermissionDenied as error:
        print(f"pagewarden: what it changed here is not known: {error}", file=sys.stderr)
        return ()
    return standings(record, snippet_of(snapshot), snapshot.sysctls, boot_id_below(root))


def probation_below(root: str) -> Probation | None:
    """Read what is on probation on a machine; None where nothing is, or the root is an archive.

    :raises ApplyError: the record is damaged.
    """
    paths = Paths(Path(root))
    if not os.access(paths.probation, os.R_OK):
        return None
    from pagewarden.apply.probation_file import load_probation

    return load_probation(paths)

"""Changes made so that a machine is never left half-changed.

Record what is wanted and what was there, durably; then the file; then the running kernel, in steps, each read back and
every zone compared; then commit. Until the commit everything is undone, by this run or, after a crash, by the next.
A revert that is found unfinished is finished.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC

from pagewarden import __version__
from pagewarden.apply.carry_out import CarryOut, carry_back
from pagewarden.apply.files import read_snippet
from pagewarden.apply.paths import Paths
from pagewarden.apply.plan import Scene, plan_changes, plan_revert
from pagewarden.apply.runtime import Kernel, in_words
from pagewarden.apply.signals import undisturbed
from pagewarden.apply.state import load_record, locked, store_record
from pagewarden.apply.types import Change, Clock, Intent, Outcome, Pending, Plan, Record
from pagewarden.apply.undo import Restoring, committed, put_snippet, recover_unfinished
from pagewarden.errors import ApplyError, ChangeNotUndone, ChangeUndone, PagewardenError
from pagewarden.kernel.machine import machine_of
from pagewarden.procfs.reader import FolderRoot
from pagewarden.procfs.snapshot import read_snapshot
from pagewarden.procfs.tuners import read_tuners


def _silent(text: str) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class System:
    """The machine that is changed: its files, its kernel, its time. :ivar tell: called with what is waited for."""

    paths: Paths
    kernel: Kernel
    clock: Clock
    tell: Callable[[str], None] = _silent


def read_scene(system: System, record: Record) -> Scene:
    """Read all that a plan is made from. Changes nothing and needs no lock.

    :raises PagewardenError: no zoneinfo, or a damaged one.
    """
    snapshot = read_snapshot(str(system.paths.root))
    return Scene(
        snapshot=snapshot,
        machine=machine_of(snapshot),
        record=record,
        snippet=read_snippet(system.paths.snippet),
        boot_id=system.kernel.boot_id(),
        now=system.clock.now().astimezone(UTC).isoformat(timespec="seconds"),
        version=__version__,
        tuners=read_tuners(FolderRoot(str(system.paths.root))),
    )


def _no_review(scene: Scene, plan: Plan) -> None:
    """Nothing stands against a plan."""


def apply_changes(
    system: System,
    changes: Sequence[Change],
    *,
    force: bool = False,
    all_or_nothing: bool = False,
    review: Callable[[Scene, Plan], None] = _no_review,
) -> Outcome:
    """Make these changes, verified, or leave everything as it is.

    :param all_or_nothing: do nothing where a single change is refused.
    :param review: called with the plan before anything is done; what it raises stops the run.
    :raises ApplyError: it could not be begun.
    :raises ChangeUndone: it failed, and everything is as before.
    :raises ChangeNotUndone: it failed, and so did a part of the undo.
    """
    with locked(system.paths):
        record, notes = recover_unfinished(system.paths, system.kernel)
        scene = read_scene(system, record)
        plan = plan_changes(scene, changes, force=force)
        if not plan.changes or plan.idle or (all_or_nothing and plan.refused):
            return Outcome(plan, record, False, notes)
        review(scene, plan)
        return _run(system, scene, plan, Intent.APPLY, notes)


def revert_changes(system: System, keys: Sequence[str] = ()) -> Outcome:
    """Put back what we changed, in the running kernel and in our file; what is somebody else's now is left alone.

    :param keys: only these; empty for all.
    :raises ApplyError: it could not be begun.
    :raises ChangeUndone: it failed, and everything is as before.
    :raises ChangeNotUndone: it failed, and so did a part of the undo.
    """
    with locked(system.paths):
        record, notes = recover_unfinished(system.paths, system.kernel)
        scene = read_scene(system, record)
        plan = plan_revert(scene, keys)
        if plan.idle and plan.owned_after == record.owned:
            return Outcome(plan, record, False, notes)
        return _run(system, scene, plan, Intent.REVERT, notes)


def recover(system: System) -> tuple[str, ...]:
    """Finish or undo what an earlier run left unfinished, and say so; to be called at every start.

    :raises ApplyError: the record cannot be read, or another run is on.
    :raises ChangeNotUndone: it could not be finished.
    """
    if not system.paths.record.exists():
        return ()
    with locked(system.paths):
        return recover_unfinished(system.paths, system.kernel)[1]


def _run(system: System, scene: Scene, plan: Plan, intent: Intent, notes: tuple[str, ...]) -> Outcome:
    record, pending = scene.record, _pending(scene, plan, intent)
    after = committed(record, pending)
    try:
        store_record(system.paths, replace(record, pending=pending))
        put_snippet(system.paths, pending.snippet_after, pending.snippet_before)
        found = _writes(system, plan, intent)
        store_record(system.paths, after)
    except BaseException as error:
        with undisturbed():
            if not _is_stored(system.paths, after):
                raise _undo(system, record, pending, error) from error
        found = (f"it is done, but a power cut now would undo it: {in_words(error)}",)
    return Outcome(plan, after, True, (*notes, *plan.notes, *found))


def _pending(scene: Scene, plan: Plan, intent: Intent) -> Pending:
    return Pending(
        intent=intent,
        started_at=scene.now,
        boot_id=scene.boot_id,
        before=plan.before,
        writes=tuple(step.write for step in plan.steps),
        snippet_before=plan.snippet_before,
        snippet_after=plan.snippet,
        owned_after=plan.owned_after,
        retired_after=plan.retired_after,
    )


def _writes(system: System, plan: Plan, intent: Intent) -> tuple[str, ...]:
    if intent is Intent.REVERT:
        return carry_back(system.kernel, plan)
    if not plan.steps:
        return ()
    work = CarryOut(system.kernel, system.clock, plan, system.tell)
    work.run()
    return tuple(work.notes)


def _is_stored(paths: Paths, record: Record) -> bool:
    """Whether the commit took place although its last call failed."""
    with suppress(PagewardenError):
        return load_record(paths) == record
    return False


def _undo(system: System, record: Record, pending: Pending, error: BaseException) -> ApplyError:
    """Undo, and give what says so."""
    why = "interrupted" if isinstance(error, KeyboardInterrupt) else in_words(error)
    restoring = Restoring(system.paths, system.kernel)
    restoring.undo(pending)
    notes = "".join(f". {note}" for note in restoring.notes)
    if restoring.problems:
        problems = "; ".join(restoring.problems)
        return ChangeNotUndone(
            f"{why}; undoing failed as well: {problems}{notes}. The next apply or revert tries again"
        )
    with suppress(OSError):
        # Where this fails, the next run finds the change unfinished and undoes once more what is undone.
        store_record(system.paths, record)
    return ChangeUndone(f"{why}; undone, settings and files are as they were{notes}")

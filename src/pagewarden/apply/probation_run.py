"""Probation's effects: changes that are made on probation, readings taken, and what was decided carried out.

The record of the probation is written before the change, so that no crash leaves a change that nobody watches; one that
was recorded and never made is found not to be in force, and closed. What was decided is written before it is done.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pagewarden.apply.plan import TORN, Scene
from pagewarden.apply.policy import Trial, direction_of
from pagewarden.apply.probation import (
    Baseline,
    Counts,
    Decision,
    Ending,
    Probation,
    Reading,
    Sign,
    Watched,
    bought,
    observe,
)
from pagewarden.apply.probation_file import (
    drop_probation,
    end_trials,
    load_probation,
    load_trials,
    store_probation,
    store_trials,
)
from pagewarden.apply.runtime import in_words
from pagewarden.apply.state import load_record, locked
from pagewarden.apply.transaction import System, apply_changes, revert_changes
from pagewarden.apply.types import Change, Outcome, Plan
from pagewarden.errors import ApplyError, ChangeNotUndone, ChangeUndone, PagewardenError
from pagewarden.procfs.pressure import parse_pressure
from pagewarden.procfs.reader import read_file
from pagewarden.procfs.types import Pressure
from pagewarden.procfs.vmstat import parse_vmstat

CountRefusals = Callable[[float], int | None]
"""Counts the allocations that this boot's log says were refused, from so many seconds after boot on; None: unknown."""

LOG_SECONDS = 24 * 3600.0
"""How far back the log is asked for the time before a change."""

_PROMISES = {
    "atomic-reserve-exhausted": Sign.FAILURES,
    "direct-reclaim-stalls": Sign.STALLS,
    "reclaim-too-slow": Sign.STALLS,
}


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a change is made. :ivar seconds: how long it is watched at least."""

    seconds: float
    unattended: bool
    promised: Sign | None
    count_refusals: CountRefusals


def promise_of(cause: str) -> Sign | None:
    """Give the sign that a change made for this cause is to lower; None where it is none that can be counted."""
    return _PROMISES.get(cause)


def apply_on_probation(
    system: System,
    changes: Sequence[Change],
    terms: Terms,
    *,
    force: bool = False,
    all_or_nothing: bool = False,
    review: Callable[[Scene, Plan], None] = lambda scene, plan: None,
) -> Outcome:
    """Make these changes as `apply_changes` does, and have them watched from now on.

    :raises PagewardenError: as `apply_changes` does; nothing is on probation then.
    """
    begun: list[Plan] = []

    def begin(scene: Scene, plan: Plan) -> None:
        review(scene, plan)
        if plan.steps:
            _begin(system, plan, terms)
            begun.append(plan)

    try:
        return apply_changes(system, changes, force=force, all_or_nothing=all_or_nothing, review=begin)
    except BaseException as error:
        if begun:
            # Where this fails, the next reading finds that the change is not in force.
            with suppress(OSError, PagewardenError):
                why = in_words(error).partition("; undone")[0]
                _close(system, frozenset(begun[0].before), f"it failed while it was made: {why}", "")
        raise


def _begin(system: System, plan: Plan, terms: Terms) -> None:
    """Record what will be watched. The lock is held."""
    paths, now = system.paths, system.clock.now()
    earlier = load_probation(paths)
    shown = "" if earlier is None else f". {bought(earlier)}"
    trials = load_trials(paths)
    still_open = [trial.key for trial in trials if trial.ended_at is None]
    trials = end_trials(trials, still_open, now, "", f"not watched to its end: another change followed{shown}")
    changes = tuple(
        Watched(key, before, plan.steps[-1].sysctls[key])
        for key, before in plan.before.items()
        if plan.steps[-1].sysctls[key] != before
    )
    first = read_signs(system, {change.key: change.value for change in changes}, None)
    trials += tuple(
        Trial(
            key=change.key,
            direction=direction_of(change.before, change.value),
            at=now,
            unattended=terms.unattended,
            before=change.before,
            value=change.value,
            promised=terms.promised.value if terms.promised else "",
        )
        for change in changes
    )
    try:
        # A crash between them leaves a probation, which the next reading ends, and not a trial open for ever.
        store_probation(paths, _new_probation(system, changes, first, terms))
        store_trials(paths, trials)
    except OSError as error:
        raise ApplyError(f"{paths.state}: {in_words(error)}; nothing was changed") from None


def _new_probation(system: System, changes: tuple[Watched, ...], first: Reading, terms: Terms) -> Probation:
    up = first.uptime_seconds
    log_seconds = min(up, LOG_SECONDS)
    refusals = terms.count_refusals(up - log_seconds)
    start = replace(first, counts=replace(first.counts, failures=None if refusals is None else 0))
    return Probation(
        changes=changes,
        started_at=system.clock.now().astimezone(UTC).isoformat(timespec="seconds"),
        boot_id=first.boot_id,
        uptime_seconds=up,
        seconds=terms.seconds,
        unattended=terms.unattended,
        promised=terms.promised,
        baseline=Baseline(up, first.counts, refusals, log_seconds),
        last=start,
        window=start,
    )


def read_signs(system: System, values: Mapping[str, str | None], failures: int | None) -> Reading:
    """Read the signs, with these settings and this count of the log.

    :raises PagewardenError: /proc does not tell what every kernel does.
    """
    root = system.paths.root
    try:
        vmstat = parse_vmstat(read_file(root / "proc/vmstat").decode(errors="replace"), str(root / "proc/vmstat"))
    except OSError as error:
        raise ApplyError(f"{root / 'proc'}: {in_words(error)}") from None
    pressure = _pressure(system)
    counts = Counts(
        stalls=sum(count for name, count in vmstat.items() if name.split("_")[0] == "allocstall"),
        oom_kills=vmstat.get("oom_kill"),
        some_us=None if pressure is None else pressure.some.total_us,
        full_us=None if pressure is None or pressure.full is None else pressure.full.total_us,
        failures=failures,
    )
    return Reading(system.kernel.boot_id(), system.kernel.awake_seconds(), counts, dict(values))


def _pressure(system: System) -> Pressure | None:
    path = system.paths.root / "proc/pressure/memory"
    try:
        return parse_pressure(read_file(path).decode(errors="replace"), str(path))
    except OSError:
        return None  # not built in, or switched off


def watch_once(system: System, count_refusals: CountRefusals) -> Probation | None:
    """Take one reading, and carry out what it decides; None where nothing is on probation.

    :return: the probation after the reading; with a decision, it is over and what was decided is done.
    :raises ChangeNotUndone: a way back failed, and left the change as it was; to be tried again.
    :raises PagewardenError: it could not be read, decided or carried out; to be tried again.
    """
    known = load_probation(system.paths)
    if known is None:
        return None
    # The log may take a while to count: before the lock, so that a change need not wait for it.
    since = _log_since(system, known)
    refusals = None if since is None else count_refusals(since)
    with locked(system.paths):
        probation = load_probation(system.paths)
        if probation is None or probation.started_at != known.started_at:
            return probation
        probation = observe(probation, _reading(system, probation, refusals))
        try:
            store_probation(system.paths, probation)
        except OSError as error:
            raise ApplyError(f"{system.paths.state}: {in_words(error)}") from None
    if probation.decision is None:
        return probation
    decision = probation.decision
    try:
        rest = _let_go(system, probation, decision) if decision.ending is Ending.LOST else None
        return rest or replace(probation, decision=_carry_out(system, probation, decision))
    except ChangeUndone as error:  # the way back, not the change
        what = ", ".join(f"{change.key} {change.value}" for change in probation.changes)
        verb = "taken back" if decision.undo else "let go"
        why = in_words(error).partition("; undone")[0]
        raise ChangeNotUndone(f"{what} was not {verb}: {why} ({decision.why})") from None


def _log_since(system: System, probation: Probation) -> float | None:
    """From when on the log of this boot is counted: from the change on, or in a later boot all of it.

    None where the change lies ahead: it was stamped by a clock that the log does not have.
    """
    if system.kernel.boot_id() != probation.boot_id:
        return 0.0
    return probation.uptime_seconds if probation.uptime_seconds <= system.kernel.awake_seconds() else None


def _reading(system: System, probation: Probation, refusals: int | None) -> Reading:
    values = {change.key: _value(system, change.key) for change in probation.changes}
    return read_signs(system, values, refusals)


def _value(system: System, key: str) -> str | None:
    try:
        return system.kernel.read(key)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ApplyError(f"{system.paths.sysctl(key)}: {in_words(error)}") from None


def _carry_out(system: System, probation: Probation, decision: Decision) -> Decision:
    """Do what was decided, and give how it ended: what is somebody else's by now is left alone."""
    keys = frozenset(change.key for change in probation.changes)
    if decision.undo:
        decision = _take_back(system, probation, decision)
    undone = "" if decision.ending is Ending.KEEP else decision.why
    with locked(system.paths):
        if _is_on(system, probation):
            _close(system, keys, undone, bought(probation))
    return decision


def _close(system: System, keys: frozenset[str], undone: str, shown: str) -> None:
    """Write down how it ended, and end it."""
    try:
        trials = end_trials(load_trials(system.paths), keys, system.clock.now(), undone, shown)
        store_trials(system.paths, trials)
        drop_probation(system.paths)
    except OSError as error:
        raise ApplyError(f"{system.paths.state}: {in_words(error)}") from None


def _is_on(system: System, probation: Probation) -> bool:
    """Whether no other change was made meanwhile, which ended this probation and has its own. The lock is held."""
    found = load_probation(system.paths)
    return found is None or (found.started_at, found.changes) == (probation.started_at, probation.changes)


def _let_go(system: System, probation: Probation, decision: Decision) -> Probation | None:
    """Take our lines out of the file for what somebody else has set: the next boot would bring our values back.

    :return: the probation of what is ours still, which is watched on; None where nothing is.
    """
    gone = [change.key for change in probation.changes if _value(system, change.key) != change.value]
    if gone:
        revert_changes(system, gone)
    rest = tuple(change for change in probation.changes if change.key not in gone)
    if not rest:
        return None
    kept = replace(probation, changes=rest, decision=None)
    with locked(system.paths):
        if not _is_on(system, probation):
            return None
        try:
            trials = load_trials(system.paths)
            ended = end_trials(trials, gone, system.clock.now(), decision.why, bought(probation))
            store_trials(system.paths, ended)
            store_probation(system.paths, kept)
        except OSError as error:
            raise ApplyError(f"{system.paths.state}: {in_words(error)}") from None
    return kept


def _take_back(system: System, probation: Probation, decision: Decision) -> Decision:
    """Go back to the values from before this change: where that is the first of ours, to the machine's own.

    :return: the decision, with what was left alone and why: to try again would not help there.
    """
    record = load_record(system.paths)
    owned = {change: entry for change in probation.changes if (entry := record.owns(change.key)) is not None}
    # What somebody else set since is not written over: the way back by the record leaves it alone.
    later = [
        change
        for change, entry in owned.items()
        if entry.original != change.before and _value(system, change.key) in (change.value, change.before)
    ]
    back = [change.key for change in owned if change not in later]
    refused = _to_earlier_values(system, later, f"Back to the value before {probation.started_at}: {decision.why}")
    # Where our file may not have that value any more, the machine's own is better than what hurts.
    back += refused
    notes = revert_changes(system, back).notes if back else ()
    left, said = [], []
    for change in probation.changes:
        note = next((note for note in notes if note.startswith(f"{change.key} is left alone")), "")
        if note or _value(system, change.key) == change.value:
            left.append(note or f"{change.key} is left alone: the record of what pagewarden changed does not name it")
        elif change.key in refused:
            said.append(f"{change.key} is {owned[change].original} as before pagewarden, since {refused[change.key]}")
    ending = Ending.LOST if len(left) == len(probation.changes) else decision.ending
    return Decision(ending, "; ".join((decision.why, *left, *said)))


def _to_earlier_values(system: System, later: Sequence[Watched], why: str) -> Mapping[str, str]:
    """Set the values that an earlier change of ours had set: key -> why it may not be.

    :raises ApplyError: nothing can be said now, and at another reading it can.
    """
    if not later:
        return {}
    done = apply_changes(system, [Change(change.key, change.before, why, auto=True) for change in later])
    refused = {entry.key: entry.reason for entry in done.plan.refused}
    passing = next((f"{key}: {reason}" for key, reason in refused.items() if reason.startswith(TORN)), None)
    if passing is not None:
        raise ApplyError(passing)
    return refused


def seconds_left(probation: Probation) -> float:
    """Give how long it is watched yet, at least; 0 where only events are missing."""
    return max(0.0, probation.seconds - probation.watched_seconds)


def pause_seconds(probation: Probation) -> float:
    """Give how long to wait until the next reading: often at first, seldom where it takes a day."""
    return 10.0 if probation.watched_seconds < max(probation.seconds, 900.0) else 60.0


def moment(stamp: str | None) -> datetime | None:
    """Read a stamp; None stays None."""
    return None if stamp is None else datetime.fromisoformat(stamp)

"""A change on probation, followed until it ends: by `apply` after a change, and by `probation --watch`."""

import subprocess
import sys
from collections.abc import Sequence

from pagewarden.apply.probation import Decision, Ending, Probation, Sign
from pagewarden.apply.probation_run import Terms, pause_seconds, promise_of, seconds_left, watch_once
from pagewarden.apply.signals import ended_by_signals
from pagewarden.apply.transaction import System, recover
from pagewarden.apply.types import Change
from pagewarden.cli.unattended import RefusalCounter, configured_policy
from pagewarden.errors import ExitStatus, PagewardenError

UNIT = "pagewarden-probation.path"
_MOST_FAILURES = 5


def terms_of(changes: Sequence[Change]) -> Terms:
    """Give the terms of a change that a person makes.

    :raises ConfigError: the configuration is wrong.
    """
    # An identifier is key, cause and value; what an administrator chose has none, and promises nothing.
    promises = {promise_of(cause) for change in changes for cause in change.identifier.split("/")[1:2] or [""]}
    promised: Sign | None = promises.pop() if len(promises) == 1 else None
    return Terms(configured_policy().probation_minutes * 60.0, False, promised, RefusalCounter())


def unit_watches() -> bool:
    """Whether systemd starts the watching: the path unit is up. One that is enabled alone waits for the next boot.

    By what is printed: in a chroot systemctl answers nothing, with status 0.
    """
    try:
        asked = subprocess.run(("systemctl", "is-active", UNIT), capture_output=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.stdout.strip() == b"active"


def follow(system: System, *, stay: bool) -> ExitStatus:
    """After a change: leave the watching to the service, or stay and watch where somebody can see it."""
    if unit_watches():
        print("On probation: pagewarden-probation.service watches it (see pagewarden probation).", file=sys.stderr)
        return ExitStatus.DONE
    if not stay or not sys.stderr.isatty():
        print("On probation, but nobody watches it: run 'pagewarden probation --watch'. For this and", file=sys.stderr)
        print(f"all later changes: 'systemctl enable --now {UNIT}'.", file=sys.stderr)
        return ExitStatus.DONE
    print("On probation. Ctrl-C stops the watching and keeps the change.", file=sys.stderr)
    try:
        return watch(system)
    except KeyboardInterrupt:
        print("\nThe change stays, and is not watched: 'pagewarden probation --watch' goes on.", file=sys.stderr)
        return ExitStatus.DONE


def watch(system: System) -> ExitStatus:
    """Watch until the probation ends; 4 where the change was taken back.

    :raises PagewardenError: what was decided could not be done, several times over.
    """
    counter, failures, said = RefusalCounter(), 0, ""
    with ended_by_signals():
        for note in recover(system):
            print(note)
    known: Probation | None = None
    while True:
        try:
            probation = watch_once(system, counter)
            failures, said = 0, ""
        except PagewardenError as error:
            failures += 1
            if failures == _MOST_FAILURES:
                raise
            if str(error) != said:
                said = str(error)
                print(f"pagewarden: {said}; it is tried again", file=sys.stderr)
            system.clock.sleep(10.0)
            continue
        if probation is None:
            print("Nothing is on probation.")
            return ExitStatus.DONE
        if probation.decision is not None:
            _progress("")
            print(ended_words(probation, probation.decision))
            return ExitStatus.UNDONE if probation.decision.undo else ExitStatus.DONE
        for key in _left_to_others(known, probation):
            _progress("")
            print(f"{key} is somebody else's now and left alone; what was changed with it is watched on")
        known = probation
        _progress(progress_words(probation))
        system.clock.sleep(pause_seconds(probation))


def _left_to_others(known: Probation | None, now: Probation) -> list[str]:
    """Name what was on probation at the last reading and is not any more, while the rest is."""
    if known is None or known.started_at != now.started_at:
        return []
    return [change.key for change in known.changes if change not in now.changes]


def ended_words(probation: Probation, decision: Decision) -> str:
    """Say in a line how a probation ended."""
    what = ", ".join(f"{change.key} {change.before} -> {change.value}" for change in probation.changes)
    verb = {
        Ending.KEEP: "stays",
        Ending.HARM: "was taken back at once",
        Ending.NO_BETTER: "was taken back: it was no better",
        Ending.LOST: "is somebody else's now and left alone",
    }[decision.ending]
    return f"{what} {verb}: {decision.why}"


def progress_words(probation: Probation) -> str:
    """Say in a line how it does."""
    left = seconds_left(probation)
    more = f"{left / 60:.0f} minutes left" if left else "until enough has happened to tell"
    counts = probation.counts
    parts = [f"{counts.stalls} direct reclaims"]
    parts += [] if counts.failures is None else [f"{counts.failures} refused allocations"]
    parts += [] if counts.oom_kills is None else [f"{counts.oom_kills} OOM kills"]
    return f"watched for {probation.watched_seconds / 60:.0f} minutes, {more}: {', '.join(parts)}"


def _progress(text: str) -> None:
    """Write over the last line; only where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

"""`pagewarden apply --plan FILE --unattended`: what pagewarden-apply.service runs."""

import os
import sys
from datetime import datetime
from pathlib import Path

from pagewarden.apply.policy import Policy
from pagewarden.apply.signals import ended_by_signals
from pagewarden.apply.unattended import Unattended, apply_plan_file
from pagewarden.cli.applying import running_system
from pagewarden.config.load import read_config
from pagewarden.errors import ExitStatus, PagewardenError
from pagewarden.procfs.reader import FolderRoot


def run_plan(path: str) -> ExitStatus:
    """Carry a plan out as far as it is allowed; a plan of which nothing is allowed is no failure.

    :raises PagewardenError: the plan or the configuration is refused, or the change failed.
    """
    if not os.path.lexists(path):  # taken back by the service while this was starting
        print(f"{path}: no plan is there any more; nothing to do")
        return ExitStatus.DONE
    with ended_by_signals():
        found = apply_plan_file(
            running_system(), Path(path), configured_policy(), RefusalCounter(), datetime.now().astimezone()
        )
    for line in _lines(found):
        print(line)
    return ExitStatus.DONE


def configured_policy() -> Policy:
    """Give the administrator's limits, of this machine.

    :raises ConfigError: a file is wrong. Nothing is changed by limits that are not understood.
    """
    apply = read_config(FolderRoot("/")).config.apply
    return Policy(
        keys=apply.keys,
        max_risk=apply.max_risk,
        min_confidence=apply.min_confidence,
        evidence_age_hours=apply.evidence_age_hours,
        changes_per_day=apply.changes_per_day,
        boot_grace_minutes=apply.boot_grace_minutes,
        max_pressure_percent=apply.max_pressure_percent,
        windows=apply.windows,
        max_held_back_percent=apply.max_held_back_percent,
        probation_minutes=apply.probation_minutes,
    )


class RefusalCounter:
    """Counts refused allocations in the journal; None where it cannot be read, which is said once."""

    def __init__(self) -> None:
        self._said = False

    def __call__(self, since_boot_seconds: float) -> int | None:
        """Count from so many seconds after boot on."""
        from pagewarden.klog.journal import count_refusals

        try:
            return count_refusals(since_boot_seconds)
        except PagewardenError as error:
            if not self._said:
                print(f"pagewarden: refused allocations are not counted: {error}", file=sys.stderr)
            self._said = True
            return None


def _lines(found: Unattended) -> list[str]:
    lines = [f"before anything else: {note}" for note in found.notes]
    for judged in found.judged:
        change = judged.change
        if not judged.verdict.allowed:
            why = "; ".join(judged.verdict.reasons)
            lines.append(f"{change.key}: {change.current} -> {change.value} is not made: {why}")
    if found.outcome is None:
        return lines
    lines += [f"{entry.key}: {entry.value} is not set: {entry.reason}" for entry in found.outcome.plan.refused]
    if found.outcome.done:
        lines += [
            f"{change.key}: {found.outcome.plan.before[change.key]} -> {change.value}, verified in every zone, and on "
            "probation now (pagewarden probation)"
            for change in found.outcome.plan.changes
        ]
    return [*lines, *found.outcome.notes]

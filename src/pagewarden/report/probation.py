"""`pagewarden probation` for people."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from pagewarden.apply.policy import Trial
from pagewarden.apply.probation import WORDS, Probation, bought
from pagewarden.report.words import heading

_MOST_TRIALS = 10


def render_probation(probation: Probation | None, trials: Sequence[Trial]) -> Iterator[RenderableType]:
    """Lay out what is on probation, then what became of earlier changes."""
    if probation is None:
        yield Text("Nothing is on probation.", style="bold")
    else:
        yield from _running(probation)
    ended = [trial for trial in trials if trial.ended_at is not None]
    if ended:
        yield ""
        yield heading("Earlier changes, the last first")
        for trial in ended[: -_MOST_TRIALS - 1 : -1]:
            yield from _trial(trial)


def render_watched(probation: Probation) -> Iterator[RenderableType]:
    """Say in a few lines, below what was changed, that it is being watched."""
    minutes, wanted = probation.watched_seconds / 60, probation.seconds / 60
    for change in probation.changes:
        yield Text(
            f"On probation: {change.key}, for {minutes:.0f} of {wanted:.0f} minutes (pagewarden probation)",
            style="yellow",
        )


def _running(probation: Probation) -> Iterator[RenderableType]:
    for change in probation.changes:
        yield Text(f"On probation: {change.key}: {change.before} -> {change.value}", style="bold")
    who = "unattended" if probation.unattended else "by a person"
    minutes, wanted = probation.watched_seconds / 60, probation.seconds / 60
    lines = [f"made {probation.started_at}, {who}; watched for {minutes:.0f} of {wanted:.0f} minutes"]
    if probation.promised is None:
        lines.append("promised nothing that can be counted: it stays unless it hurts")
    else:
        lines.append(f"promised fewer {WORDS[probation.promised]}: it is taken back unless they fall by a tenth")
    lines.append(bought(probation))
    if probation.decision is not None:
        lines.append(f"decided, and not carried out yet: {probation.decision.ending.value}: {probation.decision.why}")
    yield from (Padding(Text(line), (0, 0, 0, 2)) for line in lines)


def _trial(trial: Trial) -> Iterator[RenderableType]:
    yield Text(f"{trial.at:%Y-%m-%d %H:%M} UTC  {trial.key}: {trial.before} -> {trial.value}")
    yield Padding(Text(f"given up: {trial.undone}" if trial.undone else "stayed", style="dim"), (0, 0, 0, 4))
    if trial.bought:
        yield Padding(Text(trial.bought, style="dim"), (0, 0, 0, 4))

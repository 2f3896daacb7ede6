"""The probation and the trials on disk, in the folder that only root writes. Validated: what is damaged is an error."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from pagewarden.apply.files import read_regular, remove_durably, write_atomically
from pagewarden.apply.paths import Paths
from pagewarden.apply.policy import Trial
from pagewarden.apply.probation import Probation
from pagewarden.errors import ApplyError

MOST_TRIALS = 200
"""More than half a year of a change every day; the oldest are forgotten."""

_T = TypeVar("_T")
_PROBATION = TypeAdapter(Probation)
_TRIALS = TypeAdapter(tuple[Trial, ...])


def probation_path(paths: Paths) -> Path:
    """Give the file whose existence means that something is on probation."""
    return paths.state / "probation.json"


def trials_path(paths: Paths) -> Path:
    """Give the file of all changes made and what became of them."""
    return paths.state / "trials.json"


def load_probation(paths: Paths) -> Probation | None:
    """Read what is on probation; None where nothing is.

    :raises ApplyError: unreadable or damaged.
    """
    return _load(probation_path(paths), _PROBATION)


def store_probation(paths: Paths, probation: Probation) -> None:
    """Write it durably.

    :raises OSError: what the kernel said.
    """
    write_atomically(probation_path(paths), _PROBATION.dump_json(probation, indent=1).decode() + "\n")


def drop_probation(paths: Paths) -> None:
    """End it.

    :raises OSError: what the kernel said.
    """
    remove_durably(probation_path(paths))


def load_trials(paths: Paths) -> tuple[Trial, ...]:
    """Read the trials, oldest first.

    :raises ApplyError: unreadable or damaged.
    """
    return _load(trials_path(paths), _TRIALS) or ()


def store_trials(paths: Paths, trials: tuple[Trial, ...]) -> None:
    """Write the newest of the trials durably.

    :raises OSError: what the kernel said.
    """
    write_atomically(trials_path(paths), _TRIALS.dump_json(trials[-MOST_TRIALS:], indent=1).decode() + "\n")


def end_trials(
    trials: tuple[Trial, ...], keys: Collection[str], at: datetime, undone: str, bought: str
) -> tuple[Trial, ...]:
    """Close the open trials of these keys."""
    return tuple(
        replace(trial, ended_at=at, undone=undone, bought=bought)
        if trial.key in keys and trial.ended_at is None
        else trial
        for trial in trials
    )


def _load(path: Path, adapter: TypeAdapter[_T]) -> _T | None:
    text = read_regular(path)
    if text is None:
        return None
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ApplyError(f"{path}: damaged at {where}: {first['msg']}. Move it away to give that up") from None

"""Reads a plan in the privileged half: a file that is distrusted, then a content that is distrusted."""

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from pagewarden.apply.plan_file import MOST_BYTES, MOST_CHANGES, SCHEMA, PlannedChange
from pagewarden.errors import PagewardenError

MOST_AGE = timedelta(minutes=10)
"""A plan is carried out at once, when it is renamed into place; one that is older is judged when it is made anew."""

CLOCK_SLACK = timedelta(minutes=2)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

Line = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]
Value = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,10}( [0-9]{1,10}){0,9}$")]
# Text, not datetime: in strict mode that takes numbers from JSON as well, and zones that nobody writes.
Stamp = Annotated[str, StringConstraints(max_length=40, pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$")]


class PlanRefused(PagewardenError):
    """A plan that is not what the service leaves: nothing was changed."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Change(_Strict):
    key: Annotated[str, StringConstraints(pattern=r"^vm\.[a-z_]{1,40}$")]
    current: Value
    value: Value
    risk: Literal["low", "medium", "high"]
    confidence: Literal["low", "medium", "high"]
    identifier: Annotated[str, StringConstraints(max_length=200, pattern=r"^[\x20-\x7e]*$")]
    why: Line
    evidence: Annotated[list[Line], Field(max_length=20)]
    evidence_since: Stamp | None
    evidence_latest: Stamp | None
    promised: Literal["stalls", "failures"] | None


class _Plan(_Strict):
    schema_: Literal["pagewarden.plan/1"] = Field(alias="schema")
    created_at: Stamp
    boot_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{36}$")]
    changes: Annotated[list[_Change], Field(min_length=1, max_length=MOST_CHANGES)]


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """A plan that has the form of one; what it asks for is still judged. :ivar created_at: UTC."""

    created_at: datetime
    boot_id: str
    changes: tuple[PlannedChange, ...]


def read_plan(path: Path, now: datetime, boot_id: str) -> ReadPlan:
    """Read a plan of this boot that is fresh and that the service wrote.

    Who that is, the folder tells: only root can make one in the folder above it (/run), and only its owner can put a
    file there. So the file must belong to the owner of its folder. Its number or name would prove no more, is not
    known any more when the service has a user for its run only, and cannot be seen in a user namespace.

    :param now: UTC.
    :raises PlanRefused: not there, not a plain file of that owner, too large, not a plan, stale, or of another boot.
    """
    return _checked(_parsed(path, _content(path)), path, now, boot_id)


def _content(path: Path) -> bytes:
    handle = _open(path)
    try:
        content = os.read(handle, MOST_BYTES + 1)
    except OSError as error:
        raise PlanRefused(f"{path}: {_reason(error)}") from None
    finally:
        os.close(handle)
    if len(content) > MOST_BYTES:
        raise PlanRefused(f"{path}: larger than {MOST_BYTES >> 10} KiB")
    return content


def _open(path: Path) -> int:
    """Open the file by way of the folders that were looked at, whatever their names mean by now."""
    above = _open_folder(path.parent.parent, None)
    try:
        _check_modes(path.parent.parent, os.fstat(above), (0, os.geteuid()))
        folder = _open_folder(path.parent, above)
    finally:
        os.close(above)
    try:
        owner = os.fstat(folder).st_uid
        _check_modes(path.parent, os.fstat(folder), (owner,))
        handle = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        raise PlanRefused(f"{path}: {_reason(error)}") from None
    finally:
        os.close(folder)
    try:
        _check_file(path, os.fstat(handle), owner)
    except PlanRefused:
        os.close(handle)
        raise
    return handle


def _open_folder(path: Path, above: int | None) -> int:
    try:
        name = path if above is None else path.name
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    except OSError as error:
        raise PlanRefused(f"{path}: {_reason(error)}") from None


def _check_file(path: Path, found: os.stat_result, owner: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise PlanRefused(f"{path}: not a regular file")
    if found.st_nlink != 1:
        raise PlanRefused(f"{path}: it has {found.st_nlink} names (hard links); expected one")
    _check_modes(path, found, (0, owner))


def _check_modes(path: Path, found: os.stat_result, owners: Sequence[int]) -> None:
    if found.st_uid not in owners:
        expected = " or ".join(map(str, dict.fromkeys(owners)))
        raise PlanRefused(f"{path}: belongs to user {found.st_uid}; expected {expected}")
    if found.st_mode & _OTHERS_WRITE:
        raise PlanRefused(f"{path}: others than its owner may write it (mode {stat.S_IMODE(found.st_mode):04o})")


def _reason(error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return "a link, or not what it should be; expected a plain file in a plain folder"
    return str(error.strerror or error).lower()


def _parsed(path: Path, content: bytes) -> _Plan:
    try:
        return _Plan.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise PlanRefused(f"{path}: not a plan ({SCHEMA}): {where[:80]}: {first['msg'][:120]}") from None


def _checked(plan: _Plan, path: Path, now: datetime, boot_id: str) -> ReadPlan:
    if plan.boot_id != boot_id:
        raise PlanRefused(f"{path}: it was made in another boot ({plan.boot_id}), this is {boot_id}")
    created = _moment(path, plan.created_at)
    if created - now > CLOCK_SLACK:
        raise PlanRefused(f"{path}: it is dated in the future ({plan.created_at}): the clock has been set back")
    if now - created > MOST_AGE:
        minutes = MOST_AGE.total_seconds() / 60
        raise PlanRefused(f"{path}: it was made {plan.created_at}, and one older than {minutes:.0f} minutes is stale")
    keys = [change.key for change in plan.changes]
    if len(set(keys)) != len(keys):
        raise PlanRefused(f"{path}: it names a setting twice")
    for change in plan.changes:
        for stamp in (change.evidence_since, change.evidence_latest):
            if stamp is not None:
                _moment(path, stamp)
    changes = tuple(
        PlannedChange(**{**change.model_dump(), "evidence": tuple(change.evidence)}) for change in plan.changes
    )
    return ReadPlan(created, plan.boot_id, changes)


def _moment(path: Path, stamp: str) -> datetime:
    try:
        return datetime.fromisoformat(stamp)
    except ValueError:
        raise PlanRefused(f"{path}: '{stamp}' is no moment") from None

"""The plan that the unprivileged service leaves for the privileged half: written without pydantic, never trusted.

The writer is small, since the service keeps it loaded. The reader is in `plan_reader`.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

SCHEMA = "pagewarden.plan/1"
PLAN_NAME = "plan.json"
PLAN = f"/run/pagewarden/{PLAN_NAME}"
MOST_BYTES = 64 << 10
MOST_CHANGES = 4


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One change that the service thinks should be made.

    :ivar current: the value in force when the plan was made; another one in force makes the plan stale.
    :ivar evidence_since: UTC, ISO 8601; None where nothing tells. `evidence_latest` likewise.
    :ivar promised: the sign that the change is to lower ("stalls", "failures"); None where it promises neither.
    """

    key: str
    current: str
    value: str
    risk: str
    confidence: str
    identifier: str
    why: str
    evidence: tuple[str, ...] = ()
    evidence_since: str | None = None
    evidence_latest: str | None = None
    promised: str | None = None


def plan_text(changes: Sequence[PlannedChange], created_at: str, boot_id: str) -> str:
    """Write a plan. :param created_at: UTC, ISO 8601."""
    document = {"schema": SCHEMA, "created_at": created_at, "boot_id": boot_id, "changes": list(map(asdict, changes))}
    return json.dumps(document) + "\n"


def leave_plan(path: Path, text: str) -> None:
    """Put a plan where the path unit looks for it, whole or not at all. It need not outlive a reboot.

    :raises OSError: what the kernel said.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(handle, 0o644)  # whatever the umask is; the reader refuses what others could have written
            file.write(text)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def withdraw_plan(path: Path) -> None:
    """Take a plan away that does not hold any more."""
    path.unlink(missing_ok=True)

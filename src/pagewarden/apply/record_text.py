"""The record as text: JSON with a version. Pure; what cannot be read is an error, never an empty record."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pagewarden.apply.bounds import KEYS
from pagewarden.apply.types import Intent, Owned, Pending, Record, Retired
from pagewarden.kernel.simulate import Write

VERSION = 1


def record_text(record: Record) -> str:
    """Write a record."""
    return json.dumps({"version": VERSION, **asdict(record)}, indent=1) + "\n"


def parse_record(text: str) -> Record:
    """Read a record.

    :raises ValueError: damaged, or of a version that is not known here.
    """
    try:
        found = json.loads(text)
        if found["version"] != VERSION:
            raise ValueError(f"version {found['version']}, expected {VERSION}")
        pending = found["pending"]
        return Record(
            owned=_owned(found["owned"]),
            retired=_retired(found["retired"]),
            snippet_sha256=_optional(found["snippet_sha256"]),
            pending=None if pending is None else _pending(pending),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"expected a record of pagewarden ({error!r})") from None


def _pending(found: Mapping[str, Any]) -> Pending:
    return Pending(
        intent=Intent(found["intent"]),
        started_at=_text(found["started_at"]),
        boot_id=_text(found["boot_id"]),
        before={_key(key): _text(value) for key, value in found["before"].items()},
        writes=tuple(Write(_key(entry["key"]), _text(entry["text"])) for entry in found["writes"]),
        snippet_before=_optional(found["snippet_before"]),
        snippet_after=_optional(found["snippet_after"]),
        owned_after=_owned(found["owned_after"]),
        retired_after=_retired(found["retired_after"]),
    )


def _owned(found: list[Mapping[str, Any]]) -> tuple[Owned, ...]:
    return tuple(
        Owned(
            key=_key(entry["key"]),
            value=_text(entry["value"]),
            original=_text(entry["original"]),
            why=_text(entry["why"]),
            evidence=tuple(_text(line) for line in entry["evidence"]),
            identifier=_text(entry["identifier"]),
            applied_at=_text(entry["applied_at"]),
            boot_id=_text(entry["boot_id"]),
            version=_text(entry["version"]),
        )
        for entry in found
    )


def _retired(found: list[Mapping[str, Any]]) -> tuple[Retired, ...]:
    return tuple(Retired(_key(entry["key"]), _text(entry["reason"]), _text(entry["since"])) for entry in found)


def _key(value: object) -> str:
    # What the record names is written to /proc/sys: nothing but the settings we change.
    if value not in KEYS:
        raise ValueError(f"{value!r} is no setting that pagewarden changes")
    return _text(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, found {value!r}")
    return value


def _optional(value: object) -> str | None:
    return None if value is None else _text(value)

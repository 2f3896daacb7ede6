"""`/run/pagewarden/state.json`: what the service says of itself, written after each reading, read by `status`."""

import json
import os
from typing import Any

from pagewarden.errors import ReadError
from pagewarden.history.types import OpenFinding, Probation, ServiceState

SCHEMA = "pagewarden.state/1"


class StateFile:
    """The file, for the service, which writes it at every reading: what rarely changes is encoded only when it does."""

    def __init__(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        self._path = path
        self._fresh = f"{folder}/.{name}.new" if folder else f".{name}.new"
        self._rare: object = None
        self._encoded = ""

    def write(self, state: ServiceState) -> None:
        """Replace the file at once: whoever reads sees the old state or the new. Everybody may read it.

        :raises OSError: it cannot be written.
        """
        left = self._encode(state).encode()
        handle = os.open(self._fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            os.fchmod(handle, 0o644)  # the service's umask takes the rights of others away
            while left:
                left = left[os.write(handle, left) :]
        finally:
            os.close(handle)
        os.replace(self._fresh, self._path)  # noqa: PTH105  at every reading: pathlib costs several times the call itself

    def _encode(self, state: ServiceState) -> str:
        rare = (state.version, state.plan, state.findings, state.probation, state.degraded)
        if rare != self._rare:
            document = {
                "schema": SCHEMA,
                "version": state.version,
                "findings": [_fields(finding) for finding in state.findings],
                "plan": state.plan,
                "probation": [_fields(change) for change in state.probation],
                "degraded": state.degraded,
            }
            self._rare, self._encoded = rare, json.dumps(document, separators=(",", ":"))[:-1]
        return (
            f'{self._encoded},"pid":{state.pid},"since_seconds":{state.since_seconds!r},'
            f'"last_poll_seconds":{state.last_poll_seconds!r},"next_poll_seconds":{state.next_poll_seconds!r},'
            f'"poll_count":{state.poll_count},"report_count":{state.report_count}}}'
        )


def _fields(value: OpenFinding | Probation) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def parse_state(content: bytes, path: str) -> ServiceState:
    """Read what `StateFile` wrote.

    :raises ReadError: something else. The file belongs to a service without rights, so what is in it is not shown.
    """
    try:
        values = json.loads(content)
        if values["schema"] == SCHEMA:
            return _state(values)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise ReadError(path, f"expected what the service writes ({SCHEMA})")


def _state(values: dict[str, Any]) -> ServiceState:
    return ServiceState(
        version=_text(values["version"]),
        pid=_count(values["pid"]),
        since_seconds=_time(values["since_seconds"]),
        last_poll_seconds=_time(values["last_poll_seconds"]),
        next_poll_seconds=_time(values["next_poll_seconds"]),
        poll_count=_count(values["poll_count"]),
        report_count=_count(values["report_count"]),
        findings=tuple(_finding(entry) for entry in values["findings"]),
        plan=tuple(_text(line) for line in values["plan"]),
        probation=tuple(_probation(entry) for entry in values["probation"]),
        degraded=tuple(_text(line) for line in values["degraded"]),
    )


def _finding(entry: dict[str, Any]) -> OpenFinding:
    words = {name: _text(entry[name]) for name in ("identity", "cause", "severity", "text")}
    return OpenFinding(**words, since_seconds=_time(entry["since_seconds"]))


def _probation(entry: dict[str, Any]) -> Probation:
    words = {name: _text(entry[name]) for name in ("key", "value", "old_value")}
    return Probation(**words, until_seconds=_time(entry["until_seconds"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # JSON can hold halves of characters, which cannot be printed
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError
    return value


def _time(value: object) -> float:
    # Beyond the year 9999 no date can be written.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 253_402_300_800:
        raise TypeError
    return float(value)

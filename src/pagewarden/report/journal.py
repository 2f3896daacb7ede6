"""What the service writes to the journal, as fields; and the same as one plain line where there is no journal.

Fields of every entry about a finding: MESSAGE, PRIORITY, MESSAGE_ID, PAGEWARDEN_CAUSE, PAGEWARDEN_SEVERITY,
PAGEWARDEN_STATE (appeared, changed, ended), PAGEWARDEN_ID (the same for one finding from beginning to end),
PAGEWARDEN_COUNT, PAGEWARDEN_SINCE; where known PAGEWARDEN_KEY (the setting), PAGEWARDEN_ADVICE, PAGEWARDEN_CALLER, ...
"""

import re
from collections.abc import Mapping

from pagewarden.report.journal_kinds import BY_NAME

PRIORITIES = {"critical": 2, "warning": 4, "notice": 5, "info": 6}
_ENDED_PRIORITY = 6
_UNKNOWN_KIND = "incomplete"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_MAX_FIELD = 2000
_FIELD_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,40}")

Fields = Mapping[str, str]


def finding_fields(
    *,
    phase: str,
    cause: str,
    severity: str,
    text: str,
    identity: str,
    count: int,
    since: str,
    key: str = "",
    details: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Write an entry about a finding.

    :param phase: "appeared", "changed" or "ended".
    :param since: when it appeared, by the wall clock, as text.
    """
    times = f" ({count} times since {since})" if count > 1 else ""
    message = {
        "appeared": f"{cause}: {text}{times}",
        "changed": f"{cause}, now {severity}{times}: {text}",
        "ended": f"{cause} is over (since {since}{f', {count} times' if count > 1 else ''}): {text}",
    }[phase]
    advice = (details or {}).get("ADVICE", "")
    if advice and phase != "ended":
        message += f" What to do: {advice}"
    fields = {
        "MESSAGE": message,
        "PRIORITY": str(_ENDED_PRIORITY if phase == "ended" else PRIORITIES.get(severity, 4)),
        "MESSAGE_ID": BY_NAME.get(cause, BY_NAME[_UNKNOWN_KIND]).message_id,
        "PAGEWARDEN_CAUSE": cause,
        "PAGEWARDEN_SEVERITY": severity,
        "PAGEWARDEN_STATE": phase,
        "PAGEWARDEN_ID": identity,
        "PAGEWARDEN_COUNT": str(count),
        "PAGEWARDEN_SINCE": since,
    }
    if key:
        fields["PAGEWARDEN_KEY"] = key
    for name, value in (details or {}).items():
        if _FIELD_NAME.fullmatch(name) is not None:
            fields.setdefault(f"PAGEWARDEN_{name}", value)
    return {name: _clean(value) for name, value in fields.items()}


def service_fields(kind: str, message: str, severity: str = "info", **more: str) -> dict[str, str]:
    """Write an entry about the service itself.

    :param kind: "service-degraded" and so on.
    :param more: further fields without their prefix: FUNCTION="history".
    """
    fields = {
        "MESSAGE": message,
        "PRIORITY": str(PRIORITIES.get(severity, 4)),
        "MESSAGE_ID": BY_NAME[kind].message_id,
        **{f"PAGEWARDEN_{name}": value for name, value in more.items()},
    }
    return {name: _clean(value) for name, value in fields.items()}


def plain_line(fields: Fields) -> str:
    """Write an entry as one line for standard error, with the level that journald understands in front."""
    return f"<{fields['PRIORITY']}>{fields['MESSAGE']}"


def _clean(value: str) -> str:
    # The kernel's log is not to be trusted: no control characters, no second line, bounded.
    return _CONTROL.sub(" ", value)[:_MAX_FIELD]

"""Points in time as `journalctl --since` takes them."""

import re
from datetime import UTC, datetime, timedelta

from pagewarden.errors import UsageError

_UNITS = {
    "s": 1, "sec": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hr": 3600, "hour": 3600, "hours": 3600,
    "d": 86400, "day": 86400, "days": 86400,
    "w": 604800, "week": 604800, "weeks": 604800,
    "month": 2629800, "months": 2629800, "y": 31557600, "year": 31557600, "years": 31557600,
}  # fmt: skip
_SPAN = re.compile(r"(\d{1,9})(?!\d) ?([a-z]{1,7})? ?")
_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d{1,9})?)?)?( ?UTC|Z)?")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_UNIX = re.compile(r"@(\d{1,12})(?:\.\d{1,9})?")


def parse_since(text: str, now: datetime) -> datetime:
    """Read a point in time: "-2d", "1h 30min ago", "2026-11-01 10:00", "10:00", "yesterday", "@1700000000", "now".

    :param now: the present, with its time zone; dates without one are in it.
    :raises UsageError: if it is none of these.
    """
    word = text.strip().lower()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    named = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}
    named["tomorrow"] = midnight + timedelta(days=1)
    if word in named:
        return named[word]
    found = _relative(word, now) or _absolute(text.strip(), now)
    if found is None:
        raise UsageError(f"--since {text!r}: expected a time such as -2d, '1h ago', '2026-11-01 10:00', yesterday")
    return found


def _relative(word: str, now: datetime) -> datetime | None:
    if word.startswith("-"):
        span = word[1:]
    elif word.endswith(" ago"):
        span = word.removesuffix(" ago")
    else:
        return None
    seconds = 0
    at = 0
    while at < len(span):
        match = _SPAN.match(span, at)
        unit = _UNITS.get(match[2] or "s") if match is not None else None
        if match is None or unit is None:
            return None
        seconds += int(match[1]) * unit
        at = match.end()
    try:
        return now - timedelta(seconds=seconds) if span else None
    except OverflowError:
        return None


def _absolute(text: str, now: datetime) -> datetime | None:
    unix = _UNIX.fullmatch(text)
    clock = _CLOCK.fullmatch(text)
    date = _DATE.fullmatch(text)
    try:
        if unix is not None:
            return datetime.fromtimestamp(int(unix[1]), UTC)
        if clock is not None:
            parts = [int(part or 0) for part in clock.groups()]
            return now.replace(hour=parts[0], minute=parts[1], second=parts[2], microsecond=0)
        if date is not None:
            year, month, day, hour, minute, second = (int(part or 0) for part in date.groups()[:6])
            zone = UTC if date[7] else now.tzinfo
            return datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return None
    return None

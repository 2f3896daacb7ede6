"""When a line was written, from the stamp printed in front of it.

Logs carry a dozen kinds of stamp, some without a year, some without a zone, some that count from boot. What cannot be
read is None: an age is never made up.
"""

import re
from calendar import isleap
from datetime import UTC, datetime, timedelta, timezone, tzinfo

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ISO = re.compile(
    r"(?:[A-Z][a-z]{2} )?(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,]\d{1,9})?"
    r"(?: ?(Z|UTC|GMT|[+-]\d\d:?\d\d))?(?: [A-Za-z]{2,5})?"
)
_NAMED = re.compile(
    r"(?:[A-Z][a-z]{2} )?(?:(\d{4}) )?([A-Z][a-z]{2}) {1,2}(\d{1,2}) (?:(\d{4}) )?(\d\d):(\d\d):(\d\d)"
    r"(?:\.\d{1,9})?(?: (\d{4}))?"
)
_UNIX = re.compile(r"(\d{9,11})\.\d{3,9}")

DAY_AHEAD = timedelta(days=1)
"""A stamp without a year is taken for the last such day; one a little ahead is a clock that differs, not a year."""


def parse_timestamp(text: str, now: datetime) -> datetime | None:
    """Read a wall-clock stamp; None where it is none (seconds since boot, for one).

    :param text: as printed.
    :param now: with its zone. Stamps without a zone are taken to be in it, those without a year to lie before it.
    """
    unix = _UNIX.fullmatch(text)
    if unix is not None:
        return datetime.fromtimestamp(int(unix[1]), UTC)
    for pattern, read in ((_ISO, _from_iso), (_NAMED, _from_named)):
        match = pattern.fullmatch(text.strip())
        if match is not None:
            try:
                return read(match, now)
            except (ValueError, StopIteration):  # no such day, or a zone of 30 hours
                return None
    return None


def _from_iso(match: re.Match[str], now: datetime) -> datetime:
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=_zone(match[7], now))


def _zone(text: str | None, now: datetime) -> tzinfo | None:
    if text is None:
        return now.tzinfo
    if text in ("Z", "UTC", "GMT"):
        return UTC
    digits = text[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)


def _from_named(match: re.Match[str], now: datetime) -> datetime | None:
    if match[2] not in _MONTHS:
        return None
    month, day = _MONTHS.index(match[2]) + 1, int(match[3])
    hour, minute, second = int(match[5]), int(match[6]), min(int(match[7]), 59)
    year = next((int(part) for part in (match[1], match[4], match[8]) if part), None)
    if year is not None:
        return datetime(year, month, day, hour, minute, second, tzinfo=now.tzinfo)
    years = (now.year, now.year - 1) if (month, day) != (2, 29) else range(now.year, now.year - 8, -1)
    return next(
        found
        for year in years
        if isleap(year) or (month, day) != (2, 29)
        if (found := datetime(year, month, day, hour, minute, second, tzinfo=now.tzinfo)) <= now + DAY_AHEAD
    )

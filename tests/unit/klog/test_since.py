from datetime import UTC, datetime, timedelta, timezone

import pytest

from pagewarden.errors import ExitStatus, UsageError
from pagewarden.klog.since import parse_since

ZONE = timezone(timedelta(hours=2))
NOW = datetime(2026, 11, 21, 15, 30, 45, 123456, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("now", NOW),
        ("today", datetime(2026, 11, 21, tzinfo=ZONE)),
        ("yesterday", datetime(2026, 11, 20, tzinfo=ZONE)),
        (" Yesterday ", datetime(2026, 11, 20, tzinfo=ZONE)),
        ("tomorrow", datetime(2026, 11, 22, tzinfo=ZONE)),
        ("-2d", NOW - timedelta(days=2)),
        ("-90", NOW - timedelta(seconds=90)),
        ("-1h30min", NOW - timedelta(minutes=90)),
        ("-1 h 30 min", NOW - timedelta(minutes=90)),
        ("2 weeks ago", NOW - timedelta(weeks=2)),
        ("1 hour 5 minutes ago", NOW - timedelta(minutes=65)),
        ("1month ago", NOW - timedelta(seconds=2629800)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=ZONE)),
        ("2026-11-01 10:00", datetime(2026, 11, 1, 10, tzinfo=ZONE)),
        ("2026-11-01T10:00:59", datetime(2026, 11, 1, 10, 0, 59, tzinfo=ZONE)),
        ("2026-11-01 10:00:59.25", datetime(2026, 11, 1, 10, 0, 59, tzinfo=ZONE)),
        ("2026-11-01T10:00:59Z", datetime(2026, 11, 1, 10, 0, 59, tzinfo=UTC)),
        ("2026-11-01 10:00 UTC", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        ("10:00", datetime(2026, 11, 21, 10, tzinfo=ZONE)),
        ("10:00:07", datetime(2026, 11, 21, 10, 0, 7, tzinfo=ZONE)),
        ("@1795224607", datetime.fromtimestamp(1795224607, UTC)),
        ("@1795224607.25", datetime.fromtimestamp(1795224607, UTC)),
    ],
)
def test_points_in_time(text: str, wanted: datetime) -> None:
    assert parse_since(text, NOW) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "", "-", "ago", " ago", "2d", "+2d", "-2x", "-d", "-2d!", "-2dd", "--2d", "2026-13-01", "2026-02-30", "2026-11",
        "25:00", "10:60", "10", "@", "@x", "@-5", "soon", "-999999999y", "2026-11-01 10", "١٢:٠٠x", "\0",
        "@999999999999", "1" * 5000, "-" + "999999999d" * 500, "-9999999999y", "-1h 9999999999s",
    ],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_since(text, NOW)
    assert caught.value.exit_status is ExitStatus.USAGE
    assert "\n" not in str(caught.value)

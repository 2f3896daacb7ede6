"""Every stamp that the decoder hands on: read, or not made up."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pagewarden.klog.sources import reports_in
from pagewarden.klog.timestamps import parse_timestamp

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HEADER = "x: page allocation failure: order:0, mode:0x20"
HERE = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Mar  2 03:04:05 db1 kernel: [ 5.123456] %s", "2026-03-02T03:04:05+00:00"),
        ("Mar  2 03:04:05.123456 db1 kernel: %s", "2026-03-02T03:04:05+00:00"),
        ("Mar  2 2026 03:04:05 db1 kernel: %s", "2026-03-02T03:04:05+00:00"),
        ("2026 Mar 2 03:04:05 db1 kernel: %s", "2026-03-02T03:04:05+00:00"),
        ("Mon Mar  2 03:04:05 2026 db1 kernel: %s", "2026-03-02T03:04:05+00:00"),
        ("[Mon Mar  2 03:04:05 2026] %s", "2026-03-02T03:04:05+00:00"),
        ("[Mar 2 03:04] %s", "2026-03-02T03:04:00+00:00"),
        ("2026-03-02T03:04:05.123456+01:00 db1 kernel: [ 5.123456] %s", "2026-03-02T03:04:05+01:00"),
        ("2026-03-02T03:04:05,123456+0100 db1 kernel: %s", "2026-03-02T03:04:05+01:00"),
        ("2026-03-02T03:04:05.123456-09:30 db1 kernel: %s", "2026-03-02T03:04:05-09:30"),
        ("[2026-03-02 03:04:05] %s", "2026-03-02T03:04:05+00:00"),
        ("[2026-03-02T03:04:05Z] %s", "2026-03-02T03:04:05+00:00"),
        ("Mon 2026-03-02 03:04:05 UTC db1 kernel: %s", "2026-03-02T03:04:05+00:00"),
        ("Mon 2026-03-02 03:04:05 +03 db1 kernel: %s", "2026-03-02T03:04:05+03:00"),
        ("<4>1 2026-03-02T03:04:05Z db1 kernel - - - %s", "2026-03-02T03:04:05+00:00"),
        ("2026-03-02T03:04:05.123456789Z stdout F %s", "2026-03-02T03:04:05+00:00"),
        ("1772420645.123456 db1 kernel: %s", "2026-03-02T03:04:05+00:00"),
        ("03-02 03:04:05.123  0  0 E kernel  : %s", "2026-03-02T03:04:05+00:00"),
        ('{"log":"%s\\n","time":"2026-03-02T03:04:05.123456789Z"}', "2026-03-02T03:04:05+00:00"),
        ('{"MESSAGE":"%s","__REALTIME_TIMESTAMP":"1772420645123456"}', "2026-03-02T03:04:05+00:00"),
        ("[    5.123456] %s", None),
        ("4,1,5000000,-;%s", None),
        ("[03:04:05] %s", None),
        ("%s", None),
    ],
)
def test_what_the_decoder_hands_on(line: str, expected: str | None) -> None:
    (report,) = reports_in(line.replace("%s", HEADER).encode())
    found = parse_timestamp(report.timestamp, NOW) if report.timestamp else None
    assert (None if found is None else found.isoformat()) == expected


@pytest.mark.parametrize(
    ("text", "now", "year"),
    [
        pytest.param("Dec 31 23:59:59", datetime(2026, 1, 1, tzinfo=UTC), 2025, id="last year"),
        pytest.param("Jan  1 00:00:01", datetime(2026, 1, 1, tzinfo=UTC), 2026, id="just now"),
        pytest.param("Jan  1 20:00:00", datetime(2026, 1, 1, tzinfo=UTC), 2026, id="a clock that is ahead by hours"),
        pytest.param("Jan  2 00:00:01", datetime(2026, 1, 1, tzinfo=UTC), 2025, id="more than a day ahead"),
        pytest.param("Mar 11 12:00:01", NOW, 2025, id="tomorrow, so last year"),
        pytest.param("Feb 29 12:00:00", NOW, 2024, id="a leap day, two years back"),
        pytest.param("Feb 29 12:00:00", datetime(2028, 3, 1, tzinfo=UTC), 2028, id="a leap day, yesterday"),
        pytest.param("Feb 29 12:00:00", datetime(2028, 2, 1, tzinfo=UTC), 2024, id="a leap day that is to come"),
        pytest.param("Feb 29 12:00:00", datetime(2103, 6, 1, tzinfo=UTC), 2096, id="no leap day in 2100"),
        pytest.param("12-31 23:59:59.123", datetime(2026, 1, 1, tzinfo=UTC), 2025, id="logcat, last year"),
    ],
)
def test_the_year_that_is_not_printed(text: str, now: datetime, year: int) -> None:
    found = parse_timestamp(text, now)
    assert found is not None
    assert found.year == year


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "yesterday",
        "Feb 30 12:00:00",
        "Apr 31 12:00:00 2026",
        "Feb 29 12:00:00 2025",
        "Foo  2 03:04:05",
        "Mär  2 03:04:05",
        "2026-02-29 03:04:05",
        "2026-13-01 03:04:05",
        "2026-03-02 25:04:05",
        "2026-03-02 03:61:05",
        "0000-03-02 03:04:05",
        "2026-03-02T03:04:05+99:99",
        "2026-03-02T03:04:05 and more",
        "99-99 03:04:05.123",
        "5.123456",
        "5000.000000",
        "123456789012.000000",
        "2026-03-02",
        "٢٠٢٦-03-02 03:04:05",
    ],
)
def test_no_date_is_made_up(text: str) -> None:
    assert parse_timestamp(text, NOW) is None


def test_a_leap_second_is_a_second() -> None:
    assert parse_timestamp("2016-12-31T23:59:60Z", NOW) == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_stamps_without_a_zone_are_the_machines() -> None:
    found = parse_timestamp("Mar  2 03:04:05", NOW.astimezone(HERE))
    assert found is not None
    assert found.utcoffset() == timedelta(hours=5, minutes=30)

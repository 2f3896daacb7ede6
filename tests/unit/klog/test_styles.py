"""One report, written down in every form that logs take, must come out the same."""

import dataclasses

import pytest
from tests.unit.klog.samples import LINE_STYLES, NAMES, WRAPPED_STYLES, only_report, reports_of, sample, without_origin

STYLES = {**LINE_STYLES, **WRAPPED_STYLES}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("style", STYLES)
def test_the_form_of_the_log_does_not_change_the_report(style: str, name: str) -> None:
    bare = only_report("\n".join(sample(name)))
    styled = only_report(STYLES[style](sample(name)))
    if style == "netconsole":
        # Its release field is one more source of the release.
        missing = tuple(what for what in bare.missing if what != "release")
        bare = dataclasses.replace(bare, release=styled.release, arch=styled.arch, missing=missing)
    assert without_origin(styled) == without_origin(bare)


@pytest.mark.parametrize("style", [*LINE_STYLES, "mail", "quoted-mail"])
def test_every_report_of_a_log_is_found_in_its_order(style: str) -> None:
    lines = [line for name in NAMES for line in sample(name)]
    reports = reports_of(STYLES[style](lines))
    assert [report.kind for report in reports] == [only_report("\n".join(sample(name))).kind for name in NAMES]
    starts = [report.line_number for report in reports]
    assert starts == sorted(starts)


@pytest.mark.parametrize(
    ("style", "timestamp", "seconds", "host"),
    [
        ("bare", None, None, None),
        ("dmesg", "8421.011111", 8421.011111, None),
        ("dmesg-T", "Sat Nov 21 01:30:07 2026", None, None),
        ("syslog", "Nov 21 01:30:07", None, "box"),
        ("syslog-dmesg", "Nov  1 01:30:07", 8421.011111, "box.example.org"),
        ("short-full", "Sat 2026-11-21 01:30:07 CET", None, "box"),
        ("short-monotonic", "8421.011111", 8421.011111, "box"),
        ("rfc5424", "2026-11-21T01:30:07Z", None, "box"),
        ("kmsg", "8421.000001", 8421.000001, None),
        ("export", "1795224607.000001", 8421.000001, None),
    ],
)
def test_where_and_when_come_from_the_form(
    style: str, timestamp: str | None, seconds: float | None, host: str | None
) -> None:
    report = only_report(STYLES[style](sample("failure-6.1")))
    assert (report.timestamp, report.seconds, report.host) == (timestamp, seconds, host)

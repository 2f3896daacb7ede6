"""Which kernels a report can come from."""

import dataclasses
import random

import pytest
from bench.made_reports import ERAS, Era, make_report
from tests.unit.diagnose.reports import blocks, failure, modern, recent, zone

from pagewarden.diagnose.releases import REPRESENTATIVES, candidate_versions, format_bounds
from pagewarden.klog.sources import reports_in
from pagewarden.klog.types import Report, ReportKind

PLAIN = zone("Normal", 10, 100, (0, 0), pages_scanned=0)


def candidates(report: Report, given: str | None = None) -> list[str]:
    return [str(version) for version in candidate_versions(report, given)[0]]


def test_what_the_user_names_comes_before_what_the_log_says() -> None:
    assert candidate_versions(failure(), "3.2.0")[1] is True
    assert candidates(failure(), "3.2.0") == ["3.2.0"]
    assert candidates(failure()) == ["2.6.32-5-amd64"]


@pytest.mark.parametrize("release", [None, "", "rubbish", "2.4.37", "0.10.0", "1.2.13-el6"])
def test_releases_that_tell_nothing_leave_the_format(release: str | None) -> None:
    versions, known = candidate_versions(failure(PLAIN, release=release), None)
    assert not known
    assert str(versions[0]) == "2.6.18"
    assert all(version.numbers < (3, 8, 0) for version in versions)


@pytest.mark.parametrize(
    ("report", "first", "last"),
    [
        (failure(release=None), "2.6.18", "4.4"),  # no names: before 4.6
        (failure(PLAIN, release=None), "2.6.18", "3.4"),  # and no managed: before 3.8
        (failure(dataclasses.replace(PLAIN, values_kb={"active_anon": 0}), release=None), "2.6.32", "3.4"),
        (failure(dataclasses.replace(PLAIN, managed_kb=400), release=None), "3.10", "4.4"),
        (
            failure(zone("Normal", 1, 2, (0,), free_blocks=blocks(1, letters="U"), managed_kb=4), release=None),
            "3.10",
            "4.4",
        ),
        (recent(release=None), "4.8", "7.2"),  # node lines and names
        (recent(modern("Normal", 1, 2, (0,)), release=None), "6.1", "7.2"),  # boost
        (recent(modern("Normal", 1, 2, (0,), boost_kb=None), release=None), "5.10", "5.10"),
        (recent(modern("Normal", 1, 2, (0,), free_highatomic_kb=0), release=None), "6.18", "7.2"),
        (recent(modern("Normal", 1, 2, (0,), boost_kb=None, reserved_highatomic_kb=None), release=None), "4.8", "5.4"),
        (failure(kind=ReportKind.DEADLOCK_WARNING, release=None), "2.6.18", "7.2"),  # XFS prints no names ever
        (failure(release=None, wording="failure."), "2.6.18", "2.6.39"),
        (failure(release=None, constraint="CONSTRAINT_NONE", gfp_mask=0x140CCA), "4.19", "7.2"),
        (failure(release=None, wording="failure:"), "3.2", "4.4"),
        (failure(PLAIN, release=None, wording="oomkilladj"), "2.6.18", "2.6.32"),
        (failure(PLAIN, release=None, wording="oom_adj"), "2.6.18", "3.4"),
        (failure(PLAIN, release=None, wording="oom_adj,oom_score_adj"), "2.6.32", "3.4"),
        (failure(release=None, wording="oom_score_adj"), "3.10", "4.4"),
        (failure(dataclasses.replace(PLAIN, values_kb={"active": 0}), release=None), "2.6.18", "2.6.24"),
    ],
)
def test_bounds_by_what_is_printed(report: Report, first: str, last: str) -> None:
    found = candidates(report)
    assert (found[0], found[-1]) == (first, last)


def test_what_contradicts_itself_is_taken_for_the_newest() -> None:
    odd = recent(modern("Normal", 1, 2, (0,), free_highatomic_kb=0, managed_kb=None), release=None)
    assert candidates(odd) == [REPRESENTATIVES[-1]]


@pytest.mark.parametrize("era", ERAS, ids=lambda era: era.release)
def test_the_kernel_that_printed_a_report_is_never_ruled_out(era: Era) -> None:
    rng = random.Random(era.release)
    for _ in range(10):
        (report,) = reports_in("\n".join(make_report(era, rng)).encode())
        lowest, before = format_bounds(report)
        assert lowest <= era.version < before, (lowest, before)


@pytest.mark.parametrize(
    ("opening", "wording"),
    [
        ("a: page allocation failure. order:1, mode:0x20", "failure."),
        ("a: page allocation failure: order:1, mode:0x20", "failure:"),
        ("a invoked oom-killer: gfp_mask=0xd0, order=1, oomkilladj=0", "oomkilladj"),
        ("a invoked oom-killer: gfp_mask=0xd0, order=1, oom_adj=0, oom_score_adj=0", "oom_adj,oom_score_adj"),
        ("a invoked oom-killer: gfp_mask=0xd0, order=1, oom_score_adj=0", "oom_score_adj"),
        ("a invoked oom-killer: gfp_mask=0xd0, order=1", None),
    ],
)
def test_how_an_opening_line_is_worded(opening: str, wording: str | None) -> None:
    (report,) = reports_in(f"[    1.500000] {opening}\n".encode())
    assert report.wording == wording

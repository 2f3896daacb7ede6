"""The text of `explain`: when a report was, and what the kernel held back."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.unit.report.test_report_text import text

from pagewarden.diagnose.diagnosis import Diagnosis
from pagewarden.diagnose.explain import diagnose
from pagewarden.klog.repeats import group_repeats
from pagewarden.klog.types import (
    FreeBlocks,
    LogRead,
    Report,
    ReportGroup,
    ReportKind,
    Suppressed,
    Victim,
    ZoneDump,
)
from pagewarden.report.explain import render_report, render_summary

KB_PER_GIB = 1 << 20

KILL = Report(
    ReportKind.OOM,
    1,
    9,
    timestamp="332.383394",
    seconds=332.383394,
    release="5.10.6",
    comm="ioctl_sg01",
    order=0,
    gfp_mask=0x100CCA,
    gfp_names="GFP_HIGHUSER_MOVABLE",
    zones=(
        ZoneDump(
            "Normal",
            node=0,
            free_kb=60_000,
            min_kb=67_584,
            low_kb=84_480,
            high_kb=101_376,
            managed_kb=16 * KB_PER_GIB,
            lowmem_reserve_pages=(0,),
            free_blocks=(FreeBlocks(0, 15_000),),
        ),
    ),
    victims=(Victim(14622, "ioctl_sg01", anon_rss_kb=15 * KB_PER_GIB, file_rss_kb=0, shmem_rss_kb=KB_PER_GIB // 2),),
)
FAILURE = replace(
    KILL, kind=ReportKind.PAGE_ALLOCATION_FAILURE, gfp_mask=0xA20, gfp_names="GFP_ATOMIC", victims=(), zones=()
)


def repeated(report: Report, *stamps: str | None) -> ReportGroup:
    (group,) = group_repeats([replace(report, timestamp=stamp) for stamp in stamps])
    return group


def shown(report: Report | ReportGroup, width: int = 80) -> str:
    group = report if isinstance(report, ReportGroup) else repeated(report, report.timestamp)
    return laid_out(group, diagnose(group.example), width)


def laid_out(group: ReportGroup, diagnosis: Diagnosis, width: int = 80) -> str:
    out = text(render_report(1, "kern.log", group, diagnosis), width)
    return "\n".join(line.rstrip() for line in out.splitlines())


def summary(reports: Sequence[Report], width: int = 80) -> str:
    rows = [("kern.log", group, diagnose(group.example)) for group in group_repeats(reports)]
    return text(render_summary(rows, [LogRead("kern.log", 9)]), width)


def words(shown_text: str) -> str:
    return " ".join(shown_text.split())


def head(report: Report | ReportGroup, width: int = 80) -> str:
    """What stands before the paragraph, its lines joined."""
    return words(shown(report, width).partition("\n\n")[0])


@pytest.mark.parametrize(
    ("stamps", "said"),
    [
        (["332.383394"], "5 min 32 s after boot (332.383394), Linux"),
        (["0.697984"], "0.697984 s after boot, Linux"),
        (["761945.327441"], "8 days 19 h after boot (761945.327441), Linux"),
        (["34.739137", "35.444648"], "2 times, 34.739137 to 35.444648 s after boot, Linux"),
        (
            ["1186.232273", "1190.0", "1197.288651"],
            "3 times, 19 min 46 s to 19 min 57 s after boot (1186.232273 to 1197.288651), Linux",
        ),
        (["761945.327441", "761946.327441"], "2 times, 8 days 19 h after boot (761945.327441 to 761946.327441), L"),
        (["5.5", "5.5"], "2 times, 5.5 s after boot, Linux"),
        (["5.5", None], "2 times, 5.5 s after boot, Linux"),
        ([None], "no time given, Linux"),
        ([None, "5.5"], "2 times, no time given, Linux"),
        (["Feb  4 13:16:28"], "Feb 4 13:16:28, Linux"),
        (["1728000000.123456"], "1728000000.123456, Linux"),  # a clock's seconds
        (["5.5", "Feb  4 13:16:28"], "5.5 to Feb 4 13:16:28, Linux"),
    ],
)
def test_seconds_since_boot_have_a_unit_and_stay_searchable(stamps: list[str | None], said: str) -> None:
    assert said in head(repeated(KILL, *stamps), 200)


def test_a_number_that_is_not_the_kernels_clock_gets_no_unit() -> None:
    assert "332.383394, Linux" in head(replace(KILL, seconds=None))


def test_messages_held_back_are_said_once() -> None:
    held = replace(FAILURE, suppressed=(Suppressed("warn_alloc", 20),))
    one = replace(FAILURE, suppressed=(Suppressed("warn_alloc", 1),))
    assert words(shown(held)).count("The kernel held back 20 more messages: ") == 1
    assert "held back 1 more message: " in words(shown(one))
    assert "held back" not in shown(FAILURE)
    assert "held back" not in summary([held, held]), "the only group says so itself"
    assert "held back 21 more messages" in words(summary([held, replace(one, order=1)]))

"""The text of `explain`: what a report says first, on every width, whatever names tasks have."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.conftest import DATA
from tests.unit.report.test_report_text import text

from pagewarden.diagnose.diagnosis import Diagnosis
from pagewarden.diagnose.explain import diagnose
from pagewarden.klog.repeats import group_repeats
from pagewarden.klog.sources import read_reports
from pagewarden.klog.types import (
    NONE_KILLABLE,
    PANICKED,
    FreeBlocks,
    LogRead,
    Memcg,
    MemcgCounter,
    Report,
    ReportGroup,
    ReportKind,
    Suppressed,
    Task,
    Victim,
    ZoneDump,
)
from pagewarden.report.explain import render_report, render_summary

KB_PER_GIB = 1 << 20
LOGS = sorted([*(DATA / "explain").glob("*.log"), *(DATA / "klog").glob("*.log")])

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
GROUP = Memcg("/a", "/a", (MemcgCounter("memory", 2048, 2048), MemcgCounter("swap", 0, 9007199254740988)))


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


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_kill_says_first_whom_and_what_to_do(width: int) -> None:
    first = words(" ".join(shown(KILL, width).splitlines()[:3]))
    assert "killed ioctl_sg01 (process 14622), which had 15.5 GiB of 16 GiB Do: " in first
    assert "What to do" in shown(KILL, width)


@pytest.mark.parametrize(
    ("victims", "said"),
    [
        ((), "the log does not say who was killed Do:"),
        ((Victim(7),), "killed process 7 Do:"),
        ((Victim(7, "java"),), "killed java (process 7) Do:"),
        ((Victim(7, "java", anon_rss_kb=0, file_rss_kb=0),), "killed java (process 7) Do:"),
        ((Victim(7, "java", anon_rss_kb=100),), "killed java (process 7), which had 100 KiB of 16 GiB Do:"),
        # More than the zones printed: not all of them are.
        ((Victim(7, "java", anon_rss_kb=17 * KB_PER_GIB),), "killed java (process 7), which had 17 GiB Do:"),
        ((Victim(8, "cc1"),), "killed cc1 (process 8), which had 2 MiB of 16 GiB Do:"),  # by the table of processes
        ((Victim(7, "java"), Victim(8, "cc1", anon_rss_kb=9)), "killed java (process 7) and cc1 (process 8) Do:"),
        (
            tuple(Victim(pid, "sh") for pid in range(1, 33)),
            "killed sh (process 1), sh (process 2), sh (process 3) and 29 more Do:",
        ),
    ],
)
def test_who_was_killed(victims: tuple[Victim, ...], said: str) -> None:
    assert said in head(replace(KILL, victims=victims, largest_tasks=(Task(8, 512, "cc1"), Task(9, 1, "sh"))))


@pytest.mark.parametrize(("held_kb", "of"), [(1024, "1 MiB of the group's 2 MiB"), (3072, "3 MiB")])
def test_a_kill_in_a_control_group_is_measured_by_its_limit(held_kb: int, of: str) -> None:
    victim = Victim(7, "java", anon_rss_kb=held_kb)
    said = head(replace(KILL, kind=ReportKind.MEMCG_OOM, memcg=GROUP, victims=(victim,)))
    assert f"killed java (process 7), which had {of} Do: raise the group's limit" in said
    assert f"which had {held_kb // 1024} MiB Do:" in head(
        replace(KILL, kind=ReportKind.MEMCG_OOM, memcg=None, victims=(victim,))
    )


@pytest.mark.parametrize("limit_kb", [9007199254740988, 9007199254740928, 9007199254740991, 8589934588])
def test_a_group_without_a_limit_of_its_own(limit_kb: int) -> None:
    group = Memcg(limited="/a", counters=(MemcgCounter("memory", 2048, limit_kb),))
    said = head(replace(KILL, kind=ReportKind.MEMCG_OOM, memcg=group, victims=(Victim(7, "java", anon_rss_kb=1024),)))
    assert "which had 1 MiB Do:" in said


def test_nobody_was_left_to_kill() -> None:
    said = head(replace(KILL, victims=(), notes=(NONE_KILLABLE,)))
    assert "no process was left that the kernel may kill" in said
    assert "does not say who" not in said


def test_a_panic_killed_nobody() -> None:
    said = head(replace(KILL, victims=(), notes=(PANICKED,)))
    assert "the kernel panicked" in said
    assert "killed" not in said


def test_repeated_kills_are_counted_and_one_is_named() -> None:
    said = head(repeated(KILL, "100.000001", "200.000002", "300.000003"))
    assert "3 kills (--all shows each), one of ioctl_sg01 (process 14622), which had 15.5 GiB" in said
    assert "3 kills (--all shows each) Do:" in head(repeated(replace(KILL, victims=()), "1.0", "2.0", "3.0"))


@pytest.mark.parametrize("name", ["[bold]x[/bold]", ":smile:", "a\x1b[31mb\n", "\u202egnp", "), which had 1", "x" * 64])
@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_hostile_names(name: str, width: int) -> None:
    report = replace(KILL, victims=(Victim(4194304, name, anon_rss_kb=10**15),))
    beginning = shown(report, width).partition("\n\n")[0]
    assert max(map(len, beginning.splitlines())) <= width
    for out in (beginning, summary([report, FAILURE], width)):
        assert not set(out) & set("\x1b\u202e")
        plain = name.replace("\x1b", "\\x1b").replace("\n", "\\n").replace("\u202e", "\\u202e")
        assert "".join(plain.split()) in "".join(out.split())


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_every_report_says_what_to_do_before_where_it_stands(path: object) -> None:
    for group in group_repeats(read_reports(str(path))):
        before = head(group, 200).partition(" kern.log:")[0]
        assert " Do: " in before or before.endswith(".")


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (FAILURE, "failed Do: read the whole log kern.log:1"),
        (replace(FAILURE, zones=KILL.zones, gfp_mask=None, gfp_names=None), "No advice: the report lacks"),
    ],
)
def test_what_to_do(report: Report, said: str) -> None:
    assert said in head(report)


def test_what_does_not_help_is_no_action() -> None:
    (group,) = group_repeats(read_reports(str(DATA / "explain" / "order-4-2.6.32.log")))
    diagnosis = diagnose(group.example)
    only = replace(diagnosis, remedies=diagnosis.remedies[-1:])
    assert "Do not expect much of vm.min_free_kbytes." in laid_out(group, only)
    reverse = replace(diagnosis, remedies=diagnosis.remedies[::-1])
    assert "   Do: update the kernel\n" in laid_out(group, reverse)


def test_a_value_is_the_least_that_helps() -> None:
    (group,) = group_repeats(read_reports(str(DATA / "explain" / "atomic-2.6.32.log")))
    assert shown(group).splitlines()[1] == "   Do: raise vm.min_free_kbytes to 2044 or more"


def test_what_repeats_is_not_dismissed() -> None:
    (group,) = group_repeats(read_reports(str(DATA / "explain" / "atomic-2.6.32.log")))
    free = tuple(replace(zone, free_kb=10**6) for zone in group.example.zones)
    report = replace(group.example, zones=free)
    assert diagnose(report).remedies == ()
    assert "Nothing to do unless it repeats." in head(report)
    said = head(repeated(report, "1.5", "2.5"))
    assert "No remedy is known: the shortage was over when it was reported." in said


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


def test_a_kill_stands_above_what_is_more_frequent() -> None:
    failures = [replace(FAILURE, order=order) for order in range(25) for _ in range(3)]
    panic = replace(KILL, victims=(), notes=(PANICKED,), order=1)
    rows = summary([*failures, replace(KILL, victims=(), order=2), panic, KILL, KILL]).splitlines()
    assert [line.strip() for line in rows[2:8]] == [
        "2      out of memory, order 0, GFP_HIGHUSER_MOVABLE   memory-exhausted",
        "killed ioctl_sg01 and 1 more",
        "1      out of memory, order 2, GFP_HIGHUSER_MOVABLE   memory-exhausted",
        "the log does not say who was killed",
        "1      out of memory, order 1, GFP_HIGHUSER_MOVABLE   memory-exhausted",
        "the kernel panicked",
    ]
    assert "and 8 more" in " ".join(rows)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_width_breaks_the_summary(width: int) -> None:
    several = replace(KILL, victims=tuple(Victim(pid, f"stress-ng-{pid}") for pid in range(5)))
    out = summary([several, FAILURE], width)
    assert max(map(len, out.splitlines())) <= width
    assert "killed stress-ng-0, stress-ng-1, stress-ng-2 and 2 more" in words(out)

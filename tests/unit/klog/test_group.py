import itertools

import pytest
from tests.unit.klog.samples import LINE_STYLES, lines_of, only_report, reports_of, sample, without_origin

from pagewarden.klog.group import Grouper
from pagewarden.klog.repeats import group_repeats
from pagewarden.klog.types import LogLine, Report, ReportKind, Suppressed

FAILURE = ReportKind.PAGE_ALLOCATION_FAILURE
DUMP = ReportKind.MEMORY_DUMP
OOM = ReportKind.OOM

KILL = (
    "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task=a,pid={0},uid=0\n"
    "Out of memory: Killed process {0} (a) total-vm:4kB, anon-rss:2kB, file-rss:0kB\n"
)
ZONES = (
    "Node 0 DMA free:{0}kB min:8kB low:20kB high:32kB present:15992kB managed:15360kB free_cma:0kB\n"
    "lowmem_reserve[]: 0 5 5\n"
    "Node 0 Normal free:{1}kB min:8kB low:20kB high:32kB present:15992kB managed:15360kB free_cma:0kB\n"
    "lowmem_reserve[]: 0 0 0\n"
    "Node 0 DMA: 1*4kB (U) = 4kB\n"
    "Node 0 Normal: 2*4kB (U) = 8kB\n"
)


def failure(comm: str = "a", order: int = 0, mask: int = 0x20) -> str:
    return f"{comm}: page allocation failure: order:{order}, mode:{mask:#x}\n"


def kinds(reports: list[Report]) -> list[ReportKind]:
    return [report.kind for report in reports]


def stamped(text: str, start: float = 10.0, step: float = 0.001, caller: str = "") -> str:
    stamps = itertools.count()
    return "".join(f"[{start + step * next(stamps):12.6f}]{caller} {line}\n" for line in text.splitlines())


def test_headers_alone_are_reports() -> None:
    reports = reports_of("".join(f"Mar 18 14:39:17 box kernel: {failure('swapper', 1)}" for _ in range(5)))
    assert kinds(reports) == [FAILURE] * 5
    assert [report.line_number for report in reports] == [1, 2, 3, 4, 5]
    assert all("memory-dump" in report.missing for report in reports)


def test_each_dump_goes_to_the_header_before_it() -> None:
    first, second = reports_of(
        failure("a") + "Mem-Info:\n" + ZONES.format(1, 2) + failure("b") + "Mem-Info:\n" + ZONES.format(3, 4)
    )
    assert [zone.free_kb for zone in first.zones] == [1, 2]
    assert [zone.free_kb for zone in second.zones] == [3, 4]
    assert not first.notes


def test_a_dump_held_back_by_the_rate_limit_is_not_the_earlier_headers() -> None:
    first, second = reports_of(failure("a") + failure("b") + "Mem-Info:\n" + ZONES.format(3, 4))
    assert first.zones == ()
    assert [zone.free_kb for zone in second.zones] == [3, 4]


def test_zones_without_their_first_line() -> None:
    report = only_report(failure("a") + "...\n" + ZONES.format(1, 2))
    assert [zone.free_kb for zone in report.zones] == [1, 2]


@pytest.mark.parametrize("distance", [1, 2, 7])
def test_two_processors_told_apart_by_their_callers(distance: int) -> None:
    one = LINE_STYLES["dmesg-caller"](sample("failure-6.1")).decode().splitlines()
    other = [
        line.replace("T4711", "C3") for line in LINE_STYLES["dmesg-caller"](sample("oom-5.10")).decode().splitlines()
    ]
    mixed: list[str] = []
    while one or other:
        mixed += one[:distance] + other[:1]
        one, other = one[distance:], other[1:]
    reports = reports_of("\n".join(mixed))
    expected = [only_report("\n".join(sample(name))) for name in ("failure-6.1", "oom-5.10")]
    reports.sort(key=lambda report: report.kind is OOM)
    assert [without_origin(report) for report in reports] == [without_origin(report) for report in expected]


def test_two_processors_told_apart_by_what_each_lacks() -> None:
    first = (
        failure("a")
        + "CPU: 0 PID: 1 Comm: a Not tainted 6.1.0 #1\nCall Trace:\n one+0x1/0x2\nMem-Info:\n"
        + ZONES.format(1, 2)
    )
    second = (
        failure("b")
        + "CPU: 1 PID: 2 Comm: b Not tainted 6.1.0 #1\nCall Trace:\n two+0x1/0x2\nMem-Info:\n"
        + ZONES.format(3, 4)
    )
    pairs = zip(first.splitlines(), second.splitlines(), strict=True)
    reports = reports_of(stamped("\n".join(line for pair in pairs for line in pair)))
    assert [(report.comm, report.pid, report.cpu) for report in reports] == [("a", 1, 0), ("b", 2, 1)]
    assert [[zone.free_kb for zone in report.zones] for report in reports] == [[1, 2], [3, 4]]
    assert all(report.complete for report in reports)
    assert all("traces may be mixed" in report.notes[0] for report in reports)


def test_two_headers_on_one_line() -> None:
    first, second = reports_of(
        "[  624.638061] a.out: page allocation stalls for 140001ms, order:0[  624.646725] b.out: \n"
        "[  624.646727] page allocation stalls for 140026ms, order:0, mode:0x342004a(GFP_NOFS)\n"
        "[  624.646731] CPU: 0 PID: 5167 Comm: b.out Tainted: G        W       4.9.0+ #102\n"
    )
    assert (first.comm, first.stall_ms, first.order, first.gfp_mask, first.seconds) == (
        "a.out",
        140001,
        0,
        None,
        624.638061,
    )
    assert (second.comm, second.stall_ms, second.gfp_mask, second.seconds) == ("b.out", 140026, 0x342004A, 624.646725)
    assert (first.pid, second.pid) == (None, 5167)


def test_a_header_behind_anothers_line_keeps_its_zones() -> None:
    text = "cat: page allocation failure: order:0, mode:0x20\nMem-Info:\n" + ZONES.format(1, 2)
    for callers in (("", ""), ("[  T100]", "[  T200]")):
        log = stamped(text, 10.0, caller=callers[1]).replace("cat:", "? page_[   10.000002]" + callers[1] + " cat:")
        report = only_report(log.replace("[   10.000000]" + callers[1], "[   10.000000]" + callers[0]))
        assert (report.comm, report.seconds, report.complete) == ("cat", 10.000002, True)


FOREIGN = ("Stack : 00000000 00000000", "80071de8 805f0000", "...", "usb 1-1: new device")


class TestPiecesWithOthersBetween:
    NAME = "swapper/3: "
    PIECES = ("page allocation failure: order:0", ", mode:0x1080020(GFP_ATOMIC), nodemask=", "(null)")

    @pytest.mark.parametrize("foreign", [(), FOREIGN[:1], FOREIGN, FOREIGN * 2 + FOREIGN[:2]])
    def test_they_are_joined(self, foreign: tuple[str, ...]) -> None:
        between = "".join(f"{line}\n" for line in foreign)
        report = only_report(stamped(between.join(f"{piece}\n" for piece in (self.NAME, *self.PIECES))))
        assert (report.kind, report.comm, report.order, report.gfp_mask) == (FAILURE, "swapper/3", 0, 0x1080020)
        assert report.nodemask == "(null)"

    @pytest.mark.parametrize(
        "text",
        [
            NAME + "\n" + "x\n" * 14 + PIECES[0] + "\n",
            NAME + "\n" + failure("other") + PIECES[0] + "\n",
            "a name too long for a task: \n" + FOREIGN[0] + "\n" + PIECES[0] + "\n",
            NAME + "\n" + FOREIGN[0] + "\n" + "page allocation failures are harmless\n",
        ],
    )
    def test_a_name_that_is_of_something_else(self, text: str) -> None:
        assert all(report.comm == "other" for report in reports_of(stamped(text)))

    def test_without_a_prefix_it_is_prose(self) -> None:
        assert reports_of("Hello:\n\nsome words\n" + self.PIECES[0] + "\n") == []

    def test_anothers_name(self) -> None:
        name, piece = stamped(self.NAME, caller="[   T1]"), stamped(self.PIECES[0], 10.5, caller="[   T2]")
        assert reports_of(name + stamped("x", 10.2, caller="[   T2]") + piece) == []

    def test_a_task_without_others_is_not_named_by_the_name_before_it(self) -> None:
        text = stamped(
            self.NAME + "\n" + FOREIGN[0] + "\n" + failure("a") + "page allocation failure: order:1, mode:0x20\n"
        )
        assert [report.comm for report in reports_of(text)] == ["a", None]

    @pytest.mark.parametrize("wrap", ["", "\n> "])
    def test_a_syslog_server_writes_them(self, wrap: str) -> None:
        time = "> 2017-01-17T11:08:33.754562+03:00"
        report = only_report(
            f"{time} box [335170.452601] rsync: \n{time} page allocation stalls for 2102516ms, order:0\n"
            f"{time} box ,{wrap} mode:0x26040d0(GFP_TEMPORARY|__GFP_COMP)\n{time} box  ffffffff92441e0b\n"
            f"{time} box [335170.452896] CPU: 2 PID: 20383{wrap} Comm: rsync Tainted: G  O   4.9.0-0-x #1\n"
        )
        assert (report.kind, report.comm, report.stall_ms) == (ReportKind.ALLOCATION_STALL, "rsync", 2102516)
        assert (report.order, report.gfp_mask, report.pid, report.release) == (0, 0x26040D0, 20383, "4.9.0-0-x")


def test_another_tasks_warning_inside_a_report_stays_out_of_its_trace() -> None:
    report = only_report(
        failure("a")
        + "CPU: 0 PID: 1 Comm: a Not tainted 6.1.0 #1\nCall Trace:\n mine+0x1/0x2\n"
        + "WARNING: CPU: 1 PID: 9 at fs/x.c:12 foreign+0x1/0x2\nCPU: 1 PID: 9 Comm: z Not tainted 6.1.0 #1\n"
        + "Call Trace:\n foreign+0x1/0x2\n"
        + "Mem-Info:\n"
        + ZONES.format(1, 2)
    )
    assert [frame.function for frame in report.trace] == ["mine"]
    assert report.complete


def test_lines_of_other_origin_inside_a_report_are_tolerated() -> None:
    lines = sample("failure-6.1")
    noise = ["usb 1-1: new high-speed USB device number 4", "XFS (sda1): writeback error on sector 90663248", ""]
    mixed = [line for pair in zip(lines, itertools.cycle(noise)) for line in pair]
    assert without_origin(only_report("\n".join(mixed))) == without_origin(only_report("\n".join(lines)))


def test_a_reviewers_remark_inside_a_wrapped_line() -> None:
    report = only_report(
        "> a invoked oom-killer: gfp_mask=0xd0, order=3, oom_adj=0\n> Mem-info:\n"
        "> Normal free:64532kB min:2884kB low:3604kB\n> high:4324kB\n\nLots of anon pages here.\n\n"
        "> present:520192kB pages_scanned:34 all_unreclaimable? no\n> lowmem_reserve[]: 0 0 0\n"
        "> Normal: 1*4kB\n> 0*8kB = 4kB\n"
    )
    assert report.zones[0].high_kb == 4324
    assert report.zones[0].present_kb == 520192
    assert report.complete


def test_what_the_rate_limit_held_back_is_told_with_the_next_report() -> None:
    first, second = reports_of(failure("a") + "warn_alloc: 7 callbacks suppressed\n" + failure("b"))
    assert first.suppressed == ()
    assert second.suppressed == (Suppressed("warn_alloc", 7),)


def test_a_notice_far_before_a_report_is_not_about_it() -> None:
    report = only_report("printk: 7 messages suppressed.\n" + "x\n" * 30 + failure("a"))
    assert report.suppressed == ()


def test_a_task_whose_name_was_blanked_in_one_of_its_lines() -> None:
    report = only_report(
        "[    1.500000] xxxx: page allocation failure: order:0, mode:0x20\n"
        "[    1.500001] CPU: 2 PID: 179 Comm: app Not tainted 4.9.56 #53\nCall Trace:\n[<802f63f2>] asks+0x1e/0x3c\n"
    )
    assert (report.comm, report.pid, report.cpu, report.release) == ("xxxx", 179, 2, "4.9.56")
    assert [frame.function for frame in report.trace] == ["asks"]


def test_another_tasks_line_that_is_not_the_next() -> None:
    report = only_report(
        "[    1.500000] a: page allocation failure: order:0, mode:0x20\n[    1.500000] something else\n"
        "[    1.500001] CPU: 2 PID: 179 Comm: app Not tainted 4.9.56 #53\n"
    )
    assert (report.pid, report.release) == (None, None)


def test_another_tasks_line_right_behind_the_opening_line() -> None:
    stranger = (
        "[    1.500001] CPU: 3 PID: 99 Comm: other Not tainted 4.4.0 #1\n[    1.500001] Hardware name: Strange\n"
        "[    1.500001] Call Trace:\n[    1.500001]  [<ffffffff81000001>] older+0x1/0x10\n"
    )
    report = only_report(
        f"[    1.500000] a: page allocation failure: order:0, mode:0x20\n{stranger}"
        "[    1.500002] CPU: 2 PID: 179 Comm: a Not tainted 4.9.56 #53\n[    1.500002] Hardware name: Own\n"
        "[    1.500002] Call Trace:\n[    1.500002]  [<ffffffff81000001>] asks+0x1/0x10\n"
    )
    assert (report.pid, report.cpu, report.release, report.hardware) == (179, 2, "4.9.56", "Own")
    assert [frame.function for frame in report.trace] == ["asks"]


def test_messages_that_name_their_place_keep_no_report_open() -> None:
    """The reader goes line by line where a report is open: three times slower, to the end of the log."""
    text = failure() + "".join(f"own_rx (drivers/net/own.c:{number}): rx timeout\n" for number in range(500))
    grouper = Grouper()
    for line in lines_of(stamped(text).encode()):
        grouper.feed(line)
    assert grouper.last_taken == 1


def test_the_banner_gives_the_release_to_reports_without_one() -> None:
    text = (
        "Linux version 6.5.0-rc1 (x@y) #1\n"
        + failure("a")
        + "CPU: 0 PID: 1 Comm: a Not tainted 6.4.0 #1\n"
        + failure("b")
    )
    assert [report.release for report in reports_of(text)] == ["6.4.0", "6.5.0-rc1"]
    assert "release" not in reports_of(text)[1].missing


def test_a_deadlock_warning_that_was_wrapped() -> None:
    first, second = reports_of(
        "box kernel: XFS: possible memory allocation deadlock in kmem_alloc \n(mode:0x250)\n"
        "box kernel: XFS: fs_mark(8414) possible memory allocation deadlock size\n65768 in kmem_alloc (mode:0x2d40)\n"
    )
    assert (first.function, first.gfp_mask) == ("kmem_alloc", 0x250)
    assert (second.comm, second.pid, second.request_bytes, second.gfp_mask) == ("fs_mark", 8414, 65768, 0x2D40)


def test_a_number_after_a_reserve_that_is_not_of_it() -> None:
    report = only_report(
        stamped(failure("a") + "Mem-Info:\n" + ZONES.format(1, 2) + "= 12kB\n(U)\n0\n/ mems_allowed=0\n")
    )
    assert without_origin(report) == without_origin(
        only_report(stamped(failure("a") + "Mem-Info:\n" + ZONES.format(1, 2)))
    )


class TestWithoutTheTask:
    LINE = "page allocation failure: order:0, mode:0x800(GFP_NOWAIT)\n"

    def test_a_trace_or_a_dump_makes_it_a_report(self) -> None:
        for more in ("Call Trace:\nwarn_alloc+0xf4/0x190\n", "Node 0 active_anon:120kB inactive_anon:43012kB\n"):
            report = only_report("There's a panic:\n\n" + self.LINE + more)
            assert (report.kind, report.comm, report.order, report.gfp_mask) == (FAILURE, None, 0, 0x800)
            assert "comm" in report.missing

    def test_a_log_prefix_makes_it_a_report(self) -> None:
        assert only_report("[   12.345678] " + self.LINE).comm is None

    def test_alone_it_is_prose(self) -> None:
        assert reports_of("I see lots of\n" + self.LINE + "in my log.\n") == []


def test_a_reboot_ends_a_report() -> None:
    first, second = reports_of(
        stamped(failure("a") + "Mem-Info:\n", 5000.0)
        + stamped("Linux version 6.5.0-rc1 (x@y) #1\n" + ZONES.format(1, 2), 0.0)
    )
    assert (first.kind, first.zones) == (FAILURE, ())
    assert second.kind is DUMP


def test_silence_ends_a_report() -> None:
    far = failure("a") + "Mem-Info:\n" + "x\n" * 500 + ZONES.format(1, 2)
    assert kinds(reports_of(far)) == [FAILURE, DUMP]
    late = stamped(failure("a") + "Mem-Info:\n", 10.0) + stamped(ZONES.format(1, 2), 500.0)
    assert kinds(reports_of(late)) == [FAILURE, DUMP]


def test_reports_come_out_as_soon_as_they_are_over() -> None:
    grouper = Grouper()
    lines = lines_of((failure("a") + "x\n" * 70 + failure("b") + "x\n" * 70 + failure("c")).encode())
    given = [(line.number, report.comm) for line in lines for report in grouper.feed(line)]
    assert given == [(143, "a")]
    assert [report.comm for report in grouper.finish()] == ["b", "c"]


class TestWithoutOpeningLine:
    def test_a_kill_alone_is_a_report(self) -> None:
        report = only_report(KILL.format(7))
        assert (report.kind, report.line_number) == (OOM, 1)
        assert [victim.pid for victim in report.victims] == [7]
        assert report.missing[0] == "header"

    def test_two_lines_about_one_kill_are_one_report(self) -> None:
        report = only_report(
            "Out of memory: Kill process 5 (x) score 9 or sacrifice child\nKilled process 5, UID 48, (x) total-vm:4kB\n"
        )
        assert report.victim is not None
        assert (report.victim.score, report.victim.uid, report.victim.total_vm_kb) == (9, 48, 4)

    @pytest.mark.parametrize(
        "chosen",
        [
            "Memory cgroup out of memory: Kill process 5 (x) score 9 or sacrifice child\n",
            "Out of memory: kill process 5 (x) score 179248 or a child\n",
        ],
    )
    @pytest.mark.parametrize("before", ["", "x invoked oom-killer: gfp_mask=0xd0, order=0, oom_adj=0\nMem-Info:\n"])
    def test_a_child_killed_in_place_of_the_process_that_was_chosen(self, before: str, chosen: str) -> None:
        report = only_report(f"{before}{chosen}Killed process 6 (y) total-vm:8kB\n")
        assert [(victim.pid, victim.comm, victim.score) for victim in report.victims] == [(6, "y", None)]

    def test_a_chosen_process_alone_and_the_next_kill(self) -> None:
        chosen = "Out of memory: Kill process {0} (x) score 9 or sacrifice child\n"
        reports = reports_of(chosen.format(5) + chosen.format(6) + "Killed process 6 (x) total-vm:8kB\n")
        assert [[victim.pid for victim in report.victims] for report in reports] == [[5], [6]]

    def test_two_kills_printed_at_once(self) -> None:
        """Until 4.2 those of two control groups could be."""
        chosen = "Memory cgroup out of memory: Kill process {0} (x) score {0} or sacrifice child\n"
        killed = "Killed process {0} (x) total-vm:8kB\n"
        reports = reports_of(chosen.format(5) + chosen.format(7) + killed.format(5) + killed.format(7))
        found = [[(victim.pid, victim.score, victim.total_vm_kb) for victim in report.victims] for report in reports]
        assert found == [[(5, 5, 8)], [(7, 7, 8)]]

    def test_a_process_that_shares_the_memory_is_killed_too(self) -> None:
        report = only_report(
            "x invoked oom-killer: gfp_mask=0xd0, order=0, oom_adj=0\nMem-Info:\n"
            "Out of memory: Kill process 5 (x) score 9 or sacrifice child\nKill process 6 (y) sharing same memory\n"
        )
        assert [victim.pid for victim in report.victims] == [5, 6]

    def test_a_control_groups_lines_behind_anothers_kill(self) -> None:
        reports = reports_of(
            "Out of memory: Kill process 5 (x) score 9 or sacrifice child\nKilled process 5 (x) total-vm:4kB\n"
            "Task in /a/b killed as a result of limit of /a\nmemory: usage 8kB, limit 8kB, failcnt 3\n"
        )
        assert [report.kind for report in reports] == [OOM, ReportKind.MEMCG_OOM]
        assert reports[1].memcg is not None
        assert reports[1].memcg.limited == "/a"

    def test_a_summary_without_its_end_behind_anothers_kill(self) -> None:
        cut = KILL.replace("NONE", "CPUSET").partition(",task_memcg")[0] + "\nOut of memory: Killed process {0} (a)\n"
        reports = reports_of(KILL.format(7) + cut.format(8))
        assert [(report.constraint, report.victims[0].pid) for report in reports] == [
            ("CONSTRAINT_NONE", 7),
            ("CONSTRAINT_CPUSET", 8),
        ]

    def test_each_kill_alone_is_its_own(self) -> None:
        assert [report.victims[0].pid for report in reports_of(KILL.format(7) + KILL.format(8) + KILL.format(9))] == [
            7,
            8,
            9,
        ]

    def test_a_control_groups_kill_alone(self) -> None:
        assert (
            only_report("Memory cgroup out of memory: Killed process 5 (x) total-vm:4kB\n").kind is ReportKind.MEMCG_OOM
        )
        assert only_report(
            "Task in /a killed as a result of limit of /b\nmemory: usage 1kB, limit 1kB, failcnt 3\n"
        ).kind is (ReportKind.MEMCG_OOM)

    def test_a_kill_before_a_whole_report_is_only_noted(self) -> None:
        report = only_report(KILL.format(7) + "x\n" + failure("a"))
        assert report.kind is FAILURE
        assert report.notes == ("the log begins with the end of an earlier OOM report, which killed 7 (a)",)

    def test_the_end_of_a_dump_before_a_whole_report_is_only_noted(self) -> None:
        report = only_report(ZONES.format(1, 2) + failure("a"))
        assert report.zones == ()
        assert report.notes == ("the log begins with the end of an earlier report (line 1)",)

    def test_a_kill_long_before_a_whole_report_counts(self) -> None:
        assert kinds(reports_of(stamped(KILL.format(7), 10.0) + stamped(failure("a"), 9000.0))) == [OOM, FAILURE]
        assert kinds(reports_of(KILL.format(7) + "x\n" * 6000 + failure("a"))) == [OOM, FAILURE]

    def test_a_kill_after_a_whole_report_was_held_back_by_the_rate_limit(self) -> None:
        assert kinds(reports_of(stamped(failure("a"), 10.0) + stamped(KILL.format(7), 900.0))) == [FAILURE, OOM]

    def test_many_kills_at_the_start_count(self) -> None:
        text = "".join(KILL.format(pid) for pid in range(1, 60))
        assert len(reports_of(text + failure("a"))) >= 30

    def test_a_live_log_does_not_wait(self) -> None:
        grouper = Grouper(hold_leading=False)
        lines = lines_of((stamped(KILL.format(7), 10.0) + stamped("Mem-Info:\n", 900.0)).encode())
        assert [report.kind for line in lines for report in grouper.feed(line)] == [OOM]

    def test_a_dump_asked_for_by_sysrq(self) -> None:
        report = only_report("sysrq: SysRq : Show Memory\nMem-Info:\nactive_anon:5 free:426\n" + ZONES.format(1, 2))
        assert (report.kind, report.comm, report.order, report.complete) == (DUMP, None, None, True)
        assert report.counters_pages == {"active_anon": 5, "free": 426}

    def test_a_dump_that_begins_in_the_middle(self) -> None:
        report = only_report("protections[]: 0 0 0\nDMA: 1*4kB 2*8kB = 20kB\nNormal: 1*4kB = 4kB\nHighMem: empty\n")
        assert (report.kind, report.line_number) == (DUMP, 1)
        assert [(zone.zone, zone.free_kb, zone.free_list_total_kb) for zone in report.zones] == [
            ("DMA", None, 20),
            ("Normal", None, 4),
            ("HighMem", None, None),
        ]

    def test_an_oom_from_its_trace_on(self) -> None:
        report = only_report(
            "CPU: 1 PID: 9 Comm: z Not tainted 6.1.0 #1\n"
            "Call Trace:\n dump_header+0x1/0x2\n oom_kill_process+0x1/0x2\nMem-Info:\n"
            + ZONES.format(1, 2)
            + KILL.format(7)
        )
        assert (report.kind, report.comm, report.release) == (OOM, "z", "6.1.0")
        assert report.missing == ("header", "order", "gfp-mask")
        assert report.victim is not None

    @pytest.mark.parametrize(
        "end",
        [
            "Out of memory and no killable processes...\nKernel panic - not syncing: System is deadlocked on memory\n",
            "Kernel panic - not syncing: Out of memory and no killable processes...\n",
        ],
    )
    def test_nothing_to_kill(self, end: str) -> None:
        cpu = "CPU: 1 PID: 9 Comm: z Not tainted 6.1.0 #1\nHardware name: QEMU\n"
        report = only_report("Mem-Info:\n" + ZONES.format(1, 2) + end + cpu)
        assert (report.kind, report.panicked, report.victims) == (OOM, True, ())
        assert (report.comm, report.pid, report.release) == ("z", 9, "6.1.0")
        headed = only_report("a invoked oom-killer: gfp_mask=0xcc0, order=0\nMem-Info:\n" + ZONES.format(1, 2) + end)
        assert (headed.kind, headed.panicked, headed.comm, headed.complete) == (OOM, True, "a", True)
        assert only_report(stamped(end)).panicked
        assert reports_of(end) == []

    def test_another_tasks_line_after_the_panic(self) -> None:
        header = "a invoked oom-killer: gfp_mask=0xcc0, order=0\nMem-Info:\n" + ZONES.format(1, 2)
        panic = "Kernel panic - not syncing: System is deadlocked on memory\n"
        report = only_report(header + panic + "CPU: 1 PID: 9 Comm: z Not tainted 6.1.0 #1\n")
        assert (report.comm, report.pid, report.release) == ("a", None, None)

    def test_nothing_to_kill_in_a_control_group(self) -> None:
        trace = "Call Trace:\n dump_header+0x1/0x2\n mem_cgroup_out_of_memory+0x1/0x2\n"
        end = "Out of memory and no killable processes...\n"
        report = only_report("a invoked oom-killer: gfp_mask=0xcc0, order=0\n" + trace + end)
        assert (report.kind, report.panicked, report.victims) == (ReportKind.MEMCG_OOM, False, ())
        assert report.notes == ("no process was left that the kernel may kill",)

    @pytest.mark.parametrize("before", ["", failure("b") + "Mem-Info:\n" + ZONES.format(3, 4)])
    def test_an_oom_from_its_frames_on(self, before: str) -> None:
        trace = " ? try_to_free_pages+0x1/0x2\n oom_kill_process+0x1/0x2\n out_of_memory+0x1/0x2\n page_fault+0x1/0x2\n"
        report = reports_of(before + trace + "Mem-Info:\n" + ZONES.format(1, 2))[-1]
        assert (report.kind, report.comm, report.order, report.complete) == (OOM, None, None, True)
        assert [frame.function for frame in report.trace] == ["oom_kill_process", "out_of_memory", "page_fault"]
        assert [zone.free_kb for zone in report.zones] == [1, 2]

    @pytest.mark.parametrize(
        ("trace", "expected"),
        [
            (" dump_header+0x1/0x2\n mem_cgroup_out_of_memory+0x1/0x2\n", []),
            (" dump_header+0x1/0x2\nWARNING: CPU: 0 PID: 1 at x.c:1\nMem-Info:\n" + ZONES.format(1, 2), [DUMP]),
            (" show_mem+0x1/0x2\n sysrq_handle_showmem+0x1/0x2\nMem-Info:\n" + ZONES.format(1, 2), [DUMP]),
            (" my_dump_header+0x1/0x2\nMem-Info:\n" + ZONES.format(1, 2), [DUMP]),
            (" try_out_of_memory+0x1/0x2\nMem-Info:\n" + ZONES.format(1, 2), [DUMP]),
        ],
    )
    def test_frames_that_make_no_oom(self, trace: str, expected: list[ReportKind]) -> None:
        assert kinds(reports_of(trace)) == expected

    def test_a_dump_and_then_a_kill(self) -> None:
        assert only_report("Mem-Info:\n" + ZONES.format(1, 2) + KILL.format(7)).kind is OOM

    @pytest.mark.parametrize(
        "text",
        [
            "Mem-Info:\n",
            "lowmem_reserve[]: 0 0 0\n",
            "lowmem_reserve[]: 0 0 0\n524288 pages RAM\n",
            "524288 pages RAM\n0 pages HighMem/MovableOnly\n",
            "SLUB: Unable to allocate memory on node -1, gfp=0x820(GFP_ATOMIC)\n"
            "  node 0: slabs: 9, objs: 153, free: 0\n",
            "oom_reaper: reaped process 5 (x), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB\n",
            "warn_alloc: 5 callbacks suppressed\n",
            "CPU: 1 PID: 9 Comm: z Not tainted 6.1.0 #1\nCall Trace:\n dump_stack+0x1/0x2\n warn+0x1/0x2\n",
            "active_anon:5 inactive_anon:6\n",
        ],
    )
    def test_too_little_for_a_report(self, text: str) -> None:
        assert reports_of(text) == []


class TestVmalloc:
    LEAD = "vmap allocation for size 8192 failed: use vmalloc=<size> to increase size\n"
    OLD = "vmalloc: allocation failure: 4096 bytes\n"
    OLD_PAGES = "vmalloc: allocation failure, allocated 4096 of 16384 bytes\n"

    def test_a_lead_belongs_to_the_opening_line_after_it(self) -> None:
        report = only_report(self.LEAD + "a: vmalloc error: size 4096, vm_struct allocation failed, mode:0xcc0(A)\n")
        assert (report.request_bytes, report.address_space, report.line_number) == (4096, True, 2)

    def test_before_4_9_the_size_has_a_line_of_its_own(self) -> None:
        report = only_report(self.OLD + failure("a", 0, 0xD2) + "Mem-Info:\n" + ZONES.format(1, 2))
        assert (report.kind, report.request_bytes, report.order, report.gfp_mask) == (
            ReportKind.VMALLOC_FAILURE,
            4096,
            0,
            0xD2,
        )
        assert report.address_space
        assert report.complete

    def test_pages_missing_is_not_addresses_missing(self) -> None:
        report = only_report(self.OLD_PAGES + failure("a", 0, 0xD2))
        assert (report.request_bytes, report.address_space) == (16384, False)

    def test_all_three_lines(self) -> None:
        report = only_report(self.LEAD + self.OLD + failure("a", 0, 0xD2))
        assert (report.request_bytes, report.address_space) == (4096, True)

    def test_a_lead_alone_is_a_report(self) -> None:
        assert kinds(reports_of(self.LEAD + failure("a"))) == [ReportKind.VMALLOC_FAILURE, FAILURE]
        assert len(reports_of(self.LEAD + "x\n" * 20 + self.LEAD)) == 2


class TestDeadlockWarnings:
    WARNING = "XFS: possible memory allocation deadlock in kmem_alloc (mode:0x2d0)\n"
    REPORT = "oom-killer: gfp_mask=0x2d0\n"

    def test_each_is_a_report(self) -> None:
        assert kinds(reports_of(self.WARNING * 3)) == [ReportKind.DEADLOCK_WARNING] * 3

    def test_it_is_tied_to_the_report_with_its_mask(self) -> None:
        oom, warning = reports_of(self.REPORT + "x\n" * 5 + self.WARNING)
        assert (oom.related_lines, warning.related_lines) == ((), (1,))
        warning, oom = reports_of(self.WARNING + self.REPORT)
        assert (warning.related_lines, oom.related_lines) == ((), (1,))

    def test_not_to_another_mask_nor_far_away(self) -> None:
        assert reports_of("oom-killer: gfp_mask=0xd0\n" + self.WARNING)[1].related_lines == ()
        assert reports_of(self.REPORT + "x\n" * 3000 + self.WARNING)[1].related_lines == ()

    def test_inside_a_report_it_does_not_end_it(self) -> None:
        reports = reports_of(failure("a") + "Mem-Info:\n" + self.WARNING + ZONES.format(1, 2))
        assert kinds(reports) == [FAILURE, ReportKind.DEADLOCK_WARNING]
        assert reports[0].complete


def test_what_is_not_understood_is_kept_as_text() -> None:
    report = only_report("[    1.500000] __alloc_pages: 3-order allocation failed (gfp=0x20/0)\n")
    assert report.kind is ReportKind.UNRECOGNISED
    assert report.raw == "__alloc_pages: 3-order allocation failed (gfp=0x20/0)"
    assert report.notes == ("a report of a 2.4 kernel, which is not decoded",)


def test_the_text_kept_is_bounded() -> None:
    trace = "".join(f"f{number}+0x1/0x2\n" for number in range(3000))
    report = only_report("a: page allocation failure: flags=0x20 level=3\nCall Trace:\n" + trace)
    assert report.raw is not None
    assert len(report.raw) <= 4000
    assert len(report.trace) == 256


def test_nommu_prints_its_dump_without_a_first_line() -> None:
    report = only_report(
        "[   38.990000] nommu: Allocation of length 221184 from process 67 (free) failed\n"
        "[   39.000000] Normal per-cpu:\n[   39.000000] active_anon:0 free:1515\n"
        "[   39.050000] Normal free:6060kB min:352kB low:440kB high:528kB present:8192kB free_cma:0kB\n"
        "[   39.050000] lowmem_reserve[]: 0 0\n[   39.050000] Normal: 1515*4kB (U) = 6060kB\n"
    )
    assert (report.kind, report.comm, report.pid, report.request_bytes) == (
        ReportKind.NOMMU_FAILURE,
        "free",
        67,
        221184,
    )
    assert report.counters_pages["free"] == 1515
    assert report.complete


def test_open_reports_are_bounded() -> None:
    text = "".join(f"[{10 + number * 0.001:12.6f}][T{number}] {failure(f't{number}')}" for number in range(1, 1000))
    grouper = Grouper()
    given = [report for line in lines_of(text.encode()) for report in grouper.feed(line)]
    assert len(given) >= 800
    assert len(given) + len(grouper.finish()) == 999


def test_repeats_are_grouped() -> None:
    text = (
        stamped(failure("a", 1), 10.0)
        + stamped("warn_alloc: 7 callbacks suppressed\n" + failure("b", 1) + "Mem-Info:\n" + ZONES.format(1, 2), 20.0)
        + stamped(failure("a", 2), 30.0)
        + stamped("warn_alloc: 5 callbacks suppressed\n" + failure("a", 1), 40.0)
    )
    first, second = group_repeats(reports_of(text))
    assert (first.count, first.suppressed_count, first.line_numbers) == (3, 12, (1, 3, 13))
    assert (first.first_timestamp, first.last_timestamp) == ("10.000000", "40.001000")
    assert first.example.comm == "b"
    assert (second.count, second.suppressed_count) == (1, None)


def test_reports_of_different_callers_are_no_repeats() -> None:
    trace = "CPU: 0 PID: 1 Comm: a Not tainted 6.1.0 #1\nCall Trace:\n __alloc_pages+0x1/0x2\n {}+0x1/0x2\n"
    text = failure("a") + trace.format("one") + failure("a") + trace.format("two") + failure("a") + trace.format("one")
    assert [group.count for group in group_repeats(reports_of(text))] == [2, 1]


def test_lines_may_come_without_numbers_of_their_own() -> None:
    grouper = Grouper()
    assert grouper.feed(LogLine(0, failure("a").strip())) == []
    assert [report.line_number for report in grouper.finish()] == [0]


def test_a_free_list_that_is_cut_is_missing() -> None:
    whole = sample("failure-6.1")
    at = max(number for number, line in enumerate(whole) if "kB = " in line)
    cut = [*whole[:at], whole[at].partition(" = ")[0], *whole[at + 1 :]]
    report = only_report("\n".join(whole))
    assert (report.complete, report.missing) == (True, ())
    report = only_report("\n".join(cut))
    assert (report.complete, report.missing) == (False, ("free-lists",))


@pytest.mark.parametrize(
    ("opening", "noted"),
    [("a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=1, oom_score_adj=0", True), (failure().strip(), False)],
)
def test_a_kernel_that_says_it_has_no_compaction(opening: str, noted: bool) -> None:
    report = only_report(f"[    1.500000] {opening}\n[    1.500001] COMPACTION is disabled!!!\n")
    assert report.no_compaction is noted

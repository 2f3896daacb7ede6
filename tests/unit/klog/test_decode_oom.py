import pytest
from tests.unit.klog.samples import only_report

from pagewarden.klog import decode_oom
from pagewarden.klog.types import MemcgCounter, ReportKind, SlabFailure, Suppressed, Task, Victim


@pytest.mark.parametrize(
    ("text", "victim", "memcg"),
    [
        ("Out of Memory: Killed process 2513 (expunge).", Victim(2513, "expunge"), False),
        ("Out of Memory: Kill process 12 (x) score 5 and children.", Victim(12, "x", score=5), False),
        (
            "Out of memory: kill process 5928 (apache2) score 40674 or a child",
            Victim(5928, "apache2", score=40674),
            False,
        ),
        ("Out of memory (in lowmem): kill process 2919 (malloc)", Victim(2919, "malloc"), False),
        ("Out of memory (oom_kill_allocating_task): Killed process 5 (x)", Victim(5, "x"), False),
        ("No available memory (MPOL_BIND): kill process 5 (x) score 7 or a child", Victim(5, "x", score=7), False),
        (
            "Memory cgroup out of memory: Kill process 1399 (python) score 973 or sacrifice child",
            Victim(1399, "python", score=973),
            True,
        ),
        ("Killed process 5928 (apache2)", Victim(5928, "apache2"), None),
        (
            "Killed process 9682, UID 27, (mysqld) total-vm:47388kB, anon-rss:3744kB, file-rss:80kB",
            Victim(9682, "mysqld", 27, None, 47388, 3744, 80),
            None,
        ),
        (
            "Killed process 2726 (gnome-power-man) vsz:319232kB, anon-rss:8156kB, file-rss:2764kB",
            Victim(2726, "gnome-power-man", None, None, 319232, 8156, 2764),
            None,
        ),
        ("Killed process 5 ((sd-pam)) total-vm:4kB, anon-rss:1kB", Victim(5, "(sd-pam)", None, None, 4, 1), None),
        ("Killed process 5 (a b) total-vm:99999999999999999999kB", Victim(5, "a b"), None),
    ],
)
def test_kills(text: str, victim: Victim, memcg: bool | None) -> None:
    kill = decode_oom.parse_kill(text)
    assert kill is not None
    assert (kill.victim, kill.memcg) == (victim, memcg)


@pytest.mark.parametrize(
    ("text", "memcg", "panicked"),
    [
        ("Out of memory and no killable processes...", None, False),
        ("Kernel panic - not syncing: System is deadlocked on memory", False, True),
        ("Kernel panic - not syncing: Out of memory and no killable processes...", False, True),
        ("Kernel panic - not syncing: out of memory. panic_on_oom is selected", False, True),
        ("Kernel panic - not syncing: out of memory(memcg). panic_on_oom is selected", True, True),
    ],
)
def test_nothing_killed(text: str, memcg: bool | None, panicked: bool) -> None:
    kill = decode_oom.parse_kill(text)
    assert kill is not None
    assert (kill.victim, kill.memcg, kill.panicked) == (None, memcg, panicked)
    assert decode_oom.names_no_victim(text)


@pytest.mark.parametrize(
    "text",
    [
        "Out of memory: killed by system",
        "Out of memory and no killable processes left",
        "Out of memory and no killable processes... what does it mean?",
        "Kernel panic - not syncing: Fatal exception",
        "I saw: Kernel panic - not syncing: System is deadlocked on memory",
        "---[ end Kernel panic - not syncing: System is deadlocked on memory ]---",
        "Out of memory",
        "java.lang.OutOfMemoryError: Java heap space",
        "lowmemorykiller: Killing 'x' (123), adj 900",
        "systemd: Killed process by signal",
        "Killed process",
        "I Killed process 12 (x)",
        "oom_reaper: reaped process 5 (x), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
        "earlyoom: sending SIGTERM to process 84 uid 1000",
    ],
)
def test_what_is_no_kill(text: str) -> None:
    assert decode_oom.parse_kill(text) is None


def test_a_panic_instead_of_a_kill() -> None:
    report = only_report(
        "[    1.500000] a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n"
        "[    1.500001] Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled\n"
    )
    assert report.victims == ()
    assert report.notes == ("the kernel panicked instead of killing a process",)


def test_a_summary_with_commas_in_its_values() -> None:
    summary = decode_oom.parse_kill_summary(
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=0,2-3,cpuset=a,b,mems_allowed=0,2-3,oom_memcg=/x,y,"
        "task_memcg=/x,y/z,task=my task,pid=12,uid=1000"
    )
    assert summary is not None
    assert (summary.nodemask, summary.cpuset, summary.mems_allowed) == ("0,2-3", "a,b", "0,2-3")
    assert (summary.oom_memcg, summary.task_memcg) == ("/x,y", "/x,y/z")
    assert (summary.task, summary.pid, summary.uid) == ("my task", 12, 1000)


def test_a_summary_cut_off() -> None:
    summary = decode_oom.parse_kill_summary(
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),task_memcg=/,task=x,pid=1x"
    )
    assert summary is not None
    assert (summary.constraint, summary.task, summary.pid, summary.cpuset) == ("CONSTRAINT_NONE", "x", None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Task in /group_A/01 killed as a result of limit of /group_A", ("/group_A/01", "/group_A")),
        ("Memory cgroup stats for /foo: cache:56KB rss:1048520KB", (None, "/foo")),
        ("Memory cgroup stats for /a:", (None, "/a")),
        ("Task in the queue", None),
    ],
)
def test_control_groups(text: str, expected: tuple[str | None, str | None] | None) -> None:
    assert decode_oom.parse_limit(text) == expected


def test_counters_of_control_groups() -> None:
    parse = decode_oom.parse_memcg_counter
    assert parse("memory+swap: usage 4kB, limit 8kB, failcnt 15") == MemcgCounter("memory+swap", 4, 8, 15)
    assert parse("swap: usage 4kB, limit 9007199254740988kB") == MemcgCounter("swap", 4, 9007199254740988, None)
    assert parse("memory: 4kB") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[ 1243]     0  1243    29143      850      13        0             0 bash", Task(1243, 850, "bash")),
        (
            "[  70870]   107 70870     3059     1722     1700       22         0    53248     1024   -1000 my task",
            Task(70870, 1722, "my task"),
        ),
        ("[ 46]  1066  1046   228537    95491   3       0             0 (sd-pam)", Task(46, 95491, "(sd-pam)")),
        ("[    224]     0   224     3425     1273    28672", Task(224, 1273, None)),
        ("[ pid ]   uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name", None),
        ("[ 12.5] x", None),
        ("[ 12] 5 6 7 99999999999999999999 x", None),
    ],
)
def test_rows_of_the_process_table(text: str, expected: Task | None) -> None:
    assert decode_oom.parse_task(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SLUB: Unable to allocate memory on node -1 (gfp=0x20)", SlabFailure(None, 0x20, None, -1)),
        ("SLUB: Unable to allocate memory on node 1, gfp=0xa20(GFP_ATOMIC)", SlabFailure(None, 0xA20, "GFP_ATOMIC", 1)),
        (
            "SLUB: Unable to allocate memory on CPU 3 (of node 0) on node -1, gfp=0x820(A|B)",
            SlabFailure(None, 0x820, "A|B", -1),
        ),
        ("SLUB: Unable to allocate memory on no", SlabFailure(None, None)),
    ],
)
def test_slub_failures(text: str, expected: SlabFailure) -> None:
    assert decode_oom.parse_slab_failure(text) == expected


def test_caches() -> None:
    parse = decode_oom.parse_slab_cache
    assert parse("cache: kmalloc-64, object size: 64, order: 0") == SlabFailure(
        "kmalloc-64", None, None, None, 64, None, 0
    )
    cut = parse("cache: skbuff_head_cache, object size: 224, buffer size: 320, default order: 1, min orde0")
    assert cut == SlabFailure("skbuff_head_cache", None, None, None, 224, 320, 1, None)
    assert parse("cache: missing") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("warn_alloc: 5 callbacks suppressed", Suppressed("warn_alloc", 5)),
        ("warn_alloc_failed: 5 callbacks suppressed", Suppressed("warn_alloc_failed", 5)),
        ("printk: 414349 messages suppressed.", Suppressed("printk", 414349)),
        ("__ratelimit: 12 callbacks suppressed", Suppressed("__ratelimit", 12)),
        ("net_ratelimit: 12 callbacks suppressed", None),
        ("slab_out_of_memory: 72 callbacks suppressed", None),
        ("warn_alloc: many callbacks suppressed", None),
    ],
)
def test_rate_limits(text: str, expected: Suppressed | None) -> None:
    assert decode_oom.parse_suppressed(text) == expected


MEMCG = "[    1.500000] a invoked oom-killer: gfp_mask=0xd0, order=0, oom_score_adj=0\n"


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ("Call Trace:\n mem_cgroup_oom_synchronize+0x34f/0x580\n", ReportKind.MEMCG_OOM),
        ("Call Trace:\n ? mem_cgroup_oom_synchronize+0x34f/0x580\n", ReportKind.MEMCG_OOM),
        ("Call Trace:\n ? mem_cgroup_iter+0x34f/0x580\n out_of_memory+0x1/0x2\n", ReportKind.OOM),
        ("Task in /a killed as a result of limit of /b\n", ReportKind.MEMCG_OOM),
        ("memory: usage 1kB, limit 1kB, failcnt 3\n", ReportKind.MEMCG_OOM),
        ("Memory cgroup out of memory: Kill process 1 (x) score 9 or sacrifice child\n", ReportKind.MEMCG_OOM),
        ("oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),task=x,pid=1,uid=0\n", ReportKind.MEMCG_OOM),
        ("oom-kill:constraint=CONSTRAINT_CPUSET,nodemask=(null),task=x,pid=1,uid=0\n", ReportKind.OOM),
        (
            "Call Trace:\n ? mem_cgroup_oom+0x3/0x5\nMem-Info:\nDMA free:4kB min:1kB low:2kB high:3kB\n"
            "Out of memory: Kill process 1 (x) score 9 or sacrifice child\n",
            ReportKind.OOM,
        ),
        ("Call Trace:\n ? mem_cgroup_oom+0x3/0x5\nMem-Info:\nDMA free:4kB min:1kB low:2kB high:3kB\n", ReportKind.OOM),
    ],
)
def test_whose_limit_it_was(lines: str, kind: ReportKind) -> None:
    body = "".join(f"[    1.500001] {line}\n" for line in lines.splitlines())
    assert only_report(MEMCG + body).kind is kind


def test_the_process_table_is_bounded() -> None:
    rows = "".join(
        f"[    1.500001] [{pid:5}]     0 {pid:5}    29143 {pid % 97:8}      13        0             0 t{pid}\n"
        for pid in range(1, 5000)
    )
    report = only_report(MEMCG + rows)
    assert report.task_count == 4999
    assert [task.rss_pages for task in report.largest_tasks] == [96] * 5

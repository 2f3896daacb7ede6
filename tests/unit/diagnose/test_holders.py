"""Who held memory when a kill was reported: in the paragraph, and where to look."""

from typing import Any

import pytest
from tests.unit.diagnose.reports import modern, recent

from pagewarden.diagnose.diagnosis import Diagnosis
from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.holders import holders_of, memory_kb
from pagewarden.diagnose.types import Cause
from pagewarden.klog.types import HugePages, ReportKind, Task, Totals, Victim

PAGES = 262_144  # 1 GiB
TASKS = (Task(12, 131_072, "java"), Task(9, 13_108, "mysqld"), Task(7, 13_000, None))


def killed(free: int = 90_000, **more: Any) -> Diagnosis:
    """An OOM whose zone has room again (or not: `free`)."""
    zone = modern("Normal", free, 1000, (0, 0, 0, 0), PAGES)
    return diagnose(recent(zone, kind=ReportKind.OOM, names="GFP_KERNEL", **more))


def test_the_largest_tasks_swap_and_slab_are_named() -> None:
    totals = Totals(swap_total_kb=2048, swap_free_kb=0)
    found = killed(largest_tasks=TASKS, task_count=30, counters_pages={"slab_unreclaimable": 2560}, totals=totals)
    assert found.judgement.cause is Cause.RECOVERED
    said = "Of 1 GiB, java (process 12) had 512 MiB, mysqld (process 9) had 51.2 MiB, unreclaimable slab took 10 MiB."
    assert said in found.explanation
    assert "All 2 MiB of swap were in use." in found.explanation
    assert [remedy.action for remedy in found.remedies] == [
        "look at java (process 12)",
        "vm.min_free_kbytes is not the cure",
    ]
    assert "512 MiB of 1 GiB" in found.remedies[0].why


@pytest.mark.parametrize(
    ("totals", "said"),
    [
        (Totals(swap_total_kb=0, swap_free_kb=0), "There was no swap."),
        (Totals(swap_total_kb=4096, swap_free_kb=1024), "Of 4 MiB of swap, 1 MiB were free."),
        (Totals(), None),
    ],
)
def test_swap(totals: Totals, said: str | None) -> None:
    text = killed(totals=totals).explanation
    assert (said or "free_kbytes") in text
    assert (" swap" in text.replace("swapper", "")) is (said is not None)


@pytest.mark.parametrize(
    ("more", "looked_at"),
    [
        ({"counters_pages": {"slab_unreclaimable": 60_000}}, ["look at the kernel's own unreclaimable slab"]),
        ({"counters_pages": {"shmem": 60_000}}, ["look at tmpfs and shared memory"]),
        ({"hugepages": (HugePages(0, 2048, 200, 50, 0),)}, ["keep fewer huge pages"]),
        (
            {"hugepages": (HugePages(0, 2048, 200, 50, 0),), "counters_pages": {"slab_unreclaimable": 110_000}},
            ["look at the kernel's own unreclaimable slab", "keep fewer huge pages"],
        ),
        (
            {"counters_pages": {"active_anon": 100_000, "inactive_anon": 50_000, "shmem": 100}},
            ["look at what ran at that time"],
        ),
    ],
)
def test_the_largest_holder_is_looked_at_first(more: dict[str, Any], looked_at: list[str]) -> None:
    recovered, exhausted = killed(**more), killed(free=900, **more)
    assert [remedy.action for remedy in recovered.remedies[:-1]] == looked_at
    assert exhausted.judgement.cause is Cause.MEMORY_EXHAUSTED
    assert [remedy.action for remedy in exhausted.remedies[1:-1]] == looked_at


@pytest.mark.parametrize("counters", [{}, {"slab_unreclaimable": 1000, "shmem": 1000}])
def test_no_large_holder_is_said(counters: dict[str, int]) -> None:
    (first, _) = killed(counters_pages=counters).remedies
    assert first.why == "no task, cache or pool in the report holds a large share of memory"
    assert len(killed(free=900, counters_pages=counters).remedies) == 2


def test_huge_pages_are_named_with_every_kill_if_they_hold_much() -> None:
    pools = (HugePages(0, 2048, 100, 50, 0), HugePages(1, 2048, 100, 0, 0), HugePages(0, 1 << 20, 0, 0, 0))
    found = killed(free=900, hugepages=pools)
    assert "Huge pages held 400 MiB of 1 GiB (100 MiB of it unused), which nothing else can use." in found.explanation
    assert "Huge pages" not in killed(free=900, hugepages=(HugePages(0, 2048, 10, 0, 0),)).explanation
    # A kill for another cause.
    cut_off = diagnose(
        recent(
            modern("Normal", 90_000, 1000, (0, 0, 0, 0), PAGES),
            kind=ReportKind.OOM,
            names="GFP_KERNEL",
            constraint="CONSTRAINT_CPUSET",
            hugepages=pools,
        )
    )
    assert cut_off.judgement.cause is Cause.NODE_RESTRICTED
    assert "Huge pages held 400 MiB" in cut_off.explanation


def test_without_a_task_list_the_process_killed_is_what_is_known() -> None:
    victim = Victim(5, "fio", anon_rss_kb=600_000, file_rss_kb=1024, shmem_rss_kb=None)
    found = killed(victims=(victim,))
    assert "fio (process 5) had 587 MiB" in found.explanation
    assert found.remedies[0].action == "look at fio (process 5)"


@pytest.mark.parametrize(("rss_pages", "said"), [(25, "Of its tasks, sh (process 5) had 100 KiB."), (0, None)])
def test_a_group_s_tasks_count_however_small(rss_pages: int, said: str | None) -> None:
    zone = modern("Normal", 90_000, 1000, (0, 0, 0, 0), PAGES)
    tasks = (Task(5, rss_pages, "sh"),)
    text = diagnose(recent(zone, kind=ReportKind.MEMCG_OOM, names="GFP_KERNEL", largest_tasks=tasks)).explanation
    assert (said or "was reached.") in text
    assert ("Of its tasks" in text) is (said is not None)


def test_only_kills_are_asked_who_held_memory() -> None:
    zone = modern("Normal", 90_000, 1000, (0, 0, 0, 0), PAGES)
    failed = diagnose(recent(zone, names="GFP_KERNEL", largest_tasks=TASKS))
    assert failed.judgement.cause is Cause.RECOVERED
    assert failed.remedies == ()
    assert "java" not in failed.explanation


def test_nothing_printed_is_nothing_known() -> None:
    held = holders_of(recent(kind=ReportKind.OOM))
    assert (held.total_kb, held.tasks, held.slab_kb, held.anonymous_kb, held.huge_kb) == (None, (), None, None, 0)
    assert memory_kb(recent(modern("Normal", 1, 1, (), 10), modern("DMA", 1, 1, (), 5))) == 60
    assert not held.is_large(1 << 40)

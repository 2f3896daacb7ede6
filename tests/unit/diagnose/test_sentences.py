"""What is said of each kind of report."""

from dataclasses import replace

import pytest
from tests.unit.diagnose.reports import modern, recent, trace

from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.types import Cause
from pagewarden.klog.types import NONE_KILLABLE, PANICKED, Memcg, MemcgCounter, ReportKind, Task


def test_reclaim_itself_does_not_wait_for_reclaim() -> None:
    zone = modern("Normal", 400, 1000, (0, 0, 0, 0), 300_000)
    found = diagnose(
        recent(
            zone, names="GFP_NOFS|__GFP_NOMEMALLOC", trace=trace("alloc_extent_state [btrfs]", "shrink_node", "kswapd")
        )
    )
    assert found.judgement.cause is Cause.RECLAIM_TOO_SLOW
    assert "asked for one page from within reclaim; the task" in found.explanation
    assert "could wait" not in found.explanation
    assert [remedy.action for remedy in found.remedies] == ["nothing to set for this one"]


def test_a_stall_says_how_long() -> None:
    report = recent(kind=ReportKind.ALLOCATION_STALL, stall_ms=35_691, names="GFP_KERNEL")
    assert "It had waited for 35.7 s by then" in diagnose(report).explanation
    assert "waited for" not in diagnose(replace(report, stall_ms=None)).explanation


def test_nobody_was_left_to_kill() -> None:
    report = recent(kind=ReportKind.MEMCG_OOM, names="GFP_KERNEL", notes=(NONE_KILLABLE,))
    assert "No process was left that the kernel may kill." in diagnose(report).explanation
    assert "not in the log" not in diagnose(report).explanation


def test_a_panic_is_no_kill() -> None:
    report = recent(kind=ReportKind.OOM, names="GFP_KERNEL", notes=(PANICKED,))
    assert "The kernel panicked instead of killing a process." in diagnose(report).explanation
    assert "not in the log" not in diagnose(report).explanation.partition("No verdict")[0]


def test_a_mask_whose_names_were_taken_out() -> None:
    said = diagnose(
        recent(kind=ReportKind.OOM, release=None, gfp_names=None, gfp_mask=0x140CCA, constraint="CONSTRAINT_NONE")
    ).explanation
    assert "asked for one page and could wait for reclaim" in said


def test_a_page_fault_does_not_print_what_was_asked_for() -> None:
    report = recent(kind=ReportKind.OOM, names="", gfp_mask=0, trace=trace("exc_page_fault"))
    said = diagnose(report).explanation
    assert "exc_page_fault, handling a page fault, was told that memory had run out" in said
    assert "cannot wait" not in said


@pytest.mark.parametrize(
    ("counter", "said"),
    [
        (MemcgCounter("memory", 8192, 8192), "The memory limit of 8 MiB of the control group /a was reached."),
        (MemcgCounter("memory", 8190, 8192), "The memory limit of 8 MiB of the control group /a was reached."),
        # An ancestor's limit then.
        (MemcgCounter("memory", 100, 8192), "The memory limit of the control group /a was reached."),
        (MemcgCounter("swap", 8192, 8192), "The memory limit of the control group /a was reached."),
    ],
)
def test_a_group_s_limit(counter: MemcgCounter, said: str) -> None:
    memcg = Memcg(limited="/a", counters=(counter,))
    report = recent(kind=ReportKind.MEMCG_OOM, memcg=memcg, largest_tasks=(Task(7, 256, "dd"), Task(8, 3, "sh")))
    found = diagnose(report)
    assert f"{said} Of its tasks, dd (process 7) had 1 MiB." in found.explanation


@pytest.mark.parametrize(
    ("arch", "zone"), [("x86_64", "Normal"), ("i386", "HighMem"), (None, "HighMem"), ("arm64", "Normal")]
)
def test_a_kernel_of_64_bits_has_no_high_memory(arch: str | None, zone: str) -> None:
    report = recent(
        modern("Movable", 90_000, 1000, (0, 0), 300_000, node=4),
        kind=ReportKind.OOM,
        names="GFP_HIGHUSER",
        constraint="CONSTRAINT_CPUSET",
        arch=arch,
    )
    assert f"the mask allows zone {zone} and below" in diagnose(report).explanation

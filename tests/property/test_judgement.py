"""What holds of every judgement, whatever the numbers of the report."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st
from tests.unit.diagnose.reports import modern, recent

from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.types import Cause
from pagewarden.klog.types import Report, ReportKind, Totals

SIZE = 300_000
MARKS = 1000  # each zone's share of vm.min_free_kbytes goes by its size
KINDS = (ReportKind.OOM, ReportKind.ALLOCATION_STALL, ReportKind.PAGE_ALLOCATION_FAILURE)
CALLERS = ("GFP_KERNEL", "GFP_NOIO", "GFP_ATOMIC", "GFP_NOWAIT")


@st.composite
def two_zones(draw: st.DrawFn) -> Report:
    """A request for DMA32 on a machine with a Normal of some size above it; the counters are the sums."""
    times = draw(st.integers(1, 8))
    free = draw(st.tuples(st.integers(0, 3 * MARKS), st.integers(0, 200_000)))
    files = draw(st.tuples(st.integers(0, SIZE - 3 * MARKS), st.integers(0, SIZE)))
    dirty = draw(st.integers(0, files[0]))
    values = [{"active_file": pages * 4, "inactive_file": 0, "writepending": 0} for pages in files]
    values[0]["writepending"] = dirty * 4
    low = modern("DMA32", free[0], MARKS, (0, 0, SIZE, SIZE, SIZE), SIZE, values_kb=values[0])
    top = modern("Normal", free[1], MARKS * times, (0, 0, 0, 0, 0), SIZE * times, values_kb=values[1])
    lowest = modern("DMA", 500, 10, (0, 3000, SIZE, SIZE, SIZE), 3976, values_kb=dict.fromkeys(values[0], 0))
    counters = {"active_file": sum(files), "inactive_file": 0, "slab_reclaimable": 0, "free": sum(free) + 500}
    return recent(
        *(lowest, low, top),
        kind=draw(st.sampled_from(KINDS)),
        names=f"{draw(st.sampled_from(CALLERS))}|GFP_DMA32",
        counters_pages=counters | {"dirty": dirty, "writeback": 0},
        totals=Totals(ram_pages=SIZE * (times + 1) + 3976, reserved_pages=0, swap_total_kb=0, swap_free_kb=0),
    )


@given(two_zones())
def test_zones_that_are_not_shown_are_judged_as_if_they_were(report: Report) -> None:
    top = report.zones[2]
    assume(
        abs((top.free_kb or 0) - 2 * (top.high_kb or 0)) * 20 > (top.high_kb or 0)
    )  # marks that are not shown are guessed
    shown, unshown = diagnose(report), diagnose(replace(report, zones=report.zones[:2]))
    assert unshown.judgement.cause is shown.judgement.cause, (shown.explanation, unshown.explanation)
    assert unshown.judgement.unwritten is shown.judgement.unwritten


@given(two_zones())
def test_memory_is_not_exhausted_where_it_is_only_barred(report: Report) -> None:
    found = diagnose(report)
    top = report.zones[2]
    assert top.free_kb is not None
    assert top.high_kb is not None
    if top.free_kb > 2 * top.high_kb and not found.judgement.unwritten:
        assert found.judgement.cause is not Cause.MEMORY_EXHAUSTED


@given(two_zones())
def test_no_mark_is_the_answer_to_a_kill(report: Report) -> None:
    found = diagnose(replace(report, kind=ReportKind.OOM, gfp_names="GFP_KERNEL|GFP_DMA32"))
    assert found.judgement.cause is not Cause.RECLAIM_TOO_SLOW
    assert found.judgement.boosted_pages == 0
    marks = {"vm.watermark_scale_factor", "vm.watermark_boost_factor", "vm.min_free_kbytes"}
    assert not marks & {remedy.key for remedy in found.remedies}

"""Which reports of a log count, and how few of a million are looked at closely."""

import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from tests.report_machines import machine_of_report
from tests.unit.diagnose.reports import failure, trace, zone

from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.log_evidence import KEPT, Here, LogEvidence, gather_evidence
from pagewarden.diagnose.types import Cause, FindingCause
from pagewarden.kernel.machine import Machine, machine_of
from pagewarden.klog.types import Report, ReportKind, Suppressed
from pagewarden.procfs.types import Snapshot

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
SIZES = {"DMA": 3968, "Normal": 60_944}
MARKS = {"DMA": 31, "Normal": 478}


def box(normal: int = 100, dma: int = 40, **more: object) -> Report:
    """GFP_ATOMIC on 2.6.32 with these pages free; the marks of vm.min_free_kbytes=2038."""
    report = failure(
        zone("DMA", dma, MARKS["DMA"], (0, 238, 238, 238), SIZES["DMA"]),
        zone("Normal", normal, MARKS["Normal"], (0, 0, 0, 0), SIZES["Normal"]),
        trace=trace("e100_rx_alloc_skb [e100]", "net_rx_action"),
    )
    return replace(report, **more)  # type: ignore[arg-type]


def machine(**changes: object) -> Snapshot:
    found = machine_of_report(diagnose(box()))
    assert found is not None
    return replace(found, host="db1", **changes)  # type: ignore[arg-type]


def gathered(
    reports: Iterable[Report], now: datetime | None = NOW, days: int = 30, snapshot: Snapshot | None = None
) -> LogEvidence:
    here = snapshot or machine()
    return gather_evidence((("kern.log", report) for report in reports), Here(here, machine_of(here), now, days))


def only_reason(found: LogEvidence) -> tuple[FindingCause, str]:
    assert found.failures == ()
    (rejected,) = found.rejected
    return rejected.cause, rejected.why


def test_a_report_of_this_machine_counts() -> None:
    found = gathered([box(timestamp="Mar  9 03:00:00", host="db1.example.org")])
    (failed,) = found.failures
    assert (failed.cause, failed.count, failed.source) == (Cause.ATOMIC_RESERVE_EXHAUSTED, 1, "kern.log:1")
    assert (failed.first, failed.last_at) == ("Mar  9 03:00:00", datetime(2026, 3, 9, 3, tzinfo=UTC))
    assert not failed.recent
    assert (found.rejected, found.undated) == ((), 0)


@pytest.mark.parametrize(
    ("report", "why"),
    [
        (box(host="db2"), "host db2, not db1"),
        (box(release="2.6.32-5-amd64+"), "kernel 2.6.32-5-amd64+, not 2.6.32-5-amd64"),
        (box(page_size=65536), "pages of 65536 bytes, not 4096"),
        (failure(zone("DMA", 40, 31, (0, 238), 3968), zone("Normal", 9, 478, (0, 0), 90_000)), "zone Normal of"),
        (failure(zone("HighMem", 9, 478, (0, 0), 90_000)), "a zone HighMem with memory on node 0"),
        (failure(zone("Normal", 9, 478, (0, 0), 60_944, node=1)), "a zone Normal with memory on node 1"),
    ],
)
def test_a_report_of_another_machine_does_not(report: Report, why: str) -> None:
    cause, reason = only_reason(gathered([report]))
    assert cause is FindingCause.LOG_MISMATCH
    assert why in reason


def test_what_a_report_does_not_say_is_not_held_against_it() -> None:
    assert gathered([box(host=None, release=None, page_size=None, timestamp=None)]).failures


@pytest.mark.parametrize(
    ("stamp", "days", "counts"),
    [
        ("Feb  9 12:00:00", 30, True),
        ("Feb  8 11:59:59", 30, False),
        ("Feb  8 11:59:59", 60, True),
        ("Mar 10 13:00:00", 30, True),  # a clock an hour ahead
        ("Mar 12 13:00:00", 30, False),  # a date to come is last year's
        ("2025-03-10T12:00:00Z", 30, False),
        ("Mar 99 13:00:00", 30, True),  # not readable: of unknown age
        ("8421.000000", 30, True),
    ],
)
def test_age(stamp: str, days: int, counts: bool) -> None:
    found = gathered([box(timestamp=stamp)], days=days)
    assert bool(found.failures) is counts
    if not counts:
        assert only_reason(found) == (FindingCause.EVIDENCE_OUTDATED, f"older than {days} days")


def test_without_a_time_of_its_own_no_age_is_judged() -> None:
    found = gathered([box(timestamp="Mar  9 03:00:00 1999")], now=None)
    assert found.failures[0].recent
    assert found.undated == 0


def test_undated_reports_are_counted_as_such() -> None:
    assert gathered([box(timestamp=None), box(timestamp="8.1")]).undated == 2


def test_seconds_since_boot_date_a_report_of_this_boot() -> None:
    here = machine(uptime_seconds=3600.0)
    (failed,) = gathered([box(seconds=1800.0)], snapshot=here).failures
    assert failed.last_at == NOW - timedelta(seconds=1800)
    # Later than the machine is up: of another boot, and of unknown age.
    found = gathered([box(seconds=9999.0)], snapshot=here)
    assert found.undated == 1


def raised(percent: int) -> Snapshot:
    """The machine with its low marks raised since."""
    here = machine()
    nodes = tuple(
        replace(node, zones=tuple(replace(z, low_pages=z.low_pages * (100 + percent) // 100) for z in node.zones))
        for node in here.nodes
    )
    return replace(here, nodes=nodes)


@pytest.mark.parametrize(("percent", "counts"), [(0, True), (4, True), (8, False), (100, False), (-50, True)])
def test_a_setting_raised_since_makes_it_outdated(percent: int, counts: bool) -> None:
    here = raised(percent)
    found = gather_evidence([("k", box())], Here(here, _as_is(here), NOW))
    assert bool(found.failures) is counts
    assert counts or "a setting was raised since" in found.rejected[0].why


def _as_is(here: Snapshot) -> Machine:
    """Without asking whether the model explains these marks."""
    return replace(machine_of(machine()), nodes=here.nodes)


def test_a_ratio_changed_since_makes_it_outdated() -> None:
    here = machine()
    nodes = tuple(
        replace(node, zones=tuple(replace(z, protection_pages=(0, 900, 900, 900)) for z in node.zones))
        for node in here.nodes
    )
    found = gather_evidence([("k", box())], Here(replace(here, nodes=nodes), _as_is(replace(here, nodes=nodes)), NOW))
    assert "vm.lowmem_reserve_ratio was changed since" in only_reason(found)[1]


class TestRepeats:
    """Of reports of one kind only those are replayed of which no other was harder in every zone."""

    def test_the_harder_replaces_the_lighter(self) -> None:
        for reports in permutations([box(100), box(50), box(70)]):
            (failed,) = gathered(reports).failures
            assert [d.report.zones[1].free_kb for d in failed.replayed] == [200]
            assert failed.count == 3

    def test_harder_in_one_zone_only_keeps_both(self) -> None:
        (failed,) = gathered([box(100, dma=10), box(50, dma=40)]).failures
        assert len(failed.replayed) == 2

    def test_other_marks_are_never_compared(self) -> None:
        other = box(100)
        zones = (other.zones[0], replace(other.zones[1], min_kb=1900))
        (failed,) = gathered([box(50), replace(other, zones=zones)]).failures
        assert len(failed.replayed) == 2

    def test_another_caller_is_another_failure(self) -> None:
        found = gathered([box(100), box(100, trace=trace("__netif_alloc [tg3]", "net_rx_action"))])
        assert len(found.failures) == 2

    def test_a_report_cut_short_does_not_hide_a_whole_one(self) -> None:
        short = replace(box(100), zones=box(100).zones[:1], complete=False)
        for reports in permutations([short, box(100)]):
            (failed,) = gathered(reports).failures
            assert failed.example.report.complete

    def test_one_that_was_over_is_counted_and_not_replayed_beside_one_that_was_not(self) -> None:
        (failed,) = gathered([box(5000, dma=10), box(100)]).failures
        assert failed.count == 2
        assert failed.cause is Cause.ATOMIC_RESERVE_EXHAUSTED

    def test_more_than_are_kept_are_counted(self) -> None:
        """Each harder in one zone and lighter in the other: none can replace another."""
        count = KEPT + 8
        (failed,) = gathered(box(100 + i, dma=200 - i) for i in range(count)).failures
        assert (failed.count, failed.not_replayed) == (count, 8)
        assert len(failed.replayed) <= KEPT

    def test_what_was_held_back_adds_up(self) -> None:
        reports = [box(suppressed=(Suppressed("warn_alloc", 12),)), box(suppressed=(Suppressed("warn_alloc", 30),))]
        (failed,) = gathered(reports).failures
        assert failed.held_back == 42

    def test_memory_does_not_grow_with_the_log(self) -> None:
        """What is kept of a log of any length are the hardest reports of each kind."""

        def peak(count: int) -> int:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            gathered(box(60 + number % 100) for number in range(count))
            return tracemalloc.get_traced_memory()[1] - before

        gathered([box(60)])  # caches filled
        tracemalloc.start()
        try:
            few, many = peak(100), peak(1_000)
        finally:
            tracemalloc.stop()
        assert many < few + 128 * 1024

    def test_ten_thousand_are_one_replay(self) -> None:
        reports = [box(60 + number) for number in range(100)]
        (failed,) = gathered(report for _ in range(100) for report in reports).failures
        assert (failed.count, len(failed.replayed)) == (10_000, 1)


def test_dumps_without_a_request_are_no_failures() -> None:
    assert gathered([box(kind=ReportKind.MEMORY_DUMP)]) == LogEvidence()


def test_causes_are_sorted_out() -> None:
    found = gathered([box(100), box(50, order=3, gfp_mask=0xD0)])
    assert len(found.of(Cause.ATOMIC_RESERVE_EXHAUSTED)) == 1
    assert len(found.of(*Cause)) == 2


def test_an_empty_log() -> None:
    assert gathered([]) == LogEvidence()

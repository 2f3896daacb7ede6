"""The arithmetic of bursts and stalls against numbers worked out by hand."""

import random
from dataclasses import replace
from math import ceil, exp, isclose

import pytest
from tests.machines import snapshot, zone
from tests.report_machines import machine_of_report
from tests.scenario import SCENARIOS, Scenario, advice_of, load
from tests.unit.diagnose.reports import failure, modern, recent, trace
from tests.unit.diagnose.reports import zone as dump

from pagewarden.advise.advice import advise, is_declined
from pagewarden.advise.build import write_command
from pagewarden.advise.burst import needs_of
from pagewarden.advise.companions import advise_companions
from pagewarden.advise.failures import failure_findings, severity_of
from pagewarden.advise.observed import Observed
from pagewarden.advise.policy import AdvicePolicy
from pagewarden.advise.stalls import Stalls, bursts_of, gap_pages, stalls_of, why_no_mark
from pagewarden.advise.types import Advice, Recommendation
from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.interval import Interval
from pagewarden.diagnose.log_evidence import Failure, Here, LogEvidence, Rejected, gather_evidence
from pagewarden.diagnose.min_free import min_free_of
from pagewarden.diagnose.types import Cause, FindingCause, Severity
from pagewarden.kernel.machine import MIN_FREE, Machine, machine_of
from pagewarden.klog.types import Report
from pagewarden.procfs.types import Link, Snapshot

NORMAL, DMA = 60_944, 3968
"""Pages; the root of their 259 MB is 2038 kB, a twentieth 12982."""


def box(free: int = 100, **more: object) -> Report:
    report = failure(
        dump("DMA", 40, 31, (0, 238, 238, 238), DMA),
        dump("Normal", free, 478, (0, 0, 0, 0), NORMAL),
        trace=trace("e100_rx_alloc_skb [e100]", "net_rx_action"),
    )
    return replace(report, **more)  # type: ignore[arg-type]


def evidence(*reports: Report) -> tuple[Snapshot, LogEvidence]:
    here = machine_of_report(diagnose(reports[0]))
    assert here is not None
    return here, gather_evidence((("kern.log", report) for report in reports), Here(here, machine_of(here)))


def advice(policy: AdvicePolicy, *reports: Report, links: tuple[Link, ...] | None = None) -> Advice:
    here, logs = evidence(*reports)
    return advise(here, machine_of(here), policy, Observed(logs=logs, links=links))


class TestBurst:
    """Normal at the refusal: low 597, free 100: the burst is 497 pages.

    Of v kB Normal's min is v/4 * 60944 / 64912 pages, low a quarter more; GFP_ATOMIC on 2.6.32 may go down to min less
    a half less a quarter of that, and needs one page more.
    """

    @staticmethod
    def by_hand(margin: float, free: int = 100) -> int:
        burst = 597 - free
        for kb in range(2038, 12983):
            mark = (kb // 4) * NORMAL // (NORMAL + DMA)
            low = mark + (mark >> 2)
            deepest = mark - mark // 2
            deepest -= deepest // 4
            if max(free, low - ceil(margin * burst)) > deepest:
                return kb
        return 12982

    @pytest.mark.parametrize("margin", [1.0, 1.5, 2.0, 4.0])
    @pytest.mark.parametrize("free", [0, 50, 100, 179])
    def test_smallest_value_that_holds_the_margin(self, margin: float, free: int) -> None:
        here, logs = evidence(box(free))
        setting = min_free_of(machine_of(here))
        assert setting is not None
        (need,) = needs_of(logs.failures, setting, margin)
        assert need.full
        assert need.value_kb == self.by_hand(margin, free)
        assert need.passed is not None
        assert need.passed.burst_pages == 597 - free

    def test_two_bursts_worked_through(self) -> None:
        # min' 1138: low' 1138 + 284 = 1422, less 994 are 428; it may go down to 569 - 142 = 427. With 1137: 427, 427.
        # 1138 * 64912 / 60944 is 1212.1, so 1213 pages, 4852 kB, are shared out.
        assert self.by_hand(2.0) == 4852
        (recommendation,) = advice(AdvicePolicy(), box()).recommendations
        assert (recommendation.key, recommendation.recommended) == (MIN_FREE, str(self.by_hand(2.0)))
        assert "597 - 100 = 497 pages" in " ".join(recommendation.steps)

    def test_where_only_one_burst_fits_the_cap_is_proposed_and_said_not_to_be_enough(self) -> None:
        # A burst of a whole low mark of 2000 pages. At the cap Normal's min is 3047 pages and its low mark 3808.
        report = failure(
            dump("DMA", 0, 104, (0, 238, 238, 238), DMA),
            dump("Normal", 0, 1600, (0, 0, 0, 0), NORMAL),
            trace=trace("e100_rx_alloc_skb [e100]", "net_rx_action"),
        )
        found = advice(AdvicePolicy(burst_margin=2.0), report)
        raised = next(r for r in found.recommendations if r.key == MIN_FREE)
        assert int(raised.recommended) <= 64912 * 4 // 20 + 1
        assert raised.confidence != "high"
        assert "fewer failures, not none" in raised.reason
        assert "action:driver-ring" in {r.key for r in found.recommendations}

    def test_the_hardest_report_decides(self) -> None:
        light, hard = advice(AdvicePolicy(), box(170)), advice(AdvicePolicy(), box(170), box(50), box(120))
        assert int(hard.recommendations[0].recommended) == self.by_hand(2.0, 50)
        assert int(light.recommendations[0].recommended) == self.by_hand(2.0, 170)

    def test_one_report_is_less_sure_than_several(self) -> None:
        assert advice(AdvicePolicy(), box()).recommendations[0].confidence == "medium"
        assert advice(AdvicePolicy(), box(), box()).recommendations[0].confidence == "high"

    def test_a_fast_network_is_a_bound_and_no_evidence(self) -> None:
        links = (Link("lo", None, 65536), Link("eth0", 1000, 1500), Link("eth1", 10_000, 9000))
        with_links = advice(AdvicePolicy(), box(), links=links).recommendations[0]
        assert with_links.recommended == advice(AdvicePolicy(), box()).recommendations[0].recommended
        (bound,) = [entry for entry in with_links.evidence if "eth1" in entry.what]
        assert bound.value == 125_000_000  # 10 Gbit/s for 100 ms
        assert "not evidence" in bound.source


def interval(seconds: float = 600.0, **counts: int) -> Interval:
    return Interval(seconds, counts)


def with_gap(gap: int, nodes: int = 1, free: int = 100, **counters: int) -> Machine:
    """A machine whose zones leave this much between min and low, all nodes together."""
    zones = [zone("Normal", 262144, node=n, free=free, marks=(1000, 1000 + gap // nodes, 9000)) for n in range(nodes)]
    return machine_of(snapshot([replace(each, counters=counters) for each in zones]))


class TestStalls:
    def test_counts(self) -> None:
        found = stalls_of(interval(allocstall_normal=1200, pgsteal_direct=56_000, pageoutrun=80))
        assert found == Stalls(1200, 600.0, 56_000, 80, "")
        assert found.per_second == 2.0

    def test_what_these_counters_do_not_tell_is_assumed_and_said(self) -> None:
        scanned = stalls_of(interval(allocstall=10, pgscan_direct_normal=800, pageoutrun=4))
        assert scanned is not None
        assert scanned.direct_pages == 800
        assert "every page scanned" in scanned.assumption
        batches = stalls_of(interval(allocstall=10, pageoutrun=4))
        assert batches is not None
        assert batches.direct_pages == 320
        assert "32 pages" in batches.assumption

    def test_node_reclaim_counts_as_direct_reclaim_without_a_stall(self) -> None:
        found = stalls_of(interval(allocstall=10, pgsteal_direct=999_999, pageoutrun=4), node_reclaim=True)
        assert found is not None
        assert found.direct_pages == 320

    @pytest.mark.parametrize(
        ("gap", "mean"), [(0, 700), (500, 700), (2099, 612), (2099, 7000), (100_000, 10), (10, 100_000)]
    )
    def test_the_mean_burst_is_what_gives_the_shortfall(self, gap: int, mean: int) -> None:
        """Exponential bursts of this mean overshoot the gap by mean * exp(-gap / mean) on average."""
        runs = 10_000
        direct = round(runs * mean * exp(-gap / mean))
        found, assumption = bursts_of(Stalls(1, 600.0, direct, runs, ""), with_gap(gap))
        assert (found.gap_pages, assumption) == (gap, "")
        if direct > 1000:  # a count is whole: of a few pages in all, little can be told
            assert isclose(found.mean_pages, mean, rel_tol=0.01)
            assert isclose(found.left_after(mean), exp(-1), rel_tol=0.01)
        assert found.left_after(0) == found.left_after(-10_000_000) == 1.0

    def test_bursts_drawn_at_random(self) -> None:
        """Not the formula but the process it stands for: draws, a gap, and what is left of the stalls."""
        draw = random.Random(1)
        drawn = [draw.expovariate(1 / 612) for _ in range(200_000)]
        direct = round(sum(max(0.0, size - 2099) for size in drawn))
        found, _ = bursts_of(Stalls(1, 600.0, direct, len(drawn), ""), with_gap(2099))
        assert isclose(found.mean_pages, 612, rel_tol=0.05)
        stalled, left = (sum(size > gap for size in drawn) for gap in (2099, 2099 + 630))
        assert isclose(found.left_after(630), left / stalled, rel_tol=0.1)

    def test_marks_out_of_order_are_no_gap(self) -> None:
        found, _ = bursts_of(Stalls(1, 600.0, 70_000, 100, ""), with_gap(-900_000_000))
        assert (found.gap_pages, round(found.mean_pages)) == (0, 700)

    def test_every_node_counts_a_run_of_its_own(self) -> None:
        one, _ = bursts_of(Stalls(1, 600.0, 70_000, 100, ""), with_gap(400))
        two, assumption = bursts_of(Stalls(1, 600.0, 70_000, 200, ""), with_gap(400, nodes=2))
        assert isclose(one.mean_pages, two.mean_pages)
        assert "all nodes" in assumption

    def test_without_runs_of_kswapd_a_second_each_is_assumed(self) -> None:
        found, assumption = bursts_of(Stalls(600, 600.0, 6000, None, ""), with_gap(0))
        assert found.shortfall_pages == 10
        assert "1 s a run" in assumption

    @pytest.mark.parametrize(
        ("counts", "free", "counters", "why"),
        [
            pytest.param({"pageoutrun": 50}, 9000, {}, "", id="a burst"),
            pytest.param({"pageoutrun": 50}, 9000, {"node_unreclaimable": 1}, "given up", id="kswapd gave up"),
            pytest.param({"pageoutrun": 50}, 9000, {"node_unreclaimable": 0}, "", id="it did not"),
            pytest.param({"pageoutrun": 0}, 9000, {}, "without end", id="no run began"),
            pytest.param({"pageoutrun": 50, "pgsteal_kswapd": 2_000_000}, 9000, {}, "without end", id="long runs"),
            pytest.param({"pageoutrun": 50, "pgsteal_kswapd": 200_000}, 9000, {}, "", id="short runs"),
            pytest.param({"pageoutrun": 50, "compact_stall": 300}, 9000, {}, "compaction", id="huge pages"),
            pytest.param({"pageoutrun": 50, "compact_stall": 299}, 9000, {}, "", id="some huge pages"),
            pytest.param({"pageoutrun": 50}, 72_001, {}, "far above", id="room"),
            pytest.param({"pageoutrun": 50}, 72_000, {}, "", id="not so much room"),
        ],
    )
    def test_what_no_mark_answers(self, counts: dict[str, int], free: int, counters: dict[str, int], why: str) -> None:
        seen = replace(interval(allocstall=600, **counts), least_free_pages={(0, "Normal"): free})
        stalls = stalls_of(seen)
        assert stalls is not None
        said = why_no_mark(stalls, seen, with_gap(500, **counters))
        assert why in said
        assert bool(why) == bool(said)

    def test_none_and_nothing(self) -> None:
        assert stalls_of(None) is None
        assert stalls_of(Interval(600.0, unusable="rebooted")) is None
        assert stalls_of(interval(0.0, allocstall=5)) is None
        assert stalls_of(interval(pgsteal_direct=5)) is None
        quiet = stalls_of(interval(allocstall=0, pgsteal_direct=0, pageoutrun=0))
        assert quiet is not None
        assert quiet.per_second == 0

    def test_the_gap_is_of_all_populated_zones(self) -> None:
        zones = [
            zone("DMA", 100, marks=(1, 3, 5)),
            zone("Normal", 1000, marks=(10, 30, 50)),
            zone("Movable", 0, marks=(9, 99, 999)),
        ]
        assert gap_pages(machine_of(snapshot(zones))) == 2 + 20


class TestDeclined:
    @pytest.mark.parametrize(
        ("declined", "silent"),
        [
            ("vm.min_free_kbytes/atomic-reserve-exhausted/4852", True),
            ("vm.min_free_kbytes/atomic-reserve-exhausted/4420", True),  # differs by less than a tenth of it
            ("vm.min_free_kbytes/atomic-reserve-exhausted/5300", True),
            ("vm.min_free_kbytes/atomic-reserve-exhausted/4000", False),
            ("vm.min_free_kbytes/atomic-reserve-exhausted/6000", False),
            ("vm.min_free_kbytes/atomic-reserve-exhausted/0", False),
            ("vm.min_free_kbytes/atomic-reserve-exhausted/", False),
            ("vm.min_free_kbytes/too-high/4852", False),
            ("vm.min_free_kbytes/too-high", False),
            ("vm.min_free_kbytes", True),  # the setting as a whole
            ("vm.min_free_kbytes/atomic-reserve-exhausted", True),  # for this cause, whatever the value
            ("vm.min_free", False),
            ("", False),
            ("///", False),
        ],
    )
    def test_the_same_for_the_same_reason(self, declined: str, silent: bool) -> None:
        found = advice(AdvicePolicy(declined=(declined,)), box())
        assert (found.declined, bool(found.recommendations)) == (
            (("vm.min_free_kbytes/atomic-reserve-exhausted/4852",), False) if silent else ((), True)
        )
        (finding,) = [f for f in found.findings if f.cause == Cause.ATOMIC_RESERVE_EXHAUSTED]
        assert finding.severity == (Severity.INFO if silent else Severity.NOTICE)

    def test_harder_evidence_is_heard_again(self) -> None:
        policy = AdvicePolicy(declined=("vm.min_free_kbytes/atomic-reserve-exhausted/4852",))
        assert advice(policy, box(), box(0)).recommendations

    def test_a_vector_and_an_action_are_compared_as_they_stand(self) -> None:
        ratio = _recommendation("vm.lowmem_reserve_ratio", "256 256 32 0 0")
        assert ratio.identifier == "vm.lowmem_reserve_ratio/stranded/256,256,32,0,0"
        assert is_declined(ratio, [ratio.identifier])
        assert not is_declined(ratio, ["vm.lowmem_reserve_ratio/stranded/256,255,32,0,0"])
        action = _recommendation("action:mtu", "a smaller MTU")
        assert action.identifier == "action:mtu/stranded"
        assert is_declined(action, ["action:mtu/stranded"])


def _recommendation(key: str, value: str) -> Recommendation:
    here, logs = evidence(box())
    found = advise(here, machine_of(here), AdvicePolicy(), Observed(logs=logs)).recommendations[0]
    return replace(found, key=key, recommended=value, cause="stranded")


def failed(report: Report) -> Failure:
    return evidence(report)[1].failures[0]


class TestFindings:
    @pytest.mark.parametrize(
        ("report", "severity"),
        [
            pytest.param(box(), Severity.NOTICE, id="a packet dropped"),
            pytest.param(box(trace=trace("crypto_alloc [x]")), Severity.WARNING, id="something failed"),
            pytest.param(box(5000), Severity.INFO, id="a packet dropped, and over"),
            pytest.param(box(5000, trace=trace("crypto_alloc [x]")), Severity.NOTICE, id="something failed, and over"),
        ],
    )
    def test_how_much_it_matters(self, report: Report, severity: Severity) -> None:
        assert severity_of(failed(report)) is severity

    def test_no_log_says_nothing(self) -> None:
        assert failure_findings(None) == []
        assert failure_findings(LogEvidence()) == []

    def test_what_does_not_count_is_said(self) -> None:
        rejected = tuple(
            Rejected(FindingCause.LOG_MISMATCH, f"host db{number}, not db1", number, f"k:{number}")
            for number in range(1, 6)
        )
        (finding, undated) = failure_findings(LogEvidence(rejected=rejected, undated=3))
        assert (finding.cause, finding.severity) == ("log-mismatch", Severity.INFO)
        assert "1 report: host db1, not db1; 2 reports: host db2, not db1" in finding.text
        assert "and 2 more reasons" in finding.text
        assert "3 reports without a date" in undated.text


def test_a_kernel_upgrade_only_where_it_would_cure() -> None:
    """3.2 wants two free pages more than meant: true of every report there, and the cure of none of these."""
    report = recent(modern("Normal", 10, 1200, (0, 0, 0)), release="3.2.0-6-amd64", gfp_names=None, gfp_mask=0x20)
    here, logs = evidence(report)
    keys = {r.key for r in advise(here, machine_of(here), AdvicePolicy(), Observed(logs=logs)).recommendations}
    assert "action:kernel-upgrade" not in keys


class TestOneAnswer:
    """What one change answers is not answered by another as well."""

    @staticmethod
    def stranded(declined: tuple[str, ...] = ()) -> set[str]:
        """DMA32 has 300 MiB and keeps all of it by a ratio of 4; Normal was emptied."""
        scenario = load(SCENARIOS / "reserve-keeps-what-would-do.toml")
        decided = Scenario(scenario.name, {**scenario.table, "policy": {"declined": list(declined)}})
        return {recommendation.key for recommendation in advice_of(decided).recommendations}

    def test_a_reserve_given_out_needs_no_larger_min(self) -> None:
        assert self.stranded() == {"vm.lowmem_reserve_ratio"}

    def test_unless_giving_it_out_was_declined(self) -> None:
        assert self.stranded(("vm.lowmem_reserve_ratio",)) == {MIN_FREE}


@pytest.mark.parametrize(("swap", "on_disk"), [(None, False), ("/dev/sda2", False), ("/dev/zram0", True)])
def test_swap_on_zram_is_no_room_beside_memory(swap: str | None, on_disk: bool) -> None:
    here, logs = evidence(box())
    one = logs.failures[0]
    exhausted = replace(one.example, judgement=replace(one.example.judgement, cause=Cause.MEMORY_EXHAUSTED))
    logs = LogEvidence(failures=(replace(one, example=exhausted),))
    here = replace(here, swaps_kb={} if swap is None else {swap: 8388604})
    (said,) = advise_companions(here, machine_of(here), Observed(logs=logs))
    assert ("swap on a disk for what is idle" in said.recommended) is on_disk
    assert ("All swap here is zram" in said.reason) is on_disk


def test_what_is_said_of_the_reports_behind_a_finding() -> None:
    one = failed(box())
    unlike = replace(one, count=2000, not_replayed=40, first="Mar  4 03:00:00", last="Mar  4 04:00:00")
    (said,) = failure_findings(LogEvidence(failures=(unlike,)))
    assert "2000 reports in the kernel log between Mar  4 03:00:00 and Mar  4 04:00:00" in said.text
    assert "40 of them are so unlike each other that they were counted but not replayed." in said.text
    (plain,) = failure_findings(LogEvidence(failures=(one,)))
    assert "not replayed" not in plain.text
    booted = replace(one, count=2, first="122.820748", last="9123.000001")
    (said,) = failure_findings(LogEvidence(failures=(booted,)))
    assert "2 reports in the kernel log between 122.820748 and 9123.000001 s after boot (" in said.text
    assert said.evidence[0].source.endswith(", 122.820748 to 9123.000001 s after boot")
    (said,) = failure_findings(LogEvidence(failures=(replace(booted, count=1, last=None),)))
    assert "One report in the kernel log 122.820748 s after boot (" in said.text
    nameless = replace(one, example=replace(one.example, report=replace(one.example.report, order=None)))
    (evidence_of_it,) = [e for f in failure_findings(LogEvidence(failures=(nameless,))) for e in f.evidence]
    assert "order" not in evidence_of_it.what


@pytest.mark.parametrize(
    ("key", "value", "command"),
    [
        ("transparent_hugepage", "never", "echo never > /sys/kernel/mm/transparent_hugepage/enabled"),
        ("vm.lowmem_reserve_ratio", "256 256 32", 'sysctl -w vm.lowmem_reserve_ratio="256 256 32"'),
        (MIN_FREE, "2044", "sysctl -w vm.min_free_kbytes=2044"),
    ],
)
def test_the_command_that_writes_a_setting(key: str, value: str, command: str) -> None:
    assert write_command(key, value) == command

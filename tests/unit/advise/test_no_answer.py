"""Where the adviser has to hold its tongue: an answer exists for others, and not for this machine or these reports."""

from dataclasses import replace

import pytest
from tests.machines import GIB, snapshot, zone
from tests.report_machines import machine_of_report
from tests.scenario import SCENARIOS, Scenario, load, observed_on, snapshot_of
from tests.unit.diagnose.reports import failure, trace
from tests.unit.diagnose.reports import zone as dump

from pagewarden.advise.advice import advise
from pagewarden.advise.failures import MOST_EVIDENCE, failure_evidence
from pagewarden.advise.lowmem_from_logs import advise_ratio_from_logs
from pagewarden.advise.observed import Observed
from pagewarden.advise.policy import AdvicePolicy, Workload
from pagewarden.advise.zone_reclaim_mode import advise_zone_reclaim_mode
from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.interval import Interval
from pagewarden.diagnose.log_evidence import Here, gather_evidence
from pagewarden.kernel.machine import RATIO, machine_of
from pagewarden.klog.types import Report
from pagewarden.procfs.types import Snapshot


def changed(name: str, **machine: object) -> tuple[Snapshot, Observed]:
    """A scenario with other settings of its machine."""
    scenario = load(SCENARIOS / f"{name}.toml")
    other = Scenario(name, {**scenario.table, "machine": {**scenario.table["machine"], **machine}})
    here = snapshot_of(other)
    return here, observed_on(other, here)


class TestRatioFromLogs:
    """dma32-driver-squeezed: DMA32 of 2 GiB was short of little, below 30 GiB."""

    @pytest.mark.parametrize(
        ("ratio", "normal", "expected"),
        [
            ("256 256 32 0 0", "30 GiB", ["256 213 32 0 0"]),
            ("256 2 32 0 0", "100 MiB", ["256 1 32 0 0"]),  # 50 MiB are kept, 60 wanted
            ("256 1 32 0 0", "100 MiB", []),  # all that is above is kept
            ("256", "30 GiB", []),  # this kernel prints no entry for DMA32
        ],
    )
    def test_an_entry_that_exists_and_can_shrink(self, ratio: str, normal: str, expected: list[str]) -> None:
        zones = [
            {"zone": "DMA", "size": "15 MiB", "free": "15 MiB"},
            {"zone": "DMA32", "size": "2 GiB", "free": "10 %"},
            {"zone": "Normal", "size": normal, "free": "40 %"},
        ]
        whole = ratio if " " in ratio else "256 256 32 0 0"
        here, observed = changed("dma32-driver-squeezed", zones=zones, settings={RATIO: whole})
        machine = replace(machine_of(here), sysctls={**machine_of(here).sysctls, RATIO: ratio})
        found = advise_ratio_from_logs(here, machine, observed)
        assert [recommendation.recommended for recommendation in found] == expected

    def test_what_failing_requests_were_short_of_is_not_stranded(self) -> None:
        zones = [
            {"zone": "DMA", "size": "15 MiB", "free": "15 MiB"},
            {"zone": "DMA32", "size": "2 GiB", "free": "10 %"},
            {"zone": "Normal", "size": "30 GiB", "free": "40 %"},
        ]
        here, observed = changed("dma32-driver-squeezed", zones=zones, settings={RATIO: "256 1 32 0 0"})
        machine = machine_of(here)
        assert [one.cause for one in advise(here, machine).recommendations if one.key == RATIO] == ["stranded"]
        seen = advise(here, machine, observed=observed)
        assert not [one for one in seen.recommendations if one.key == RATIO]
        assert not [one for one in seen.findings if one.cause == "stranded"]

    def test_nothing_is_known_of_the_ratio(self) -> None:
        here, observed = changed("dma32-driver-squeezed")
        machine = machine_of(here)
        assert advise_ratio_from_logs(here, machine, observed)
        assert advise_ratio_from_logs(here, machine, Observed()) == []
        without = {key: value for key, value in machine.sysctls.items() if key != RATIO}
        assert advise_ratio_from_logs(here, replace(machine, sysctls=without), observed) == []
        unfit = replace(machine, fit=replace(machine.fit, layout=None))
        assert advise_ratio_from_logs(here, unfit, observed) == []

    def test_the_node_is_gone(self) -> None:
        here, observed = changed("dma32-driver-squeezed")
        machine = machine_of(here)
        assert advise_ratio_from_logs(here, replace(machine, nodes=()), observed) == []


class TestNodeReclaim:
    """The mode takes unmapped page cache of a node; a node that has too little of it has nothing to give."""

    @staticmethod
    def proposed(file_pages: int | None, mapped: int = 0, ratio: str = "1", remote: int = 1000) -> list[str]:
        zones = [zone("Normal", GIB, node=node, marks=(1000, 1250, 1500), protection=(0,)) for node in range(2)]
        here = snapshot(zones, {"zone_reclaim_mode": "0", "min_unmapped_ratio": ratio})
        counters = (
            {}
            if file_pages is None
            else {
                "nr_active_file": file_pages // 2,
                "nr_inactive_file": file_pages - file_pages // 2,
                "nr_mapped": mapped,
            }
        )
        nodes = tuple(replace(node, counters=counters) for node in here.nodes)
        seen = Observed(interval=Interval(600.0, {"numa_hit": 1000, "numa_miss": remote}))
        machine = replace(machine_of(here), nodes=nodes)
        found, _ = advise_zone_reclaim_mode(here, machine, seen, AdvicePolicy(workload=Workload.NUMA_PARTITIONED))
        return [recommendation.recommended for recommendation in found]

    @pytest.mark.parametrize(
        ("file_pages", "mapped", "ratio", "expected"),
        [
            (GIB // 100 + 1, 0, "1", ["1"]),  # one in a hundred of a node is left alone
            (GIB // 100, 0, "1", []),
            (GIB // 2, GIB // 2, "1", []),  # mapped pages do not count
            (GIB // 2, GIB // 2, "0", []),
            (1, 0, "0", ["1"]),
            (GIB // 2, 0, "60", []),
            (None, 0, "1", ["1"]),  # this kernel does not print it
        ],
    )
    def test_by_its_unmapped_cache(self, file_pages: int | None, mapped: int, ratio: str, expected: list[str]) -> None:
        assert self.proposed(file_pages, mapped, ratio) == expected

    def test_nothing_was_counted(self) -> None:
        assert self.proposed(GIB // 2, remote=0) == []


def test_the_rest_of_many_callers_is_counted() -> None:
    def report(number: int) -> Report:
        return failure(
            dump("DMA", 40, 31, (0, 238, 238, 238), 3968),
            dump("Normal", 100, 478, (0, 0, 0, 0), 60_944),
            trace=trace(f"alloc_{number} [m{number}]"),
        )

    many = MOST_EVIDENCE + 3
    first = report(0)
    here = machine_of_report(diagnose(first))
    assert here is not None
    reports = [report(number) for number in range(many) for _ in range(number + 1)]
    logs = gather_evidence((("kern.log", each) for each in reports), Here(here, machine_of(here)))
    listed = failure_evidence(logs.failures)
    assert [entry.value for entry in listed] == [*range(many, 3, -1), 3 + 2 + 1]
    assert listed[-1].what == "reports of other callers"
    assert advise(here, machine_of(here), AdvicePolicy(), Observed(logs=logs)).findings

"""From replayed zones to the cause: every cause, what it rests on, and its neighbours."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.diagnose.reports import WAITS, blocks, failure, modern, recent, trace, zone

from pagewarden.diagnose.diagnosis import Diagnosis, Harm
from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.types import Cause
from pagewarden.klog.types import Memcg, NodeDump, Report, ReportKind, Totals, Victim, ZoneDump

NOTHING_LEFT = {"active_file": 100, "inactive_file": 100, "slab_reclaimable": 100}
PLENTY_LEFT = {"active_file": 60_000, "inactive_file": 60_000, "slab_reclaimable": 0}
BIG = 300_000
SINGLES = blocks(900)


def cause(report: Report) -> tuple[str, bool]:
    found = diagnose(report).judgement
    return str(found.cause), found.inferred


def normal(free: int, minimum: int = 1000, **more: Any) -> Any:
    return modern("Normal", free, minimum, (0, 0, 0, 0), BIG, **more)


def dma(free: int = 3900, reserve: int = 2000) -> Any:
    return modern("DMA", free, 10, (0, reserve, reserve, reserve), 3976)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        # A caller that cannot sleep, below even its part.
        (recent(normal(374)), ("atomic-reserve-exhausted", False)),
        (recent(normal(374), dma()), ("recovered", True)),  # DMA has room beyond its reserve
        (recent(normal(374), dma(1900)), ("atomic-reserve-exhausted", False)),  # DMA, tiny, is held by its reserve
        (recent(normal(380)), ("recovered", True)),
        # One that can.
        (recent(normal(900), names=WAITS), ("memory-exhausted", False)),
        (recent(normal(900), names=WAITS, counters_pages=PLENTY_LEFT), ("reclaim-too-slow", True)),
        (recent(normal(900), names=WAITS, counters_pages={}), ("memory-exhausted", True)),
        # Pages enough, and no block.
        (recent(normal(2000, free_blocks=blocks(2000, letters="U")), order=2), ("fragmented", False)),
        (recent(normal(2000, free_blocks=None), order=2), ("fragmented", True)),
        (
            recent(normal(2000, free_blocks=blocks(1, 0, 9, letters="H")), order=2, names=WAITS),
            ("reserved-for-others", False),
        ),
        (recent(normal(2000, free_blocks=blocks(1, 0, 9, letters="H")), order=2), ("recovered", True)),
        (recent(normal(2000, free_blocks=blocks(1, 0, 9, letters="C")), order=2), ("fragmented", False)),
        # Room only in what is set aside.
        (recent(normal(1400, free_cma_kb=5000), names=WAITS), ("reserved-for-others", False)),
        (recent(normal(1400, reserved_highatomic_kb=5000), names=WAITS), ("reserved-for-others", False)),
        # The only zone with room keeps it, and it is no tiny one.
        (
            recent(modern("DMA32", 5000, 1000, (0, 9000, 9000), BIG), modern("Normal", 9, 0, (0, 0, 0), 0)),
            ("lowmem-reserve", False),
        ),
        # The mask bars the zones with room.
        (
            recent(
                modern("DMA32", 100, 1000, (0, 0, 9000), BIG),
                modern("Normal", 90_000, 1000, (0, 0, 0), BIG),
                names="GFP_KERNEL|GFP_DMA32",
            ),
            ("zone-restricted", False),
        ),
        (recent(normal(90_000), names="GFP_KERNEL|GFP_DMA"), ("incomplete", False)),  # DMA may be built in or not
        # The nodes.
        (
            recent(normal(100), normal(90_000, node=1), names=WAITS, nodemask="0"),
            ("node-restricted", False),
        ),
        (
            recent(normal(90_000), kind=ReportKind.OOM, names="GFP_KERNEL", constraint="CONSTRAINT_CPUSET"),
            ("node-restricted", True),
        ),
        # Beyond every list, and beyond every zone.
        (recent(normal(2000, free_blocks=blocks(2000, letters="U")), order=11), ("request-too-large", False)),
        (recent(modern("Normal", 200, 9, (0, 0), 500), order=9), ("request-too-large", False)),
        # What is not of zones at all.
        (recent(kind=ReportKind.MEMCG_OOM, memcg=Memcg(limited="/a")), ("memcg-limit", False)),
        (recent(kind=ReportKind.VMALLOC_FAILURE, address_space=True), ("address-space", False)),
        (
            recent(normal(9000), kind=ReportKind.VMALLOC_FAILURE, address_space=True, request_bytes=BIG * 4096),
            ("address-space", False),
        ),
        (
            recent(normal(9000), kind=ReportKind.VMALLOC_FAILURE, address_space=True, request_bytes=BIG * 4096 + 1),
            ("request-too-large", False),
        ),
        (
            recent(kind=ReportKind.VMALLOC_FAILURE, order=None, detail="vmalloc error: size 9, exceeds total pages"),
            ("request-too-large", False),
        ),
        (recent(kind=ReportKind.MEMORY_DUMP, gfp_names=None), ("incomplete", False)),
        (recent(), ("incomplete", False)),
        (failure(gfp_mask=None), ("incomplete", False)),
        (recent(kind=ReportKind.NOMMU_FAILURE, request_bytes=1 << 20, order=None), ("fragmented", True)),
        # kswapd, which may use everything, and there is nothing: a single page is no matter of fragmentation.
        (
            recent(normal(71, free_blocks=blocks(0)), comm="kswapd0", names="GFP_KERNEL|__GFP_MEMALLOC"),
            ("memory-exhausted", False),
        ),
    ],
)
def test_causes(report: Report, expected: tuple[str, bool]) -> None:
    assert cause(report) == expected, diagnose(report).explanation


def test_every_cause_is_among_them() -> None:
    reached = {case[1][0] for mark in test_causes.pytestmark for case in mark.args[1]}  # type: ignore[attr-defined]
    assert reached == {str(each) for each in Cause}


def test_a_tiny_zone_held_by_its_reserve_never_makes_the_cause() -> None:
    zones = (zone("DMA", 3900, 10, (0, 5000, 5000), 3976), zone("Normal", 100, 1000, (0, 0, 0), BIG))
    assert cause(failure(*zones)) == ("atomic-reserve-exhausted", False)


def test_the_only_zone_is_not_left_out_for_being_tiny() -> None:
    small = failure(zone("DMA", 20, 100, (0, 0, 0), 4000), zone("Normal", 0, 0, (0, 0, 0), 0))
    assert cause(small) == ("atomic-reserve-exhausted", False)


@pytest.mark.parametrize("order", [None, 0])
def test_an_oom_that_does_not_print_its_order(order: int | None) -> None:
    low = zone("DMA", 1631, 300, (0, 0, 0), 4096, free_blocks=blocks(411, 252, 113, 27, 1, 1))
    oom = failure(low, kind=ReportKind.OOM, order=order, gfp_mask=0x2D0, release=None, victims=(Victim(7, "smbd"),))
    found = diagnose(oom)
    assert found.judgement.cause is (Cause.FRAGMENTED if order is None else Cause.RECOVERED)
    assert ("above 5" in found.explanation) is (order is None)


def test_reclaim_is_slow_only_where_there_was_much_to_reclaim() -> None:
    def found(pages: int) -> str:
        counters = {"active_file": pages, "inactive_file": 0, "slab_reclaimable": 0}
        return cause(recent(normal(900), names=WAITS, counters_pages=counters))[0]

    assert found(BIG // 5) == "memory-exhausted"
    assert found(BIG // 5 + 1) == "reclaim-too-slow"


# Kills


@pytest.mark.parametrize("kind", [ReportKind.OOM, ReportKind.PAGE_ALLOCATION_FAILURE, ReportKind.ALLOCATION_STALL])
@pytest.mark.parametrize("given_up", [False, True])
def test_page_cache_that_could_not_be_freed_is_no_late_kswapd(kind: ReportKind, given_up: bool) -> None:
    node = NodeDump(0, all_unreclaimable=given_up)
    found = diagnose(recent(normal(900), kind=kind, names=WAITS, counters_pages=PLENTY_LEFT, nodes=(node,)))
    stuck = kind is ReportKind.OOM or given_up
    assert found.judgement.cause is (Cause.MEMORY_EXHAUSTED if stuck else Cause.RECLAIM_TOO_SLOW)
    assert found.judgement.inferred
    assert ("could not be freed" in found.explanation) is stuck
    assert not (stuck and any(remedy.key and remedy.key.startswith("vm.") for remedy in found.remedies))


def test_a_zone_given_up_before_4_8() -> None:
    def found(*given_up: bool | None) -> str:
        zones = [
            zone("Normal", 900, 1000, (0, 0, 0), BIG, node=node, all_unreclaimable=each)
            for node, each in enumerate(given_up)
        ]
        counters = PLENTY_LEFT | {"active_file": 200_000}
        return cause(failure(*zones, gfp_mask=0x10D0, release="3.10.0", counters_pages=counters))[0]

    assert found(True) == found(True, True) == "memory-exhausted"
    assert found(False) == found(None) == found(True, False) == "reclaim-too-slow"


@pytest.mark.parametrize("constraint", ["CONSTRAINT_CPUSET", "CONSTRAINT_MEMORY_POLICY"])
@pytest.mark.parametrize("counters", [NOTHING_LEFT, PLENTY_LEFT])
def test_a_confined_kill_is_not_judged_by_the_whole_machine(constraint: str, counters: dict[str, int]) -> None:
    more = {"kind": ReportKind.OOM, "names": "GFP_KERNEL", "counters_pages": counters}
    assert cause(recent(normal(900), constraint=constraint, **more)) == ("node-restricted", True)
    assert cause(recent(normal(900), constraint="CONSTRAINT_NONE", **more))[0] == "memory-exhausted"


def node_line(node: int, files_kb: int, unwritten_kb: int = 0) -> NodeDump:
    return NodeDump(node, {"active_file": files_kb, "inactive_file": 0, "dirty": 0, "writeback": unwritten_kb})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((node_line(0, 400), node_line(1, 2_000_000)), ("node-restricted", True)),
        ((node_line(0, 2_000_000), node_line(1, 400)), ("reclaim-too-slow", True)),
        ((node_line(1, 2_000_000),), ("memory-exhausted", True)),  # the line of its own node is cut out: not known
        ((), ("memory-exhausted", True)),
    ],
)
def test_page_cache_on_a_forbidden_node(lines: tuple[NodeDump, ...], expected: tuple[str, bool]) -> None:
    zones = normal(900), normal(1100, node=1)
    counters = {"active_file": 500_100, "inactive_file": 0, "slab_reclaimable": 100}
    report = recent(*zones, names=WAITS, nodemask="0", nodes=lines, counters_pages=counters)
    assert cause(report) == expected


@pytest.mark.parametrize("name", ["dirty", "writeback", "unstable"])
@pytest.mark.parametrize("kind", [ReportKind.ALLOCATION_STALL, ReportKind.OOM])
def test_what_waits_to_be_written_is_not_reclaimable(name: str, kind: ReportKind) -> None:
    counters = PLENTY_LEFT | {name: 110_000}
    found = diagnose(recent(normal(900), kind=kind, names=WAITS, counters_pages=counters))
    assert found.judgement.unwritten
    assert found.remedies[0].action == "look at the storage"
    assert not any(remedy.key and remedy.key.startswith("vm.") for remedy in found.remedies)
    few = diagnose(recent(normal(900), kind=kind, names=WAITS, counters_pages=PLENTY_LEFT | {name: 100}))
    assert not few.judgement.unwritten


@pytest.mark.parametrize("names", ["GFP_KERNEL|__GFP_THISNODE", "GFP_ATOMIC|__GFP_THISNODE"])
def test_a_request_for_one_node_is_not_served_by_another(names: str) -> None:
    full, free = normal(100), normal(90_000, node=1)
    assert cause(recent(full, free, names=names)) == ("node-restricted", True)
    assert cause(recent(normal(80_000), free, names=names)) == ("recovered", True)
    unclear = replace(full, free_kb=None)
    assert cause(recent(unclear, free, names=names)) == ("incomplete", False)
    assert cause(recent(full, free, names=names.partition("|")[0])) == ("recovered", True)


RECLAIM_TRACE = ("shrink_lruvec", "shrink_node", "try_to_free_pages")


def test_direct_reclaim_is_held_to_no_mark() -> None:
    asked = diagnose(recent(normal(500), names="GFP_NOIO", trace=trace("bio_alloc_bioset", *RECLAIM_TRACE)))
    assert asked.judgement.cause is Cause.RECOVERED
    assert asked.replay.zones[0].verdict == "would-pass"
    assert "from within reclaim" in asked.explanation
    refused = diagnose(recent(normal(500), names="GFP_NOIO|__GFP_NOMEMALLOC", trace=trace("bio_alloc", *RECLAIM_TRACE)))
    assert refused.judgement.cause is Cause.RECLAIM_TOO_SLOW


@pytest.mark.parametrize("comm", ["kswapd0", "dd"])
def test_an_interrupt_over_reclaim_is_not_reclaim(comm: str) -> None:
    frames = trace("nvmet_tcp_map_data", "net_rx_action", "__do_softirq", "irq_exit_rcu", *RECLAIM_TRACE)
    found = diagnose(recent(normal(500), names="GFP_NOWAIT", comm=comm, trace=frames))
    assert found.judgement.cause is Cause.ATOMIC_RESERVE_EXHAUSTED
    assert "from within reclaim" not in found.explanation
    assert not any("nothing to set" in remedy.action for remedy in found.remedies)


@pytest.mark.parametrize("names", [WAITS, "GFP_NOWAIT"])
@pytest.mark.parametrize(
    ("kind", "cma"), [(ReportKind.ALLOCATION_STALL, 0), (ReportKind.PAGE_ALLOCATION_FAILURE, 4000)]
)
def test_a_boost_that_alone_decided(names: str, kind: ReportKind, cma: int) -> None:
    low = normal(6000, 6656, boost_kb=18432, free_cma_kb=cma)
    found = diagnose(recent(low, kind=kind, names=names))
    assert found.judgement.boosted_pages == 4608
    assert found.judgement.cause in (Cause.MEMORY_EXHAUSTED, Cause.ATOMIC_RESERVE_EXHAUSTED)
    assert (found.remedies[0].key, found.remedies[0].value) == ("vm.watermark_boost_factor", "0")
    assert not any(remedy.key in ("vm.min_free_kbytes", "vm.watermark_scale_factor") for remedy in found.remedies)
    for deep in (normal(2000, 6656, boost_kb=18432), normal(6000, 6656)):
        assert diagnose(recent(deep, kind=kind, names=names)).judgement.boosted_pages == 0


def test_a_boost_hastens_a_kill_and_is_not_its_cause() -> None:
    low = normal(6000, 6656, boost_kb=18432)
    found = diagnose(recent(low, kind=ReportKind.OOM, names="GFP_KERNEL"))
    assert (found.judgement.cause, found.judgement.boosted_pages) == (Cause.MEMORY_EXHAUSTED, 4608)
    assert "and the kill have come later" in found.explanation
    assert [remedy.key for remedy in found.remedies][:: len(found.remedies) - 1] == [
        "action:reduce-load",
        "vm.watermark_boost_factor",
    ]


@pytest.mark.parametrize(("listed", "decided"), [(blocks(5968, 16), 0), (blocks(5968, 0, 0, 4), 4608)])
def test_no_boost_explains_a_missing_block(listed: Any, decided: int) -> None:
    kinds = tuple(replace(block, migrate_types="U" if block.count else "") for block in listed)
    low = normal(6000, 6656, boost_kb=18432, free_blocks=kinds)
    found = diagnose(recent(low, order=3, names="GFP_NOWAIT"))
    assert found.judgement.boosted_pages == decided
    assert ("Nor was a block of 8 pages free" in found.explanation) is (decided == 0)
    assert any(remedy.key == "action:compact-memory" for remedy in found.remedies) is (decided == 0)


@pytest.mark.parametrize(
    ("release", "shares", "decided"),
    [
        ("5.10.200-amd64", (1000, 3000), 1997),  # three times the share of DMA32, and twelve gaps
        ("5.10.200-amd64", (1000, 1000), 0),
        ("4.19.0-20-amd64", (1000, 3000), 0),  # no kernel before 5.0 boosts
    ],
)
def test_a_boost_that_is_not_printed(release: str, shares: tuple[int, int], decided: int) -> None:
    low = zone("DMA32", 900, shares[0], (0, 0, 3000), BIG, managed_kb=BIG * 4, free_blocks=blocks(900, letters="U"))
    upper = zone("Normal", 980 + decided // 2, shares[1], (0, 0, 0), BIG, managed_kb=BIG * 4)
    upper = replace(upper, low_kb=(shares[1] + 250) * 4)  # a boost leaves the gap as it is
    found = diagnose(failure(low, upper, release=release, gfp_mask=None, gfp_names="GFP_NOWAIT")).judgement
    assert 0.95 * decided <= found.boosted_pages <= decided
    assert found.inferred is (decided > 0)


def test_a_boost_that_was_taken_off_decides_nothing() -> None:
    assert diagnose(recent(normal(700, 6656, boost_kb=18432))).judgement.boosted_pages == 0  # GFP_ATOMIC, 5.9 and later


def test_cma_does_not_hide_a_burst_from_a_caller_that_cannot_wait() -> None:
    found = diagnose(failure(zone("Normal", 364, 834, (0, 0), 174_000, free_cma_kb=800), release="3.10.53"))
    assert found.judgement.cause is Cause.ATOMIC_RESERVE_EXHAUSTED
    (raised,) = (remedy for remedy in found.remedies if remedy.key == "vm.min_free_kbytes")
    assert raised.value is not None
    assert 3336 < int(raised.value) < 5000
    assert cause(recent(normal(1400, free_cma_kb=5000), names=WAITS))[0] == "reserved-for-others"


@pytest.mark.parametrize(
    ("more", "action"),
    [
        ({"free_blocks": blocks(1900, 50, letters="U"), "reserved_highatomic_kb": 200_000}, "update the kernel"),
        ({"reserved_highatomic_kb": 4200}, "no setting changes this reserve"),
    ],
)
def test_the_highatomic_reserve_has_no_setting(more: dict[str, Any], action: str) -> None:
    found = diagnose(recent(normal(2000, **more), names="GFP_NOWAIT"))
    assert found.judgement.cause is Cause.RESERVED_FOR_OTHERS
    assert [remedy.action for remedy in found.remedies] == [action]
    assert all(remedy.value is None for remedy in found.remedies)


def test_blocks_of_the_highatomic_reserve_are_no_matter_of_cma() -> None:
    listed = (*blocks(1990)[:1], *blocks(0, 0, 9, letters="H")[1:])
    found = diagnose(recent(normal(2000, free_blocks=listed, free_cma_kb=400), order=1, names=WAITS))
    assert found.judgement.cause is Cause.RESERVED_FOR_OTHERS
    assert not any("CMA" in remedy.action for remedy in found.remedies)


@pytest.mark.parametrize(
    ("release", "dearer"), [("4.4.0-21-generic", False), ("4.5.7", False), ("4.6.0", True), ("6.1.0-18-amd64", True)]
)
def test_a_caller_without_a_reserve_is_given_one_advice(release: str, dearer: bool) -> None:
    low = zone(
        "Normal", 7250, 7500, (0, 0, 0, 0), 4_000_000, free_blocks=blocks(7250, letters="U"), managed_kb=16_000_000
    )
    found = diagnose(failure(low, release=release, gfp_mask=None, gfp_names="GFP_NOWAIT"))
    assert found.judgement.cause is Cause.ATOMIC_RESERVE_EXHAUSTED
    assert "would have passed" not in found.explanation
    assert any("costs more" in remedy.action for remedy in found.remedies) is dearer
    assert any(remedy.key == "vm.min_free_kbytes" for remedy in found.remedies) is not dearer
    assert not any("gives it nothing" in remedy.action for remedy in found.remedies)


def test_a_kill_without_a_refused_request() -> None:
    def found(**more: Any) -> Diagnosis:
        return diagnose(recent(normal(90_000), kind=ReportKind.OOM, victims=(Victim(77, "java"),), **more))

    by_hand = found(order=-1, names=WAITS)
    assert by_hand.judgement.cause is Cause.INCOMPLETE
    assert "An administrator asked for this kill" in by_hand.explanation
    fault = found(gfp_mask=0, names="")
    assert fault.judgement.cause is Cause.INCOMPLETE
    assert "pagefault_out_of_memory" in fault.explanation
    for each in (by_hand, fault):
        assert "would grant" not in each.explanation
        assert "asked for one page" not in each.explanation
    assert found(gfp_mask=0xCC0, names=WAITS).judgement.cause is Cause.RECOVERED


@pytest.mark.parametrize(
    ("reserve", "first"),
    [
        (0, "vm.lowmem_reserve_ratio"),
        (900, "vm.lowmem_reserve_ratio"),  # smaller than the shortage: others may have had the rest
        (50_000, "action:reduce-load"),
    ],
)
def test_a_ratio_keeps_nobody_out_of_his_own_zone(reserve: int, first: str) -> None:
    low = modern("DMA32", 100, 1000, (0, 0, reserve, reserve), BIG)
    found = diagnose(recent(low, normal(90_000), names="GFP_KERNEL|GFP_DMA32"))
    assert found.judgement.cause is Cause.ZONE_RESTRICTED
    assert found.remedies[0].key == first
    assert ("at least 50900 pages" in found.remedies[0].why) is (reserve == 50_000)


@pytest.mark.parametrize("kind", [ReportKind.OOM, ReportKind.PAGE_ALLOCATION_FAILURE])
@pytest.mark.parametrize("cached_kb", [786_400, 100])
def test_page_cache_in_the_very_zone_is_not_crowding(kind: ReportKind, cached_kb: int) -> None:
    values = {"active_file": 0, "inactive_file": cached_kb}
    low = modern("Normal", 900, 1000, (0, 0, 8980), BIG, values_kb=values)
    high = modern("HighMem", 900_000, 100, (0, 0, 0), 1_000_000, values_kb=values)
    counters = {"active_file": 400_000, "inactive_file": 0, "slab_reclaimable": 0}
    found = diagnose(recent(low, high, kind=kind, names=WAITS, counters_pages=counters))
    much, kill = cached_kb > 1000, kind is ReportKind.OOM
    assert found.judgement.cause is (Cause.RECLAIM_TOO_SLOW if much and not kill else Cause.ZONE_RESTRICTED)
    assert "HighMem had room" in found.explanation
    assert ("could not be freed" in found.explanation) is (much and kill)


def test_a_reserve_that_movable_requests_do_not_meet_keeps_nobody_out() -> None:
    low = modern("Normal", 100, 1000, (0, 0, 8980, 0), BIG)
    high = modern("HighMem", 900_000, 100, (0, 0, 0, 0), 1_000_000)
    found = diagnose(recent(low, high, names=WAITS, release="5.7.0-rc3", arch="i386"))
    assert found.judgement.cause is Cause.ZONE_RESTRICTED
    assert found.remedies[0].action == "find what fills zone Normal"


# What the report does not show

GROWING = (0, 0, 9000, 9000)  # of DMA32: there is a Normal above


def unshown(free: int, files: int, ram: int, **more: Any) -> dict[str, Any]:
    counters = {"free": free, "active_file": files, "inactive_file": 0, "slab_reclaimable": 100} | more
    return {"counters_pages": counters, "totals": Totals(ram_pages=ram, reserved_pages=0)}


@pytest.mark.parametrize("names", ["GFP_KERNEL|GFP_DMA32", "GFP_ATOMIC|GFP_DMA32"])
@pytest.mark.parametrize(
    ("free", "files", "ram", "restricted"),
    [
        (900_000, 100, 4 * BIG, True),  # free in a zone above, which 6.1 does not print
        (2000, 600_000, 4 * BIG, None),  # its page cache
        (2000, 100, 4 * BIG, False),  # a zone above as empty as this one
        (900_000, 100, BIG, False),  # no memory beyond this one: numbers that do not fit prove nothing
    ],
)
def test_zones_that_are_not_in_the_report(names: str, free: int, files: int, ram: int, restricted: bool | None) -> None:
    low = modern("DMA32", 100, 1000, GROWING, BIG, values_kb={"active_file": 100, "inactive_file": 0})
    found = cause(recent(low, names=names, **unshown(free, files, ram)))
    waits = "KERNEL" in names
    if restricted or (restricted is None and waits):
        assert found == ("zone-restricted", True)
    else:
        assert found[0] == ("memory-exhausted" if waits else "atomic-reserve-exhausted")


def test_lines_that_a_log_lost_are_no_zones_that_were_barred() -> None:
    row = (0, 0, 9000, 9000, 9000)
    low = modern("DMA32", 100, 1000, row, BIG, values_kb={"active_file": 100, "inactive_file": 0})
    more = unshown(900_000, 100, 4 * BIG)  # of which Normal has much, but its lines are gone
    assert cause(recent(low, names=WAITS, **more))[0] != "zone-restricted"
    assert cause(recent(low, names=WAITS, **more))[0] != "node-restricted"
    assert cause(recent(low, names="GFP_KERNEL|GFP_DMA32", **more))[0] == "zone-restricted"


@pytest.mark.parametrize(
    "more",
    [
        {"names": "GFP_ATOMIC"},  # all nodes are printed of these
        {"names": "GFP_USER", "mems_allowed": "0-1"},  # one that it may use is not there
        {"names": "GFP_USER", "kind": ReportKind.OOM, "constraint": "CONSTRAINT_NONE"},
        {"names": "GFP_KERNEL"},  # no __GFP_HARDWALL: the cpuset is no wall
        {"names": "GFP_USER", "mems_allowed": None},
        {"names": "GFP_USER", "totals": Totals()},
    ],
)
def test_a_node_that_is_missing_for_another_reason(more: dict[str, Any]) -> None:
    own = normal(100, values_kb={"active_file": 100, "inactive_file": 0})
    values = unshown(900_000, 100, 4 * BIG) | {"mems_allowed": "0"} | more
    for release in ("5.10.0-8-amd64", "6.1.0-9-amd64"):
        found = diagnose(recent(own, nodes=(node_line(0, 400),), **values, release=release))
        restricted = release[0] == "6" and values["mems_allowed"] == "0-1"  # a node with none but higher zones
        expected = {Cause.ZONE_RESTRICTED} if restricted else {Cause.ATOMIC_RESERVE_EXHAUSTED, Cause.MEMORY_EXHAUSTED}
        assert found.judgement.cause in expected, found.explanation
        assert "may be used" not in found.explanation


def test_a_node_with_none_but_higher_zones_is_not_printed() -> None:
    """Since 6.1 not even its line: memory of devices that was put into Movable, on a node of its own."""
    own = normal(100, values_kb={"active_file": 100, "inactive_file": 0})
    values: dict[str, Any] = unshown(900_000, 600_000, 4 * BIG) | {"mems_allowed": "0-1"}
    report = recent(own, names="GFP_KERNEL", kind=ReportKind.OOM, **values)
    found = diagnose(report)
    assert found.judgement.cause is Cause.ZONE_RESTRICTED
    assert found.remedies[0].action == "find what fills zone Normal"  # no ratio holds over nodes
    lost = replace(report, nodes=(node_line(0, 400), node_line(1, 400)))  # its zones are lines that were lost
    assert diagnose(lost).judgement.cause is Cause.MEMORY_EXHAUSTED
    confined = replace(report, mems_allowed="0")  # what is not shown are the other nodes, whatever their zones
    assert diagnose(confined).judgement.cause is Cause.MEMORY_EXHAUSTED
    no_lines = replace(report, nodes=())
    assert diagnose(no_lines).judgement.cause is Cause.MEMORY_EXHAUSTED
    movable = replace(report, gfp_names="GFP_HIGHUSER_MOVABLE")  # nothing is above these
    assert diagnose(movable).judgement.cause is Cause.MEMORY_EXHAUSTED


def test_a_lost_line_of_a_barred_zone_does_not_open_it() -> None:
    row = (0, 0, 9000, 9000, 9000)
    low = modern("DMA32", 100, 1000, row, BIG, values_kb={"active_file": 100, "inactive_file": 0})
    lost = ZoneDump("Normal", 0, free_blocks=blocks(900_000, letters="U"), free_list_total_kb=3_600_000)
    more = unshown(900_100, 100, 4 * BIG) | {"release": "5.10.0-8-amd64"}
    assert cause(recent(low, lost, names="GFP_KERNEL|GFP_DMA32", **more)) == ("zone-restricted", True)


def test_free_memory_above_normal_is_no_cause_of_a_burst() -> None:
    low = modern("Normal", 300, 1000, (0, 0, 0, 8000), BIG)
    top = modern("Movable", 900_000, 1000, (0, 0, 0, 0), 3 * BIG)
    found = diagnose(recent(low, top))
    assert found.judgement.cause is Cause.ATOMIC_RESERVE_EXHAUSTED
    assert cause(recent(low, top, names=WAITS))[0] == "zone-restricted"


def test_slab_is_within_reach_where_only_memory_of_devices_is_beyond() -> None:
    own = modern("Normal", 900, 1000, (0, 0, 0, 0, 5000), BIG, values_kb={"active_file": 100, "inactive_file": 0})
    lowest = modern(
        "DMA32", 500, 1000, (0, 0, 90_000, 90_000, 95_000), BIG, values_kb={"active_file": 0, "inactive_file": 0}
    )
    first = modern(
        "DMA", 500, 10, (0, 3000, 90_000, 90_000, 95_000), 3976, values_kb={"active_file": 0, "inactive_file": 0}
    )
    more = unshown(1900, 100, 4 * BIG, slab_reclaimable=250_000)
    assert cause(recent(first, lowest, own, names=WAITS, **more))[0] == "reclaim-too-slow"


@pytest.mark.parametrize(
    ("free", "files", "expected"),
    [
        (900_000, 100, "node-restricted"),
        (3000, 800_000, "node-restricted"),
        (3000, 100, "memory-exhausted"),
    ],
)
@pytest.mark.parametrize("constraint", [None, "CONSTRAINT_CPUSET"])
def test_nodes_that_are_not_in_the_report(free: int, files: int, expected: str, constraint: str | None) -> None:
    own = normal(900, values_kb={"active_file": 100, "inactive_file": 0})
    more = unshown(free, files, 4 * BIG) | {"constraint": constraint, "mems_allowed": "0", "kind": ReportKind.OOM}
    found = diagnose(recent(own, names="GFP_USER", nodes=(node_line(0, 400),), **more))
    assert str(found.judgement.cause) == expected
    if constraint is None and expected == "node-restricted":
        assert "only node 0 may be used" in found.explanation.lower()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("GFP_HIGHUSER_MOVABLE", "node-restricted"),
        ("GFP_KERNEL", "recovered"),  # without __GFP_HARDWALL the cpuset is no wall
        ("GFP_ATOMIC", "recovered"),
    ],
)
def test_a_cpuset_of_a_kernel_that_prints_every_node(names: str, expected: str) -> None:
    zones = normal(100), normal(90_000, node=1)
    assert cause(recent(*zones, names=names, mems_allowed="0"))[0] == expected


@pytest.mark.parametrize(("slab", "expected"), [(250_000, "reclaim-too-slow"), (100, "memory-exhausted")])
def test_slab_counts_for_a_request_that_is_bound_to_all_there_is(slab: int, expected: str) -> None:
    counters = {"active_file": 100, "inactive_file": 0, "slab_reclaimable": slab}
    report = recent(normal(900), names=WAITS, nodemask="0", nodes=(node_line(0, 400),), counters_pages=counters)
    assert cause(report)[0] == expected


def test_slab_of_which_it_is_not_printed_where_it_lies() -> None:
    zones = normal(900), normal(1100, node=1)
    counters = {"active_file": 200, "inactive_file": 0, "slab_reclaimable": 250_000}
    lines = node_line(0, 400), node_line(1, 400)
    found = diagnose(recent(*zones, names=WAITS, nodemask="0", nodes=lines, counters_pages=counters))
    assert (found.judgement.cause, found.judgement.inferred) == (Cause.MEMORY_EXHAUSTED, True)
    assert "is not printed" in found.explanation


@pytest.mark.parametrize(("dirty", "unwritten"), [(600, False), (6_000, False), (40_000, True)])
def test_a_few_dirty_pages_make_no_slow_storage(dirty: int, unwritten: bool) -> None:
    counters = {"active_file": 30_500, "inactive_file": 30_000, "slab_reclaimable": 0, "dirty": dirty}
    report = recent(normal(900), names=WAITS, counters_pages=counters)
    assert diagnose(report).judgement.unwritten is unwritten


@pytest.mark.parametrize(
    ("totals", "writeback", "unwritten"),
    [
        (Totals(swap_total_kb=4_000_000, swap_free_kb=1_000_000), 110_000, False),  # on its way to swap
        (Totals(swap_total_kb=4_000_000, swap_free_kb=4_000_000), 110_000, True),
        (Totals(swap_total_kb=0, swap_free_kb=0), 110_000, True),
        (Totals(), 400_000, False),  # more than there is page cache
    ],
)
def test_what_goes_to_swap_is_no_page_cache(totals: Totals, writeback: int, unwritten: bool) -> None:
    counters = PLENTY_LEFT | {"dirty": 10, "writeback": writeback}
    report = recent(normal(900), names=WAITS, counters_pages=counters, totals=totals)
    assert diagnose(report).judgement.unwritten is unwritten


def test_zones_of_a_kernel_without_numa_have_no_node() -> None:
    low = replace(normal(900), node=None)
    given_up = recent(low, names=WAITS, counters_pages=PLENTY_LEFT, nodes=(NodeDump(0, all_unreclaimable=True),))
    assert cause(given_up)[0] == "memory-exhausted"


def test_what_the_highatomic_reserve_holds_beside_a_zone_held_by_its_own() -> None:
    lowest = modern("DMA", 100, 10, (0, 3000, 93_000, 93_000, 93_000), 3976)
    low = modern("DMA32", 60_000, 1000, (0, 0, 90_000, 90_000, 90_000), 120_000)
    upper = modern("Normal", 2000, 1000, (0, 0, 0, 0, 0), BIG, reserved_highatomic_kb=40_000)
    found = diagnose(recent(lowest, low, upper, names=WAITS))
    assert found.judgement.cause is Cause.RESERVED_FOR_OTHERS


@pytest.mark.parametrize("listed", [True, False])
def test_movable_memory_is_beyond_an_unmovable_request(listed: bool) -> None:
    values = {"active_file": 100, "inactive_file": 0}
    low = modern("Normal", 900, 1000, (0, 0, 0, 8000), BIG, values_kb=values)
    top = modern("Movable", 1500, 1000, (0, 0, 0, 0), 3 * BIG, values_kb={"active_file": 2_000_000, "inactive_file": 0})
    more = unshown(2400, 500_100, 4 * BIG)
    found = cause(recent(*((low, top) if listed else (low,)), names=WAITS, **more))
    assert found == ("zone-restricted", True)


# Harm


def diagnosed(kind: ReportKind, *functions: str, **more: Any) -> Diagnosis:
    return diagnose(recent(normal(374), kind=kind, trace=trace(*functions), **more))


@pytest.mark.parametrize(
    ("kind", "functions", "harm"),
    [
        (ReportKind.PAGE_ALLOCATION_FAILURE, ("net_rx_action",), Harm.DEGRADED),
        (ReportKind.PAGE_ALLOCATION_FAILURE, ("dev_queue_xmit",), Harm.DEGRADED),
        (ReportKind.PAGE_ALLOCATION_FAILURE, ("tcp_v4_syn_recv_sock", "netif_receive_skb"), Harm.DEGRADED),
        (ReportKind.PAGE_ALLOCATION_FAILURE, ("do_huge_pmd_anonymous_page",), Harm.DEGRADED),
        (ReportKind.PAGE_ALLOCATION_FAILURE, ("copy_process",), Harm.FAILED),
        (ReportKind.PAGE_ALLOCATION_FAILURE, (), Harm.FAILED),
        (ReportKind.OOM, ("net_rx_action",), Harm.KILLED),
        (ReportKind.MEMCG_OOM, (), Harm.KILLED),
        (ReportKind.ALLOCATION_STALL, (), Harm.DEGRADED),
        (ReportKind.DEADLOCK_WARNING, (), Harm.DEGRADED),
        (ReportKind.VMALLOC_FAILURE, (), Harm.FAILED),
        (ReportKind.MEMORY_DUMP, (), Harm.NONE),
        (ReportKind.UNRECOGNISED, (), Harm.NONE),
    ],
)
def test_harm(kind: ReportKind, functions: tuple[str, ...], harm: Harm) -> None:
    assert diagnosed(kind, *functions).harm is harm


# The paragraph


def test_the_process_named_is_not_blamed() -> None:
    text = diagnosed(ReportKind.PAGE_ALLOCATION_FAILURE, "net_rx_action").explanation
    assert "the task running was swapper, which says where it happened, not why" in text
    assert "no outage unless" in text


def test_a_victim_that_did_not_ask_is_called_one() -> None:
    def text(comm: str | None) -> str:
        return diagnosed(ReportKind.OOM, victims=(Victim(77, comm),)).explanation

    assert "java (process 77) was killed, not the task that asked." in text("java")
    assert "swapper (process 77) was killed." in text("swapper")
    assert "Process 77 was killed." in text(None)
    assert "not in the log" in diagnosed(ReportKind.OOM).explanation


def test_what_was_inferred_is_said_to_be() -> None:
    inferred = diagnose(recent(normal(2000, free_blocks=None), order=2))
    assert "This is inferred" in inferred.explanation
    assert "This is inferred" not in diagnose(recent(normal(374))).explanation


def test_an_unknown_release_is_said() -> None:
    unknown = diagnose(failure(zone("Normal", 10, 1000, (0, 0, 0), BIG), release=None))
    assert "The kernel release is not in the log; the rules of" in unknown.explanation


def test_above_the_costly_order_nobody_is_killed() -> None:
    listed = blocks(2000, letters="U")
    for order, said in ((3, False), (4, True)):
        text = diagnose(recent(normal(2000, free_blocks=listed), order=order, names=WAITS)).explanation
        assert ("Nobody was killed" in text) is said


# What the kernel does not do

WAITING = {"counters_pages": PLENTY_LEFT}


@pytest.mark.parametrize(
    ("names", "order", "more", "never"),
    [
        ("GFP_KERNEL", 0, {}, True),
        ("GFP_HIGHUSER_MOVABLE", 3, {}, True),
        ("GFP_KERNEL", 4, {}, False),  # costly: one round, and it fails
        ("GFP_KERNEL|__GFP_NORETRY", 0, {}, False),
        ("GFP_KERNEL|__GFP_RETRY_MAYFAIL", 0, {}, False),
        ("GFP_KERNEL|__GFP_THISNODE", 0, {}, False),
        ("GFP_KERNEL|GFP_DMA32", 0, {}, False),  # nobody is killed for these
        ("GFP_KERNEL", 0, {"trace": trace("sk_page_frag_refill", "worker_thread", "kthread")}, False),  # not killed
        ("GFP_KERNEL", 0, {"trace": trace("xfs_buf_alloc", "xfsaild", "kthread", "ret_from_fork")}, False),
        ("GFP_KERNEL", 0, {"trace": trace("foo_resume", "dpm_run_callback", "state_store")}, False),
        ("GFP_KERNEL", 0, {"trace": trace("elf_core_dump", "do_coredump", "get_signal")}, False),
        ("GFP_KERNEL", 0, {"trace": ()}, False),  # whose it is is not known
        ("__GFP_DIRECT_RECLAIM", 0, {}, False),  # as while the machine suspends
        ("GFP_KERNEL", 0, {"kind": ReportKind.ALLOCATION_STALL}, False),
        ("GFP_KERNEL", 0, {"kind": ReportKind.OOM}, False),
        ("GFP_KERNEL", 0, {"release": None}, False),
    ],
)
def test_what_is_tried_until_it_succeeds_fails_only_for_the_dying(
    names: str, order: int, more: dict[str, Any], never: bool
) -> None:
    frames = trace("do_anonymous_page", "handle_mm_fault", "exc_page_fault")
    low = normal(900, free_blocks=blocks(100, 0, 0, 0, 50, letters="U"))
    found = diagnose(replace(recent(low, names=names, order=order, trace=frames, **WAITING), **more))
    assert found.judgement.never_refused is never
    first = found.remedies[0].action if found.remedies else ""
    assert (first == "look for the kill that came before") is never
    if never:
        assert (found.judgement.cause, found.judgement.inferred) == (Cause.MEMORY_EXHAUSTED, True)


def test_kswapd_that_gave_up_says_nothing_of_now() -> None:
    """Page cache that came since can be reclaimed: by who may, and kswapd is woken again after that."""
    nodes = (NodeDump(0, all_unreclaimable=True),)
    assert cause(recent(normal(300), nodes=nodes, **WAITING)) == ("atomic-reserve-exhausted", True)
    assert cause(recent(normal(300), nodes=nodes)) == ("memory-exhausted", True)


@pytest.mark.parametrize(
    ("release", "given_up", "names", "expected"),
    [
        ("6.1.0-9-amd64", True, "GFP_ATOMIC", "memory-exhausted"),  # since 4.12 kswapd is not woken there
        ("6.1.0-9-amd64", False, "GFP_ATOMIC", "atomic-reserve-exhausted"),
        ("4.9.0-9-amd64", True, "GFP_ATOMIC", "atomic-reserve-exhausted"),
        ("6.1.0-9-amd64", False, "__GFP_HIGH", "atomic-reserve-exhausted"),  # wakes nobody
    ],
)
def test_kswapd_is_woken_only_where_it_is(release: str, given_up: bool, names: str, expected: str) -> None:
    nodes = (NodeDump(0, all_unreclaimable=given_up),)
    found = diagnose(recent(normal(300), names=names, release=release, nodes=nodes))
    assert str(found.judgement.cause) == expected
    woken = expected == "atomic-reserve-exhausted" and names != "__GFP_HIGH"
    assert ("kswapd had been woken" in found.explanation) is woken


@pytest.mark.parametrize(
    ("order", "counts", "lacking"),
    [(2, (900,), True), (0, (900,), False), (2, (500, 0, 100), False)],
)
def test_a_kill_for_want_of_a_block(order: int, counts: tuple[int, ...], lacking: bool) -> None:
    """Below the mark beside much page cache: reclaim that frees nothing, or compaction that fails."""
    low = normal(900, free_blocks=blocks(*counts, letters="U"))
    found = diagnose(recent(low, names="GFP_KERNEL", order=order, kind=ReportKind.OOM, **WAITING))
    assert (found.judgement.cause, found.judgement.inferred) == (Cause.MEMORY_EXHAUSTED, True)
    assert ("or compaction no 4 pages that are neighbours" in found.explanation) is lacking
    assert any(remedy.key == "action:compact-memory" for remedy in found.remedies) is lacking


@pytest.mark.parametrize(
    ("kind", "names", "free_kb", "expected"),
    [
        (ReportKind.ALLOCATION_STALL, "GFP_KERNEL", 4 * BIG, "reclaim-too-slow"),
        (ReportKind.PAGE_ALLOCATION_FAILURE, WAITS, 4 * BIG, "reclaim-too-slow"),
        (ReportKind.ALLOCATION_STALL, "GFP_NOIO", 4 * BIG, "memory-exhausted"),  # may not write to swap
        (ReportKind.ALLOCATION_STALL, "GFP_KERNEL", 0, "memory-exhausted"),
        (ReportKind.ALLOCATION_STALL, "GFP_KERNEL", None, "memory-exhausted"),
        (ReportKind.OOM, "GFP_KERNEL", 4 * BIG, "memory-exhausted"),  # by then it has been tried
    ],
)
def test_memory_that_could_go_to_swap_is_not_exhausted(
    kind: ReportKind, names: str, free_kb: int | None, expected: str
) -> None:
    counters = NOTHING_LEFT | {"active_anon": BIG // 2, "inactive_anon": BIG // 3}
    totals = Totals(swap_total_kb=4 * BIG, swap_free_kb=free_kb)
    found = cause(recent(normal(900), names=names, kind=kind, counters_pages=counters, totals=totals))
    assert found[0] == expected


def test_a_zone_whose_lines_were_lost_may_have_decided() -> None:
    row = (0, 0, 9000, 9000, 9000)  # of DMA32: Normal has memory
    held = modern("DMA32", 5000, 1000, row, BIG)
    found = diagnose(recent(held))
    assert (found.judgement.cause, found.remedies[0].action) == (Cause.INCOMPLETE, "read the whole log")
    assert "node 0 Normal" in found.explanation
    short = diagnose(recent(replace(held, free_kb=400), names="GFP_KERNEL", kind=ReportKind.OOM)).judgement
    assert (short.cause, short.inferred) == (Cause.MEMORY_EXHAUSTED, True)
    assert "node 0 Normal, which it may use as well, is not in the log." in short.because


def test_what_a_stack_keeps_of_an_interrupt_is_none() -> None:
    frames = trace("bio_alloc", "? net_rx_action", "balance_pgdat", "kswapd")
    found = diagnose(recent(normal(300), comm="kswapd0", trace=frames))
    assert "from within reclaim" in found.explanation
    unsure = trace("? bio_alloc", "? net_rx_action", "? kswapd")  # no frame is certain: each is taken
    assert "from within reclaim" not in diagnose(recent(normal(300), comm="kswapd0", trace=unsure)).explanation


def test_a_confined_task_whose_own_nodes_had_room_again() -> None:
    open_zone = normal(90_000)
    more: dict[str, Any] = {"kind": ReportKind.OOM, "names": "GFP_USER", "constraint": "CONSTRAINT_CPUSET"}
    assert cause(recent(open_zone, mems_allowed="0", **more)) == ("recovered", True)
    assert cause(recent(open_zone, mems_allowed=None, **more)) == ("node-restricted", True)


def test_bound_to_a_node_of_another_kind_of_zone() -> None:
    """The mask allows DMA32 too: it is the node that bars it."""
    far = modern("DMA32", 90_000, 1000, (0, 0, 0, 0), BIG)
    own = normal(100, node=1)
    found = cause(recent(far, own, names="GFP_USER", nodemask="1", release="4.9.0", kind=ReportKind.OOM))
    assert found[0] == "node-restricted"


@pytest.mark.parametrize(
    ("release", "kind", "free_cma_kb", "key"),
    [
        ("6.6.0", ReportKind.OOM, 0, "action:kernel-upgrade"),  # 6.8 gives the reserve back before it kills
        ("6.8.0", ReportKind.OOM, 0, None),
        ("6.6.0", ReportKind.ALLOCATION_STALL, 0, None),
        ("6.8.0", ReportKind.OOM, 200, None),  # too little to have decided
    ],
)
def test_what_set_the_free_pages_aside(release: str, kind: ReportKind, free_cma_kb: int, key: str | None) -> None:
    low = normal(1400, reserved_highatomic_kb=5000, free_cma_kb=free_cma_kb)
    found = diagnose(recent(low, names="GFP_KERNEL", kind=kind, release=release))
    assert (found.judgement.cause, found.remedies[0].key) == (Cause.RESERVED_FOR_OTHERS, key)
    by_cma = normal(1900, reserved_highatomic_kb=2000, free_cma_kb=4000)
    assert diagnose(recent(by_cma, names="GFP_KERNEL", kind=kind, release=release)).remedies[0].key == (
        "action:reduce-load"
    )


@pytest.mark.parametrize(
    ("constraint", "said"),
    [
        ("CONSTRAINT_CPUSET", "confined by its cpuset to nodes 0-1;"),
        ("CONSTRAINT_MEMORY_POLICY", "confined by its memory policy to node 1;"),
    ],
)
def test_a_kill_says_who_was_confined(constraint: str, said: str) -> None:
    more = {"order": None, "gfp_mask": None, "gfp_names": None, "nodemask": "1", "mems_allowed": "0-1"}
    found = diagnose(failure(kind=ReportKind.OOM, release=None, constraint=constraint, **more))
    assert (found.judgement.cause, found.judgement.inferred) == (Cause.NODE_RESTRICTED, True)
    assert said in found.explanation
    assert found.remedies[0].action == "widen the cpuset or memory policy"
    free = diagnose(failure(kind=ReportKind.OOM, release=None, constraint="CONSTRAINT_NONE", **more))
    assert free.judgement.cause is Cause.INCOMPLETE

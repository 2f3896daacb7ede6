"""What is proposed for each cause: the right knob first, no wrong one, and a value only where it can be computed."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.diagnose.reports import WAITS, blocks, failure, modern, recent, trace, zone

from pagewarden.diagnose.diagnosis import Diagnosis
from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.types import Cause
from pagewarden.kernel.min_free import square_root_kb
from pagewarden.klog.types import NO_COMPACTION, Memcg, Report, ReportKind

BIG = 300_000
PLENTY_LEFT = {"active_file": 60_000, "inactive_file": 60_000, "slab_reclaimable": 0}


def normal(free: int, minimum: int = 1000, **more: Any) -> Any:
    return modern("Normal", free, minimum, (0, 0, 0, 0), BIG, **more)


def keys(found: Diagnosis) -> list[str]:
    return [remedy.key for remedy in found.remedies if remedy.key is not None]


CASES: dict[Cause, Report] = {
    Cause.ATOMIC_RESERVE_EXHAUSTED: recent(normal(300)),
    Cause.FRAGMENTED: recent(normal(2000), order=2),
    Cause.LOWMEM_RESERVE: recent(
        modern("DMA32", 5000, 1000, (0, 9000, 9000), BIG), modern("Normal", 9, 0, (0, 0, 0), 0)
    ),
    Cause.ZONE_RESTRICTED: recent(
        modern("DMA32", 100, 1000, (0, 0, 0), BIG), normal(90_000), names="GFP_KERNEL|GFP_DMA32"
    ),
    Cause.NODE_RESTRICTED: recent(
        normal(100), modern("Normal", 90_000, 1000, (0, 0, 0, 0), BIG, node=1), names=WAITS, nodemask="0"
    ),
    Cause.RESERVED_FOR_OTHERS: recent(normal(1400, free_cma_kb=5000), names=WAITS),
    Cause.MEMORY_EXHAUSTED: recent(normal(900), names=WAITS),
    Cause.RECLAIM_TOO_SLOW: recent(normal(900), names=WAITS, counters_pages=PLENTY_LEFT),
    Cause.REQUEST_TOO_LARGE: recent(normal(2000), order=11),
    Cause.MEMCG_LIMIT: recent(kind=ReportKind.MEMCG_OOM, memcg=Memcg(limited="/a")),
    Cause.ADDRESS_SPACE: recent(kind=ReportKind.VMALLOC_FAILURE, address_space=True),
    Cause.RECOVERED: recent(normal(90_000)),
    Cause.INCOMPLETE: recent(),
}


@pytest.mark.parametrize("cause", list(Cause))
def test_the_first_setting_named_is_the_right_one(cause: Cause) -> None:
    found = diagnose(CASES[cause])
    assert found.judgement.cause is cause, found.explanation
    first = {
        Cause.ATOMIC_RESERVE_EXHAUSTED: "vm.min_free_kbytes",
        Cause.FRAGMENTED: "action:compact-memory",
        Cause.LOWMEM_RESERVE: "vm.lowmem_reserve_ratio",
        Cause.ZONE_RESTRICTED: "vm.lowmem_reserve_ratio",
        Cause.RESERVED_FOR_OTHERS: "action:reduce-load",
        Cause.MEMORY_EXHAUSTED: "action:reduce-load",
        Cause.RECLAIM_TOO_SLOW: "vm.watermark_scale_factor",
        Cause.MEMCG_LIMIT: "action:reduce-load",
        Cause.ADDRESS_SPACE: "action:kernel-upgrade",
    }
    assert keys(found)[:1] == ([first[cause]] if cause in first else [])


@pytest.mark.parametrize(
    "cause", [Cause.FRAGMENTED, Cause.MEMORY_EXHAUSTED, Cause.MEMCG_LIMIT, Cause.ZONE_RESTRICTED, Cause.RECOVERED]
)
def test_min_free_kbytes_is_not_raised_where_it_does_not_help(cause: Cause) -> None:
    assert not any(remedy.key == "vm.min_free_kbytes" for remedy in diagnose(CASES[cause]).remedies)


def test_a_value_is_given_only_where_the_marks_tell_the_setting() -> None:
    low = zone("Normal", 100, 1000, (0, 0, 0), BIG)
    (told,) = (remedy for remedy in diagnose(failure(low)).remedies if remedy.key == "vm.min_free_kbytes")
    assert told.value is not None
    assert told.value.isdigit()
    cut = replace(low, high_kb=None, cut=True)
    (untold,) = (remedy for remedy in diagnose(failure(cut)).remedies if remedy.key == "vm.min_free_kbytes")
    assert untold.value is None


def test_a_network_driver_is_asked_for_smaller_bursts() -> None:
    found = diagnose(recent(normal(300), trace=trace("igb_alloc_rx_buffers [igb]", "net_rx_action")))
    assert keys(found) == ["vm.min_free_kbytes", "action:driver-ring"]
    assert "(igb)" in found.remedies[1].why


def test_a_large_order_is_the_habit_of_its_caller() -> None:
    report = recent(normal(2000), order=4, names=WAITS, trace=trace("xs_setup_xprt [sunrpc]"))
    first = diagnose(report).remedies[0]
    assert "16 contiguous pages is a habit of xs_setup_xprt [sunrpc]" in first.why


@pytest.mark.parametrize(
    ("release", "compacts"),
    [("2.6.34", False), ("2.6.35", True), ("2.6.32-279.el6.x86_64", True), ("2.6.32-41-server", False), (None, True)],
)
def test_kernels_that_cannot_compact_are_not_told_to(release: str | None, compacts: bool) -> None:
    low = zone("Normal", 2000, 1000, (0, 0, 0), BIG)
    found = diagnose(failure(low, release=release, order=3, gfp_mask=0xD0))
    assert found.judgement.cause is Cause.FRAGMENTED
    assert ("action:compact-memory" in keys(found)) is compacts


def test_a_kernel_of_before_2_6_32_by_its_wording_is_not_told_to_compact() -> None:
    low = zone("Normal", 2000, 1000, (0, 0, 0), BIG)
    found = diagnose(failure(low, kind=ReportKind.OOM, release=None, order=2, gfp_mask=0xD0, wording="oomkilladj"))
    assert found.judgement.cause is Cause.FRAGMENTED
    assert keys(found)[0] == "action:kernel-upgrade"


def test_jumbo_frames() -> None:
    report = recent(normal(2000), order=2, trace=trace("igb_alloc_rx_buffers [igb]", "net_rx_action"))
    assert "action:mtu" in keys(diagnose(report))


@pytest.mark.parametrize("free", [2000, 900])  # blocks too small, and too few pages as well
def test_a_kernel_without_compaction_is_not_told_to_compact(free: int) -> None:
    report = recent(normal(free), kind=ReportKind.OOM, names="GFP_KERNEL", order=2, counters_pages=PLENTY_LEFT)
    assert "action:compact-memory" in keys(diagnose(report))
    found = diagnose(replace(report, notes=(NO_COMPACTION,)))
    assert "action:compact-memory" not in keys(found)
    assert "use a kernel with CONFIG_COMPACTION" in [remedy.action for remedy in found.remedies]
    assert "or compaction" not in found.explanation


def test_a_kernel_without_an_mmu_is_not_told_to_compact() -> None:
    found = diagnose(
        recent(kind=ReportKind.NOMMU_FAILURE, request_bytes=98304, order=None, gfp_mask=None, gfp_names=None)
    )
    assert found.judgement.cause is Cause.FRAGMENTED
    assert keys(found) == ["action:reduce-load"]
    assert "memory was not short" not in str(found.remedies)


def test_before_4_6_there_is_no_watermark_scale_factor() -> None:
    old = failure(
        zone("Normal", 900, 1000, (0, 0, 0), BIG), gfp_mask=0x10D0, release="3.10.0", counters_pages=PLENTY_LEFT
    )
    found = diagnose(old)
    assert found.judgement.cause is Cause.RECLAIM_TOO_SLOW
    assert keys(found) == ["vm.min_free_kbytes"]


def test_a_zone_without_memory_is_not_enlarged_by_a_ratio() -> None:
    report = recent(
        modern("DMA", 0, 0, (0, 0, 0, 0), 0),
        modern("DMA32", 9000, 10, (0, 0, 0, 0), BIG),
        modern("Normal", 90_000, 1000, (0, 0, 0, 0), BIG),
        names="GFP_DMA",
    )
    found = diagnose(report)
    assert found.judgement.cause is Cause.ZONE_RESTRICTED
    assert keys(found) == []
    assert found.remedies[0].action == "no setting can help"


@pytest.mark.parametrize(
    ("more", "action", "words"),
    [
        ({"arch": "x86_64"}, "look for what leaks mappings", "on a 64-bit kernel"),
        ({"arch": "ppc"}, "enlarge the vmalloc area", "for kernel mappings; /proc"),
        ({"arch": None}, "enlarge the vmalloc area", "(on 32-bit kernels); /proc"),
        ({"zones": (modern("HighMem", 1, 1, (), BIG),)}, "enlarge the vmalloc area", "for kernel mappings; /proc"),
        ({"zones": (modern("DMA32", 1, 1, (), BIG),)}, "look for what leaks mappings", "on a 64-bit kernel"),
    ],
)
def test_addresses_run_out_differently_by_the_size_of_an_address(more: dict[str, Any], action: str, words: str) -> None:
    report = replace(recent(kind=ReportKind.VMALLOC_FAILURE, address_space=True, request_bytes=4096), **more)
    (only,) = diagnose(report).remedies
    assert only.action == action
    assert words in only.why


def test_a_mapping_of_huge_pages_falls_back_to_small_ones() -> None:
    report = recent(
        normal(2000),
        kind=ReportKind.VMALLOC_FAILURE,
        order=9,
        request_bytes=0,
        names="GFP_KERNEL|__GFP_HIGHMEM",
        trace=trace("amdgpu_bo_create [amdgpu]"),
    )
    found = diagnose(report)
    assert found.harm == "degraded"
    assert "asked for 512 contiguous pages" in found.explanation
    assert "then takes small pages" in found.explanation
    assert not any("habit" in remedy.why for remedy in found.remedies)


def test_a_restriction_is_questioned_only_where_a_driver_made_it() -> None:
    zones = modern("DMA32", 100, 1000, (0, 0, 0), BIG), normal(90_000)
    for function, questioned in (("dma_direct_alloc [nvme]", True), ("pagecache_get_page", False)):
        found = diagnose(recent(*zones, names="GFP_KERNEL|GFP_DMA32", trace=trace(function)))
        assert found.judgement.cause is Cause.ZONE_RESTRICTED
        assert ("action:kernel-upgrade" in keys(found)) is questioned


class TestBoost:
    """Where a boost alone decided, switching it off comes first, beside what else helps; no mark does."""

    BOOST = "vm.watermark_boost_factor"

    def test_a_driver_of_32_bits_is_asked_all_the_same(self) -> None:
        empty = {"active_file": 0, "inactive_file": 0}
        row = (0, 0, 24_000, 24_000, 24_000)
        low = modern("DMA32", 3179, 4679, row, 772_917, boost_kb=12_000, values_kb=empty)
        high = modern("Normal", 90_000, 16_000, (0, 0, 0, 0, 0), 7_000_000)
        asked: dict[str, Any] = {"names": "GFP_KERNEL|GFP_DMA32", "trace": trace("dma_direct_alloc [nvme]")}
        found = diagnose(recent(low, high, counters_pages=PLENTY_LEFT, **asked))
        assert found.judgement.cause is Cause.ZONE_RESTRICTED
        assert found.judgement.boosted_pages
        assert keys(found) == [self.BOOST, "action:reduce-load", "action:kernel-upgrade"]

    def test_a_driver_still_asks_for_much_at_once(self) -> None:
        large = blocks(300, 0, 0, 1400, letters="U")
        low = modern("Normal", 11_500, 34_148, (0, 0, 0, 0), 4_000_000, boost_kb=80_000, free_blocks=large)
        receiving = trace("igb_alloc_rx_buffers [igb]", "net_rx_action")
        found = diagnose(recent(low, names="GFP_ATOMIC|__GFP_COMP", order=3, trace=receiving))
        assert found.judgement.boosted_pages
        assert keys(found) == [self.BOOST, "action:driver-ring"]

    @pytest.mark.parametrize("names", ["GFP_NOWAIT", WAITS])
    def test_no_mark_is_named_beside_it(self, names: str) -> None:
        found = diagnose(recent(normal(6000, 6656, boost_kb=18_432), names=names, counters_pages=PLENTY_LEFT))
        assert found.judgement.boosted_pages
        assert keys(found) == [self.BOOST]
        assert "No value within 5 %" not in found.explanation

    def test_reclaim_itself_needs_no_setting(self) -> None:
        report = recent(
            normal(6000, 6656, boost_kb=18_432),
            names="GFP_NOWAIT|__GFP_NOMEMALLOC",
            comm="kswapd0",
            trace=trace("zs_malloc [zsmalloc]", "balance_pgdat", "kswapd"),
        )
        (only,) = diagnose(report).remedies
        assert only.action == "nothing to set for this one"


@pytest.mark.parametrize("names", ["GFP_NOWAIT|__GFP_NOMEMALLOC", "GFP_ATOMIC|__GFP_NOMEMALLOC"])
def test_reclaim_goes_on_without_the_page(names: str) -> None:
    found = diagnose(recent(normal(300), names=names, comm="kswapd0", trace=trace("mempool_alloc", "kswapd")))
    assert found.judgement.cause is Cause.ATOMIC_RESERVE_EXHAUSTED
    assert [remedy.action for remedy in found.remedies] == ["nothing to set for this one"]
    assert "would have passed with" not in found.explanation


class TestOneNode:
    """__GFP_THISNODE: the request named its node, nobody confined the task."""

    ZONES = normal(100), modern("Normal", 90_000, 1000, (0, 0, 0, 0), BIG, node=1)

    def test_nothing_is_widened(self) -> None:
        found = diagnose(recent(*self.ZONES, names="GFP_ATOMIC|__GFP_THISNODE", trace=trace("drv_rx [drv]")))
        assert found.judgement.cause is Cause.NODE_RESTRICTED
        assert keys(found) == ["action:reduce-load"]
        assert "drv_rx [drv] asked for memory of that node and no other" in found.remedies[0].why
        assert not any("cpuset" in remedy.action for remedy in found.remedies)

    def test_a_task_that_is_confined(self) -> None:
        found = diagnose(recent(*self.ZONES, names="GFP_KERNEL|__GFP_THISNODE", nodemask="0"))
        assert found.judgement.cause is Cause.NODE_RESTRICTED
        assert found.remedies[0].action == "widen the cpuset or memory policy"


# Known changes of the kernel


@pytest.mark.parametrize(
    ("release", "order", "words"),
    [
        ("2.6.32-279.el6.x86_64", 1, "plenty of memory free. As stopgaps"),
        ("2.6.32-358.el6.x86_64", 1, "has that change already"),
        ("2.6.32-279.el6.x86_64", 0, None),
        ("3.2.0-4-amd64", 0, "two free pages more than meant"),
        ("2.6.39-2-686", 0, "two free pages more than meant"),
        ("2.6.37", 0, None),
        ("3.3.0", 0, None),
        ("6.1.0-9-amd64", 1, None),
        (None, 1, "If this is Red Hat 6"),
        (None, 0, None),
    ],
)
def test_known_fixes(release: str | None, order: int, words: str | None) -> None:
    found = diagnose(failure(release=release, order=order))
    if words is None:
        assert not found.fixes
    else:
        assert words in found.remedies[0].why
        assert found.remedies[0].key == "action:kernel-upgrade"


@pytest.mark.parametrize(
    "more",
    [
        {"wording": "failure:"},  # no Red Hat 6
        {"gfp_mask": 0xD0},  # can wait
        {"trace": trace("dump_stack", "cns3xxx_receive")},  # would name its release
    ],
)
def test_what_is_no_red_hat_6(more: dict[str, Any]) -> None:
    assert diagnose(failure(release=None, order=2, wording="failure.")).fixes
    values: dict[str, Any] = {"release": None, "order": 2, "wording": "failure."}
    assert not diagnose(failure(**(values | more))).fixes


@pytest.mark.parametrize(
    ("minimum", "free", "above"),
    [(300, 100, False), (4000, 1400, True)],  # a quarter of what the kernel would have set, and more than it would
)
def test_no_value_below_the_kernels_own_is_advised(minimum: int, free: int, above: bool) -> None:
    found = diagnose(recent(normal(free, minimum)))
    assert found.judgement.cause is Cause.ATOMIC_RESERVE_EXHAUSTED
    own = square_root_kb(BIG, 4096)
    first = found.remedies[0]
    assert first.key == "vm.min_free_kbytes"
    assert first.value is not None
    assert (int(first.value) > own) is above
    assert int(first.value) >= own
    assert ("the kernel's own formula gives it" in first.why) is not above


def test_what_does_not_help_is_marked() -> None:
    """By its words and by its mark alike: what comes first of a report is something to do."""
    words = ("no ", "nothing ", "do not ", "raising ")
    for report in CASES.values():
        for remedy in diagnose(report).remedies:
            told = remedy.action.startswith(words) or remedy.action.endswith("is not the cure")
            assert remedy.against is told, remedy.action


def test_where_free_blocks_are_not_printed_no_value_is_ruled_out() -> None:
    low = normal(300, free_blocks=None)
    found = diagnose(recent(low, order=2))
    assert found.judgement.cause is Cause.ATOMIC_RESERVE_EXHAUSTED
    assert "No value" not in found.explanation
    assert found.remedies[0].action == "raise vm.min_free_kbytes"

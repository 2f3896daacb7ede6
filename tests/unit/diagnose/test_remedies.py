"""What is proposed for each cause: the right knob first, no wrong one, and a value only where it can be computed."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.diagnose.reports import failure, modern, recent, trace, zone

from pagewarden.diagnose.diagnosis import Diagnosis
from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.types import Cause
from pagewarden.klog.types import Memcg, Report, ReportKind

BIG = 300_000
PLENTY_LEFT = {"active_file": 60_000, "inactive_file": 60_000, "slab_reclaimable": 0}


def normal(free: int, **more: Any) -> Any:
    return modern("Normal", free, 1000, (0, 0, 0, 0), BIG, **more)


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
        normal(100), modern("Normal", 90_000, 1000, (0, 0, 0, 0), BIG, node=1), names="GFP_KERNEL", nodemask="0"
    ),
    Cause.RESERVED_FOR_OTHERS: recent(normal(1400, free_cma_kb=5000), names="GFP_KERNEL"),
    Cause.MEMORY_EXHAUSTED: recent(normal(900), names="GFP_KERNEL"),
    Cause.RECLAIM_TOO_SLOW: recent(normal(900), names="GFP_KERNEL", counters_pages=PLENTY_LEFT),
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
    report = recent(normal(2000), order=4, names="GFP_KERNEL", trace=trace("xs_setup_xprt [sunrpc]"))
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


def test_jumbo_frames() -> None:
    report = recent(normal(2000), order=2, trace=trace("igb_alloc_rx_buffers [igb]", "net_rx_action"))
    assert "action:mtu" in keys(diagnose(report))


def test_before_4_6_there_is_no_watermark_scale_factor() -> None:
    old = failure(
        zone("Normal", 900, 1000, (0, 0, 0), BIG), gfp_mask=0xD0, release="3.10.0", counters_pages=PLENTY_LEFT
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

"""Requests that can use only low zones: whom a larger reserve would have kept out, and on which kernels nobody."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.diagnose.reports import PAGE_KB, modern, recent, trace, zone

from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.low_zones import reserve_of
from pagewarden.diagnose.replay import replay
from pagewarden.diagnose.types import Cause
from pagewarden.klog.types import Report, Totals

KEPT = 60_937


def dma32(*reserve: int, free: int = 697, others: int | None = 0, **more: Any) -> Report:
    """Below a Normal that has room."""
    values = {} if others is None else {"active_anon": others * PAGE_KB, "inactive_file": 0}
    dumps = (
        modern("DMA32", free, 797, reserve or (0, 0, KEPT, KEPT, KEPT), 772_917, values_kb=values),
        modern("Normal", 2_000_000, 16_000, (0,) * len(reserve or range(5)), 15_600_000),
    )
    return recent(*dumps, **({"names": "GFP_KERNEL|GFP_DMA32", "trace": trace("ttm_pool_populate [ttm]")} | more))


def first(report: Report) -> tuple[str | None, str]:
    found = diagnose(report)
    assert found.judgement.cause is Cause.ZONE_RESTRICTED, found.explanation
    return found.remedies[0].key, found.remedies[0].why


@pytest.mark.parametrize(
    ("reserve", "free", "own"),
    [
        pytest.param((0, 0, KEPT, KEPT, KEPT), 697, KEPT + 100, id="others stop at min and the reserve"),
        pytest.param((0, 0, KEPT, 0, 0), 697, 0, id="6.10 to 6.13: movable requests stop at min alone"),
        pytest.param((0, 0, 952, 1952, 0), 697, 1052, id="nobody asks for Device; who asks for Normal meets the least"),
        pytest.param((0, 0, 0, 0, 0), 697, 0, id="nothing is kept"),
        pytest.param((0, KEPT, KEPT), 697, KEPT + 100, id="no ZONE_DMA"),
        pytest.param((0, KEPT, KEPT, KEPT), 697, KEPT + 100, id="no ZONE_DMA, but Device"),
    ],
)
def test_what_they_had_taken_themselves(reserve: tuple[int, ...], free: int, own: int) -> None:
    report = dma32(*reserve, free=free)
    found = reserve_of(report, replay(report))
    assert found is not None
    assert found.own_pages == own


@pytest.mark.parametrize("lacks", ["lowmem_reserve_pages", "min_kb", "free_kb"])
def test_half_a_zone_tells_nothing(lacks: str) -> None:
    # DMA32's own requests meet no reserve; those for DMA alone do not reach it.
    values: dict[str, Any] = {lacks: None}
    report = recent(replace(zone("DMA32", 100, 1000, (0, 0, KEPT, KEPT)), **values), names="GFP_KERNEL|GFP_DMA32")
    found = reserve_of(report, replay(report))
    assert found is None or found.own_pages == 0


@pytest.mark.parametrize(
    ("others", "key"),
    [
        pytest.param(0, "action:reduce-load", id="nobody there to be kept out"),
        pytest.param(101, "action:reduce-load", id="no more than was missing"),
        pytest.param(500_000, "vm.lowmem_reserve_ratio", id="programs that could lie higher"),
        pytest.param(None, "action:reduce-load", id="not printed"),
    ],
)
def test_a_larger_reserve_helps_where_it_keeps_somebody_out(others: int | None, key: str) -> None:
    named, why = first(dma32(others=others))
    assert named == key
    assert str(KEPT + 100) in why
    assert ("next to no page cache" in why) is (key == "action:reduce-load" and others is not None)


@pytest.mark.parametrize(
    ("release", "reserve", "mended"),
    [
        ("6.12.10-amd64", (0, 0, KEPT, 0, 0), True),
        ("6.12.30-amd64", (0, 0, KEPT, KEPT, KEPT), False),
        ("6.12.10-amd64", (0, 0, KEPT, 2 * KEPT, 0), False),  # Movable has pages
        ("6.12.10-amd64", (0, 0, 0, 0, 0), False),  # the ratio is off
        ("6.1.158-amd64", (0, 0, KEPT, 0, 0), False),  # not a row that kernel makes
    ],
)
def test_kernels_whose_reserve_keeps_out_no_movable_request(
    release: str, reserve: tuple[int, ...], mended: bool
) -> None:
    key, why = first(dma32(*reserve, release=release))
    assert (key == "action:kernel-upgrade") is mended
    assert ("6.12.19, 6.13.7 or 6.14" in why) is mended


def test_the_answer_is_the_same_where_the_zones_above_are_not_printed() -> None:
    """6.1 and later; the counters of the whole machine tell that these had room."""
    low = modern("DMA32", 100, 1679, (0, 0, 27_343, 27_343, 27_343), 772_917, values_kb={"active_anon": 0})
    report = recent(
        low,
        names="GFP_ATOMIC|GFP_DMA32",
        counters_pages={"free": 2_000_100, "active_file": 10, "inactive_file": 10, "slab_reclaimable": 10},
        totals=Totals(ram_pages=772_917 + 7_000_000, reserved_pages=0),
    )
    named, why = first(report)
    assert named == "action:reduce-load"
    assert f"at least {27_343 + 1679 - 100} pages" in why


def test_page_cache_below_highmem_may_be_that_of_disks() -> None:
    """Blocks of a disk are cached in low memory only: such pages are no others'."""
    cache = {"active_anon": 0, "inactive_anon": 0, "active_file": 40_000, "inactive_file": 0}
    low = modern("Normal", 100, 1600, (0, 0, 60_000, 60_000), 220_000, values_kb=cache)
    high = modern("HighMem", 900_000, 128, (0, 0, 0, 0), 2_000_000)
    named, why = first(recent(low, high, names="GFP_NOIO", arch="i386"))
    assert named == "action:reduce-load"
    assert "next to no memory of programs lies there" in why

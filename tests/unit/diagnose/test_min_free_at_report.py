"""The setting told by the marks of a report, and the smallest with which the request would have passed."""

import random
from dataclasses import replace
from math import isqrt
from typing import Any

import pytest
from bench.made_reports import ERAS, Era, make_report
from tests.unit.diagnose.reports import PAGE_KB, failure, modern, recent, zone

from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.min_free import min_free_at_report, passes_with, smallest_passing
from pagewarden.diagnose.replay import Replay, replay
from pagewarden.klog.sources import reports_in
from pagewarden.klog.types import Report, Totals, ZoneDump

SIZES = {"DMA": 3968, "Normal": 60_944}


def value(report: Report) -> int | None:
    replayed = replay(report)
    found = min_free_at_report(report, replayed)
    return None if found is None else found.value_kb


def split(value_kb: int) -> dict[str, int]:
    """Each zone's min mark, by the kernel's proportional split."""
    total = sum(SIZES.values())
    return {name: (value_kb // 4) * size // total for name, size in SIZES.items()}


def box(value_kb: int, free: int = 100) -> Report:
    marks = split(value_kb)
    return failure(
        zone("DMA", 3000, marks["DMA"], (0, 238, 238, 238), SIZES["DMA"]),
        zone("Normal", free, marks["Normal"], (0, 0, 0, 0), SIZES["Normal"]),
    )


@pytest.mark.parametrize("value_kb", [2038, 4096, 8192, 11585, 65536])
def test_the_setting_is_found_within_a_page_a_zone(value_kb: int) -> None:
    found = value(box(value_kb))
    assert found is not None
    assert abs(found - value_kb) <= 4 * len(SIZES)
    # Whatever is found splits into the same marks.
    assert split(found) == split(value_kb)


def test_the_formula_is_named_where_it_fits() -> None:
    formula = isqrt(sum(SIZES.values()) * 4 * 16)
    assert formula == 2038
    assert "vm.min_free_kbytes=2038, which is just what the kernel's own formula" in diagnose(box(formula)).explanation
    assert "vm.min_free_kbytes of about" in diagnose(box(4096)).explanation


def without(dump: ZoneDump, **changes: object) -> ZoneDump:
    return replace(dump, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["min_kb", "low_kb", "high_kb", "present_kb"])
def test_half_of_what_is_needed_tells_nothing(field: str) -> None:
    first, second = box(4096).zones
    assert value(failure(first, without(second, **{field: None}))) is None


def test_marks_that_no_setting_gives_tell_nothing() -> None:
    first, second = box(4096).zones
    assert value(failure(first, without(second, low_kb=10 * (second.min_kb or 0)))) is None


def would_pass(value_kb: int, free: int, low_now: int) -> bool:
    """By hand: GFP_ATOMIC of one page in Normal of 2.6.32, with the same burst taken from a higher low mark."""
    mark = split(value_kb)["Normal"]
    left = mark - mark // 2
    left -= left // 4
    return free + (mark + (mark >> 2)) - low_now > left


@pytest.mark.parametrize("now", [1000, 2038, 2600])
@pytest.mark.parametrize("short", [1, 2, 20, 100])
def test_the_smallest_value_is_the_smallest(now: int, short: int) -> None:
    mark = split(now)["Normal"]
    least = (mark - mark // 2) - (mark - mark // 2) // 4
    free = least + 1 - short
    report = box(now, free=max(free, 0))
    report = failure(without(report.zones[0], free_kb=40), report.zones[1])
    low_now = mark + (mark >> 2)
    cap = sum(SIZES.values()) * 4 // 20
    expected = next((kb for kb in range(now, cap + 1) if would_pass(kb, max(free, 0), low_now)), None)
    replayed = replay(report)
    setting = min_free_at_report(report, replayed)
    assert setting is not None
    found = smallest_passing(replayed, setting)
    assert (found.value_kb if found else None) == expected
    assert found is None or found.zone == "node 0 Normal"


def test_no_value_is_given_beyond_a_twentieth_of_low_memory() -> None:
    explained = diagnose(recent(modern("Normal", 0, 1200, (0, 0, 0), 100_000)))
    cap = 100_000 * 4 // 20
    value_of = [remedy.value for remedy in explained.remedies if remedy.key == "vm.min_free_kbytes"]
    assert all(text is not None and int(text) <= cap for text in value_of)


@pytest.mark.parametrize("era", ERAS, ids=lambda era: era.release)
def test_made_reports_pass_with_the_value_and_not_with_one_less(era: Era) -> None:
    """Whatever the kernel: the value is a turning point, by the check itself."""
    rng = random.Random(era.release)
    for _ in range(10):
        (report,) = reports_in("\n".join(make_report(era, rng)).encode())
        replayed: Replay = replay(report)
        setting = min_free_at_report(report, replayed)
        found = None if setting is None else smallest_passing(replayed, setting)
        if setting is None or found is None or found.value_kb == setting.value_kb:
            continue
        (where,) = (each for each in replayed.zones if each.name == found.zone)
        assert passes_with(where, replayed, setting, found.value_kb)
        assert not passes_with(where, replayed, setting, found.value_kb - 1)


def scaled(dump: ZoneDump) -> ZoneDump:
    """With the gap that vm.watermark_scale_factor=10 gives a large zone."""
    low = (dump.min_kb or 0) + (dump.managed_kb or 0) // PAGE_KB // 1000 * PAGE_KB
    return replace(dump, low_kb=low, high_kb=2 * low - (dump.min_kb or 0))


class TestZonesLeftOut:
    """What is not printed has its share too: a setting split over the printed zones alone would be too small."""

    ZONES = (
        scaled(modern("DMA", 20, 8, (0, 3019, 30362, 30362, 30362), 3840)),
        scaled(modern("DMA32", 100, 1679, (0, 0, 27343, 27343, 27343), 772_917)),
    )
    NORMAL = scaled(modern("Normal", 1000, 15208, (0, 0, 0, 0, 0), 7_000_000))

    @pytest.mark.parametrize(
        "more",
        [
            pytest.param({"totals": Totals(ram_pages=7_776_757)}, id="pages RAM"),
            pytest.param({"counters_pages": {"free": 2_000_120}}, id="free beyond what is printed"),
            pytest.param({}, id="reserves that grow for Normal"),
        ],
    )
    def test_above_the_mask(self, more: dict[str, Any]) -> None:
        report = recent(*self.ZONES, names="GFP_ATOMIC|GFP_DMA32", **more)
        assert value(report) is None
        found = diagnose(report)
        assert "The marks follow from" not in found.explanation
        assert not any(remedy.key == "vm.min_free_kbytes" and remedy.value for remedy in found.remedies)

    def test_on_another_node(self) -> None:
        report = recent(*self.ZONES, self.NORMAL, names="GFP_KERNEL", totals=Totals(ram_pages=15_776_757))
        assert value(report) is None

    def test_nothing_is_missing(self) -> None:
        report = recent(*self.ZONES, self.NORMAL, totals=Totals(ram_pages=7_776_757), counters_pages={"free": 1500})
        assert value(report) is not None

    def test_highmem_has_no_share(self) -> None:
        zones = (
            modern("DMA", 20, 32, (0, 815, 8715, 8715), 3965),
            modern("Normal", 100, 1684, (0, 0, 63_200, 63_200), 208_700),
        )
        totals = Totals(ram_pages=2_235_065, highmem_pages=2_022_400)
        more: dict[str, Any] = {"arch": "i386", "names": "GFP_KERNEL", "counters_pages": {"free": 300_000}}
        assert value(recent(*zones, totals=totals, **more)) is not None
        more["counters_pages"] = {}
        assert value(recent(*zones, **more)) is not None  # by the reserves: what is missing is HighMem

    def test_until_3_12_holes_counted_as_memory(self) -> None:
        report = box(4096)
        assert value(replace(report, totals=Totals(ram_pages=66_000))) is not None

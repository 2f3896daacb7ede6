"""What is said of where free memory heads: which ends are near enough, in which words, how serious."""

from dataclasses import replace

import pytest
from tests.machines import snapshot, zone

from pagewarden.advise.heading import trend_findings
from pagewarden.advise.observed import Observed, ZoneTrend
from pagewarden.diagnose.trend import Trend
from pagewarden.diagnose.types import Finding
from pagewarden.kernel.machine import machine_of
from pagewarden.procfs.types import Snapshot

HERE = snapshot([zone("DMA32", 262144, marks=(1000, 1250, 1500)), zone("Normal", 262144, marks=(1000, 1250, 1500))])
TWO = snapshot([zone("Normal", 262144, node=n, marks=(1000, 1250, 1500)) for n in range(2)])


def falling(value: float, per_second: float = 10.0, watched: float = 3600.0, doubt: float = 0.0) -> Trend:
    """Pages that fall; `doubt` as a share of the slope."""
    return Trend(value, -per_second, -per_second * (1 + doubt), -per_second * (1 - doubt), watched)


def said(observed: Observed, here: Snapshot = HERE) -> list[Finding]:
    return trend_findings(here, machine_of(here), observed)


@pytest.mark.parametrize(
    ("pages", "watched", "severity", "when"),
    [
        (850, 3600, "warning", "in about 85 s"),
        (900, 3600, "warning", "in about 2 min"),  # 1.5, and halves go to the even one
        (36_000, 3600, "warning", "in about 60 min"),
        (36_020, 3600, "notice", "in about 60 min"),
        (54_000, 3600, "notice", "in about 2 h"),
        (216_000, 3600, "notice", "in about 6 h"),  # six times what was watched
        (216_010, 3600, None, ""),
        (864_000, 86400, "notice", "in about 24 h"),
        (864_010, 86400, None, ""),
        (850, 60, "warning", "in about 85 s"),
        (850, 59.9, None, ""),
        (0, 3600, "warning", "in about 0 s"),
    ],
)
def test_available_memory(pages: float, watched: float, severity: str | None, when: str) -> None:
    found = said(Observed(available_pages=falling(pages, watched=watched)))
    if severity is None:
        assert found == []
        return
    (finding,) = found
    assert (finding.cause, finding.severity) == ("memory-exhausted", severity)
    # 10 pages of 4 KiB a second are 2400 KiB a minute.
    assert finding.text == f"Available memory is used up {when} if it goes on like this: 2.3 MiB a minute."
    assert (finding.evidence[0].what, finding.evidence[0].value) == (
        "available memory a second, between -10 and -10",
        -10,
    )


def test_what_is_not_sure_says_between() -> None:
    (finding,) = said(Observed(available_pages=falling(72_000, doubt=0.5)))
    assert "in about 2 h (between 80 min and 4 h)" in finding.text
    (finding,) = said(Observed(available_pages=falling(216_000, doubt=0.875)))
    assert "(between 3 h and 2 days)" in finding.text


@pytest.mark.parametrize("trend", [Trend(1000, 10, 9, 11, 3600), Trend(1000, -10, -20, 0, 3600), None])
def test_what_need_not_fall_is_not_said(trend: Trend | None) -> None:
    assert said(Observed(available_pages=trend, zones=(ZoneTrend(0, "Normal", trend, 3, trend),))) == []


def test_a_zone_ends_at_its_low_mark_and_its_blocks_at_none() -> None:
    trend = falling(1250 + 3000)
    low, blocks = said(Observed(zones=(ZoneTrend(0, "Normal", trend, 3, falling(300, 0.5)),)))
    assert (low.cause, low.severity, blocks.cause, blocks.severity) == (
        "low-mark-near",
        "info",
        "fragmentation-rising",
        "info",
    )
    assert low.text.startswith("Zone Normal reaches its low mark, where kswapd wakes, in about 5 min if")
    assert "2.3 MiB a minute" in low.text
    assert blocks.text.startswith("Zone Normal has no free block of order 3 or more left in about 10 min if")
    assert blocks.evidence[0].what.startswith("free blocks of order 3 and more a second")


def test_one_of_the_two_alone() -> None:
    assert [f.cause for f in said(Observed(zones=(ZoneTrend(0, "DMA32", falling(2000), 3, None),)))] == [
        "low-mark-near"
    ]
    assert [f.cause for f in said(Observed(zones=(ZoneTrend(0, "DMA32", None, 3, falling(9)),)))] == [
        "fragmentation-rising"
    ]


def test_the_node_is_named_where_there_are_several_and_a_zone_that_is_gone_is_not_spoken_of() -> None:
    zones = (ZoneTrend(1, "Normal", falling(2000), 3, None), ZoneTrend(2, "Normal", falling(2000), 3, None))
    (finding,) = said(Observed(zones=zones), TWO)
    assert finding.text.startswith("Node 1 Normal reaches")


def test_the_rate_is_of_this_machines_pages() -> None:
    here = replace(HERE, page_size=65536)
    (finding,) = said(Observed(available_pages=falling(850)), here)
    assert "37.5 MiB a minute" in finding.text

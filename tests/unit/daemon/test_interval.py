"""How long the service may sleep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagewarden.daemon.interval import nearest_permille, poll_interval_ns
from pagewarden.daemon.types import SECOND_NS, ZoneReading

SHORT, LONG = 2 * SECOND_NS, 60 * SECOND_NS


def zone(free: int, low: int = 1000, managed: int | None = 100_000, name: str = "Normal") -> ZoneReading:
    return ZoneReading(0, name, free, low * 4 // 5, low, low * 6 // 5, managed)


@pytest.mark.parametrize(
    ("free", "seconds"),
    [
        pytest.param(100, 2, id="below the low mark"),
        pytest.param(1000, 2, id="at it"),
        pytest.param(5000, 31, id="half way to far"),
        pytest.param(9000, 60, id="far"),
        pytest.param(90_000, 60, id="farther"),
    ],
)
def test_by_distance(free: int, seconds: int) -> None:
    assert poll_interval_ns([zone(free)], (), 0, SHORT, LONG) == seconds * SECOND_NS


def test_no_zones_are_read_seldom() -> None:
    assert nearest_permille(()) is None
    assert poll_interval_ns((), (), 0, SHORT, LONG) == LONG


def test_a_tiny_zone_does_not_decide() -> None:
    assert poll_interval_ns([zone(90_000), zone(0, 10, 900, "DMA")], (), 0, SHORT, LONG) == LONG


def test_the_nearest_zone_decides() -> None:
    assert poll_interval_ns([zone(90_000), zone(1000, name="DMA32")], (), 0, SHORT, LONG) == SHORT


def test_a_zone_that_falls_fast_is_read_before_it_gets_there() -> None:
    # 40,000 pages in 10 s: the 40,000 left above the low mark last 10 s; half of that.
    assert poll_interval_ns([zone(41_000)], [zone(81_000)], 10 * SECOND_NS, SHORT, LONG) == 5 * SECOND_NS


def test_old_kernels_without_managed_pages() -> None:
    assert poll_interval_ns([zone(5000, managed=None)], (), 0, SHORT, LONG) == 31 * SECOND_NS


@given(
    st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**32), st.integers(0, 2**40)), max_size=4),
    st.integers(0, 10**12),
    st.integers(1, 60),
    st.integers(0, 3600),
)
def test_always_within_the_bounds(zones: list[tuple[int, int, int]], elapsed: int, short: int, more: int) -> None:
    now = [ZoneReading(0, str(i), free, low // 2, low, low, managed) for i, (free, low, managed) in enumerate(zones)]
    before = [ZoneReading(0, str(i), free + 77, low, low, low, managed) for i, (free, low, managed) in enumerate(zones)]
    shortest, longest = short * SECOND_NS, (short + more) * SECOND_NS
    assert shortest <= poll_interval_ns(now, before, elapsed, shortest, longest) <= longest

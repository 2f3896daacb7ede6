"""Lines fitted through samples: known slopes, outliers, noise, and when nothing is said."""

import random
from math import isclose

import pytest

from pagewarden.diagnose.trend import LEAST_SAMPLES, MOST_SAMPLES, fit_trend


def line(slope: float, count: int = 60, step: float = 10.0, start: float = 1000.0) -> list[tuple[float, float]]:
    return [(i * step, start + slope * i * step) for i in range(count)]


@pytest.mark.parametrize("slope", [-7.5, -0.001, 0.25, 100])
@pytest.mark.parametrize("count", [LEAST_SAMPLES, 60, MOST_SAMPLES, 1000])
def test_a_line_is_found(slope: float, count: int) -> None:
    found = fit_trend(line(slope, count))
    assert found is not None
    assert isclose(found.per_second, slope, rel_tol=1e-6)
    assert isclose(found.value, 1000 + slope * 10 * (count - 1), rel_tol=1e-6)
    assert found.span_seconds == 10 * (count - 1)
    assert found.falling is (slope < 0)


@pytest.mark.parametrize("count", [0, 1, LEAST_SAMPLES - 1])
def test_too_few_samples_say_nothing(count: int) -> None:
    assert fit_trend(line(-1, count)) is None


def test_samples_of_one_instant_say_nothing() -> None:
    assert fit_trend([(5.0, float(i)) for i in range(20)]) is None


def test_a_constant_neither_falls_nor_ends() -> None:
    found = fit_trend(line(0))
    assert found is not None
    assert found.per_second == 0
    assert not found.falling
    assert found.seconds_until(0) is None


def test_a_quarter_of_wild_samples_does_not_matter() -> None:
    rng = random.Random(1)
    samples = [(s, v * 50 if rng.random() < 0.25 else v) for s, v in line(-1, 100, start=5000)]
    found = fit_trend(samples)
    assert found is not None
    assert -2 < found.per_second < -0.9
    least_squares = _least_squares(samples)
    assert not -2 < least_squares < -0.9, "the samples are too tame to tell the two apart"


def _least_squares(samples: list[tuple[float, float]]) -> float:
    mean_x, mean_y = (sum(values) / len(samples) for values in zip(*samples, strict=True))
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / sum((x - mean_x) ** 2 for x, _ in samples)


def test_noise_without_a_trend_is_rarely_called_one() -> None:
    """An interval of 90 %: one in twenty lies wholly below zero by chance."""
    rng = random.Random(7)
    found = [fit_trend([(float(i), rng.gauss(0, 1)) for i in range(40)]) for _ in range(200)]
    falling = sum(trend.falling for trend in found if trend is not None)
    assert 1 <= falling <= 24


def test_the_bounds_hold_the_slope() -> None:
    rng = random.Random(3)
    inside = 0
    for _ in range(200):
        trend = fit_trend([(float(i), 500 - 2.0 * i + rng.gauss(0, 20)) for i in range(40)])
        assert trend is not None
        assert trend.least_per_second <= trend.per_second <= trend.most_per_second
        inside += trend.least_per_second <= -2.0 <= trend.most_per_second
    assert 165 <= inside <= 195


def test_the_end_is_between_its_bounds() -> None:
    found = fit_trend(line(-2, 60, start=3000))  # 1820 at the last sample
    assert found is not None
    ends = found.seconds_until(20)
    assert ends is not None
    assert ends == pytest.approx((900, 900, 900))
    assert found.seconds_until(5000) == (0, 0, 0)  # already below


def test_a_saw_tooth_is_no_trend() -> None:
    """kswapd at work: down to the low mark, up to the high one, again and again."""
    found = fit_trend([(float(i), 1000.0 - 50 * (i % 10)) for i in range(100)])
    assert found is not None
    assert not found.falling

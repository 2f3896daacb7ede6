"""Where a quantity is heading, fitted so that single outliers do not matter, and with its uncertainty.

The slope is the median of the slopes of all pairs of samples (Theil and Sen), its interval the one of Sen: a trend is
stated only where the whole interval lies on one side of zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

LEAST_SAMPLES = 8
MOST_SAMPLES = 120
"""Pairs grow with the square; a longer series is thinned to this many."""

NORMAL_95 = 1.645
"""The 95 % point of the normal distribution: an interval of 90 %."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A fitted line.

    :ivar value: where it stands at the last sample.
    :ivar per_second: its slope, with the bounds within which it lies (90 %).
    :ivar span_seconds: how long it was watched.
    """

    value: float
    per_second: float
    least_per_second: float
    most_per_second: float
    span_seconds: float

    @property
    def falling(self) -> bool:
        """The quantity falls, beyond doubt."""
        return self.most_per_second < 0

    def seconds_until(self, floor: float) -> tuple[float, float, float] | None:
        """Soonest, likeliest and latest time until it has fallen to a value; None where it need not fall."""
        if not self.falling:
            return None
        left = max(0.0, self.value - floor)
        return left / -self.least_per_second, left / -self.per_second, left / -self.most_per_second


def fit_trend(samples: Sequence[tuple[float, float]]) -> Trend | None:
    """Fit a line to (seconds, value) samples in the order of time; None where there are too few of them.

    :param samples: seconds by one monotonic clock.
    """
    if len(samples) > MOST_SAMPLES:
        step = len(samples) / MOST_SAMPLES
        samples = [samples[int(index * step)] for index in range(MOST_SAMPLES - 1)] + [samples[-1]]
    slopes = sorted(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for index, earlier in enumerate(samples)
        for later in samples[index + 1 :]
        if later[0] > earlier[0]
    )
    if len(samples) < LEAST_SAMPLES or not slopes:
        return None
    slope = median(slopes)
    count = len(samples)
    # Variance of Kendall's statistic without ties; the ranks of the slopes that bound the interval follow from it.
    spread = NORMAL_95 * sqrt(count * (count - 1) * (2 * count + 5) / 18)
    lowest = max(0, int((len(slopes) - spread) / 2))
    highest = min(len(slopes) - 1, int((len(slopes) + spread) / 2))
    offset = median(value - slope * seconds for seconds, value in samples)
    return Trend(
        offset + slope * samples[-1][0], slope, slopes[lowest], slopes[highest], samples[-1][0] - samples[0][0]
    )

"""Pictures of the history as numbers on a canvas: where each line, bar and label goes. The page draws them as SVG."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pagewarden.history.types import Overview, ZoneOverview, ZoneSample
from pagewarden.units import human_bytes

WIDTH = 720
HEIGHT = 150
BARS_HEIGHT = 60
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis with its label; `x` or `y` in units of the canvas."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Cell:
    """What hovering over one slice of time shows."""

    x: float
    width: float
    label: str


@dataclass(frozen=True, slots=True)
class ZoneChart:
    """One zone over time; y grows downwards, by the logarithm of the memory.

    :ivar lines: the lowest free memory, one list of points for each stretch without a gap.
    :ivar marks: (name of the mark, its stretches).
    """

    lines: tuple[str, ...]
    marks: tuple[tuple[str, tuple[str, ...]], ...]
    ticks: tuple[Tick, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a counter."""

    x: float
    y: float
    width: float
    height: float
    label: str


def zone_chart(zone: ZoneOverview, labels: Sequence[str]) -> ZoneChart:
    """Draw one zone.

    :param labels: of each slice, when it was.
    """
    step = WIDTH / len(zone.slices)
    values = {
        name: [None if part is None else getattr(part, f"{name}_pages") for part in zone.slices]
        for name in ("lowest_free", "min", "low", "high")
    }
    known = [pages for row in values.values() for pages in row if pages is not None]
    scale = _Scale(max(min(known, default=1), 1), max(max(known, default=2), 2))
    drawn = {name: tuple(_stretches(row, step, scale)) for name, row in values.items()}
    return ZoneChart(
        lines=drawn.pop("lowest_free"),
        marks=tuple(drawn.items()),
        ticks=tuple(Tick(scale.y(pages), human_bytes(pages * zone.page_size)) for pages in scale.ticks(zone.page_size)),
        cells=tuple(
            Cell(index * step, step, f"{labels[index]}: {_cell_text(part, zone.page_size)}")
            for index, part in enumerate(zone.slices)
        ),
    )


def bars(values: Sequence[float | None], labels: Sequence[str], unit: str) -> tuple[Bar, ...]:
    """Draw a quantity by slice, the largest over the whole height; None (not known) has no bar."""
    step = WIDTH / len(values)
    largest = max((value for value in values if value is not None), default=0.0) or 1.0
    drawn = []
    for index, value in enumerate(values):
        if value:
            height = max(value / largest * BARS_HEIGHT, 1.0)
            label = f"{labels[index]}: {value:,.4g} {unit}"
            drawn.append(Bar(index * step, BARS_HEIGHT - height, step, height, label))
    return tuple(drawn)


def time_ticks(overview: Overview, labels: Sequence[str]) -> tuple[Tick, ...]:
    """Label the time axis at six places."""
    count = len(overview.slices)
    places = [round(index * (count - 1) / 5) for index in range(6)]
    return tuple(Tick(place * WIDTH / count, labels[place]) for place in dict.fromkeys(places))


def event_places(times: Iterable[float], overview: Overview) -> tuple[float, ...]:
    """Where on the time axis events lie."""
    span = overview.until_seconds - overview.since_seconds
    inside = (time for time in times if overview.since_seconds <= time <= overview.until_seconds)
    return tuple(sorted({round((time - overview.since_seconds) / span * WIDTH, 1) for time in inside}))


def _cell_text(part: ZoneSample | None, page_size: int) -> str:
    if part is None:
        return "no reading"
    marks = ", ".join(
        f"{name} {human_bytes(pages * page_size)}"
        for name, pages in (("min", part.min_pages), ("low", part.low_pages), ("high", part.high_pages))
    )
    return f"lowest {human_bytes(part.lowest_free_pages * page_size)} ({marks})"


@dataclass(frozen=True, slots=True)
class _Scale:
    lowest: int
    highest: int

    def y(self, pages: float) -> float:
        low, high = math.log(self.lowest), math.log(max(self.highest, self.lowest + 1))
        share = (math.log(max(pages, self.lowest)) - low) / (high - low)
        return round(HEIGHT - 4 - share * (HEIGHT - 8), 1)

    def ticks(self, page_size: int) -> list[int]:
        """Powers of two of memory within the scale, at most six; its ends where there are not two."""
        powers = [2**exponent // page_size for exponent in range(12, 60)]
        inside = [pages for pages in powers if self.lowest <= pages <= self.highest]
        if len(inside) < 2:
            return sorted({self.lowest, self.highest})
        return inside[:: max(math.ceil(len(inside) / 6), 1)]


def _stretches(values: Sequence[int | None], step: float, scale: _Scale) -> Iterable[str]:
    points: list[str] = []
    for index, value in enumerate([*values, None]):
        if value is not None:
            y = scale.y(value)
            points += [f"{index * step:.1f},{y}", f"{(index + 1) * step:.1f},{y}"]
        elif points:
            yield " ".join(points)
            points = []

"""Line charts as inline SVG: nothing to load, nothing to run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fathom.report.model import Chart, Curve

WIDTH, HEIGHT = 440, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 34


@dataclass(frozen=True)
class Line:
    """A curve in the chart's pixels; `points` is what SVG's polyline takes."""

    name: str
    points: str
    number: int
    dots: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Tick:
    """A label at a place along an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Drawing:
    """A chart ready to be written: lines, and ticks of both axes."""

    chart: Chart
    lines: Sequence[Line]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, count: int) -> list[Tick]:
        step = (self.high - self.low) / (count - 1)
        return [Tick(self(value), f"{value:.3g}") for value in (self.low + n * step for n in range(count))]

    def whole_ticks(self, most: int) -> list[Tick]:
        """Return ticks at whole numbers: there is no epoch 2.25."""
        step = max(1, math.ceil((self.high - self.low) / (most - 1)))
        return [Tick(self(n), str(n)) for n in range(math.ceil(self.low), math.floor(self.high) + 1, step)]


def draw(chart: Chart) -> Drawing | None:
    """Return `chart` in pixels, or None where no curve has a point."""
    points = [point for curve in chart.curves for point in curve.points]
    if not points:
        return None
    x = _scale([p[0] for p in points], _LEFT, WIDTH - _RIGHT)
    y = _scale([p[1] for p in points], HEIGHT - _BOTTOM, _TOP)
    x_ticks = x.whole_ticks(8) if all(p[0] == int(p[0]) for p in points) else x.ticks(5)
    lines = [_line(curve, number, x, y) for number, curve in enumerate(chart.curves)]
    return Drawing(chart, lines, x_ticks, y.ticks(5))


def _scale(values: Sequence[float], start: float, end: float) -> _Scale:
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return _Scale(low, high, start, end)


def _line(curve: Curve, number: int, x: _Scale, y: _Scale) -> Line:
    dots = [(x(px), y(py)) for px, py in curve.points]
    return Line(curve.name, " ".join(f"{px},{py}" for px, py in dots), number, dots)

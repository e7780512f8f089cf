"""Charts as inline SVG: nothing to load, nothing to run. Colours come from the page's style, by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fathom.report.model import Chart, Curve

WIDTH, HEIGHT = 440, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 12, 44
_MOST_LABELS = 7
_WIDEST_BAR = 44.0


@dataclass(frozen=True)
class Line:
    """A curve in the chart's pixels; `points` is what SVG's polyline takes."""

    name: str
    points: str
    number: int
    dots: Sequence[tuple[float, float]]
    reference: bool = False


@dataclass(frozen=True)
class Bar:
    """A bar in the chart's pixels; `title` is what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Tick:
    """A label at a place along an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Drawing:
    """A chart ready to be written: lines or bars, and ticks of both axes; `summary` says it in words."""

    title: str
    x: str
    y: str
    summary: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    lines: Sequence[Line] = ()
    bars: Sequence[Bar] = ()
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM


@dataclass(frozen=True)
class Scale:
    """From values between `low` and `high` to pixels between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of `value`."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int) -> list[Tick]:
        """Return ticks at round numbers."""
        step = _round_step((self.high - self.low) / most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [Tick(self(n * step), compact(n * step)) for n in range(first, last + 1)]

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
    steps = all(p[0] == int(p[0]) for p in points) and x.high - x.low < 12
    lines = [_line(curve, number, x, y) for number, curve in enumerate(chart.curves)]
    return Drawing(
        title=chart.title,
        x=chart.x,
        y=chart.y,
        summary=f"{chart.title}. {' '.join(_ends(curve, chart.x) for curve in chart.curves if curve.points)}",
        x_ticks=x.whole_ticks(8) if steps else x.ticks(5),
        y_ticks=y.ticks(5),
        lines=lines,
    )


def bars(
    title: str,
    x: str,
    y: str,
    heights: Sequence[float],
    labels: Sequence[str],
    *,
    ends: tuple[float, float] | None = None,
    summary: str = "",
) -> Drawing | None:
    """Return one bar for each label, or None where there is nothing to draw.

    Below them is an axis from one of `ends` to the other; without, as many of the labels as fit.
    """
    if not heights or max(heights) <= 0:
        return None
    scale = Scale(0.0, max(heights), HEIGHT - _BOTTOM, _TOP)
    span = (WIDTH - _RIGHT - _LEFT) / len(heights)
    wide = min(span - min(2.0, span * 0.15), _WIDEST_BAR)
    drawn = [
        Bar(
            round(_LEFT + (n + 0.5) * span - wide / 2, 2),
            scale(height),
            round(wide, 2),
            round(HEIGHT - _BOTTOM - scale(height), 1),
            f"{label} {x}: {compact(height)} {y}",
        )
        for n, (height, label) in enumerate(zip(heights, labels, strict=True))
    ]
    if ends:
        ticks = Scale(*ends, _LEFT, WIDTH - _RIGHT).ticks(_MOST_LABELS)
    else:
        names = (label.replace(" or more", "+") for label in labels)
        middles = [Tick(round(_LEFT + (n + 0.5) * span, 1), name) for n, name in enumerate(names)]
        ticks = middles[:: -(-len(labels) // _MOST_LABELS)]
    return Drawing(title, x, y, f"{title}. {summary}".strip(), ticks, scale.ticks(4), bars=drawn)


def compact(value: float) -> str:
    """Return a number that fits an axis: 0.25, 1,200, 3.4M."""
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:.3g}M"
    return f"{value:,.0f}" if size >= 1000 else f"{value:.3g}"


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(n * power for n in (1, 2, 2.5, 5, 10) if n * power >= step * (1 - 1e-9))


def _scale(values: Sequence[float], start: float, end: float) -> Scale:
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return Scale(low, high, start, end)


def _line(curve: Curve, number: int, x: Scale, y: Scale) -> Line:
    dots = [(x(px), y(py)) for px, py in curve.points]
    return Line(curve.name, " ".join(f"{px},{py}" for px, py in dots), number, dots, curve.reference)


def _ends(curve: Curve, x: str) -> str:
    (x1, y1), (x2, y2) = curve.points[0], curve.points[-1]
    return f"{curve.name}: {compact(y1)} at {x} {compact(x1)}, {compact(y2)} at {x} {compact(x2)}."

"""What a rollout measured, drawn over time: SVG that a page's style colours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise
from typing import Final
from xml.etree.ElementTree import Element

from fathom_operator.analysis.trail import Point, Trail
from fathom_operator.kubectl.markup import Node, tag
from fathom_operator.times import parse

_WIDTH: Final = 640
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 18, 22
#: Of a tick, in seconds: the first with six of them at most.
_TICKS: Final = (10, 30, 60, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 604800)


@dataclass(frozen=True)
class Frame:
    """The time that all plots of one rollout span, and where its share changed."""

    start: datetime
    end: datetime
    #: From when on which percent of the requests; no two alike one after the other.
    weights: Sequence[tuple[datetime, int]]
    told: Sequence[tuple[datetime, str]] = ()

    @property
    def seconds(self) -> float:
        """Return how long it is."""
        return max(1.0, (self.end - self.start).total_seconds())

    def x(self, at: datetime) -> float:
        """Return where a moment is."""
        share = (at - self.start).total_seconds() / self.seconds
        return _LEFT + min(1.0, max(0.0, share)) * (_WIDTH - _LEFT - _RIGHT)


@dataclass(frozen=True)
class _Scale:
    """Where numbers are."""

    low: float
    high: float
    height: int

    def y(self, value: float) -> float:
        """Return where a number is; what is beyond the edges is far beyond them, and clipped."""
        share = (value - self.low) / (self.high - self.low)
        room = self.height - _TOP - _BOTTOM
        return _TOP + (1 - min(3.0, max(-2.0, share))) * room


def frame(trail: Trail, now: datetime) -> Frame | None:
    """Return the frame of a rollout; None of one that has not begun."""
    if trail.started_at is None:
        return None
    moves = [(parse(move.time), move.weight) for move in trail.moves]
    weights = [next(run) for _, run in groupby(moves, key=lambda move: move[1])]
    told = [(parse(each.time), each.command) for each in trail.told]
    end = parse(trail.ended_at) if trail.ended_at else now
    return Frame(parse(trail.started_at), end, weights, told)


def share_plot(frame: Frame) -> Element:
    """Return the candidate's share of the requests over time, and what people told it."""
    height = 120
    scale = _Scale(0, 100, height)
    ends = [at for at, _ in frame.weights[1:]] + [frame.end]
    line = list[tuple[float, float]]()
    for (at, weight), end in zip(frame.weights, ends, strict=False):
        line += [(frame.x(at), scale.y(weight)), (frame.x(end), scale.y(weight))]
    floor = scale.y(0)
    under = [(line[0][0], floor), *line, (line[-1][0], floor)] if line else []
    told = [_told(frame.x(at), f"{at:%H:%M:%S}", word, n, floor) for n, (at, word) in enumerate(frame.told)]
    said = ", ".join(f"{weight} % from {at:%H:%M:%S}" for at, weight in frame.weights)
    return _svg(
        f"Share of the requests: {said}",
        height,
        *_grid(frame, scale, height, ((0, "0 %"), (50, "50 %"), (100, "100 %"))),
        tag("polygon", points=_path(under), class_="under") if under else None,
        tag("polyline", points=_path(line), class_="share"),
        *told,
    )


def check_plot(frame: Frame, points: Sequence[Point], harm: int, name: str, number: int) -> Element:
    """Return the difference of both versions at each look, with its bounds, the margin and the verdicts.

    Args:
        frame: The rollout.
        points: The looks of one check.
        harm: 1 where a positive difference is worse, -1 where a negative one is, 0 if that is not known.
        name: Of the check, for people who hear the page.
        number: Of the plot in the page.
    """
    height = 170
    scale = _scale(points, harm, height)
    clip = f"clip-{number}"
    bottom = height - _BOTTOM
    inside = tag("rect", x=_LEFT, y=_TOP, width=_WIDTH - _LEFT - _RIGHT, height=bottom - _TOP)
    near = 0.12 * (scale.high - scale.low)
    ticks = [(edge, f"{edge:+.3g}") for edge in (scale.low, scale.high) if abs(edge) > near]
    weights = [(at, weight) for at, weight in frame.weights if frame.start < at <= frame.end]
    return _svg(
        _summary(name, points),
        height,
        tag("clipPath", inside, id=clip),
        *_grid(frame, scale, height, [*ticks, (0.0, "0")]),
        *(_step(frame.x(at), weight, bottom) for at, weight in weights),
        tag(
            "g",
            *_margins(points, harm, scale, bottom),
            *_bands(frame, points, scale),
            *_deltas(frame, points, scale),
            **{"clip-path": f"url(#{clip})"},
        ),
        *_verdicts(frame, points, bottom),
        *(_dot(frame, point, scale) for point in points),
    )


def _scale(points: Iterable[Point], harm: int, height: int) -> _Scale:
    """Return a scale with every difference, the margin, and the bounds at the end of each step.

    Bounds are wide at first, and may be endless; a scale that had them all would show nothing else.
    """
    held, bounds = [0.0], list[float]()
    for _, run in groupby(points, key=lambda p: p.step):
        looks = list(run)
        held += [p.delta for p in looks if p.delta is not None]
        held += [m for p in looks if p.margin is not None for m in _edges(p.margin, harm)]
        bounds += [bound for bound in (looks[-1].low, looks[-1].high) if bound is not None]
    low, high = min(held), max(held)
    # As far again as what was measured reaches: a bound may be -1, which says that anything may be.
    most = high - low
    low, high = max(low - most, min([low, *bounds])), min(high + most, max([high, *bounds]))
    room = 0.12 * (high - low) or 1.0
    return _Scale(low - room, high + room, height)


def _edges(margin: float, harm: int) -> tuple[float, ...]:
    return (margin, -margin) if harm == 0 else (harm * margin,)


def _margins(points: Sequence[Point], harm: int, scale: _Scale, bottom: int) -> Iterator[Element]:
    margin = next((p.margin for p in reversed(points) if p.margin is not None), None)
    if margin is None:
        return
    right = _WIDTH - _RIGHT
    for edge in _edges(margin, harm):
        y = scale.y(edge)
        if harm:
            top, low = (_TOP, y) if harm > 0 else (y, float(bottom))
            area = {"x": _LEFT, "y": _n(top), "width": right - _LEFT, "height": _n(max(0.0, low - top))}
            yield tag("rect", class_="worse", **area)
        yield tag("line", class_="margin", x1=_LEFT, x2=right, y1=_n(y), y2=_n(y))


def _bands(frame: Frame, points: Iterable[Point], scale: _Scale) -> Iterator[Element]:
    """Yield the bounds of each step: each begins with no evidence, so nothing joins them."""
    for _, run in groupby(points, key=lambda p: (p.step, p.delta is not None)):
        looks = [p for p in run if p.delta is not None]
        if not looks:
            continue
        upper = [(frame.x(parse(p.time)), scale.y(_or(p.high, scale.high, 1))) for p in looks]
        lower = [(frame.x(parse(p.time)), scale.y(_or(p.low, scale.low, -1))) for p in looks]
        if len(looks) == 1:  # A look has no width.
            upper, lower = _widened(upper), _widened(lower)
        yield tag("polygon", class_="band", points=_path([*upper, *reversed(lower)]))


def _or(bound: float | None, edge: float, sign: int) -> float:
    """Return the bound, or what is beyond the edge where there is none."""
    return edge + sign * abs(edge) if bound is None else bound


def _widened(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    [(x, y)] = points
    return [(x - 2, y), (x + 2, y)]


def _deltas(frame: Frame, points: Iterable[Point], scale: _Scale) -> Iterator[Element]:
    for _, run in groupby(points, key=lambda p: (p.step, p.delta is not None)):
        line = [(frame.x(parse(p.time)), scale.y(p.delta)) for p in run if p.delta is not None]
        if line:
            yield tag("polyline", class_="delta", points=_path(line))


def _verdicts(frame: Frame, points: Sequence[Point], bottom: int) -> Iterator[Element]:
    """Yield a bar under the plot: the verdict from each look to the next."""
    moments = [parse(p.time) for p in points]
    ends = [*moments[1:], frame.end]
    for point, at, end in zip(points, moments, ends, strict=True):
        width = max(1.5, frame.x(end) - frame.x(at))
        area = {"x": _n(frame.x(at)), "y": bottom + 1, "width": _n(width), "height": 4}
        yield tag("rect", class_=f"bar {point.verdict.lower()}", **area)


def _dot(frame: Frame, point: Point, scale: _Scale) -> Element | None:
    if point.delta is None:
        return None
    at = parse(point.time)
    bounds = f"{_number(point.low)} … {_number(point.high)}"
    words = (
        f"{at:%H:%M:%S} {point.verdict}: {_number(point.candidate)} against {_number(point.stable)}, "
        f"difference {_number(point.delta)} ({bounds}), {point.samples:,} samples"
    )
    y = min(max(scale.y(point.delta), _TOP), scale.height - _BOTTOM)
    look = {"cx": _n(frame.x(at)), "cy": _n(y), "r": 2.4}
    return tag("circle", tag("title", words), class_=f"dot {point.verdict.lower()}", **look)


def _told(x: float, when: str, word: str, number: int, floor: float) -> Element:
    """Return the mark of a command; words of commands that follow closely are on lines of their own."""
    return tag(
        "g",
        tag("title", f"{when} told to {word}"),
        tag("line", class_="told", x1=_n(x), x2=_n(x), y1=_TOP, y2=floor),
        tag("text", word, x=_n(min(x + 4, _WIDTH - 50)), y=_TOP + 10 + number % 3 * 14, class_="label"),
    )


def _step(x: float, weight: int, bottom: int) -> Element:
    return tag(
        "g",
        tag("line", class_="step", x1=_n(x), x2=_n(x), y1=_TOP, y2=bottom),
        tag("text", f"{weight} %", x=_n(min(x, _WIDTH - 30)), y=_TOP - 5),
    )


def _grid(frame: Frame, scale: _Scale, height: int, ticks: Iterable[tuple[float, str]]) -> Iterator[Element]:
    """Yield the axes: values at the left, time since the begin below."""
    right, bottom = _WIDTH - _RIGHT, height - _BOTTOM
    for value, words in ticks:
        y = scale.y(value)
        kind = "zero" if words == "0" else "grid"
        yield tag("line", class_=kind, x1=_LEFT, x2=right, y1=_n(y), y2=_n(y))
        yield tag("text", words, x=_LEFT - 6, y=_n(y + 4), **{"text-anchor": "end"})
    every = next((size for size in _TICKS if frame.seconds / size <= 6), _TICKS[-1])
    for number in range(int(frame.seconds // every) + 1):
        x = _LEFT + number * every / frame.seconds * (right - _LEFT)
        anchor = "end" if x > right - 20 else "middle"
        yield tag("text", _since(number * every), x=_n(x), y=bottom + 17, **{"text-anchor": anchor})


def _since(seconds: int) -> str:
    if seconds % 3600 == 0 and seconds:
        return f"{seconds // 3600} h"
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"


def _summary(name: str, points: Sequence[Point]) -> str:
    if not points:
        return f"{name}: nothing was measured"
    changes = [points[0], *(b for a, b in pairwise(points) if a.verdict != b.verdict)]
    verdicts = ", ".join(f"{p.verdict} from {parse(p.time):%H:%M:%S}" for p in changes[-6:])
    return f"{name}: {len(points)} looks; {verdicts}; last difference {_number(points[-1].delta)}"


def _svg(label: str, height: int, *inside: Node) -> Element:
    box = f"0 0 {_WIDTH} {height}"
    return tag("svg", *inside, viewBox=box, role="img", aria_label=label)


def _path(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)


def _n(value: float) -> str:
    return f"{value:.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

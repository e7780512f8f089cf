"""Forest plots: estimates with their intervals, one below the other, beside the line of no difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fathom.report.charts import WIDTH, Scale, Tick
from fathom.report.page import signed

_SIDE: Final = 14
_ROW: Final = 46
_TOP: Final = 6
_BOTTOM: Final = 46


@dataclass(frozen=True)
class Estimated:
    """A difference and its interval; more than 0 is better."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """An estimate in the plot's pixels; `kind` is good, bad, or unsure where the interval holds 0."""

    name: str
    said: str
    kind: str
    y: int
    x: float
    start: float
    end: float


@dataclass(frozen=True)
class Forest:
    """A plot ready to be written; `zero` is the line of no difference, `summary` says all in words."""

    title: str
    x: str
    summary: str
    rows: Sequence[Row]
    ticks: Sequence[Tick]
    zero: float
    height: int
    width: int = WIDTH
    left: int = _SIDE
    right: int = WIDTH - _SIDE


def draw(title: str, x: str, found: Sequence[Estimated]) -> Forest | None:
    """Return `found` in pixels, or None where there is nothing."""
    if not found:
        return None
    low, high = min(0.0, *(e.low for e in found)), max(0.0, *(e.high for e in found))
    room = (high - low) * 0.04 or 0.5
    scale = Scale(low - room, high + room, _SIDE, WIDTH - _SIDE)
    rows = [
        Row(e.name, said(e), kind(e), _TOP + n * _ROW, scale(e.value), scale(e.low), scale(e.high))
        for n, e in enumerate(found)
    ]
    summary = " ".join(f"{row.name}: {row.said}." for row in rows)
    return Forest(
        title=title,
        x=x,
        summary=f"{title}. {summary}",
        rows=rows,
        ticks=scale.ticks(4),
        zero=scale(0.0),
        height=_TOP + len(rows) * _ROW + _BOTTOM,
    )


def said(found: Estimated) -> str:
    """Return an estimate in figures: `+0.0123 (+0.0080 … +0.0166)`."""
    return f"{signed(found.value)} ({signed(found.low)} … {signed(found.high)})"


def kind(found: Estimated) -> str:
    """Return whether an estimate is good, bad, or unsure, its interval holding 0."""
    return "good" if found.low > 0 else "bad" if found.high < 0 else "unsure"

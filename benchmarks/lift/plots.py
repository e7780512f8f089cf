"""Plots as SVG, for a page that GitHub shows: no scripts, no styles from elsewhere."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final

from benchmarks.lift.summary import Row

_WIDTH, _LEFT, _ROW, _TOP, _BOTTOM = 760, 230, 34, 44, 40
_RIGHT: Final = 60
_INK, _QUIET, _BETTER, _WORSE = "#1f2933", "#9aa5b1", "#2563a8", "#b54708"


def write(path: Path, title: str, rows: list[Row]) -> None:
    """Write each arm's AUC minus that of the arm without anything, with its interval, as SVG to `path`."""
    shown = [row for row in rows if row.over_none]
    ends = [e for row in shown if row.over_none for e in (row.over_none.low, row.over_none.high, 0.0)]
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    room = (high - low or 1e-4) * 0.05
    low, high = low - room, high + room

    def x(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    height = _TOP + _ROW * len(shown) + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{_INK}" role="img">',
        f"<title>{escape(title)}: difference in AUC to ids and user features alone</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="24" font-size="15" font-weight="600">{escape(title)}</text>',
    ]
    bottom = height - _BOTTOM
    for tick in _ticks(low, high):
        colour, width = (_INK, 1.2) if tick == 0 else ("#e4e7eb", 1)
        parts.append(_line((x(tick), _TOP - 6), (x(tick), bottom), colour, width))
        parts.append(
            f'<text x="{x(tick):.1f}" y="{bottom + 16}" text-anchor="middle" fill="{_QUIET}" font-size="11">'
            f"{tick:+.3f}</text>"
        )
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}" y="{bottom + 33}" text-anchor="middle" '
        f'fill="{_QUIET}" font-size="11">difference in AUC, 95 % interval</text>'
    )
    for number, row in enumerate(shown):
        found = row.over_none
        assert found is not None, "only such rows are shown"
        y = _TOP + _ROW * number + _ROW / 2
        colour = _BETTER if found.low > 0 else _WORSE if found.high < 0 else _QUIET
        parts += [
            f'<text x="{_LEFT - 14}" y="{y + 4:.1f}" text-anchor="end">{escape(row.arm)}</text>',
            _line((x(found.low), y), (x(found.high), y), colour, 2.5),
            f'<circle cx="{x(found.auc):.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>',
            f'<text x="{x(found.high) + 8:.1f}" y="{y + 4:.1f}" font-size="11">{found.auc:+.4f}</text>',
        ]
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _line(start: tuple[float, float], end: tuple[float, float], colour: str, width: float) -> str:
    (x1, y1), (x2, y2) = start, end
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width}"/>'
    )


def _ticks(low: float, high: float) -> list[float]:
    """Return round values between `low` and `high`, 0 among them if it lies there."""
    step = next(
        (s for s in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1) if (high - low) / s <= 8), high - low
    )
    first = -int(-low / step) if low < 0 else int(low / step) + 1
    return [round(n * step, 6) for n in range(first, int(high / step) + 1)]

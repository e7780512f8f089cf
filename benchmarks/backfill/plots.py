"""Curves as SVG, for a page that GitHub shows: no scripts, no styles from elsewhere."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final

from benchmarks.backfill.summary import Table

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 760, 400, 60, 44, 190, 46
_INK, _QUIET, _GRID = "#1f2933", "#7b8794", "#e4e7eb"
#: The methods that are drawn, and how.
_DRAWN: Final = {
    "MetricCompatible": "#2563a8",
    "MetricCompatibleFrozen": "#5b9bd5",
    "QueryTransform": "#6b4fa0",
    "RankMerge": "#2f8f5b",
    "BackwardCompatible": "#8a6d3b",
    "CutOver": "#9aa5b1",
    "NaiveMerge": "#b54708",
}


def write(path: Path, table: Table) -> None:
    """Write mAP over β of the methods worth a line to `path`; dashes are either model alone."""
    shown = [line for name in _DRAWN if (line := table.line(name))]
    values = [v for line in shown for v in line.curve] + [table.old.mean, table.new.mean]
    low, high = min(values), max(values)
    room = (high - low or 0.01) * 0.06
    low, high = max(low - room, 0), high + room

    def at(beta: float, value: float) -> tuple[float, float]:
        across = _LEFT + beta * (_WIDTH - _LEFT - _RIGHT)
        return across, _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    title = f"{table.data}, {table.trial}: mAP while the gallery moves"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{_INK}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="16" y="24" font-size="15" font-weight="600">{escape(title)}</text>',
    ]
    for tick in _ticks(low, high):
        (x, y), (end, _) = at(0, tick), at(1, tick)
        parts += [_line((x, y), (end, y), _GRID), _text(x - 8, y + 4, f"{tick:.2f}", "end")]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = at(tick, low)
        parts.append(_text(x, y + 18, f"{tick:.0%}", "middle"))
    parts.append(_text(at(0.5, low)[0], _HEIGHT - 8, "share of the items that have moved (β)", "middle"))
    for value in (table.old.mean, table.new.mean):
        (x, y), (end, _) = at(0, value), at(1, value)
        parts.append(_line((x, y), (end, y), _QUIET, 'stroke-dasharray="5 4"'))
    for number, line in enumerate(shown):
        points = " ".join(
            f"{x:.1f},{y:.1f}" for x, y in (at(b, v) for b, v in zip(table.betas, line.curve, strict=True))
        )
        colour = _DRAWN[line.method]
        width = 3 if line.method == "MetricCompatible" else 1.8
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        y = _TOP + 20 * number + 10
        left = _WIDTH - _RIGHT + 14
        parts += [
            _line((left, y - 4), (left + 18, y - 4), colour, 'stroke-width="3"'),
            _text(left + 24, y, line.method),
        ]
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _line(start: tuple[float, float], end: tuple[float, float], colour: str, more: str = "") -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {more}/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _ticks(low: float, high: float) -> list[float]:
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if (high - low) / s <= 8 or s == 0.5)
    first = int(low / step) + 1
    return [round(n * step, 4) for n in range(first, int(high / step) + 1)]

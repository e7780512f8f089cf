"""RecModels as text for people; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from fathom_api import RecModelSpec, RecModelStatus
from fathom_api.analysis import AnalysisResult
from fathom_api.conditions import ConditionType
from fathom_api.recmodel import Rollout, RolloutStatus
from fathom_operator.analysis.trail import Trail
from fathom_operator.conditions import find
from fathom_operator.kubectl.checks import Check, checks
from fathom_operator.kubectl.outlook import next_words, soonest_end, trend
from fathom_operator.times import seconds_since

_BAR: Final = 20
_COLOURS: Final = {"Pass": "32", "Fail": "31", "Inconclusive": "33"}
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"))


def status_lines(
    name: str,
    spec: RecModelSpec,
    status: RecModelStatus,
    now: datetime,
    *,
    colour: bool,
    trail: Trail | None = None,
) -> list[str]:
    """Return what a RecModel does now; with a `trail`, how its checks went so far, too."""
    ready = find(status.conditions, ConditionType.READY)
    lines = [f"{name}  {status.stage}" + (f"  ({ready.reason})" if ready else "")]
    if ready is not None and ready.message:
        lines.append(f"  {ready.message}")
    if status.stable is not None:
        lines.append(f"  stable     {status.stable.name}{_ago(status.stable.promoted_at, now, 'promoted')}")
    if status.candidate is not None:
        lines.append(f"  candidate  {status.candidate.name}{_ago(status.candidate.created_at, now, 'begun')}")
    if status.rollout is not None and spec.serving is not None:
        lines += ["", *_rollout(spec.serving.rollout, status.rollout, now)]
    if status.analysis:
        trends = _trends(status, trail, checks(spec)) if trail else None
        lines += ["", *_analysis(status.analysis, trends, colour=colour)]
    if (said := next_words(name, status)) is not None:
        lines += ["", f"  {said}"]
    return lines


def history_lines(status: RecModelStatus, now: datetime) -> list[str]:
    """Return the versions that were served and those that were rejected, latest first."""
    rows = history_rows(status, now)
    return table(("VERSION", "WHAT", "AGE", ""), rows) if rows else ["nothing was served or rejected yet"]


def history_rows(status: RecModelStatus, now: datetime) -> list[tuple[str, str, str, str]]:
    """Return version, what became of it, its age and more, latest first."""
    served = [
        ("served", v.promoted_at, v.name, f"AUC {v.auc:.4f}" if v.auc is not None else "")
        for v in status.history
    ]
    rejected = [("rejected", r.at, r.name, f"{r.reason}: {r.message}") for r in status.rejected]
    rows = sorted((*served, *rejected), key=lambda row: row[1] or "", reverse=True)
    current = status.stable.name if status.stable else None
    first = next((row for row in rows if row[0] == "served" and row[2] == current), None)
    return [
        (name, "serving" if row is first else what, age(at, now), words)
        for row in rows
        for what, at, name, words in [row]
    ]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows in columns."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)]


def _rollout(rollout: Rollout, status: RolloutStatus, now: datetime) -> Iterable[str]:
    filled = round(_BAR * status.weight / 100)
    since = f" for {age(status.step_started_at, now)}" if status.step_started_at else ""
    yield f"  {'█' * filled}{'░' * (_BAR - filled)} {status.weight} % of the requests, {status.phase}{since}"
    weights = [f"{step.weight} %" for step in rollout.steps] + ["100 %"]
    marks = ["✓" if i < status.step else "▸" if i == status.step else "·" for i in range(len(weights))]
    yield "  " + "   ".join(f"{mark} {weight}" for mark, weight in zip(marks, weights, strict=True))
    if status.message:
        yield f"  {status.message}"
    if (left := soonest_end(rollout, status, now)) is not None:
        yield f"  promoted in {_lasts(left)} at the soonest, if every check passes"


def _trends(status: RecModelStatus, trail: Trail, known: Mapping[str, Check]) -> list[str]:
    return [trend(trail.points.get(r.metric, []), known.get(r.metric, Check()).harm) for r in status.analysis]


def _analysis(results: Sequence[AnalysisResult], trends: Sequence[str] | None, *, colour: bool) -> list[str]:
    rows = [
        (
            r.metric,
            r.verdict + (" (dry run)" if r.dry_run else ""),
            number(r.stable),
            number(r.candidate),
            number(r.delta, sign=True),
            f"{number(r.interval.low, sign=True)} … {number(r.interval.high, sign=True)}"
            if r.interval
            else "",
            number(r.margin),
            f"{r.samples:,}",
        )
        for r in results
    ]
    columns = ("METRIC", "VERDICT", "STABLE", "CANDIDATE", "DELTA", "INTERVAL", "MARGIN", "SAMPLES")
    if trends is not None:
        columns += ("HARM SO FAR",)
        rows = [(*row, bars) for row, bars in zip(rows, trends, strict=True)]
    head, *lines = table(columns, rows)
    painted = [_painted(line, r.verdict, colour=colour) for line, r in zip(lines, results, strict=True)]
    why = [f"{r.metric}: {r.message}" for r in results if r.verdict != "Pass" and r.message]
    return [f"  {line}" for line in (head, *painted, *why)]


def _painted(line: str, verdict: str, *, colour: bool) -> str:
    return line.replace(verdict, f"\033[{_COLOURS[verdict]}m{verdict}\033[0m", 1) if colour else line


def number(value: float | None, *, sign: bool = False) -> str:
    """Return a number as people read it."""
    if value is None:
        return "-"
    return f"{value:+.4g}" if sign else f"{value:.4g}"


def _ago(at: str | None, now: datetime, what: str) -> str:
    return f"  {what} {age(at, now)} ago" if at else ""


def _lasts(seconds: float) -> str:
    """Return a time to come, in its two largest units."""
    minutes = math.ceil(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def age(at: str | None, now: datetime) -> str:
    """Return how long ago `at` was, in its largest unit."""
    if at is None:
        return ""
    seconds = max(0, int(seconds_since(at, now)))
    return next((f"{seconds // size}{unit}" for size, unit in _UNITS if seconds >= size), f"{seconds}s")

"""What comes next in a rollout, and how its checks went so far: one line each; pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from fathom_api import RecModelStatus
from fathom_api.rollout import Rollout, RolloutStatus
from fathom_api.types import seconds
from fathom_operator.analysis.trail import Point
from fathom_operator.times import seconds_since

_LEVELS: Final = "▁▂▃▄▅▆▇█"
_LOOKS: Final = 16


def trend(points: Sequence[Point], harm: int) -> str:
    """Return the latest looks of this step as bars: the harm measured, the full height is the margin.

    A look that measured nothing is a dot; what is better than stable has the least height.
    """
    if not points:
        return ""
    looks = [p for p in points if p.step == points[-1].step][-_LOOKS:]
    return "".join(_bar(p, harm) for p in looks)


def _bar(point: Point, harm: int) -> str:
    if point.delta is None or point.margin is None:
        return "·"
    worse = abs(point.delta) if harm == 0 else harm * point.delta
    if point.margin <= 0:
        return _LEVELS[-1] if worse > 0 else _LEVELS[0]
    return _LEVELS[min(len(_LEVELS) - 1, max(0, int(worse / point.margin * len(_LEVELS))))]


def soonest_end(rollout: Rollout, status: RolloutStatus, now: datetime) -> float | None:
    """Return in how many seconds the candidate is promoted if everything passes at once.

    None while it does not go on by itself. Samples and training take what they take: it is the soonest.
    """
    if status.phase in {"Paused", "Promoted", "RolledBack"}:
        return None
    steps = rollout.steps
    waits = [seconds(step.pause) for step in steps] + [seconds(rollout.bake)]
    this = waits[min(max(status.step, 0), len(steps))]
    if status.step < 0:
        this = seconds(rollout.shadow.duration) if rollout.shadow else 0.0
    gone = seconds_since(status.step_started_at, now) if status.step_started_at else 0.0
    return max(0.0, this - gone) + sum(waits[status.step + 1 :])


def next_words(name: str, status: RecModelStatus) -> str | None:
    """Return what people can say now; None if nothing."""
    rollout = status.rollout
    if rollout is None:
        verbs = ["retry"] if status.stage in {"Rejected", "Failed"} else []
    elif rollout.phase == "Paused":
        verbs = ["resume", "promote", "abort"]
    else:
        verbs = ["pause", "promote", "abort"]
    return f"kubectl fathom {'|'.join(verbs)} {name}" if verbs else None

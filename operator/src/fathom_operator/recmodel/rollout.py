"""The walk of a candidate from no requests to all, by readiness and time; pure, time is an argument.

Starting: the candidate is deployed and not ready. Stepping: it is ready at a weight, for as long as the
step says. Promoting: it shall get all requests. Losing readiness leads back to Starting, with a deadline of
its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fathom_api.recmodel import Rollout, RolloutStatus, RolloutStep
from fathom_api.types import seconds
from fathom_operator.times import seconds_since, text


@dataclass(frozen=True)
class Sight:
    """What can be seen of a candidate."""

    ready: bool
    #: Share of the requests it gets, in percent.
    percent: int
    #: Why it is not ready, if anybody says.
    message: str = ""


@dataclass(frozen=True)
class Move:
    """What to do next; `percent` is the share the candidate shall get once it is ready, None all of it."""

    verdict: Literal["Going", "Promoted", "Rejected"]
    status: RolloutStatus
    percent: int | None = None
    message: str = ""
    look_again: float | None = None


def begin(now: datetime) -> RolloutStatus:
    """Return the status of a rollout that begins."""
    return RolloutStatus(phase="Starting", started_at=text(now))


def advance(status: RolloutStatus, rollout: Rollout, sight: Sight, now: datetime, *, canary: bool) -> Move:
    """Return the next move; without `canary` (nothing is served that needs sparing) there are no steps."""
    steps = rollout.steps if canary else []
    if not sight.ready:
        return _not_ready(status, rollout, steps, sight, now)
    return _ready(status.model_copy(update={"weight": sight.percent}), steps, sight, now)


def _not_ready(
    status: RolloutStatus, rollout: Rollout, steps: Sequence[RolloutStep], sight: Sight, now: datetime
) -> Move:
    if status.phase != "Starting":
        again = {"phase": "Starting", "started_at": text(now), "step_started_at": None}
        status = status.model_copy(update=again)
    status = status.model_copy(update={"weight": sight.percent})
    left = seconds(rollout.progress_deadline) - seconds_since(status.started_at or text(now), now)
    why = f": {sight.message}" if sight.message else ""
    if left <= 0:
        return Move("Rejected", status, message=f"not ready within {rollout.progress_deadline}{why}")
    return Move("Going", status, _percent(steps, status.step), f"waiting for it to be ready{why}", left)


def _ready(status: RolloutStatus, steps: Sequence[RolloutStep], sight: Sight, now: datetime) -> Move:
    last = status.step >= len(steps)
    phase = "Promoting" if last else "Stepping"
    percent = _percent(steps, status.step)
    wanted = 100 if percent is None else percent
    if sight.percent != wanted:
        status = status.model_copy(update={"phase": phase, "step_started_at": None})
        return Move("Going", status, percent, f"waiting for {wanted} % of the requests to reach it")
    if last:
        return Move("Promoted", status.model_copy(update={"phase": phase}))
    started = status.step_started_at or text(now)
    left = seconds(steps[status.step].pause) - seconds_since(started, now)
    if left > 0:
        status = status.model_copy(update={"phase": phase, "step_started_at": started})
        return Move("Going", status, percent, f"{wanted} % of the requests reach it", left)
    return _next_step(status, steps)


def _next_step(status: RolloutStatus, steps: Sequence[RolloutStep]) -> Move:
    step = status.step + 1
    phase = "Promoting" if step >= len(steps) else "Stepping"
    status = status.model_copy(update={"phase": phase, "step": step, "step_started_at": None})
    percent = _percent(steps, step)
    return Move("Going", status, percent, f"raising its share of the requests to {percent or 100} %")


def _percent(steps: Sequence[RolloutStep], step: int) -> int | None:
    return steps[step].weight if step < len(steps) else None

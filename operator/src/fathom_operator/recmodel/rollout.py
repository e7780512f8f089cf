"""The walk of a candidate from no requests to all, whatever shares them; pure.

`analysis.decide` says what to do next; here it is told what is seen, and its answer becomes a share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

from fathom_api.analysis import AnalysisResult
from fathom_api.recmodel import Rollout, RolloutStatus
from fathom_api.types import seconds
from fathom_operator.analysis import decide as rules
from fathom_operator.analysis.decide import Action, Command, Sight
from fathom_operator.analysis.judge import Seen, judge
from fathom_operator.recmodel.evidence import Shown
from fathom_operator.times import soonest

__all__ = ["Move", "Sight", "advance", "at_once", "begin"]

_VERDICTS: Final[dict[Action, Literal["Going", "Paused", "Promoted", "Rejected"]]] = {
    "Hold": "Going",
    "Advance": "Going",
    "Pause": "Paused",
    "Done": "Promoted",
    "Rollback": "Rejected",
}


@dataclass(frozen=True)
class Move:
    """What to do next; `percent` is the share the candidate shall get once it is ready, None all of it."""

    verdict: Literal["Going", "Paused", "Promoted", "Rejected"]
    reason: str
    status: RolloutStatus
    percent: int | None = None
    #: Copies of the requests that it shall get, in percent.
    mirror: int = 0
    message: str = ""
    look_again: float | None = None
    #: What the metrics say at this look.
    results: Sequence[AnalysisResult] = field(default_factory=tuple[AnalysisResult, ...])

    @property
    def passes(self) -> bool:
        """Return whether a step was passed just now."""
        return self.reason in {"StepPassed", "PromotedByUser"}


def begin(rollout: Rollout, now: datetime) -> RolloutStatus:
    """Return the status of a rollout that begins."""
    return rules.begin(rollout, now)


def at_once(rollout: Rollout) -> Rollout:
    """Return the rollout where nothing is served that needs sparing: no steps, nothing to compare with."""
    return rollout.model_copy(update={"steps": [], "analysis": [], "shadow": None, "bake": "0s"})


def advance(
    status: RolloutStatus,
    rollout: Rollout,
    sight: Sight,
    now: datetime,
    *,
    shown: Shown | None = None,
    command: Command | None = None,
    kept: int = 0,
) -> Move:
    """Return the next move.

    Args:
        status: Where the rollout is.
        rollout: What the spec says of it.
        sight: What is seen of the candidate.
        now: The time.
        shown: What this candidate has shown in this step.
        command: What people say that has not been obeyed yet.
        kept: Share of the requests that stable keeps while the candidate bakes, in percent.
    """
    baking = status.step >= len(rollout.steps) and seconds(rollout.bake) > 0
    if baking and sight.percent == 100 - kept:
        sight = replace(sight, percent=100)
    results: list[AnalysisResult] = []
    if shown is not None and shown.step == status.step:
        sight = replace(sight, samples=int(shown.evidence.candidate_requests()), restarts=shown.restarts)
        if status.step_started_at is not None and shown.at is not None:
            # As of the look, not of now: in between nothing new is known, and nothing new is written.
            seen = Seen(shown.evidence, status.step, shown.values, shown.said, shown.evaluation)
            results = judge(rollout, seen, shown.at)
    decision = rules.decide(rollout, status, sight, results, now, command)
    return Move(
        _VERDICTS[decision.action],
        decision.reason,
        decision.status,
        _percent(rollout, decision, kept),
        decision.mirror,
        decision.message,
        soonest(decision.look_again, seconds(rollout.interval) if rollout.analysis else None),
        results,
    )


def _percent(rollout: Rollout, decision: rules.Decision, kept: int) -> int | None:
    if decision.status.step < len(rollout.steps):
        return decision.weight
    return 100 - kept if kept and seconds(rollout.bake) > 0 and decision.action != "Done" else None

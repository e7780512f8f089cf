"""What a rollout does next; pure: a chain of rules, the first that applies speaks.

Order is the point: harm before waiting. A candidate that fails is taken back also while the rollout is
paused, while it waits and while it bakes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from fathom_api.analysis import AnalysisResult
from fathom_api.rollout import Rollout, RolloutStatus
from fathom_api.types import seconds
from fathom_operator.analysis.judge import SHADOW, samples_needed
from fathom_operator.times import seconds_since, text

Action = Literal["Hold", "Advance", "Rollback", "Pause", "Done"]
Command = Literal["Promote", "Pause", "Resume", "Abort", "Retry"]


@dataclass(frozen=True)
class Sight:
    """What can be seen of the candidate."""

    ready: bool
    #: Share of the requests that reach it, in percent; of the copies in a shadow.
    percent: int
    #: Whether what shares the requests has taken that share in.
    settled: bool = True
    #: Requests it has answered in this step.
    samples: int = 0
    #: Restarts of its containers in this step, of which there should be none.
    restarts: int = 0
    #: It ended with the exit code that says that trying again cannot help.
    hopeless: bool = False
    #: Why it is not ready, or restarted, if anybody says.
    message: str = ""


@dataclass(frozen=True)
class Decision:
    """What to do; `weight` is the share of the requests that the candidate shall have, in percent."""

    action: Action
    reason: str
    message: str
    status: RolloutStatus
    weight: int
    #: Copies of requests that the candidate shall have, in percent.
    mirror: int = 0
    #: Seconds until time alone may change the decision; None if it cannot.
    look_again: float | None = None


@dataclass(frozen=True)
class Case:
    """All that a rule may ask about."""

    rollout: Rollout
    status: RolloutStatus
    sight: Sight
    results: Sequence[AnalysisResult]
    command: Command | None
    now: datetime

    @property
    def baking(self) -> bool:
        """Return whether the candidate has, or shall have, all requests."""
        return self.status.step >= len(self.rollout.steps)

    @property
    def weight(self) -> int:
        """Return the share of the requests that this step gives the candidate."""
        if self.status.step == SHADOW:
            return 0
        return 100 if self.baking else self.rollout.steps[self.status.step].weight

    @property
    def mirror(self) -> int:
        """Return the share of the requests that this step copies to the candidate."""
        return self.rollout.shadow.weight if self.status.step == SHADOW and self.rollout.shadow else 0

    @property
    def reached(self) -> int:
        """Return the share of the requests whose answers the candidate gives: none of the copies."""
        return 0 if self.status.step == SHADOW else self.sight.percent

    @property
    def shared(self) -> bool:
        """Return whether stable and candidate both get requests, or copies of them."""
        return not self.baking and bool(self.weight or self.mirror)

    @property
    def wait(self) -> float:
        """Return for how many seconds this step lasts at least."""
        if self.status.step == SHADOW:
            return seconds(self.rollout.shadow.duration) if self.rollout.shadow else 0.0
        return seconds(self.rollout.bake if self.baking else self.rollout.steps[self.status.step].pause)

    def having(self, verdict: str) -> list[AnalysisResult]:
        """Return the metrics with this verdict that may decide."""
        return [r for r in self.results if r.verdict == verdict and not r.dry_run]

    def since_step(self) -> float:
        """Return for how long the candidate has been ready at this weight, in seconds."""
        return seconds_since(self.status.step_started_at or text(self.now), self.now)

    def decision(
        self, action: Action, reason: str, message: str, look_again: float | None = None, **changes: object
    ) -> Decision:
        """Return a decision that leaves the candidate the share that it has in this step."""
        status = self.status.model_copy(update={"weight": self.reached, "message": message, **changes})
        return Decision(action, reason, message, status, self.weight, self.mirror, look_again)


Rule = Callable[[Case], Decision | None]


def begin(rollout: Rollout, now: datetime) -> RolloutStatus:
    """Return the status of a rollout that begins."""
    step = 0 if rollout.shadow is None else SHADOW
    return RolloutStatus(phase="Starting", step=step, started_at=text(now))


def decide(  # noqa: PLR0917
    rollout: Rollout,
    status: RolloutStatus,
    sight: Sight,
    results: Sequence[AnalysisResult],
    now: datetime,
    command: Command | None = None,
) -> Decision:
    """Return what to do next; `results` are of this step, `command` what people said since the last look."""
    case = Case(rollout, status, sight, results, command, now)
    return next(decision for rule in RULES if (decision := rule(case)) is not None)


def _is_over(case: Case) -> Decision | None:
    """Leave alone what has ended, until people ask for another try."""
    if case.status.phase == "RolledBack":
        if case.command == "Retry":
            again = begin(case.rollout, case.now)
            return Decision("Hold", "Retried", "tried again, as asked", again, 0)
        return Decision("Hold", "RolledBack", case.status.message, case.status, 0)
    if case.status.phase == "Promoted":
        return Decision("Done", "Promoted", case.status.message, case.status, 100)
    return None


def _aborted(case: Case) -> Decision | None:
    return _taken_back(case, "Aborted", "aborted by a person") if case.command == "Abort" else None


def _promoted(case: Case) -> Decision | None:
    """Skip what is left of the steps: a person has decided."""
    if case.command != "Promote":
        return None
    if case.baking and case.sight.percent == 100:
        return case.decision("Done", "Promoted", "promoted by a person", phase="Promoted", paused_by=None)
    return _to(case, len(case.rollout.steps), "PromotedByUser", "promoted by a person")


def _failed(case: Case) -> Decision | None:
    """Take back, or stop, what is shown to be worse."""
    failed = case.having("Fail")
    if not failed:
        return None
    return _on_failure(case, "AnalysisFailed", "; ".join(f"{r.metric}: {r.message}" for r in failed))


def _hopeless(case: Case) -> Decision | None:
    if not case.sight.hopeless:
        return None
    return _taken_back(case, "CandidateRefused", _why("it cannot be served", case.sight))


def _restarting(case: Case) -> Decision | None:
    """A pod that was killed counts no errors: restarts are harm that its metrics cannot show."""
    if case.sight.restarts < case.rollout.max_restarts:
        return None
    return _on_failure(case, "CandidateRestarts", _why(f"{case.sight.restarts} restarts", case.sight))


def _not_ready(case: Case) -> Decision | None:
    """Wait for a candidate that is not ready, for as long as the deadline says."""
    if case.sight.ready:
        return None
    starting = case.status.phase == "Starting"
    began = (starting and case.status.started_at) or text(case.now)
    left = seconds(case.rollout.progress_deadline) - seconds_since(began, case.now)
    if left <= 0:
        deadline = case.rollout.progress_deadline
        return _taken_back(case, "CandidateNotReady", _why(f"not ready within {deadline}", case.sight))
    message = _why("waiting for it to be ready", case.sight)
    return case.decision(
        "Hold", "NotReady", message, left, phase="Starting", started_at=began, step_started_at=None
    )


def _paused_by_people(case: Case) -> Decision | None:
    if case.command != "Resume" and case.status.paused_by == "Failure":
        return case.decision("Pause", "AnalysisFailed", case.status.message)
    if case.command == "Pause" or (case.status.paused_by == "User" and case.command != "Resume"):
        return case.decision("Pause", "PausedByUser", "paused by a person", phase="Paused", paused_by="User")
    return None


def _resumed(case: Case) -> Decision | None:
    """Begin the time of this step anew: what was waited for in vain is waited for again."""
    if case.command != "Resume" or case.status.phase != "Paused":
        return None
    phase, started = _phase(case), text(case.now)
    return case.decision(
        "Hold", "Resumed", "resumed by a person", 0.0, phase=phase, step_started_at=started, paused_by=None
    )


def _weight_not_there(case: Case) -> Decision | None:
    """Measure nothing, and count no time, before the requests are shared as they shall be."""
    wanted = case.mirror or case.weight
    if case.sight.percent == wanted and case.sight.settled:
        return None
    phase = case.status.phase if case.status.paused_by else _phase(case)
    phase = "Promoting" if case.baking else phase
    message = f"waiting for {wanted} % of the requests to reach it"
    message = message if case.sight.settled else _why(message, case.sight)
    return case.decision("Hold", "WaitingForWeight", message, phase=phase, step_started_at=None)


def _too_early(case: Case) -> Decision | None:
    left = case.wait - case.since_step()
    if left <= 0:
        return None
    started = case.status.step_started_at or text(case.now)
    phase = case.status.phase if case.status.paused_by else _phase(case)
    copies = "copies of " if case.status.step == SHADOW else ""
    message = f"{copies}{case.sight.percent} % of the requests reach it"
    return case.decision("Hold", "Waiting", message, left, phase=phase, step_started_at=started)


def _inconclusive(case: Case) -> Decision | None:
    """Wait for what is not known yet, then ask people: never pass it, never guess."""
    unknown = [f"{r.metric}: {r.message}" for r in case.having("Inconclusive")]
    needed = samples_needed(case.rollout, case.status.step)
    if case.results and case.shared and case.sight.samples < needed:
        unknown.insert(0, f"{case.sight.samples:,} of {needed:,} requests")
    if not unknown:
        return None
    message = "; ".join(unknown)[:1000]
    left = case.wait + seconds(case.rollout.analysis_deadline) - case.since_step()
    started = case.status.step_started_at or text(case.now)
    if left <= 0:
        return case.decision("Pause", "Inconclusive", message, phase="Paused", paused_by="Inconclusive")
    return case.decision(
        "Hold", "Inconclusive", message, left, phase=_phase(case), step_started_at=started, paused_by=None
    )


def _go_on(case: Case) -> Decision:
    if case.baking:
        return case.decision("Done", "Promoted", "it has all requests", phase="Promoted", paused_by=None)
    return _to(case, case.status.step + 1, "StepPassed", "raising its share of the requests")


#: The first that applies speaks.
RULES: Final[tuple[Rule, ...]] = (
    _is_over,
    _aborted,
    _promoted,
    _failed,
    _hopeless,
    _restarting,
    _not_ready,
    _paused_by_people,
    _resumed,
    _weight_not_there,
    _too_early,
    _inconclusive,
    _go_on,
)


def _phase(case: Case) -> str:
    if case.status.step == SHADOW:
        return "Shadowing"
    return "Baking" if case.baking else "Stepping"


def _to(case: Case, step: int, reason: str, message: str) -> Decision:
    """Return the decision to begin `step`."""
    last = step >= len(case.rollout.steps)
    weight = 100 if last else case.rollout.steps[step].weight
    message = f"{message} to {weight} %" if reason == "StepPassed" else message
    changes = {"phase": "Promoting" if last else "Stepping", "step": step, "step_started_at": None}
    status = case.status.model_copy(
        update={**changes, "weight": case.reached, "paused_by": None, "message": message}
    )
    return Decision("Advance", reason, message, status, weight)


def _on_failure(case: Case, reason: str, message: str) -> Decision:
    if case.rollout.on_failure == "Rollback":
        return _taken_back(case, reason, message)
    return case.decision("Pause", reason, message[:1000], phase="Paused", paused_by="Failure")


def _taken_back(case: Case, reason: str, message: str) -> Decision:
    changes = {"phase": "RolledBack", "paused_by": None, "message": message[:1000], "step_started_at": None}
    status = case.status.model_copy(update={**changes, "weight": case.reached})
    return Decision("Rollback", reason, message, status, 0)


def _why(message: str, sight: Sight) -> str:
    return f"{message}: {sight.message}" if sight.message else message

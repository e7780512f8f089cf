"""Making and judging a version: which Job is next, what the finished ones say; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from fathom_api import Reason, RecModelStatus
from fathom_api.analysis import Scores
from fathom_api.progress import CHOSEN, Outcome
from fathom_api.recmodel import Arm, ArmMetrics, GateVerdict, Metrics, TrainingStatus, Version
from fathom_operator.failures import Failure, held_up, why_failed
from fathom_operator.plan import Ref
from fathom_operator.progress import Tally, finite, tally
from fathom_operator.recmodel.course import Course
from fathom_operator.recmodel.gate import judge
from fathom_operator.recmodel.observe import RecModelSeen
from fathom_operator.times import text
from fathom_operator.views import latest_by_index
from fathom_operator.work import Work, WorkState, state_of, superfluous

_NAMES: Final[dict[Arm, str]] = {
    "Captions": "the model",
    "WithoutCaptions": "the control without captions",
    "ShuffledCaptions": "the control with shuffled captions",
}


States = dict[Arm, WorkState]
Tallies = dict[Arm, Tally]


@dataclass(frozen=True)
class Progressed:
    """How far a version is; `work` is to be done now."""

    status: RecModelStatus
    stage: Literal["Training", "Evaluating", "Failed", "Judged"]
    why: Failure
    stalled: bool = False
    work: Work | None = None
    delete: tuple[Ref, ...] = ()


def progress(seen: RecModelSeen, course: Course, status: RecModelStatus) -> Progressed:
    """Return how far the version of `course` is and what is next."""
    training, evaluation = course.training(), course.evaluation()
    states: States = {arm: state_of(work, seen.jobs, seen.pods) for arm, work in training.items()}
    status = _trained(seen, course, status, states)
    delete = superfluous_now(seen, course)
    for arm, work in training.items():
        if not states[arm].complete:
            return _at_work(
                status, "Training", work, states[arm], delete=delete, doing=f"training {_NAMES[arm]}"
            )
    state = state_of(evaluation, seen.jobs, seen.pods)
    if not state.complete:
        return _at_work(status, "Evaluating", evaluation, state, delete=delete, doing="evaluating")
    return _evaluated(course, status, evaluation, state, delete)


def superfluous_now(seen: RecModelSeen, course: Course) -> tuple[Ref, ...]:
    """Return Jobs of other versions, and how pods met that have met."""
    works = [*course.training().values(), course.evaluation()]
    return (*superfluous(works, seen.jobs), *_meeting_places(seen, works))


def all_measured(course: Course, status: RecModelStatus) -> bool:
    """Return whether the latest evaluation has all that the gate compares."""
    return {*course.spec.evaluation.gate.against} - {"Serving"} <= {m.arm for m in status.metrics}


def judged(course: Course, status: RecModelStatus) -> RecModelStatus:
    """Return `status` with the verdicts of the gate as it is now on what was measured."""
    verdicts = judge(course.spec.evaluation.gate, _by_arm(status.metrics))
    return status.model_copy(update={"gates": verdicts})


def _meeting_places(seen: RecModelSeen, works: list[Work]) -> tuple[Ref, ...]:
    """Return the Services and NetworkPolicies of pods that worked together and are done."""
    wanted = {work.name for work in works if not state_of(work, seen.jobs, seen.pods).complete}
    needed = wanted | {job.name for job in seen.jobs if not job.finished}
    # The Service of the resource's own name is the way to what is served.
    needed.add(seen.owner.name)
    kinds = {"Service", "NetworkPolicy"}
    return tuple(child for child in seen.children if child.kind in kinds and child.name not in needed)


def _at_work(
    status: RecModelStatus,
    stage: Literal["Training", "Evaluating"],
    work: Work,
    state: WorkState,
    *,
    delete: tuple[Ref, ...],
    doing: str,
) -> Progressed:
    if state.failed:
        return Progressed(status, "Failed", why_failed(state), stalled=True, delete=delete)
    reason = Reason.TRAINING if stage == "Training" else Reason.EVALUATING
    why = held_up(state, reason) or Failure(reason, doing)
    return Progressed(status, stage, why, why.reason == Reason.MISSING_SECRET, work, delete)


def _trained(seen: RecModelSeen, course: Course, status: RecModelStatus, states: States) -> RecModelStatus:
    """Return `status` with the candidate and how far its training is."""
    tallies: Tallies = {arm: _tally(seen, state) for arm, state in states.items()}
    before = status.candidate
    if before is None or before.name != course.version:
        before = Version(name=course.version, created_at=text(seen.now))
    made = latest_by_index(states["Captions"].pods).get(0) if states["Captions"].complete else None
    outcome = made.outcome if made else None
    candidate = before.model_copy(
        update={
            "uri": course.bundle("Captions"),
            "digest": (outcome.digest if outcome else None) or before.digest,
            "parameters": _chosen(outcome) or before.parameters,
        }
    )
    heard = max((t.last_at for t in tallies.values() if t.last_at), default=None)
    return status.model_copy(
        update={
            "candidate": candidate,
            "training": _training_status(status.training, states, tallies),
            "last_progress_time": text(heard) if heard else status.last_progress_time,
        }
    )


def _tally(seen: RecModelSeen, state: WorkState) -> Tally:
    """Return what the pods of a training say.

    Of those that work together one speaks for all, another one after a restart: the latest word counts.
    """
    said = {pod.uid: seen.reports[pod.uid] for pod in state.pods if pod.uid in seen.reports}
    latest = max(said, key=lambda uid: said[uid].at, default=None)
    return tally(state, {latest: said[latest]} if latest else {})


def _chosen(outcome: Outcome | None) -> dict[str, float] | None:
    """Return the parameters that a search chose."""
    numbers = finite(outcome.progress.metrics) if outcome else {}
    return {n.removeprefix(CHOSEN): v for n, v in numbers.items() if n.startswith(CHOSEN)} or None


def _training_status(
    before: TrainingStatus | None,
    states: States,
    tallies: Tallies,
) -> TrainingStatus:
    done = [1.0 if states[arm].complete else tallies[arm].fraction for arm in states]
    # The arm at work; once all are trained, the model itself.
    at_work: list[Arm] = [arm for arm in states if not states[arm].complete]
    arm = at_work[0] if at_work else "Captions"
    metrics = tallies[arm].metrics or {}
    rows, known = tallies[arm].per_second, before or TrainingStatus()
    return TrainingStatus(
        percent=int(100 * sum(done) / len(done)),
        epoch=metrics.get("epoch", 0.0),
        rows_per_second=round(rows, 1) if rows else None,
        validation_auc=metrics.get("validation_auc", known.validation_auc),
    )


def _evaluated(
    course: Course, status: RecModelStatus, work: Work, state: WorkState, delete: tuple[Ref, ...]
) -> Progressed:
    told = _told(course, status, state)
    if not told and state.job is not None:
        # The numbers went with the pod before anybody read them: measure once more.
        again = Failure(Reason.EVALUATING, "evaluating again: the first result was lost with its pod")
        lost = (Ref("Job", state.job.name), Ref("ConfigMap", state.job.name))
        return Progressed(status, "Evaluating", again, delete=(*delete, *lost))
    status = _measured(course, status, told).model_copy(update={"scores": _scores(course, status, state)})
    status = judged(course, status)
    return Progressed(status, "Judged", Failure(Reason.COMPLETE, _in_words(status.gates)), delete=delete)


def _told(course: Course, status: RecModelStatus, state: WorkState) -> dict[str, Metrics]:
    """Return the metrics of each arm: the pod's, or those read from it before."""
    pod = latest_by_index(state.pods).get(0)
    if pod is not None and pod.outcome is not None and pod.outcome.arms:
        return {arm: Metrics.model_validate(_rounded(m)) for arm, m in pod.outcome.arms.items()}
    return {m.arm: m for m in status.metrics} if status.evaluation_uri == course.evaluation_uri else {}


def _scores(course: Course, status: RecModelStatus, state: WorkState) -> Scores | None:
    """Return the candidate's scores of the test split: the pod's, or those read from it before."""
    pod = latest_by_index(state.pods).get(0)
    if pod is not None and pod.outcome is not None and pod.outcome.scores is not None:
        return pod.outcome.scores
    return status.scores if status.evaluation_uri == course.evaluation_uri else None


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics as people read them; their sampling error is far above the sixth digit."""
    return {name: round(value, 6) for name, value in finite(metrics).items()}


def _measured(course: Course, status: RecModelStatus, told: dict[str, Metrics]) -> RecModelStatus:
    order: tuple[Arm, ...] = ("Captions", "WithoutCaptions", "ShuffledCaptions", "Serving")
    metrics = [
        ArmMetrics.model_validate(told[arm].model_dump() | {"arm": arm}) for arm in order if arm in told
    ]
    auc = {m.arm: m.auc for m in metrics}
    captions, without = auc.get("Captions"), auc.get("WithoutCaptions")
    lift = None if captions is None or without is None else round(captions - without, 6)
    candidate = status.candidate
    return status.model_copy(
        update={
            "metrics": metrics,
            "caption_lift": lift,
            "evaluation_uri": course.evaluation_uri,
            "report_uri": course.report_uri,
            "candidate": candidate.model_copy(update={"auc": captions}) if candidate else None,
        }
    )


def _by_arm(metrics: list[ArmMetrics]) -> dict[Arm, Metrics]:
    return {m.arm: m for m in metrics}


def _in_words(verdicts: list[GateVerdict]) -> str:
    return "; ".join(f"{v.verdict}: {v.message}" for v in verdicts) or "no comparison was asked for"

"""What shall be done about a CaptionJob; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from fathom_api import CaptionJobSpec, CaptionJobStatus, Reason
from fathom_api.captionjob import Stage
from fathom_operator.captionjob import runs
from fathom_operator.captionjob.desired import works
from fathom_operator.captionjob.finish import finished, lived
from fathom_operator.captionjob.limits import exceeded
from fathom_operator.captionjob.needs import Needs, needs
from fathom_operator.captionjob.observe import CaptionJobSeen
from fathom_operator.captionjob.status import States, counts_of, gathered, is_done, paced
from fathom_operator.captionjob.usage import counted
from fathom_operator.claims import LOOK_FOR_CLAIM
from fathom_operator.failures import Failure, held_up, missing_claims, why_failed
from fathom_operator.plan import Plan, Ref
from fathom_operator.platform import Platform
from fathom_operator.times import text
from fathom_operator.work import Work, WorkState, halted, state_of, superfluous


@dataclass(frozen=True)
class _Step:
    stage: Stage
    reason: Reason
    doing: str


_STEPS: Final = {
    "plan": _Step("Planning", Reason.PLANNING, "looking at the source and dealing its items into shards"),
    "finetune": _Step("FineTuning", Reason.FINE_TUNING, "fine-tuning the model"),
    "caption": _Step("Captioning", Reason.CAPTIONING, "captioning"),
    "featurise": _Step("Featurising", Reason.FEATURISING, "turning captions into features"),
}


@dataclass(frozen=True)
class _Course:
    """The run that is worked on: what has to be done for it and how that stands."""

    seen: CaptionJobSeen
    spec: CaptionJobSpec
    platform: Platform
    needed: Needs
    todo: tuple[Work, ...]
    states: States

    def current(self, status: CaptionJobStatus) -> Work | None:
        """Return what is to be done now, None if all is done, or nothing more can be yet."""
        return next((work for work in self.todo if not is_done(work.stage, status)), None)

    @property
    def leftovers(self) -> tuple[Ref, ...]:
        """Return the Jobs of earlier runs and of earlier templates."""
        return superfluous(self.todo, self.seen.jobs)


def decide(seen: CaptionJobSeen, platform: Platform) -> Plan:
    """Return what shall be."""
    if seen.spec is None:
        return refuse(seen, seen.invalid)
    try:
        status = runs.current(seen, seen.spec)
    except ValueError as error:
        return refuse(seen, str(error))
    needed = needs(seen, seen.spec, status.run)
    if needed.invalid:
        return replace(refuse(seen, needed.invalid), waits_for=needed.waits_for)
    if needed.model is not None:
        status = status.model_copy(update={"run": status.run.model_copy(update={"model": needed.model})})
    course = _course(seen, seen.spec, platform, status, needed)
    plan = _next(course, _observed(course, status))
    return replace(lived(seen, seen.spec, plan), waits_for=needed.waits_for)


def refuse(seen: CaptionJobSeen, message: str) -> Plan:
    """Return what shall be when the spec, or a pod made from it, is not valid."""
    status = seen.status.model_copy(update={"observed_generation": seen.generation})
    return finished(
        seen, status, "Stalled", Failure(Reason.INVALID_SPEC, f"{message}. Mend the spec and apply it again.")
    )


def _course(
    seen: CaptionJobSeen, spec: CaptionJobSpec, platform: Platform, status: CaptionJobStatus, needed: Needs
) -> _Course:
    todo = works(spec, seen.owner, platform, status.run, needed.model)
    states = {work.stage: state_of(work, seen.jobs, seen.pods) for work in todo}
    return _Course(seen, spec, platform, needed, todo, states)


def _observed(course: _Course, status: CaptionJobStatus) -> CaptionJobStatus:
    """Return `status` with what pods said and used, and with the time in which nothing could be done."""
    seen, spec = course.seen, course.spec
    status = gathered(seen, spec, status, course.todo, course.states)
    current = course.current(status)
    job = course.states[current.stage].job if current else None
    stands = spec.suspend or status.stage == "Failed" or (job is not None and job.suspended)
    run = runs.paused(status.run, seen.now, pausing=current is not None and stands)
    usage = counted(status.usage, seen.pods, course.platform.prices, seen.now)
    return status.model_copy(update={"usage": usage, "run": run})


def _next(course: _Course, status: CaptionJobStatus) -> Plan:
    current = course.current(status)
    if current is None and course.needed.missing is None:
        return _complete(course, status)
    if current is None:
        return _waiting(course, status)
    state = course.states[current.stage]
    if state.failed:
        return _failed(course, status, _explained(status, why_failed(state)))
    failure = _exceeded(course, status)
    if failure or course.spec.suspend:
        rest = _failed(course, status, failure) if failure else _suspended(course, status)
        return _halted(course, current, state, rest)
    if course.seen.missing_claims and state.job is None:
        return _missing_claims(course, status)
    return _working(course, status, current, state)


def _exceeded(course: _Course, status: CaptionJobStatus) -> Failure | None:
    caption = next((work for work in course.todo if work.stage == "caption"), None)
    counts = counts_of(caption, course.states["caption"], course.seen, status.run) if caption else None
    return exceeded(course.seen, course.spec, status, counts)


def _complete(course: _Course, status: CaptionJobStatus) -> Plan:
    now, run = text(course.seen.now), status.run
    if run.end_time is None:
        run = run.model_copy(update={"end_time": now, "last_success_time": now, "suspended_time": None})
    status = status.model_copy(
        update={
            "stage": "Complete",
            "percent": 100,
            "items_per_second": None,
            "estimated_completion_time": None,
            "completion_time": status.completion_time or now,
            "run": run,
        }
    )
    items, features = status.items, status.features
    size = features.vocabulary_size if features else 0
    message = f"{items.done} of {items.total} items have captions; {size} token ids"
    plan = finished(course.seen, status, "Ready", Failure(Reason.COMPLETE, message))
    return _until_next(course, status, plan)


def _failed(course: _Course, status: CaptionJobStatus, failure: Failure) -> Plan:
    now = course.seen.now
    run = runs.paused(status.run, now, pausing=True)
    run = run.model_copy(update={"end_time": run.end_time or text(now)})
    status = _at_rest(status, "Failed").model_copy(update={"run": run})
    return _until_next(course, status, finished(course.seen, status, "Stalled", failure))


def _suspended(course: _Course, status: CaptionJobStatus) -> Plan:
    items = status.items
    message = f"suspended at {items.done} of {items.total} items: unset spec.suspend to go on"
    why = Failure(Reason.SUSPENDED, message)
    return finished(course.seen, _at_rest(status, "Suspended"), "Suspended", why)


def _until_next(course: _Course, status: CaptionJobStatus, plan: Plan) -> Plan:
    due = None if course.spec.suspend else runs.next_due(course.spec, status.run)
    if due is None:
        return plan
    return replace(plan, look_again=max(0.0, (due - course.seen.now).total_seconds()))


def _halted(course: _Course, work: Work, state: WorkState, plan: Plan) -> Plan:
    """Return `plan` with the pods told to go."""
    desired, gone = halted(work, state.job, course.platform)
    return replace(plan, desired=desired, delete=(*course.leftovers, *plan.delete, *gone))


def _waiting(course: _Course, status: CaptionJobStatus) -> Plan:
    """Return a plan that waits for the model of another CaptionJob."""
    why = course.needed.missing
    if why is None:
        raise ValueError("nothing is missing")
    state = "Stalled" if course.needed.stalled else "Reconciling"
    return finished(course.seen, _at_rest(status, "Pending"), state, why)


def _missing_claims(course: _Course, status: CaptionJobStatus) -> Plan:
    why = missing_claims(course.seen.missing_claims, course.seen.owner.namespace)
    plan = finished(course.seen, _at_rest(status, "Pending"), "Stalled", why)
    return replace(plan, look_again=LOOK_FOR_CLAIM)


def _at_rest(status: CaptionJobStatus, stage: Stage) -> CaptionJobStatus:
    return status.model_copy(
        update={"stage": stage, "items_per_second": None, "estimated_completion_time": None}
    )


def _working(course: _Course, status: CaptionJobStatus, current: Work, state: WorkState) -> Plan:
    seen, step = course.seen, _STEPS[current.stage]
    if status.stage != step.stage:
        status = status.model_copy(update={"percent": 0, "estimated_completion_time": None})
    status = paced(status, seen, counts_of(current, state, seen, status.run), current.stage)
    run = status.run.model_copy(
        update={"start_time": status.run.start_time or text(seen.now), "end_time": None}
    )
    status = status.model_copy(
        update={
            "stage": step.stage,
            "completion_time": None,
            "items_per_second": status.items_per_second if current.stage == "caption" else None,
            "run": run,
        }
    )
    why = _doing(step, state, status)
    stalled = why.reason == Reason.MISSING_SECRET
    plan = finished(seen, status, "Stalled" if stalled else "Reconciling", why)
    checkpoint = status.last_checkpoint_time if current.stage == "caption" else None
    desired = replace(current, checkpoint=checkpoint).objects(course.platform)
    return replace(plan, desired=desired, delete=course.leftovers, look_again=_time_left(course, status))


def _time_left(course: _Course, status: CaptionJobStatus) -> float | None:
    beyond = runs.overdue(status.run, course.spec.active_deadline_seconds, course.seen.now)
    return None if beyond is None else max(0.0, -beyond.total_seconds())


def _doing(step: _Step, state: WorkState, status: CaptionJobStatus) -> Failure:
    if held := held_up(state, step.reason):
        return held
    items, number = status.items, status.run.number
    counts = f": {items.done} of {items.total} items" if step.stage == "Captioning" and items.total else ""
    again = f"run {number}: " if number > 1 else ""
    return Failure(step.reason, f"{again}{step.doing}{counts}")


def _explained(status: CaptionJobStatus, failure: Failure) -> Failure:
    """Return why work failed; until the first plan is done the spec can still be corrected."""
    if status.start_time is not None:
        return failure
    return Failure(
        failure.reason, f"{failure.message} What the spec says of the source may still change, too."
    )

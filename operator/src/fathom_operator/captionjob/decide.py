"""What shall be done about a CaptionJob; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from fathom_api import CaptionJobSpec, CaptionJobStatus, ConditionType, Reason
from fathom_api.captionjob import Items, Stage
from fathom_api.types import allowed_failures
from fathom_operator.captionjob.desired import works
from fathom_operator.captionjob.observe import CaptionJobSeen
from fathom_operator.captionjob.status import gathered, paced
from fathom_operator.conditions import Claim, State, find, merge, summary
from fathom_operator.failures import Failure, why_failed, why_waiting
from fathom_operator.notes import changed
from fathom_operator.plan import Plan, Ref
from fathom_operator.platform import Platform
from fathom_operator.progress import tally
from fathom_operator.times import text
from fathom_operator.work import Work, WorkState, state_of, superfluous

#: How often a missing claim is looked for again, in seconds.
_LOOK_FOR_CLAIM: Final = 10.0


@dataclass(frozen=True)
class _Step:
    stage: Stage
    reason: Reason
    doing: str


_STEPS: Final = {
    "finetune": _Step("FineTuning", Reason.FINE_TUNING, "fine-tuning the model"),
    "caption": _Step("Captioning", Reason.CAPTIONING, "captioning"),
    "featurise": _Step("Featurising", Reason.FEATURISING, "turning captions into features"),
}


def decide(seen: CaptionJobSeen, platform: Platform) -> Plan:
    """Return what shall be."""
    if seen.spec is None:
        return refuse(seen, seen.invalid)
    spec = seen.spec
    todo = works(spec, seen.owner, platform, seen.retry)
    states = {work.stage: state_of(work, seen.jobs, seen.pods) for work in todo}
    status = gathered(seen, spec, todo, states)
    current = next((work for work in todo if not _done(work.stage, status)), None)
    if current is None:
        return _complete(seen, status)
    if failure := _too_many_failed(seen, spec, status, states["caption"]):
        caption = _caption_work(todo)
        return _stop(seen, status, failure, work=caption, state=states["caption"], platform=platform)
    if states[current.stage].failed:
        return _failed(seen, status, why_failed(states[current.stage]))
    if seen.missing_claims and states[current.stage].job is None:
        return _missing_claims(seen, status)
    return _working(seen, status, todo, current=current, state=states[current.stage], platform=platform)


def refuse(seen: CaptionJobSeen, message: str) -> Plan:
    """Return what shall be when the spec, or a pod made from it, is not valid."""
    status = seen.status.model_copy(update={"observed_generation": seen.generation})
    return _plan(
        seen, status, "Stalled", Reason.INVALID_SPEC, f"{message}. Mend the spec and apply it again."
    )


def _done(stage: str, status: CaptionJobStatus) -> bool:
    made = {
        "finetune": status.fine_tune.model if status.fine_tune else None,
        "caption": status.captions,
        "featurise": status.features,
    }
    return made[stage] is not None


def _complete(seen: CaptionJobSeen, status: CaptionJobStatus) -> Plan:
    status = status.model_copy(
        update={
            "stage": "Complete",
            "percent": 100,
            "items_per_second": None,
            "estimated_completion_time": None,
            "completion_time": status.completion_time or text(seen.now),
        }
    )
    items, features = status.items, status.features
    size = features.vocabulary_size if features else 0
    message = f"{items.done} of {items.total} items have captions; {size} token ids"
    return _plan(seen, status, "Ready", Reason.COMPLETE, message)


def _too_many_failed(
    seen: CaptionJobSeen, spec: CaptionJobSpec, status: CaptionJobStatus, state: WorkState
) -> Failure | None:
    if state.job is None and status.captions is None:
        return None
    # Before every shard has said how much it holds, the share that may fail is not known.
    ready = find(seen.status.conditions, ConditionType.READY)
    known_before = ready is not None and ready.reason == Reason.TOO_MANY_FAILED_ITEMS
    told = tally(state, seen.reports, spec.shards)
    if not (known_before or told.heard == spec.shards or state.complete):
        return None
    items, limit = status.items, spec.failure_policy.max_failed_items
    if items.failed <= allowed_failures(limit, items.total):
        return None
    return Failure(
        Reason.TOO_MANY_FAILED_ITEMS,
        f"{items.failed} of {items.total} items failed, {limit} may: see {status.errors_uri}, mend them and "
        "set the annotation fathom.dev/retry to a new value, or raise spec.failurePolicy.maxFailedItems",
    )


def _stop(
    seen: CaptionJobSeen,
    status: CaptionJobStatus,
    failure: Failure,
    *,
    work: Work,
    state: WorkState,
    platform: Platform,
) -> Plan:
    """Return a plan that stops the pods but keeps their Job: with a higher limit it goes on from there."""
    if state.job is not None and state.complete and state.job.name != work.name:
        return _caption_again(seen, status, work, state.job.name, platform)
    running = state.job is not None and not state.job.finished and state.job.name == work.name
    desired = replace(work, parallelism=0).objects(platform) if running else ()
    return replace(_failed(seen, status, failure), desired=desired)


def _caption_again(
    seen: CaptionJobSeen, status: CaptionJobStatus, work: Work, old: str, platform: Platform
) -> Plan:
    """Return a plan that captions what failed once more: somebody asked for it after mending it."""
    status = status.model_copy(
        update={"captions": None, "items": Items(), "errors_uri": None, "stage": "Captioning", "percent": 0}
    )
    plan = _plan(seen, status, "Reconciling", Reason.CAPTIONING, "captioning what failed once more")
    gone = (Ref("Job", old), Ref("ConfigMap", old))
    return replace(plan, desired=work.objects(platform), delete=gone)


def _failed(seen: CaptionJobSeen, status: CaptionJobStatus, failure: Failure) -> Plan:
    status = status.model_copy(
        update={"stage": "Failed", "items_per_second": None, "estimated_completion_time": None}
    )
    return _plan(seen, status, "Stalled", failure.reason, failure.message)


def _missing_claims(seen: CaptionJobSeen, status: CaptionJobStatus) -> Plan:
    names = ", ".join(sorted(seen.missing_claims))
    message = (
        f"no PersistentVolumeClaim {names} in namespace {seen.owner.namespace}: create it, or correct "
        "the pvc:// URIs in the spec; work begins by itself then"
    )
    status = status.model_copy(update={"stage": "Pending"})
    plan = _plan(seen, status, "Stalled", Reason.MISSING_CLAIM, message)
    return replace(plan, look_again=_LOOK_FOR_CLAIM)


def _working(
    seen: CaptionJobSeen,
    status: CaptionJobStatus,
    todo: tuple[Work, ...],
    *,
    current: Work,
    state: WorkState,
    platform: Platform,
) -> Plan:
    step = _STEPS[current.stage]
    if status.stage != step.stage:
        status = status.model_copy(update={"percent": 0, "estimated_completion_time": None})
    status = paced(status, seen, tally(state, seen.reports, current.shards or 1))
    status = status.model_copy(
        update={
            "stage": step.stage,
            "start_time": status.start_time or text(seen.now),
            "completion_time": None,
            "items_per_second": status.items_per_second if current.stage == "caption" else None,
        }
    )
    reason, message = _doing(step, state, status)
    stalled = reason == Reason.MISSING_SECRET
    plan = _plan(seen, status, "Stalled" if stalled else "Reconciling", reason, message)
    return replace(plan, desired=current.objects(platform), delete=superfluous(todo, seen.jobs))


def _doing(step: _Step, state: WorkState, status: CaptionJobStatus) -> tuple[str, str]:
    if state.job is not None and state.job.suspended:
        return Reason.QUEUED, f"Job {state.job.name} is suspended: it waits for its queue"
    if waiting := why_waiting(state.pods):
        reason = waiting.reason if waiting.reason == Reason.MISSING_SECRET else step.reason
        return reason, waiting.message
    items = status.items
    counts = f": {items.done} of {items.total} items" if step.stage == "Captioning" and items.total else ""
    return step.reason, f"{step.doing}{counts}"


def _plan(seen: CaptionJobSeen, status: CaptionJobStatus, state: State, reason: str, message: str) -> Plan:
    claims = (*summary(state, reason, message), _captioned(status))
    conditions = merge(seen.status.conditions, claims, seen.generation, seen.now)
    done = status.model_copy(update={"conditions": conditions})
    return Plan(done.document(), events=changed(seen.status.conditions, conditions))


def _captioned(status: CaptionJobStatus) -> Claim:
    items = status.items
    if status.captions is None:
        return Claim(ConditionType.CAPTIONED, "False", status.stage, f"{items.done} items captioned")
    message = f"{items.done} of {items.total} items captioned, {items.failed} failed"
    return Claim(ConditionType.CAPTIONED, "True", Reason.COMPLETE, message)


def _caption_work(todo: tuple[Work, ...]) -> Work:
    return next(work for work in todo if work.stage == "caption")

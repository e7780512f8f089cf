"""The end of every decision about a CaptionJob: its conditions, Events, next run and end of life; pure."""

from __future__ import annotations

from dataclasses import replace

from fathom_api import CaptionJobSpec, CaptionJobStatus, ConditionType, Reason
from fathom_operator.captionjob.observe import CaptionJobSeen
from fathom_operator.captionjob.runs import next_due
from fathom_operator.conditions import Claim, State, merge, summary
from fathom_operator.failures import Failure
from fathom_operator.notes import changed
from fathom_operator.plan import Plan
from fathom_operator.times import seconds_since, text


def finished(seen: CaptionJobSeen, status: CaptionJobStatus, state: State, why: Failure) -> Plan:
    """Return the plan with its status written out; features of an earlier run keep the resource Ready."""
    usable = status.features is not None
    claims = (*summary(state, why.reason, why.message, usable=usable), _captioned(status))
    conditions = merge(seen.status.conditions, claims, seen.generation, seen.now)
    run = status.run.model_copy(update={"next_time": _next_time(seen, status)})
    done = status.model_copy(update={"conditions": conditions, "run": run})
    return Plan(done.document(), events=changed(seen.status.conditions, conditions))


def lived(seen: CaptionJobSeen, spec: CaptionJobSpec, plan: Plan) -> Plan:
    """Return `plan` with the resource's own end: so long after its run ended, well or not, and said so."""
    ended, limit = seen.status.run.end_time, spec.ttl_seconds_after_finished
    if limit is None or plan.status["stage"] not in {"Complete", "Failed"}:
        return plan
    left = limit - seconds_since(ended, seen.now) if ended else float(limit)
    # Not in the same breath in which it ends: whoever watches shall see that it did.
    if ended and left <= 0:
        return replace(plan, expired=True)
    return replace(plan, look_again=min(max(0.0, left), plan.look_again or float("inf")))


def _next_time(seen: CaptionJobSeen, status: CaptionJobStatus) -> str | None:
    if seen.spec is None or seen.spec.suspend:
        return None
    try:
        due = next_due(seen.spec, status.run)
    except ValueError:
        return None
    return text(due) if due else None


def _captioned(status: CaptionJobStatus) -> Claim:
    items = status.items
    if status.captions is None:
        return Claim(ConditionType.CAPTIONED, "False", status.stage, f"{items.done} items captioned")
    message = f"{items.done} of {items.total} items captioned, {items.failed} failed"
    return Claim(ConditionType.CAPTIONED, "True", Reason.COMPLETE, message)

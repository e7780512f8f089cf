"""What a run must not exceed: items that fail, and time; pure."""

from __future__ import annotations

from fathom_api import CaptionJobSpec, CaptionJobStatus, ConditionType, Reason
from fathom_api.types import allowed_failures
from fathom_operator.captionjob.observe import CaptionJobSeen
from fathom_operator.captionjob.runs import overdue
from fathom_operator.conditions import find
from fathom_operator.failures import Failure
from fathom_operator.progress import Tally


def exceeded(
    seen: CaptionJobSeen, spec: CaptionJobSpec, status: CaptionJobStatus, counts: Tally | None
) -> Failure | None:
    """Return which limit is exceeded, None if none is; `counts` is what the captioning pods say together."""
    return _failed_items(seen, spec, status, counts) or _time(seen, spec, status)


def _failed_items(
    seen: CaptionJobSeen, spec: CaptionJobSpec, status: CaptionJobStatus, counts: Tally | None
) -> Failure | None:
    ready = find(seen.status.conditions, ConditionType.READY)
    # Before every shard has said how much it holds, or a plan has, the share that may fail is not known.
    known = (
        status.run.planned > 0
        or "caption" in status.run.completed
        or (counts is not None and counts.heard == counts.parts)
        or (ready is not None and ready.reason == Reason.TOO_MANY_FAILED_ITEMS)
    )
    items, limit = status.items, spec.failure_policy.max_failed_items
    if not known or items.failed <= allowed_failures(limit, items.total):
        return None
    return Failure(
        Reason.TOO_MANY_FAILED_ITEMS,
        f"{items.failed} of {items.total} items failed, {limit} may: see {status.errors_uri or 'errors/'}, "
        "mend them and set the annotation fathom.dev/retry to a new value, or raise "
        "spec.failurePolicy.maxFailedItems",
    )


def _time(seen: CaptionJobSeen, spec: CaptionJobSpec, status: CaptionJobStatus) -> Failure | None:
    beyond = overdue(status.run, spec.active_deadline_seconds, seen.now)
    if beyond is None or beyond.total_seconds() < 0:
        return None
    items = status.items
    return Failure(
        Reason.DEADLINE_EXCEEDED,
        f"run {status.run.number} has worked for {spec.active_deadline_seconds} s, as long as it may, and "
        f"captioned {items.done} of {items.total} items, which are kept: raise spec.activeDeadlineSeconds, "
        "or set the annotation fathom.dev/retry to a new value",
    )

"""Runs: when one begins, how long it has worked, when the next is due; pure.

A run is one pass over the source. The first begins by itself; a schedule or the annotation `fathom.dev/retry`
begins another once the one before has ended. Its number is in every task, so its Jobs are new ones.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fathom_api import CaptionJobSpec, CaptionJobStatus
from fathom_api.captionjob import Items, RunStatus, Shards
from fathom_operator.captionjob.observe import CaptionJobSeen
from fathom_operator.schedule import next_time
from fathom_operator.times import parse, seconds_since, text


def current(seen: CaptionJobSeen, spec: CaptionJobSpec) -> CaptionJobStatus:
    """Return the status with the run that is to be worked on: the one at hand, or a new one.

    Raises:
        ValueError: the schedule is none; the message says the fix.
    """
    status = seen.status.model_copy(update={"observed_generation": seen.generation})
    due = next_due(spec, status.run)
    if _ended(status) and not spec.suspend:
        asked = bool(seen.retry) and seen.retry != status.run.retry
        if asked or (due is not None and due <= seen.now):
            return _begun(status, seen, retry_failed=asked or spec.failure_policy.retry_failed)
    if status.run.start_time is None and status.run.number == 1:
        first = {"retry": seen.retry, "retry_failed": spec.failure_policy.retry_failed}
        return status.model_copy(update={"run": status.run.model_copy(update=first)})
    return status


def next_due(spec: CaptionJobSpec, run: RunStatus) -> datetime | None:
    """Return when the schedule begins the run after `run`; None without a schedule, or before it has begun.

    Counted from the begin of `run`: however many times were missed since, one run makes up for all.

    Raises:
        ValueError: the schedule is none; the message says the fix.
    """
    if spec.refresh is None:
        return None
    begin = run.start_time
    # Without a begin the schedule is tried all the same: a mistake in it is told at once.
    after = parse(begin) if begin else datetime(2000, 1, 1, tzinfo=UTC)
    due = next_time(spec.refresh.schedule, spec.refresh.time_zone, after)
    return due if begin else None


def paused(run: RunStatus, now: datetime, *, pausing: bool) -> RunStatus:
    """Return `run` with its suspension begun, ended, or as it is."""
    since = run.suspended_time
    if run.start_time is None or pausing == (since is not None):
        return run
    if since is None:
        return run.model_copy(update={"suspended_time": text(now)})
    total = run.suspended_seconds + max(0, round(seconds_since(since, now)))
    return run.model_copy(update={"suspended_time": None, "suspended_seconds": total})


def overdue(run: RunStatus, limit: int | None, now: datetime) -> timedelta | None:
    """Return how long `run` has worked beyond `limit` seconds, negative before; None without a limit."""
    if limit is None or run.start_time is None:
        return None
    until = parse(run.suspended_time) if run.suspended_time else now
    worked = until - parse(run.start_time) - timedelta(seconds=run.suspended_seconds)
    return worked - timedelta(seconds=limit)


def _ended(status: CaptionJobStatus) -> bool:
    return status.stage in {"Complete", "Failed"} and status.run.end_time is not None


def _begun(status: CaptionJobStatus, seen: CaptionJobSeen, *, retry_failed: bool) -> CaptionJobStatus:
    run = RunStatus(
        number=status.run.number + 1,
        last_success_time=status.run.last_success_time,
        retry=seen.retry,
        retry_failed=retry_failed,
    )
    counts = {"items": Items(), "shards": Shards(), "percent": 0, "errors_uri": None}
    return status.model_copy(update={"run": run, "stage": "Planning", **counts})

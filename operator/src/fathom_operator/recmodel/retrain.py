"""What begins a new version besides a changed spec: a schedule, and new captions; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from fathom_api import RecModelSpec, RecModelStatus
from fathom_api.captionjob import Artifact
from fathom_operator.recmodel.observe import RecModelSeen
from fathom_operator.recmodel.versions import version_name
from fathom_operator.schedule import next_time
from fathom_operator.times import parse, text

#: How often a schedule that is due looks whether the version under way is done, in seconds.
_LOOK_WHETHER_DONE: Final = 30.0
#: Stages in which nothing of the version is left to be trained.
_TRAINED: Final = frozenset({"Evaluating", "Deploying", "RollingOut", "Serving", "Complete", "Rejected"})


def scheduled(seen: RecModelSeen, spec: RecModelSpec) -> RecModelStatus:
    """Return the status with a version begun by the schedule, if one is due, and when the next one is.

    Counted from the begin of the latest version: however many times were missed since, one makes up for all.

    Raises:
        ValueError: the schedule is none; the message says the fix.
    """
    status = seen.status
    if spec.schedule is None:
        return status.model_copy(update={"next_retrain": None})
    begin = _latest_begin(status)
    # Without a begin the schedule is tried all the same: a mistake in it is told at once.
    due = _next(spec, begin or datetime(2000, 1, 1, tzinfo=UTC))
    if begin is None:
        return status.model_copy(update={"next_retrain": None})
    if due > seen.now or not _at_rest(status):
        return status.model_copy(update={"next_retrain": text(due)})
    following = _next(spec, seen.now)
    return status.model_copy(update={"last_retrain": text(seen.now), "next_retrain": text(following)})


def look_again(status: RecModelStatus, now: datetime) -> float | None:
    """Return after how many seconds the schedule has to be looked at again."""
    if status.next_retrain is None:
        return None
    left = (parse(status.next_retrain) - now).total_seconds()
    return left if left > 0 else _LOOK_WHETHER_DONE


def in_use(
    spec: RecModelSpec, status: RecModelStatus, features: Mapping[str, Artifact]
) -> dict[str, Artifact]:
    """Return the caption features of the version that shall be: those there are, or those it was made from.

    With `onNewCaptions: Wait` a version that is trained keeps its own until another one begins.
    """
    if spec.on_new_captions == "Retrain":
        return dict(features)
    before = {name: old for name, new in features.items() for old in status.features if old.uri == new.uri}
    if before.keys() == features.keys() and _is_made(status, version_name(spec, before, status.last_retrain)):
        return before
    return dict(features)


def _next(spec: RecModelSpec, after: datetime) -> datetime:
    return next_time(spec.schedule or "", spec.time_zone, after, field="spec")


def _latest_begin(status: RecModelStatus) -> datetime | None:
    times = [
        status.last_retrain,
        *(version.created_at for version in (status.candidate, status.stable) if version),
    ]
    return max((parse(time) for time in times if time), default=None)


def _at_rest(status: RecModelStatus) -> bool:
    """Return whether no version is under way."""
    return status.stage in {"Serving", "Complete", "Rejected", "Failed"} or (
        status.candidate is None and status.stable is not None
    )


def _is_made(status: RecModelStatus, name: str) -> bool:
    candidate = status.candidate
    return (
        (status.stable is not None and status.stable.name == name)
        or any(rejection.name == name for rejection in status.rejected)
        or (candidate is not None and candidate.name == name and status.stage in _TRAINED)
    )

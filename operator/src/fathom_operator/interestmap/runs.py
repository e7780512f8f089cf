"""Runs of an InterestMap: when one begins, and what it starts from; pure.

The first begins by itself. Another one begins when what the spec says gives another table, on schedule, or
with the annotation `fathom.dev/retry` once the one before has ended. A fine-tuning makes all anew, from the
captions that are there then; a bulk refresh plans all pairs anew with the planner there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from fathom_api import InterestMapSpec, InterestMapStatus
from fathom_api.interestmap import MapRun
from fathom_operator.catalogues import CatalogueSeen
from fathom_operator.interestmap.desired import folders_of
from fathom_operator.interestmap.observe import InterestMapSeen
from fathom_operator.schedule import next_time
from fathom_operator.times import parse, text

#: How often a schedule that is due looks whether the run under way is done, in seconds.
_LOOK_WHETHER_DONE: Final = 30.0
Again = Literal["fine_tune", "bulk"]


@dataclass(frozen=True)
class Due:
    """When the schedule next begins something, and what."""

    what: Again
    at: datetime


def current(seen: InterestMapSeen, spec: InterestMapSpec, catalogue: CatalogueSeen) -> MapRun:
    """Return the run that is to be worked on: the one at hand, or a new one.

    Raises:
        ValueError: the schedule is none; the message says the fix.
    """
    status = seen.status
    due = next_due(spec, status.run)
    run = _pinned(status.run, catalogue)
    if run.captions is None or catalogue.spec is None:
        return run
    if not _ended(status) or status.stage == "Failed":
        # A run under way is asked for again as it is: its failed Jobs are made anew, not what is done.
        run = run.model_copy(update={"retry": seen.retry})
    if _ended(status) and not spec.suspend and (what := _asked(seen, due)):
        run = _again(run, what, catalogue, text(seen.now))
    return _begun(seen, spec, catalogue, run)


def next_due(spec: InterestMapSpec, run: MapRun) -> Due | None:
    """Return what the schedule begins next; None without a schedule, or before the first run has begun.

    Counted from the latest begin: however many times were missed since, one run makes up for all.

    Raises:
        ValueError: the schedule is none; the message says the fix.
    """
    schedule = spec.schedule
    if schedule is None:
        return None
    # Without a begin the schedule is tried all the same: a mistake in it is told at once.
    begin = parse(run.last_fine_tune) if run.last_fine_tune else datetime(2000, 1, 1, tzinfo=UTC)
    latest = max(begin, parse(run.last_bulk)) if run.last_bulk else begin
    found: list[Due] = []
    times: tuple[tuple[Again, str, str | None, datetime], ...] = (
        ("fine_tune", "fineTune", schedule.fine_tune, begin),
        ("bulk", "bulk", schedule.bulk, latest),
    )
    for what, name, cron, after in times:
        if cron is not None:
            at = next_time(cron, schedule.time_zone, after, field="spec.schedule", name=name)
            found.append(Due(what, at))
    # Both at once is a fine-tuning, which plans too.
    return min(found, key=lambda due: due.at) if run.last_fine_tune else None


def look_again(due: Due | None, now: datetime) -> float | None:
    """Return after how many seconds the schedule has to be looked at again."""
    if due is None:
        return None
    left = (due.at - now).total_seconds()
    return left if left > 0 else _LOOK_WHETHER_DONE


def _asked(seen: InterestMapSeen, due: Due | None) -> Again | None:
    """Return what people or the schedule want made anew."""
    if seen.retry and seen.retry != seen.status.run.retry and seen.status.stage != "Failed":
        return "fine_tune"
    return due.what if due is not None and due.at <= seen.now else None


def _pinned(run: MapRun, catalogue: CatalogueSeen) -> MapRun:
    """Return `run` with captions: its own, unless those are of another CaptionJob."""
    found = catalogue.captions
    if run.captions is not None and (found is None or found.uri == run.captions.uri):
        return run
    return run.model_copy(update={"captions": found})


def _again(run: MapRun, what: Again, catalogue: CatalogueSeen, now: str) -> MapRun:
    if what == "bulk":
        return run.model_copy(update={"bulks": run.bulks + 1, "last_bulk": now})
    return run.model_copy(
        update={
            "fine_tunes": run.fine_tunes + 1,
            "bulks": 0,
            "captions": catalogue.captions or run.captions,
            "last_fine_tune": now,
        }
    )


def _begun(seen: InterestMapSeen, spec: InterestMapSpec, catalogue: CatalogueSeen, run: MapRun) -> MapRun:
    """Return `run`, begun if another table comes of it than of the run before."""
    captions = run.captions
    if captions is None or catalogue.spec is None:
        return run
    made = folders_of(spec, catalogue.spec, catalogue.model, captions, run)
    if run.bulks and (made.planner or "") != run.planner:
        # Another planner begins with what it learns from.
        run = run.model_copy(update={"bulks": 0})
        made = folders_of(spec, catalogue.spec, catalogue.model, captions, run)
    if made.name == run.table:
        return run
    now, table = text(seen.now), seen.status.table
    changes: dict[str, object] = {
        "table": made.name,
        "planner": made.planner or "",
        "start_time": now,
        "end_time": None,
        "retry": seen.retry,
        "last_fine_tune": run.last_fine_tune or now,
        "table_before": table.uri if table else None,
    }
    if made.clusters != run.clusters:
        changes |= {
            "clusters": made.clusters,
            "clusters_before": table.clusters_uri if table else None,
        }
    return run.model_copy(update=changes)


def _ended(status: InterestMapStatus) -> bool:
    return status.run.end_time is not None

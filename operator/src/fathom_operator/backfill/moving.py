"""What moves of a gallery that is served, how far, and what comes when all has; pure.

First the view (how much of what has moved is in force) is brought to where the spec wants it, then items
move, then what came meanwhile is embedded, and in the end the old embeddings go.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fathom_api import BackfillSpec, BackfillStatus, Reason
from fathom_api.backfill_status import Stage
from fathom_api.types import seconds
from fathom_operator.backfill import progress
from fathom_operator.backfill.course import (
    DOING,
    Course,
    Doing,
    done,
    failed,
    how_far,
    paused,
    suspended,
    working,
)
from fathom_operator.backfill.finish import finished
from fathom_operator.backfill.retriever import Retriever
from fathom_operator.backfill.window import until_closed, until_open
from fathom_operator.failures import Failure, why_failed
from fathom_operator.plan import Plan
from fathom_operator.times import seconds_since, soonest, text
from fathom_operator.work import Work, parts_of

_ALL: Final = 100


def observed(course: Course, status: BackfillStatus) -> BackfillStatus:
    """Return `status` with what movers and probes said."""
    spec, seen = course.spec, course.seen
    move = course.work("move", status)
    state = course.state(move)
    if state.job is not None and "move" not in status.completed:
        counts = progress.counts_of(move, state, seen)
        status = progress.paced(progress.moved(status, counts), seen, counts)
    finished_probing = True
    if spec.probes is not None:
        probe = course.work("probe", status)
        asked = course.state(probe)
        finished_probing = asked.complete
        if asked.job is not None:
            counts = progress.counts_of(probe, asked, seen)
            status = progress.stopped(spec, progress.probed(spec, status, counts))
    if spec.target == _ALL and state.complete and finished_probing and "move" not in status.completed:
        status = progress.completed(status, "move")
    return progress.with_beta(status)


def moving(course: Course, status: BackfillStatus, served: Retriever) -> Plan:
    """Return what shall be of a gallery that both models answer."""
    spec = course.spec
    view = _view(spec, status)
    if view != status.view:
        return _change_view(course, status, served, view)
    if "drop" in status.completed:
        return _complete(course, status, served)
    if spec.target < _ALL and progress.reached(status) >= spec.target:
        return _holding(course, status, served)
    todo = _todo(course, status)
    return _go_on(course, status, todo, served) if todo else _retaining(course, status, served)


def _todo(course: Course, status: BackfillStatus) -> list[Work]:
    if "move" not in status.completed:
        probes = [course.work("probe", status)] if course.spec.probes else []
        return [course.work("move", status), *probes]
    return [] if "complete" in status.completed else [course.work("complete", status)]


def _go_on(course: Course, status: BackfillStatus, todo: list[Work], served: Retriever) -> Plan:
    """Return the plan in which `todo` goes on, unless something holds it."""
    seen, spec = course.seen, course.spec
    if status.stopped is not None and not status.stopped.overridden:
        why = Failure(Reason.STOPPED_BY_PROBES, _stop_words(status.stopped.message))
        return paused(course, status, todo, why, served, stage="Stopped", state="Stalled")
    if spec.suspend:
        return paused(course, status, todo, suspended(status), served)
    moves = todo[0].stage == "move"
    closed = until_open(spec.pace.window, seen.now) if moves else 0.0
    if closed > 0:
        why = Failure(Reason.OUTSIDE_WINDOW, f"items move {spec.pace.window} only: {how_far(status)}")
        return replace(paused(course, status, todo, why, served), look_again=closed)
    plan = _work_on(course, status, todo, served)
    closes = until_closed(spec.pace.window, seen.now) if moves else None
    return replace(plan, look_again=soonest(plan.look_again, closes))


def _work_on(course: Course, status: BackfillStatus, todo: list[Work], served: Retriever) -> Plan:
    states = [course.state(each) for each in todo]
    broken = next((state for state in states if state.failed), None)
    if broken is not None:
        return failed(course, status, why_failed(broken), served)
    if todo[0].stage == "complete" and states[0].complete:
        status = done(course, status, todo[0], states[0])
        ended = status.completion_time or text(course.seen.now)
        return _retaining(course, status.model_copy(update={"completion_time": ended}), served)
    return working(course, status, todo, DOING[todo[0].stage], served)


def _view(spec: BackfillSpec, status: BackfillStatus) -> int:
    """Return how much of what has moved shall be in force, in percent: all, unless the target is less."""
    if "drop" in status.completed:
        return status.view
    return spec.target if spec.target < int(progress.reached(status)) else _ALL


def _change_view(course: Course, status: BackfillStatus, served: Retriever, view: int) -> Plan:
    wanted = course.work("view", status, view)
    state = course.state(wanted)
    if state.failed:
        return failed(course, status, why_failed(state), served)
    if state.complete:
        curve = [probe for probe in status.probes if probe.percent <= view]
        changed = status.model_copy(update={"view": view, "probes": curve})
        plan = moving(course, progress.with_beta(changed), served)
        # The Job goes, so that the same view can be asked for once more.
        return replace(plan, delete=(*plan.delete, *parts_of(state.job))) if state.job else plan
    back = view < status.view
    stage: Stage = "RolledBack" if back else "Moving"
    words = f"rolling back to {view} %" if back else "bringing back what was rolled back"
    doing = Doing(stage, Reason.ROLLED_BACK if back else Reason.MOVING, words)
    return working(course, status, [wanted], doing, served)


def _holding(course: Course, status: BackfillStatus, served: Retriever) -> Plan:
    target = course.spec.target
    if status.view < _ALL:
        kept = f"{int(progress.reached(status))} % have been embedded and are kept"
        why = Failure(Reason.ROLLED_BACK, f"rolled back to {target} %: {kept}; raise spec.target to go on")
        gone = course.others(status)
        return finished(course.seen, status, "RolledBack", "Ready", why, retriever=served, delete=gone)
    why = Failure(Reason.TARGET_REACHED, f"{target} % have moved, as spec.target says: raise it to go on")
    works = _todo(course, status)
    plan = working(course, status, works, Doing("Holding", Reason.TARGET_REACHED, why.message), served)
    if any(not course.state(each).complete for each in works) and target > 0:
        return plan
    gone = course.others(status, *works)
    return finished(course.seen, status, "Holding", "Ready", why, retriever=served, delete=gone)


def _retaining(course: Course, status: BackfillStatus, served: Retriever) -> Plan:
    seen, keep = course.seen, course.spec.retention.old
    left = seconds(keep) - seconds_since(status.completion_time or text(seen.now), seen.now)
    unreadable = status.items.failed
    if left <= 0 and not unreadable:
        return _dropping(course, status, served)
    message = f"the new model answers everything; the old embeddings are kept for {keep}"
    if unreadable:
        message = (
            f"the new model answers everything but {unreadable} items that cannot be read; for them the old "
            "embeddings are kept"
        )
    return finished(
        seen,
        status,
        "Retaining",
        "Ready",
        Failure(Reason.RETAINING, message),
        retriever=served,
        delete=course.others(status, course.work("complete", status)),
        look_again=left if left > 0 else None,
    )


def _dropping(course: Course, status: BackfillStatus, served: Retriever) -> Plan:
    wanted = course.work("drop", status)
    state = course.state(wanted)
    if state.failed:
        return failed(course, status, why_failed(state), served)
    if state.complete:
        return _complete(course, progress.completed(status, "drop"), served)
    return working(course, status, [wanted], DOING["drop"], served)


def _complete(course: Course, status: BackfillStatus, served: Retriever) -> Plan:
    items, target = status.items, course.spec.target
    message = f"the new model answers all {items.total} items, {items.added} that came or changed on the way"
    if target < _ALL:
        message += f"; the old embeddings are gone, so spec.target: {target} has no effect"
    why = Failure(Reason.COMPLETE, message)
    kept = [course.work("complete", status), course.work("drop", status)]
    gone = course.others(status, *kept)
    return finished(course.seen, status, "Complete", "Ready", why, retriever=served, delete=gone)


def _stop_words(message: str) -> str:
    return (
        f"stopped {message}. Lower spec.target to roll back, or set the annotation fathom.dev/retry to a new "
        "value to go on all the same"
    )

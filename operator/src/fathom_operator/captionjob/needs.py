"""The model that a CaptionJob takes from another one: pinned for a run, looked up for the next; pure."""

from __future__ import annotations

from dataclasses import dataclass

from fathom_api import CaptionJobSpec, Reason
from fathom_api.captionjob import Artifact, RunStatus
from fathom_operator.captionjob.observe import CaptionJobSeen
from fathom_operator.failures import Failure
from fathom_operator.plan import Key


@dataclass(frozen=True)
class Needs:
    """The model of another CaptionJob, if one is named; or what is missing, and whether people must act."""

    model: Artifact | None = None
    missing: Failure | None = None
    stalled: bool = False
    #: Why no model will ever come of it.
    invalid: str = ""
    waits_for: frozenset[Key] = frozenset()


def needs(seen: CaptionJobSeen, spec: CaptionJobSpec, run: RunStatus) -> Needs:
    """Return what is there and what is not; the model that `run` has begun with stays its model."""
    name = spec.model.caption_job
    if name is None:
        return Needs()
    waits_for = frozenset({Key("CaptionJob", seen.owner.namespace, name)})
    if run.model is not None:
        return Needs(model=run.model, waits_for=waits_for)
    if invalid := _never(seen, name):
        return Needs(invalid=invalid, waits_for=waits_for)
    missing, stalled = _missing(seen, name)
    model = seen.teacher.model if seen.teacher else None
    return Needs(model, missing, stalled, waits_for=waits_for)


def _never(seen: CaptionJobSeen, name: str) -> str:
    me, teacher = seen.owner.name, seen.teacher
    if name == me:
        return "spec.model.captionJob names this CaptionJob itself: name another one, or spec.model.uri"
    if teacher is None:
        return ""
    if not teacher.teaches:
        return (
            f"spec.model.captionJob: CaptionJob {name} has no spec.fineTune, so no model comes of it: "
            "name one that has"
        )
    if me in teacher.chain:
        circle = " → ".join([me, name, *teacher.chain[: teacher.chain.index(me) + 1]])
        return f"spec.model.captionJob: each would wait for the next, {circle}: name a model by URI in one"
    return ""


def _missing(seen: CaptionJobSeen, name: str) -> tuple[Failure | None, bool]:
    teacher = seen.teacher
    if teacher is None:
        message = (
            f"no CaptionJob {name} in namespace {seen.owner.namespace}: create it, or name another in "
            "spec.model.captionJob; captioning begins by itself then"
        )
        return Failure(Reason.MISSING_CAPTION_JOB, message), True
    if teacher.model is None:
        said = f" ({teacher.stage}: {teacher.message})" if teacher.message else f" ({teacher.stage})"
        why = f"waiting for the model of CaptionJob {name}{said}"
        return Failure(Reason.WAITING_FOR_DEPENDENCY, why), teacher.stalled
    return None, False

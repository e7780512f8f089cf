"""What all steps of a decision about a Backfill share: its works, and how these go on or stop; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fathom_api import BackfillSpec, BackfillStatus, Reason
from fathom_api.backfill_status import Stage
from fathom_api.tasks import CaptionsAt
from fathom_operator.backfill.desired import FIRST, JobStage, work
from fathom_operator.backfill.finish import finished
from fathom_operator.backfill.observe import BackfillSeen
from fathom_operator.backfill.progress import after, counts_of
from fathom_operator.backfill.retriever import Retriever
from fathom_operator.conditions import State
from fathom_operator.failures import Failure, held_up
from fathom_operator.plan import Plan, Ref
from fathom_operator.platform import Platform
from fathom_operator.progress import digest_of
from fathom_operator.work import Work, WorkState, halted, state_of, superfluous


@dataclass(frozen=True)
class Doing:
    """A stage while it goes on, in words."""

    stage: Stage
    reason: Reason
    words: str


DOING: Final[dict[str, Doing]] = {
    "estimate": Doing("Estimating", Reason.ESTIMATING, "counting the items and timing the new model"),
    "pair": Doing("Pairing", Reason.PAIRING, "embedding a sample with both models"),
    "fit": Doing("Fitting", Reason.FITTING, "learning what makes both models comparable"),
    "move": Doing("Moving", Reason.MOVING, "moving items"),
    "complete": Doing("Completing", Reason.COMPLETING, "embedding what came meanwhile and checking all"),
    "drop": Doing("Retaining", Reason.RETAINING, "removing the old embeddings"),
}


@dataclass(frozen=True)
class Course:
    """What is seen, what is asked for and what the installation is."""

    seen: BackfillSeen
    spec: BackfillSpec
    platform: Platform

    def work(self, stage: JobStage, status: BackfillStatus, target: int | None = None) -> Work:
        """Return the work of a stage, up to the spec's target unless another is given."""
        aim = self.spec.target if target is None else target
        return work(
            stage,
            self.spec,
            self.seen.owner,
            self.platform,
            target=aim,
            attempt=status.attempt,
            captions=self.captions,
        )

    @property
    def captions(self) -> CaptionsAt | None:
        """Return the captions that are the gallery, None where it is media."""
        gallery, catalogue = self.spec.gallery, self.seen.catalogue
        if gallery.caption_job is None or catalogue is None or catalogue.spec is None:
            return None
        job = catalogue.spec
        return CaptionsAt(output=job.output.uri, shards=job.shards, aspect=gallery.aspect)

    def state(self, wanted: Work) -> WorkState:
        """Return how a piece of work stands."""
        return state_of(wanted, self.seen.jobs, self.seen.pods)

    def others(self, status: BackfillStatus, *kept: Work) -> tuple[Ref, ...]:
        """Return the Jobs that neither a work of `kept` nor the first stages count on."""
        first = [self.work(stage, status) for stage in FIRST]
        return superfluous([*first, *kept], self.seen.jobs)


def done(course: Course, status: BackfillStatus, wanted: Work, state: WorkState) -> BackfillStatus:
    """Return `status` with what a Job that is complete has left."""
    counts = counts_of(wanted, state, course.seen)
    digest = digest_of(wanted, state)
    return after(wanted.stage, course.spec, status, counts, digest, prices=course.platform.prices)


def working(
    course: Course, status: BackfillStatus, todo: list[Work], doing: Doing, served: Retriever | None
) -> Plan:
    """Return the plan in which the Jobs of `todo` go on."""
    why = _why(doing, [course.state(each) for each in todo], status)
    stalled = why.reason == Reason.MISSING_SECRET
    return finished(
        course.seen,
        status,
        doing.stage,
        "Stalled" if stalled else "Reconciling",
        why,
        retriever=served,
        desired=[
            obj for each in todo if not course.state(each).complete for obj in each.objects(course.platform)
        ],
        delete=course.others(status, *todo),
    )


def paused(
    course: Course,
    status: BackfillStatus,
    todo: list[Work],
    why: Failure,
    served: Retriever | None,
    *,
    stage: Stage = "Paused",
    state: State = "Suspended",
) -> Plan:
    """Return a plan with the pods told to go."""
    stops = [halted(each, course.state(each).job, course.platform) for each in todo]
    return finished(
        course.seen,
        status,
        stage,
        state,
        why,
        retriever=served,
        desired=[obj for stop, _ in stops for obj in stop],
        delete=(*course.others(status, *todo), *(ref for _, gone in stops for ref in gone)),
    )


def failed(course: Course, status: BackfillStatus, why: Failure, served: Retriever | None) -> Plan:
    """Return the plan when a Job has failed for good; what is served stays."""
    if why.reason == Reason.WORSE_THAN_OLD:
        status = status.model_copy(update={"verdict": "Worse"})
    return finished(course.seen, status, "Failed", "Stalled", why, retriever=served)


def suspended(status: BackfillStatus | None = None) -> Failure:
    """Return why nothing goes on while the spec says so."""
    far = f" at {how_far(status)}" if status else ""
    return Failure(Reason.SUSPENDED, f"suspended{far}: unset spec.suspend to go on")


def how_far(status: BackfillStatus) -> str:
    """Return how many items have moved, in words."""
    return f"{status.items.moved} of {status.items.total} items"


def _why(doing: Doing, states: list[WorkState], status: BackfillStatus) -> Failure:
    for state in states:
        if held := held_up(state, doing.reason):
            return held
    far = f": {how_far(status)}" if doing.stage == "Moving" and status.items.total else ""
    return Failure(doing.reason, f"{doing.words}{far}")

"""What shall be done about an InterestMap; pure.

Two questions, one after the other: which table comes of the run (made and judged step by step), and which
table do rankers see. The second is asked always: a served table is looked after, whatever becomes of a newer
one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from fathom_api import InterestMapSpec, InterestMapStatus, Reason
from fathom_api.interestmap import Stage
from fathom_operator.catalogues import CatalogueSeen, no_such, waiting_for
from fathom_operator.claims import LOOK_FOR_CLAIM
from fathom_operator.conditions import State
from fathom_operator.failures import Failure, held_up, missing_claims, why_failed
from fathom_operator.interestmap import publish, runs
from fathom_operator.interestmap.desired import Course, course_of
from fathom_operator.interestmap.finish import finished
from fathom_operator.interestmap.observe import InterestMapSeen
from fathom_operator.interestmap.status import gathered, lost, paced, recorded, state
from fathom_operator.kube.resources import Obj
from fathom_operator.plan import Key, Plan, Ref
from fathom_operator.platform import Platform
from fathom_operator.times import soonest, text
from fathom_operator.work import Work, halted, parts_of, superfluous


@dataclass(frozen=True)
class _Step:
    stage: Stage
    reason: Reason
    doing: str


_STEPS: Final = {
    "cluster": _Step("Clustering", Reason.CLUSTERING, "making interest clusters of the items"),
    "understand": _Step("Understanding", Reason.UNDERSTANDING, "saying what each cluster is about"),
    "transitions": _Step("Transitions", Reason.COUNTING_TRANSITIONS, "finding what users went on to"),
    "plan-train": _Step("Training", Reason.TRAINING, "teaching the planner"),
    "plan-bulk": _Step("Planning", Reason.PLANNING_PAIRS, "planning all pairs of clusters"),
    "gate": _Step("Gating", Reason.GATING, "measuring and judging the table"),
    "publish": _Step("Publishing", Reason.PUBLISHING, "pointing rankers at the table"),
}


@dataclass(frozen=True)
class Want:
    """The answer to a question: where it stands, what shall be there, what shall go."""

    status: InterestMapStatus
    stage: Stage
    why: Failure
    state: State
    desired: tuple[Obj, ...] = ()
    delete: tuple[Ref, ...] = ()
    look_again: float | None = None
    #: Whether the run's table is judged and may be served.
    open: bool = False


def decide(seen: InterestMapSeen, platform: Platform) -> Plan:
    """Return what shall be."""
    if seen.spec is None:
        return refuse(seen, seen.invalid)
    plan = _rivalled(seen, seen.spec) or _decided(seen, seen.spec, platform)
    return replace(plan, waits_for=_waits_for(seen, seen.spec), wakes=_wakes(seen, seen.spec, plan))


def refuse(seen: InterestMapSeen, message: str) -> Plan:
    """Return what shall be when the spec, or a pod made from it, is not valid; the table served stays."""
    why = Failure(Reason.INVALID_SPEC, f"{message}. Mend the spec and apply it again.")
    return finished(seen, seen.status, seen.status.stage, "Stalled", why)


def _rivalled(seen: InterestMapSeen, spec: InterestMapSpec) -> Plan | None:
    """Return the plan of an InterestMap that would guide a RecModel beside another one."""
    if seen.rival is None or spec.serving is None:
        return None
    return refuse(
        seen,
        f"spec.serving.recModel: {spec.serving.rec_model} is guided by InterestMap {seen.rival} already: "
        "name another RecModel, or remove spec.serving from one of them",
    )


def _decided(seen: InterestMapSeen, spec: InterestMapSpec, platform: Platform) -> Plan:
    catalogue = seen.catalogue
    if catalogue is None:
        return _no_catalogue(seen, spec)
    try:
        run = runs.current(seen, spec, catalogue)
        due = runs.next_due(spec, run)
    except ValueError as error:
        return refuse(seen, str(error))
    course = course_of(seen, spec, catalogue, platform, run)
    if course is None:
        return _waiting(seen, catalogue)
    status = seen.status.model_copy(
        update={"run": run, "next_refresh": text(due.at) if due and not spec.suspend else None}
    )
    if run.table != seen.status.run.table:
        status = status.model_copy(update={"gates": [], "percent": 0})
    want = _made(seen, course, gathered(seen, status, course.works()))
    try:
        plan = _shown(seen, course, want)
    except ValueError as error:
        return refuse(seen, str(error))
    again = None if spec.suspend else runs.look_again(due, seen.now)
    return replace(plan, look_again=soonest(plan.look_again, want.look_again, again))


def _made(seen: InterestMapSeen, course: Course, status: InterestMapStatus) -> Want:
    """Return where the run's table stands."""
    work = next((w for w in course.works() if recorded(status, w) is None), None)
    if work is None:
        return _judged(seen, course, status)
    stands = state(seen, work)
    if lost(seen, status, work) and stands.job is not None:
        why = Failure(Reason.GATING, "judging again: the first result was lost with its pod")
        return Want(status, "Gating", why, "Reconciling", delete=parts_of(stands.job))
    if stands.failed:
        return Want(_over(seen, status), "Failed", why_failed(stands), "Stalled")
    status = status.model_copy(update={"run": status.run.model_copy(update={"end_time": None})})
    if course.spec.suspend:
        return _suspended(seen, course, status, work)
    if seen.missing_claims and stands.job is None:
        return _missing_claims(seen, status)
    step = _STEPS[work.stage]
    if status.stage != step.stage:
        status = status.model_copy(update={"percent": 0})
    why, goes = _doing(seen, step, work)
    desired = work.objects(course.platform)
    status = paced(seen, status, work)
    return Want(status, step.stage, why, goes, desired)


def _judged(seen: InterestMapSeen, course: Course, status: InterestMapStatus) -> Want:
    status = _over(seen, status).model_copy(update={"percent": 100, "report_uri": _report(course)})
    name, against = course.folders.name, publish.closed(status.gates)
    if against is None:
        return Want(status, "Published", Failure(Reason.PUBLISHED, f"{name} is served"), "Ready", open=True)
    status = publish.rejected(course, status, against, text(seen.now))
    message = (
        f"{name} was refused: {against}. Change the spec (other gates judge it again, without planning), or "
        "set the annotation fathom.dev/retry to a new value to make all anew"
    )
    return Want(status, "Rejected", Failure(Reason.GATE_FAILED, message), "Stalled")


def _shown(seen: InterestMapSeen, course: Course, want: Want) -> Plan:
    """Return the plan, with the table that rankers shall see on its way to them.

    Raises:
        ValueError: the spec pins a table that there is not.
    """
    table = publish.wanted(course.spec, want.status, publish.candidate(course, want.status))
    if table is None:
        return _plan(seen, course, want, None)
    work = course.publish(table.uri)
    status = publish.served(gathered(seen, want.status, [work]), table, work, text(seen.now))
    want = replace(want, status=status)
    if recorded(status, work) is not None:
        if want.open and status.table is not None:
            want = replace(want, why=Failure(Reason.PUBLISHED, _served_words(seen, course, status)))
        return _plan(seen, course, want, work)
    stands = state(seen, work)
    if stands.failed:
        failed = replace(want, stage="Failed", why=why_failed(stands), state="Stalled")
        return _plan(seen, course, failed, work)
    if want.open:
        why, goes = _doing(seen, _STEPS["publish"], work)
        want = replace(want, stage="Publishing", why=why, state=goes)
    return _plan(seen, course, replace(want, desired=(*want.desired, *work.objects(course.platform))), work)


def _plan(seen: InterestMapSeen, course: Course, want: Want, published: Work | None) -> Plan:
    works = (*course.works(), *((published,) if published else ()))
    leftovers = superfluous(works, seen.jobs)
    plan = finished(seen, want.status, want.stage, want.state, want.why)
    return replace(plan, desired=want.desired, delete=(*leftovers, *want.delete), look_again=want.look_again)


def _served_words(seen: InterestMapSeen, course: Course, status: InterestMapStatus) -> str:
    table, serving = status.table, course.spec.serving
    name = table.name if table else ""
    said = f"{name} is served: {status.pairs.planned} pairs lead to {status.clusters} clusters' items"
    if name != course.folders.name:
        said = f"{name} is served, as spec.serving.table says; {course.folders.name} is newer"
    if serving is not None and not seen.ranker:
        said = f"{said}; nobody is guided yet: there is no RecModel {serving.rec_model}"
    return said


def _doing(seen: InterestMapSeen, step: _Step, work: Work) -> tuple[Failure, State]:
    """Return what is being done or waited for, and whether people must act."""
    why = held_up(state(seen, work), step.reason) or Failure(step.reason, step.doing)
    return why, "Stalled" if why.reason == Reason.MISSING_SECRET else "Reconciling"


def _suspended(seen: InterestMapSeen, course: Course, status: InterestMapStatus, work: Work) -> Want:
    """Return a plan with the pods told to go."""
    why = Failure(Reason.SUSPENDED, f"suspended before {work.stage} was done: unset spec.suspend to go on")
    desired, gone = halted(work, state(seen, work).job, course.platform)
    return Want(status, "Suspended", why, "Suspended", desired, gone)


def _missing_claims(seen: InterestMapSeen, status: InterestMapStatus) -> Want:
    why = missing_claims(seen.missing_claims, seen.owner.namespace)
    return Want(status, "Pending", why, "Stalled", look_again=LOOK_FOR_CLAIM)


def _no_catalogue(seen: InterestMapSeen, spec: InterestMapSpec) -> Plan:
    named = [spec.captions.caption_job]
    why = no_such(named, seen.owner.namespace, "spec.captions.captionJob", "work")
    return finished(seen, seen.status, "Pending", "Stalled", why)


def _waiting(seen: InterestMapSeen, catalogue: CatalogueSeen) -> Plan:
    why = waiting_for(catalogue.name, catalogue.stage, catalogue.message)
    return finished(seen, seen.status, "Pending", "Stalled" if catalogue.stalled else "Reconciling", why)


def _over(seen: InterestMapSeen, status: InterestMapStatus) -> InterestMapStatus:
    end = status.run.end_time or text(seen.now)
    return status.model_copy(update={"run": status.run.model_copy(update={"end_time": end})})


def _report(course: Course) -> str:
    return f"{course.folders.report}/index.html"


def _waits_for(seen: InterestMapSeen, spec: InterestMapSpec) -> frozenset[Key]:
    namespace = seen.owner.namespace
    keys = {Key("CaptionJob", namespace, spec.captions.caption_job)}
    if spec.serving is not None:
        keys.add(Key("RecModel", namespace, spec.serving.rec_model))
    if seen.rival is not None:
        keys.add(Key("InterestMap", namespace, seen.rival))
    return frozenset(keys)


def _wakes(seen: InterestMapSeen, spec: InterestMapSpec, plan: Plan) -> frozenset[Key]:
    """Return the RecModel, when its ranker is to look somewhere it may not have heard of."""
    before = seen.status
    first = "table" in plan.status and before.table is None
    if spec.serving is None or not (first or before.observed_generation != seen.generation):
        return frozenset()
    return frozenset({Key("RecModel", seen.owner.namespace, spec.serving.rec_model)})

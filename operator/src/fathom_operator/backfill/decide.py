"""What shall be done about a Backfill; pure.

Estimate, pairs and fit come once, one after the other. From then on the gallery is served, and moving.py says
what moves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fathom_api import BackfillSpec, BackfillStatus, Reason
from fathom_api.backfill_status import Stage
from fathom_operator.backfill.course import DOING, Course, done, failed, paused, suspended, working
from fathom_operator.backfill.desired import FIRST, FirstStage
from fathom_operator.backfill.finish import finished
from fathom_operator.backfill.moving import moving, observed
from fathom_operator.backfill.observe import BackfillSeen
from fathom_operator.backfill.retriever import retriever
from fathom_operator.backfill.window import until_open
from fathom_operator.captionjob.usage import counted
from fathom_operator.catalogues import CatalogueSeen, no_such, waiting_for
from fathom_operator.claims import LOOK_FOR_CLAIM
from fathom_operator.failures import Failure, missing_claims, why_failed
from fathom_operator.plan import Key, Plan
from fathom_operator.platform import Platform
from fathom_operator.times import text

#: How often something missing is looked for again that nobody tells us of, in seconds.
_LOOK_FOR_KSERVE: Final = 30.0
#: Stages of a CaptionJob whose captions are all there.
_CAPTIONED: Final = frozenset({"Featurising", "Complete"})


def decide(seen: BackfillSeen, platform: Platform) -> Plan:
    """Return what shall be."""
    plan = _decided(seen, platform)
    named = seen.spec.gallery.caption_job if seen.spec else None
    if named is None:
        return plan
    return replace(plan, waits_for=frozenset({Key("CaptionJob", seen.owner.namespace, named)}))


def _decided(seen: BackfillSeen, platform: Platform) -> Plan:
    if seen.spec is None:
        return refuse(seen, seen.invalid)
    try:
        until_open(seen.spec.pace.window, seen.now)
    except ValueError as error:
        return refuse(seen, str(error))
    if (plan := _without_captions(seen, seen.spec)) is not None:
        return plan
    course = Course(seen, seen.spec, platform)
    status = _begun(seen)
    usage = counted(status.usage, seen.pods, platform.prices, seen.now)
    status = status.model_copy(update={"usage": usage})
    for stage in FIRST:
        if stage not in status.completed:
            status, plan = _once(course, status, stage)
            if plan is not None:
                return plan
    return _served(course, status)


def refuse(seen: BackfillSeen, message: str) -> Plan:
    """Return what shall be when the spec, or a child made from it, is not valid; what is served stays."""
    why = Failure(Reason.INVALID_SPEC, f"{message}. Mend the spec and apply it again.")
    return finished(seen, seen.status, seen.status.stage, "Stalled", why, retriever=None)


def _begun(seen: BackfillSeen) -> BackfillStatus:
    """Return the status with what the annotation fathom.dev/retry asks for: another try, or to go on."""
    status = seen.status
    if seen.retry == status.attempt:
        return status
    if status.stopped is not None and not status.stopped.overridden:
        going_on = status.stopped.model_copy(update={"overridden": True})
        status = status.model_copy(update={"stopped": going_on})
    return status.model_copy(update={"attempt": seen.retry})


def _without_captions(seen: BackfillSeen, spec: BackfillSpec) -> Plan | None:
    """Return the plan while the captions that are the gallery are not there, or are made anew.

    What is at work goes on, and what is served stays. Once all items have moved nothing reads captions.
    """
    named, catalogue = spec.gallery.caption_job, seen.catalogue
    if named is None:
        return None
    if catalogue is None:
        why = no_such([named], seen.owner.namespace, "spec.gallery.captionJob", "work")
        stalled = True
    elif catalogue.spec is None or not (_captioned(catalogue) or "complete" in seen.status.completed):
        why = waiting_for(named, catalogue.stage, catalogue.message)
        stalled = catalogue.stalled
    else:
        return None
    begun = seen.status.completed or seen.jobs
    stage: Stage = seen.status.stage if begun else "Pending"
    return finished(seen, seen.status, stage, "Stalled" if stalled else "Reconciling", why, retriever=None)


def _captioned(catalogue: CatalogueSeen) -> bool:
    return catalogue.captions is not None and catalogue.stage in _CAPTIONED


def _once(course: Course, status: BackfillStatus, stage: FirstStage) -> tuple[BackfillStatus, Plan | None]:
    """Return the status with a stage that is done, or else the plan that does it."""
    seen, spec = course.seen, course.spec
    wanted = course.work(stage, status)
    state = course.state(wanted)
    if state.complete:
        status = done(course, status, wanted, state)
        if stage == "pair":
            status = status.model_copy(update={"start_time": status.start_time or text(seen.now)})
        return status, None
    if stage == "pair" and not spec.approve and state.job is None:
        return status, _awaiting_approval(course, status)
    if state.failed:
        return status, failed(course, status, why_failed(state), None)
    if spec.suspend:
        return status, paused(course, status, [wanted], suspended(), None)
    if seen.missing_claims and state.job is None:
        return status, _missing_claims(course, status)
    return status, working(course, status, [wanted], DOING[stage], None)


def _served(course: Course, status: BackfillStatus) -> Plan:
    """Return what shall be once both models are comparable: served first, then moved."""
    seen, spec = course.seen, course.spec
    if seen.not_installed:
        return _kserve_missing(course, status)
    compatible = status.fit.compatibility if status.fit else None
    served = retriever(seen, spec, course.platform, compatible.digest if compatible else "")
    status = observed(course, status)
    if spec.serving is None or served.ready or status.items.moved:
        return moving(course, status, served)
    said = f": {served.message}" if served.message else ""
    why = Failure(Reason.DEPLOYING, f"waiting for the retriever to answer{said}")
    gone = course.others(status)
    return finished(seen, status, "Deploying", "Reconciling", why, retriever=served, delete=gone)


def _awaiting_approval(course: Course, status: BackfillStatus) -> Plan:
    estimate = status.estimate
    takes = ""
    if estimate is not None:
        time = f", {estimate.seconds} s" if estimate.seconds is not None else ""
        cost = f", {estimate.cost}" if estimate.cost else ""
        takes = f": {estimate.items} items{time}{cost}"
    why = Failure(Reason.AWAITING_APPROVAL, f"waiting for spec.approve{takes}")
    return finished(course.seen, status, "AwaitingApproval", "Suspended", why, retriever=None)


def _missing_claims(course: Course, status: BackfillStatus) -> Plan:
    why = missing_claims(course.seen.missing_claims, course.seen.owner.namespace)
    return finished(course.seen, status, "Pending", "Stalled", why, retriever=None, look_again=LOOK_FOR_CLAIM)


def _kserve_missing(course: Course, status: BackfillStatus) -> Plan:
    message = (
        f"serving needs {', '.join(course.seen.not_installed)}, which the cluster does not have: install "
        "KServe, or remove spec.serving; it goes on by itself then"
    )
    why = Failure(Reason.MODE_NOT_INSTALLED, message)
    return finished(
        course.seen, status, "Deploying", "Stalled", why, retriever=None, look_again=_LOOK_FOR_KSERVE
    )

"""What shall be done about a RecModel; pure.

Two questions, one after the other: which version should be served (made and judged by train.py), and how is
what should be served brought to the requests (serve.py). The second is asked always: the stable version is
looked after, whatever the first one answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from fathom_api import Reason, RecModelSpec, RecModelStatus
from fathom_api.recmodel import Rejection, Stage, Version
from fathom_operator.analysis.decide import Command
from fathom_operator.claims import LOOK_FOR_CLAIM
from fathom_operator.conditions import State
from fathom_operator.failures import Failure, missing_claims
from fathom_operator.plan import Plan, Ref
from fathom_operator.platform import Platform
from fathom_operator.recmodel.commands import command, said
from fathom_operator.recmodel.course import Course
from fathom_operator.recmodel.gate import failed
from fathom_operator.recmodel.judging import judging
from fathom_operator.recmodel.lacking import lacking
from fathom_operator.recmodel.launcher import missing, together
from fathom_operator.recmodel.needs import Needs, needs
from fathom_operator.recmodel.observe import RecModelSeen
from fathom_operator.recmodel.retrain import in_use, look_again, scheduled
from fathom_operator.recmodel.rollout import Move
from fathom_operator.recmodel.serve import Served, Situation, nothing, serve
from fathom_operator.recmodel.status import finished, passed, paused
from fathom_operator.recmodel.train import all_measured, judged, progress, superfluous_now
from fathom_operator.recmodel.versions import active_rejection, promoted, version_name, with_rejection
from fathom_operator.times import soonest, text
from fathom_operator.work import Work

#: How often something missing is looked for again that nobody tells us of, in seconds.
_LOOK_FOR_MODE: Final = 30.0


@dataclass(frozen=True)
class Want:
    """The answer to the first question: where the version stands, and whether to deploy it."""

    status: RecModelStatus
    stage: Stage
    why: Failure
    state: State
    work: Work | None = None
    delete: tuple[Ref, ...] = ()
    deploy: Version | None = None
    look_again: float | None = None


def decide(seen: RecModelSeen, platform: Platform) -> Plan:
    """Return what shall be."""
    if seen.spec is None:
        return refuse(seen, seen.invalid)
    try:
        status = scheduled(seen, seen.spec).model_copy(update={"obeyed": said(seen.annotations)})
    except ValueError as error:
        return refuse(seen, str(error))
    needed = needs(seen)
    want = _want(seen, seen.spec, platform, needed, status)
    plan = _not_served(seen, want) if seen.spec.serving is None else _served(seen, seen.spec, want, platform)
    work = want.work.objects(platform) if want.work else ()
    judged_by, over = judging(seen, plan, platform)
    return replace(
        plan,
        desired=(*work, *plan.desired, *judged_by),
        delete=(*want.delete, *plan.delete, *over),
        look_again=soonest(plan.look_again, want.look_again, look_again(status, seen.now)),
        waits_for=needed.waits_for,
    )


def refuse(seen: RecModelSeen, message: str) -> Plan:
    """Return what shall be when the spec, or a child made from it, is not valid; what is served stays."""
    why = Failure(Reason.INVALID_SPEC, f"{message}. Mend the spec and apply it again.")
    return finished(seen, seen.status, seen.status.stage, "Stalled", why, serving=None)


def _want(
    seen: RecModelSeen, spec: RecModelSpec, platform: Platform, needed: Needs, status: RecModelStatus
) -> Want:
    status = status.model_copy(update={"observed_generation": seen.generation})
    if needed.missing is not None:
        state: State = "Stalled" if needed.stalled else "Reconciling"
        return Want(_without_rollout(status), "Pending", needed.missing, state)
    features = in_use(spec, status, needed.features)
    version = version_name(spec, features, status.last_retrain)
    status = status.model_copy(update={"features": list(features.values())})
    if status.candidate is None or status.candidate.name != version:
        status = _without_rollout(status)
    judge = _judged_against(status, version)
    group = together(spec.training, seen.launchers, seen.jobs)
    course = Course(spec, seen.owner, platform, version, features, judge, seen.retry, group)
    return _settled(seen, course, status) or _next(seen, course, status)


def _judged_against(status: RecModelStatus, version: str) -> Version | None:
    """Return the version that `version` has to beat, or had to: it stays part of what its evaluation was."""
    if status.stable is None or status.stable.name != version:
        return status.stable
    return next((each for each in status.history if each.name != version), None)


def _settled(seen: RecModelSeen, course: Course, status: RecModelStatus) -> Want | None:
    """Return where the version stands if nothing is left to be made or judged."""
    delete = superfluous_now(seen, course)
    if status.stable is not None and status.stable.name == course.version:
        status = status.model_copy(update={"candidate": None, "rollout": None})
        return Want(
            status, "Serving", Failure(Reason.SERVING, f"{course.version} is served"), "Ready", delete=delete
        )
    rejection = active_rejection(status, course.version, seen.retry, course.spec.evaluation.gate)
    if rejection is not None and course.spec.serving is not None:
        return _rejected(_without_rollout(status), rejection, delete)
    candidate = status.candidate
    if candidate is None or candidate.name != course.version:
        return None
    if status.rollout is not None and course.spec.serving is not None:
        return _deploying(course, status, candidate, delete)
    if course.spec.serving is None and status.stage == "Complete" and all_measured(course, status):
        return _complete(judged(course, status), delete)
    return None


def _next(seen: RecModelSeen, course: Course, status: RecModelStatus) -> Want:
    if seen.missing_claims:
        return _missing_claims(seen, status)
    if lacking := missing(course.spec.training, seen.launchers):
        return Want(status, "Pending", lacking, "Stalled", look_again=_LOOK_FOR_MODE)
    now = progress(seen, course, status)
    if now.stage != "Judged":
        state: State = "Stalled" if now.stalled else "Reconciling"
        return Want(now.status, now.stage, now.why, state, now.work, now.delete)
    if course.spec.serving is None:
        return _complete(now.status, now.delete)
    candidate, closed = now.status.candidate, failed(now.status.gates)
    if candidate is not None and closed is None:
        return _deploying(course, now.status, candidate, now.delete)
    rejection = _rejection(
        seen, now.status, course.version, Reason.GATE_FAILED, closed or "nothing was trained"
    ).model_copy(update={"gate": course.spec.evaluation.gate})
    return _rejected(with_rejection(now.status, rejection), rejection, now.delete)


def _deploying(course: Course, status: RecModelStatus, candidate: Version, delete: tuple[Ref, ...]) -> Want:
    # Fixed with the begin of the rollout; another try of a version that was rejected gets today's.
    fixed = candidate.image if status.rollout is not None else None
    candidate = candidate.model_copy(update={"image": fixed or course.platform.ranker_image})
    status = status.model_copy(update={"candidate": candidate})
    why = Failure(Reason.DEPLOYING, f"deploying {candidate.name}")
    return Want(status, "Deploying", why, "Reconciling", delete=delete, deploy=candidate)


def _complete(status: RecModelStatus, delete: tuple[Ref, ...]) -> Want:
    name = status.candidate.name if status.candidate else ""
    closed = failed(status.gates)
    verdict = f"the gate is closed: {closed}" if closed else "the gate is open"
    why = Failure(Reason.COMPLETE, f"{name} is trained and evaluated; {verdict}")
    return Want(_without_rollout(status), "Complete", why, "Ready", delete=delete)


def _rejected(status: RecModelStatus, rejection: Rejection, delete: tuple[Ref, ...]) -> Want:
    value = rejection.name if rejection.retry != rejection.name else "a new value"
    message = (
        f"{rejection.name} was rejected: {rejection.message}. Change the spec{_or_gate(rejection)}, or set "
        f"the annotation fathom.dev/retry to {value}"
    )
    return Want(status, "Rejected", Failure(rejection.reason, message), "Stalled", delete=delete)


def _or_gate(rejection: Rejection) -> str:
    return " (another gate judges it again, without training)" if rejection.gate else ""


def _missing_claims(seen: RecModelSeen, status: RecModelStatus) -> Want:
    why = missing_claims(seen.missing_claims, seen.owner.namespace, "training")
    return Want(status, "Pending", why, "Stalled", look_again=LOOK_FOR_CLAIM)


def _rejection(
    seen: RecModelSeen, status: RecModelStatus, version: str, reason: str, message: str
) -> Rejection:
    digest = status.candidate.digest if status.candidate else None
    return Rejection(
        name=version, digest=digest, reason=reason, message=message, at=text(seen.now), retry=seen.retry
    )


def _without_rollout(status: RecModelStatus) -> RecModelStatus:
    return status.model_copy(update={"rollout": None})


def _not_served(seen: RecModelSeen, want: Want) -> Plan:
    status = want.status.model_copy(update={"stable": None, "url": None})
    return finished(seen, status, want.stage, want.state, want.why, serving=nothing(seen))


def _served(seen: RecModelSeen, spec: RecModelSpec, want: Want, platform: Platform) -> Plan:
    if (want.deploy or want.status.stable) and (why := lacking(seen, spec.serving)) is not None:
        return _lacking(seen, want, why)
    situation = _situation(seen, spec, platform, want.status, want.deploy)
    if situation is not None:
        situation = replace(situation, command=_command(seen))
    served = Served() if situation is None else serve(situation)
    if want.deploy is None or served.move is None:
        return _still(seen, want, served)
    want, candidate = replace(want, status=_with_analysis(want.status, served.move)), want.deploy
    match served.move.verdict:
        case "Going":
            return _going(seen, want, served, served.move)
        case "Paused":
            return paused(seen, want.status, candidate, served, served.move)
        case "Promoted":
            status = promoted(want.status, candidate, text(seen.now))
            stage, why, state = "Serving", Failure(Reason.SERVING, f"{candidate.name} is served"), "Ready"
        case "Rejected":
            rejection = _rejection(seen, want.status, candidate.name, served.move.reason, served.move.message)
            rejected = _rejected(with_rejection(want.status, rejection), rejection, ())
            status, stage, why, state = rejected.status, rejected.stage, rejected.why, rejected.state
    settled = _situation(seen, spec, platform, status, None)
    served = Served() if settled is None else serve(settled)
    return _still(seen, replace(want, status=status, stage=stage, why=why, state=state, deploy=None), served)


def _situation(
    seen: RecModelSeen,
    spec: RecModelSpec,
    platform: Platform,
    status: RecModelStatus,
    candidate: Version | None,
) -> Situation | None:
    if spec.serving is None:
        return None
    before = status.history[1] if len(status.history) > 1 else None
    return Situation(
        seen, spec.serving, platform, status.stable, before, candidate, status.rollout if candidate else None
    )


def _command(seen: RecModelSeen) -> Command | None:
    """Return what people say to the rollout under way, if it is new."""
    return command(seen.annotations, seen.status.obeyed) if seen.status.rollout is not None else None


def _with_analysis(status: RecModelStatus, move: Move) -> RecModelStatus:
    """Return `status` with what was measured; what the last step measured stays until the next begins."""
    kept = [] if status.rollout is None else status.analysis
    return status.model_copy(update={"analysis": list(move.results) or kept})


def _going(seen: RecModelSeen, want: Want, served: Served, move: Move) -> Plan:
    rollout = move.status
    starting = rollout.phase == "Starting" or want.status.stable is None
    stage: Stage = "Deploying" if starting else "RollingOut"
    reason = Reason.DEPLOYING if starting else Reason.ROLLING_OUT
    name = want.deploy.name if want.deploy else ""
    status = want.status.model_copy(update={"rollout": rollout})
    why = Failure(reason, f"{name}: {served.message}")
    plan = finished(seen, status, stage, "Reconciling", why, serving=served)
    note = passed(name, seen.status.rollout, move)
    return replace(plan, events=(*plan.events, *note))


def _still(seen: RecModelSeen, want: Want, served: Served) -> Plan:
    """Return a plan in which no candidate moves: the stable version, if there is one, is looked after."""
    stage, why, state = want.stage, want.why, want.state
    if want.deploy is not None:
        why = Failure(Reason.DEPLOYING, served.message)
    elif stage == "Serving" and not served.ready:
        said = f": {served.message}" if served.message else ""
        stage, state = "Deploying", "Reconciling"
        name = want.status.stable.name if want.status.stable else ""
        why = Failure(Reason.DEPLOYING, f"waiting for {name} to answer{said}")
    return finished(seen, _without_rollout(want.status), stage, state, why, serving=served)


def _lacking(seen: RecModelSeen, want: Want, why: Failure) -> Plan:
    """Return a plan that leaves as it is what is served: the cluster lacks what the spec needs."""
    plan = finished(seen, _without_rollout(want.status), "Deploying", "Stalled", why, serving=None)
    return replace(plan, look_again=_LOOK_FOR_MODE)

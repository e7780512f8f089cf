"""The status of a RecModel: what a decision means for conditions, address and Events."""

from __future__ import annotations

from fathom_api import ConditionType, Reason, RecModelStatus
from fathom_api.recmodel import RolloutStatus, Stage, Version
from fathom_operator.conditions import Claim, State, find, merge, summary
from fathom_operator.failures import Failure
from fathom_operator.notes import changed
from fathom_operator.plan import Note, Plan
from fathom_operator.recmodel.gate import failed
from fathom_operator.recmodel.observe import RecModelSeen
from fathom_operator.recmodel.rollout import Move
from fathom_operator.recmodel.serve import Served


def finished(
    seen: RecModelSeen,
    status: RecModelStatus,
    stage: Stage,
    state: State,
    why: Failure,
    *,
    serving: Served | None,
) -> Plan:
    """Return the plan with its status written out; `serving` None leaves as it is what is served."""
    if serving is not None:
        url = serving.url if status.stable else None
        status = status.model_copy(update={"url": url, "gateway": serving.gateway})
    status = status.model_copy(update={"stage": stage, "observed_generation": seen.generation})
    message = why.message
    if status.stable is not None and stage != "Serving" and status.stable.name not in message:
        message = f"{message}; {status.stable.name} is served meanwhile"
    claims = (
        *summary(state, why.reason, message),
        _trained(status),
        _gate_passed(status),
        _serving(seen, status, serving),
    )
    conditions = merge(seen.status.conditions, claims, seen.generation, seen.now)
    document = status.model_copy(update={"conditions": conditions}).document()
    return Plan(
        document,
        desired=serving.desired if serving else (),
        delete=serving.delete if serving else (),
        events=changed(seen.status.conditions, conditions),
        look_again=serving.look_again if serving else None,
    )


def paused(
    seen: RecModelSeen, status: RecModelStatus, candidate: Version, served: Served, move: Move
) -> Plan:
    """Return the plan while the rollout waits for people, or for more to be known."""
    status = status.model_copy(update={"rollout": move.status})
    state: State = "Suspended" if move.status.paused_by == "User" else "Stalled"
    what = "resume" if move.status.paused_by == "User" else "resume, promote or abort"
    at = f"paused at {move.status.weight} % of the requests"
    message = f"{candidate.name} is {at}: {move.message}. To go on: kubectl fathom {what} {seen.owner.name}"
    return finished(seen, status, "RollingOut", state, Failure(move.reason, message), serving=served)


def passed(name: str, before: RolloutStatus | None, move: Move) -> tuple[Note, ...]:
    """Return an Event about a step that was passed, with what was measured in it."""
    if before is None or not move.passes:
        return ()
    measured = "; ".join(f"{r.metric}: {r.message}" for r in move.results)
    message = f"{name} at {before.weight} %: {move.message}"
    return (Note("Normal", move.reason, f"{message}. {measured}" if measured else message),)


def _trained(status: RecModelStatus) -> Claim:
    training, candidate = status.training, status.candidate
    if candidate is None and status.stable is not None:
        return Claim(ConditionType.TRAINED, "True", Reason.COMPLETE, f"{status.stable.name} is trained")
    name = candidate.name if candidate else ""
    if training is not None and training.percent == 100 and status.stage not in {"Pending", "Training"}:
        return Claim(ConditionType.TRAINED, "True", Reason.COMPLETE, f"{name} is trained")
    percent = f"{training.percent} % of the training of {name} is done" if training and name else "not begun"
    return Claim(ConditionType.TRAINED, "False", Reason.TRAINING if name else status.stage, percent)


def _gate_passed(status: RecModelStatus) -> Claim:
    if status.stage in {"Pending", "Training", "Evaluating", "Failed"} or not status.metrics:
        return Claim(ConditionType.GATE_PASSED, "Unknown", status.stage, "not evaluated yet")
    closed = failed(status.gates)
    if closed is not None:
        return Claim(ConditionType.GATE_PASSED, "False", Reason.GATE_FAILED, closed)
    message = "; ".join(v.message for v in status.gates) or "no comparison was asked for"
    return Claim(ConditionType.GATE_PASSED, "True", Reason.COMPLETE, message)


def _serving(seen: RecModelSeen, status: RecModelStatus, serving: Served | None) -> Claim:
    if seen.spec is not None and seen.spec.serving is None:
        return Claim(ConditionType.SERVING, "False", Reason.NOT_REQUESTED, "spec.serving is not set")
    before = find(seen.status.conditions, ConditionType.SERVING)
    if serving is None and before is not None:
        return Claim(ConditionType.SERVING, before.status, before.reason, before.message)
    if status.stable is None:
        return Claim(ConditionType.SERVING, "False", status.stage, "nothing is served yet")
    if serving is not None and serving.ready:
        return Claim(ConditionType.SERVING, "True", Reason.SERVING, f"{status.stable.name} answers")
    message = f"{status.stable.name} does not answer{_because(serving)}"
    return Claim(ConditionType.SERVING, "False", Reason.DEPLOYING, message)


def _because(serving: Served | None) -> str:
    return f": {serving.message}" if serving and serving.message else ""

"""The end of every decision about a Backfill: its conditions and Events; pure."""

from __future__ import annotations

from collections.abc import Iterable

from fathom_api import BackfillStatus, ConditionType, Reason
from fathom_api.backfill_status import Stage
from fathom_operator.backfill.observe import BackfillSeen
from fathom_operator.backfill.retriever import Retriever
from fathom_operator.conditions import Claim, State, find, merge, summary
from fathom_operator.failures import Failure
from fathom_operator.kube.resources import Obj
from fathom_operator.notes import changed
from fathom_operator.plan import Plan, Ref


def finished(
    seen: BackfillSeen,
    status: BackfillStatus,
    stage: Stage,
    state: State,
    why: Failure,
    *,
    retriever: Retriever | None,
    desired: Iterable[Obj] = (),
    delete: Iterable[Ref] = (),
    look_again: float | None = None,
) -> Plan:
    """Return the plan with its status written out; `retriever` None leaves as it is what is served."""
    url = status.url if retriever is None else retriever.url
    status = status.model_copy(update={"stage": stage, "observed_generation": seen.generation, "url": url})
    if stage != "Moving":
        status = status.model_copy(update={"items_per_second": None, "estimated_completion_time": None})
    claims = (
        *summary(state, why.reason, why.message),
        _compatible(status, why),
        _serving(seen, status, retriever),
    )
    conditions = merge(seen.status.conditions, claims, seen.generation, seen.now)
    document = status.model_copy(update={"conditions": conditions}).document()
    return Plan(
        document,
        desired=(*desired, *(retriever.desired if retriever else ())),
        delete=(*delete, *(retriever.delete if retriever else ())),
        events=changed(seen.status.conditions, conditions),
        look_again=look_again,
    )


def _compatible(status: BackfillStatus, why: Failure) -> Claim:
    if why.reason == Reason.WORSE_THAN_OLD:
        return Claim(ConditionType.COMPATIBLE, "False", why.reason, why.message)
    if status.fit is None:
        return Claim(ConditionType.COMPATIBLE, "Unknown", status.stage, "not examined yet")
    fit = status.fit
    message = "what makes both models comparable is there"
    if fit.recall_old is not None and fit.recall_merged is not None:
        message = (
            f"recall on held-out pairs {fit.recall_old:.4f} with the old model, {fit.recall_merged:.4f} with "
            "half of the items moved"
        )
    return Claim(ConditionType.COMPATIBLE, "True", Reason.COMPLETE, message)


def _serving(seen: BackfillSeen, status: BackfillStatus, retriever: Retriever | None) -> Claim:
    kind = ConditionType.SERVING
    if seen.spec is not None and seen.spec.serving is None:
        return Claim(kind, "False", Reason.NOT_REQUESTED, "spec.serving is not set")
    if retriever is None:
        before = find(seen.status.conditions, kind)
        if before is not None:
            return Claim(kind, before.status, before.reason, before.message)
        return Claim(kind, "False", status.stage, "nothing is searched yet")
    if retriever.ready:
        return Claim(kind, "True", Reason.SERVING, "the gallery is searched")
    said = f": {retriever.message}" if retriever.message else ""
    return Claim(kind, "False", Reason.DEPLOYING, f"the retriever does not answer{said}")

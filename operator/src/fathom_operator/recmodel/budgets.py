"""PodDisruptionBudgets: how many pods of a version may be evicted at once; pure."""

from __future__ import annotations

from fathom_api import Labels
from fathom_api.recmodel import Version
from fathom_operator.kube.resources import DISRUPTION_BUDGETS, Obj
from fathom_operator.owner import Owner
from fathom_operator.plan import Ref
from fathom_operator.recmodel.predictor import STAGE, standard_name
from fathom_operator.recmodel.situation import Situation


def budgets(it: Situation) -> tuple[Obj, ...]:
    """Return the budget of each version that is served; one pod alone has none: it could not be evicted."""
    if it.serving.replicas < 2:
        return ()
    versions = [version for version in (it.stable, it.candidate) if version is not None]
    return tuple(_budget(it.seen.owner, version, it.serving.max_unavailable) for version in versions)


def superfluous(it: Situation) -> tuple[Ref, ...]:
    """Return the budgets that shall go."""
    kept = {wanted["metadata"]["name"] for wanted in budgets(it)}
    children = [child for child in it.seen.children if child.kind == DISRUPTION_BUDGETS.kind]
    return tuple(child for child in children if child.name not in kept)


def _budget(owner: Owner, version: Version, most: int | str) -> Obj:
    selector = {Labels.UID: owner.uid, Labels.STAGE: STAGE, Labels.RUN: version.name}
    body = {"spec": {"maxUnavailable": most, "selector": {"matchLabels": selector}}}
    labels = owner.labels(STAGE, version.name)
    return owner.child(DISRUPTION_BUDGETS, standard_name(owner, version), labels, body)

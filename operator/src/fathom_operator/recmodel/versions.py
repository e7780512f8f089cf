"""Versions: names by what a model is trained from, and the list of those that were rejected."""

from __future__ import annotations

from collections.abc import Mapping

from fathom_api import Reason, RecModelSpec, RecModelStatus
from fathom_api.captionjob import Artifact
from fathom_api.pods import PodTemplate
from fathom_api.recmodel import Gate, Rejection, Training, Version
from fathom_operator.digests import short

_KEPT = 10


def what_is_learned(training: Training) -> Training:
    """Return `training` without what does not change the model: pods, nodes, queue, retries."""
    defaults = Training()
    return training.model_copy(
        update={
            "template": PodTemplate(),
            "queue_name": None,
            "backoff_limit": defaults.backoff_limit,
            "nodes": defaults.nodes,
            "launcher": defaults.launcher,
            "max_restarts": defaults.max_restarts,
        }
    )


def version_name(
    spec: RecModelSpec, features: Mapping[str, Artifact], last_retrain: str | None = None
) -> str:
    """Return `v-` and eight hex digits of what a model is trained from, and of when the schedule said so."""
    made_from: dict[str, object] = {
        "data": spec.data.document(),
        "features": spec.features.document(),
        "captions": {name: artifact.digest for name, artifact in features.items()},
        "model": spec.model.document(),
        "training": what_is_learned(spec.training).document(),
    }
    if last_retrain is not None:
        # The data may have changed under their names since.
        made_from["retrain"] = last_retrain
    return f"v-{short(made_from)}"


def active_rejection(status: RecModelStatus, name: str, retry: str, gate: Gate) -> Rejection | None:
    """Return why version `name` is not tried.

    None if it may be: never rejected, asked for again since, or rejected by another gate than `gate`.
    """
    rejection = next((r for r in status.rejected if r.name == name), None)
    if rejection is None or (retry and retry != rejection.retry):
        return None
    if rejection.reason == Reason.GATE_FAILED and rejection.gate is not None and rejection.gate != gate:
        return None
    return rejection


def with_rejection(status: RecModelStatus, rejection: Rejection) -> RecModelStatus:
    """Return `status` with a rejection, the latest first."""
    others = [r for r in status.rejected if r.name != rejection.name]
    return status.model_copy(update={"rejected": [rejection, *others][:_KEPT], "rollout": None})


def promoted(status: RecModelStatus, version: Version, now: str) -> RecModelStatus:
    """Return `status` with `version` served."""
    served = version.model_copy(update={"promoted_at": now})
    return status.model_copy(
        update={
            "stable": served,
            "candidate": None,
            "rollout": None,
            "history": [served, *status.history][:_KEPT],
            "rejected": [r for r in status.rejected if r.name != version.name],
        }
    )

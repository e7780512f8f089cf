"""What we want to know of InferenceServices and of Knative's revisions behind them.

An InferenceService's `observedGeneration` and `Ready` may speak of an older spec, so versions are told
apart by the label and the digest that we put on the pods' template: they travel to the revision and cannot
lag behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fathom_api import Annotations, Labels
from fathom_operator.kube.resources import INFERENCE_SERVICES, Obj
from fathom_operator.plan import Children
from fathom_operator.views import condition


@dataclass(frozen=True)
class RevisionView:
    """A Knative revision of ours."""

    name: str
    version: str
    digest: str
    ready: bool
    message: str = ""


@dataclass(frozen=True)
class ServiceView:
    """An InferenceService of ours: what it was told (`version`, `percent`) and what it says of itself."""

    name: str
    version: str
    percent: int | None = None
    ready: bool = False
    message: str = ""
    url: str | None = None
    #: Knative only: names of revisions, and percent of the requests by revision.
    latest_created: str | None = None
    latest_ready: str | None = None
    rolled_out: str | None = None
    traffic: Mapping[str, int] = field(default_factory=dict[str, int])


def service_view(obj: Obj) -> ServiceView:
    """Return what we want to know of an InferenceService."""
    predictor: Obj = obj["spec"]["predictor"]
    status: Obj = obj.get("status", {})
    component: Obj = status.get("components", {}).get("predictor", {})
    ready = condition(status, "Ready")
    traffic: dict[str, int] = {}
    for target in component.get("traffic") or []:
        name = target.get("revisionName", "")
        traffic[name] = traffic.get(name, 0) + (target.get("percent") or 0)
    return ServiceView(
        name=obj["metadata"]["name"],
        version=predictor.get("labels", {}).get(Labels.RUN, ""),
        percent=predictor.get("canaryTrafficPercent"),
        ready=ready.get("status") == "True",
        message=_problem(status, ready),
        url=status.get("url"),
        latest_created=component.get("latestCreatedRevision"),
        latest_ready=component.get("latestReadyRevision"),
        rolled_out=component.get("latestRolledoutRevision"),
        traffic=traffic,
    )


def services_in(children: Children) -> dict[str, ServiceView]:
    """Return the InferenceServices among `children`, by name."""
    return {r.name: service_view(o) for r, o in children.items() if r.kind == INFERENCE_SERVICES.kind}


def revision_view(obj: Obj) -> RevisionView:
    """Return what we want to know of a revision."""
    meta = obj["metadata"]
    ready = condition(obj.get("status", {}), "Ready")
    return RevisionView(
        name=meta["name"],
        version=meta.get("labels", {}).get(Labels.RUN, ""),
        digest=meta.get("annotations", {}).get(Annotations.DIGEST, ""),
        ready=ready.get("status") == "True",
        message=ready.get("message", ""),
    )


def _problem(status: Obj, ready: Obj) -> str:
    failure = status.get("modelStatus", {}).get("lastFailureInfo", {})
    return failure.get("message") or ready.get("message", "")

"""Plays KServe and Knative: a revision for what an InferenceService says, its readiness, its requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from integration.kube import Object
from integration.player import Player

from fathom_api.meta import Annotations, Labels

_SINCE = "2026-01-31T12:00:00Z"


def _ready(truth: bool, message: str = "") -> Object:
    return {
        "type": "Ready",
        "status": "True" if truth else "False",
        "message": message,
        "lastTransitionTime": _SINCE,
    }


@dataclass
class KServe(Player):
    """The controllers of one namespace."""

    #: RecModel and version whose pods never become ready, with what they say.
    broken: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def settles(self) -> Iterable[tuple[str, Callable[[Object], None]]]:
        """InferenceServices get what they ask for."""
        yield "InferenceService", self.settle

    def settle(self, service: Object) -> None:
        """Do for one InferenceService what KServe would, in one go."""
        mode = service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"]
        status = self._knative(service) if mode == "Knative" else self._standard(service)
        self.say("InferenceService", service, status)

    def _standard(self, service: Object) -> Object:
        name, predictor = service["metadata"]["name"], service["spec"]["predictor"]
        problem = self.broken.get(_whose(predictor))
        if not self.namespace.find("Pod", f"{name}-predictor-0"):
            self._pod(service, problem)
            self._endpoints(service, ready=problem is None)
        return {
            "conditions": [_ready(problem is None, problem or "")],
            "url": f"http://{name}.{self.namespace.name}.example.com",
        }

    def _pod(self, service: Object, problem: str | None) -> None:
        """Start the one pod of a predictor."""
        name, predictor = service["metadata"]["name"], service["spec"]["predictor"]
        fields = ("containers", "volumes", "automountServiceAccountToken")
        self.namespace.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{name}-predictor-0",
                    "labels": predictor["labels"],
                    "annotations": predictor["annotations"],
                    "ownerReferences": [_owner(service)],
                },
                "spec": {field: predictor[field] for field in fields},
            }
        )
        status = {"phase": "Running", "conditions": [_ready(problem is None)]}
        self.namespace.patch_status("Pod", f"{name}-predictor-0", status)

    def _endpoints(self, service: Object, *, ready: bool) -> None:
        """Say that the pod takes requests, as the controller of EndpointSlices does of a Service's pods."""
        name = f"{service['metadata']['name']}-predictor"
        self.namespace.create(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": name,
                    "labels": {"kubernetes.io/service-name": name},
                    "ownerReferences": [_owner(service)],
                },
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["10.244.0.9"], "conditions": {"ready": ready}}],
                "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            }
        )

    def _knative(self, service: Object) -> Object:
        name, predictor = service["metadata"]["name"], service["spec"]["predictor"]
        created = self._revision(service)
        before: Object = service.get("status", {}).get("components", {}).get("predictor", {})
        problem = self.broken.get(_whose(predictor))
        latest_ready = created if problem is None else before.get("latestReadyRevision")
        rolled_out = before.get("latestRolledoutRevision")
        percent = predictor.get("canaryTrafficPercent")
        if latest_ready and (percent is None or percent == 100 or rolled_out is None):
            rolled_out = latest_ready
        return {
            "conditions": [_ready(problem is None, problem or "")],
            "url": f"http://{name}.{self.namespace.name}.example.com",
            "components": {
                "predictor": {
                    "latestCreatedRevision": created,
                    **({"latestReadyRevision": latest_ready} if latest_ready else {}),
                    **({"latestRolledoutRevision": rolled_out} if rolled_out else {}),
                    "traffic": _traffic(latest_ready, rolled_out, percent),
                }
            },
        }

    def _revision(self, service: Object) -> str:
        """Return the latest revision, a new one if the template is not what that was made from."""
        name, predictor = service["metadata"]["name"], service["spec"]["predictor"]
        label = "serving.knative.dev/configuration"
        revisions = self.namespace.list("Revision", f"{label}={name}-predictor")
        latest = max(revisions, key=lambda each: each["metadata"]["name"], default=None)
        if latest and _made_of(latest["metadata"]) == _made_of(predictor):
            return latest["metadata"]["name"]
        revision = f"{name}-predictor-{len(revisions) + 1:05d}"
        self.namespace.create(
            {
                "apiVersion": "serving.knative.dev/v1",
                "kind": "Revision",
                "metadata": {
                    "name": revision,
                    "labels": {**predictor["labels"], label: f"{name}-predictor"},
                    "annotations": predictor["annotations"],
                    "ownerReferences": [_owner(service)],
                },
                "spec": {"containers": [{"name": "kserve-container", "image": "x"}]},
            }
        )
        problem = self.broken.get(_whose(predictor))
        state = {"conditions": [_ready(problem is None, problem or "")]}
        self.namespace.patch_status("Revision", revision, state)
        return revision


def _whose(predictor: Object) -> tuple[str, str]:
    return predictor["labels"][Labels.NAME], predictor["labels"][Labels.RUN]


def _made_of(meta: Object) -> tuple[str, str]:
    return meta["labels"][Labels.RUN], meta["annotations"][Annotations.DIGEST]


def _owner(service: Object) -> Object:
    meta = service["metadata"]
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }


def _traffic(latest: str | None, rolled_out: str | None, percent: int | None) -> list[dict[str, Any]]:
    if latest is None:
        return []
    if rolled_out in {None, latest} or percent is None:
        return [{"revisionName": latest, "percent": 100, "latestRevision": True}]
    return [
        {"revisionName": latest, "percent": percent, "latestRevision": True},
        {"revisionName": rolled_out, "percent": 100 - percent, "latestRevision": False},
    ]

"""Plays KServe and Knative: a revision for what an InferenceService says, its readiness, its requests."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from integration.kube import Namespace, Object, Refused

from fathom_api.meta import Annotations, Labels

_INTERVAL = 0.1
_SINCE = "2026-01-31T12:00:00Z"


def _ready(truth: bool, message: str = "") -> Object:
    return {
        "type": "Ready",
        "status": "True" if truth else "False",
        "message": message,
        "lastTransitionTime": _SINCE,
    }


@dataclass
class KServe:
    """The controllers of one namespace, at work on a thread of their own."""

    namespace: Namespace
    #: Versions whose pods never become ready, with what they say.
    broken: dict[str, str] = field(default_factory=dict[str, str])
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Bring every InferenceService's status to what its spec says, until stopped."""
        while not self._stop.wait(_INTERVAL):
            for service in self.namespace.list("InferenceService"):
                try:
                    self.settle(service)
                except Refused as refused:
                    # Deleted or changed meanwhile: the next round sees what is there then.
                    if refused.code not in {404, 409}:
                        raise

    def stop(self) -> None:
        """Let everything stay as it is."""
        self._stop.set()

    def settle(self, service: Object) -> None:
        """Do for one InferenceService what KServe would, in one go."""
        mode = service["metadata"].get("annotations", {}).get("serving.kserve.io/deploymentMode", "Knative")
        status = self._knative(service) if mode in {"Knative", "Serverless"} else self._standard(service)
        if any(service.get("status", {}).get(key) != value for key, value in status.items()):
            self.namespace.patch_status("InferenceService", service["metadata"]["name"], status)

    def _standard(self, service: Object) -> Object:
        name = service["metadata"]["name"]
        problem = self.broken.get(_version(service["spec"]["predictor"]))
        return {
            "conditions": [_ready(problem is None, problem or "")],
            "url": f"http://{name}.{self.namespace.name}.example.com",
        }

    def _knative(self, service: Object) -> Object:
        name, predictor = service["metadata"]["name"], service["spec"]["predictor"]
        created = self._revision(name, predictor)
        before: Object = service.get("status", {}).get("components", {}).get("predictor", {})
        problem = self.broken.get(_version(predictor))
        latest_ready = created if problem is None else before.get("latestReadyRevision")
        rolled_out = before.get("latestRolledoutRevision")
        percent = predictor.get("canaryTrafficPercent")
        if latest_ready and (percent is None or percent == 100 or rolled_out is None):
            rolled_out = latest_ready
        return {
            "conditions": [_ready(latest_ready is not None, problem or "")],
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

    def _revision(self, service: str, predictor: Object) -> str:
        """Return the revision of what `predictor` says, made if it is not there."""
        label = "serving.knative.dev/configuration"
        revisions = self.namespace.list("Revision", f"{label}={service}-predictor")
        digest = predictor.get("annotations", {}).get(Annotations.DIGEST, "")
        for each in revisions:
            same_digest = each["metadata"]["annotations"].get(Annotations.DIGEST, "") == digest
            if each["metadata"]["labels"].get(Labels.RUN) == _version(predictor) and same_digest:
                return each["metadata"]["name"]
        name = f"{service}-predictor-{len(revisions) + 1:05d}"
        self.namespace.create(
            {
                "apiVersion": "serving.knative.dev/v1",
                "kind": "Revision",
                "metadata": {
                    "name": name,
                    "labels": {**predictor.get("labels", {}), label: f"{service}-predictor"},
                    "annotations": predictor.get("annotations", {}),
                },
                "spec": {"containers": [{"name": "kserve-container", "image": "x"}]},
            }
        )
        problem = self.broken.get(_version(predictor))
        state = {"conditions": [_ready(problem is None, problem or "")]}
        self.namespace.patch_status("Revision", name, state)
        return name


def _version(predictor: Object) -> str:
    return predictor.get("labels", {}).get(Labels.RUN, "")


def _traffic(latest: str | None, rolled_out: str | None, percent: int | None) -> list[dict[str, Any]]:
    if latest is None:
        return []
    if rolled_out in {None, latest} or percent is None:
        return [{"revisionName": latest, "percent": 100, "latestRevision": True}]
    return [
        {"revisionName": latest, "percent": percent, "latestRevision": True},
        {"revisionName": rolled_out, "percent": 100 - percent, "latestRevision": False},
    ]


@contextmanager
def playing(namespace: Namespace) -> Generator[KServe]:
    """Play KServe in a namespace."""
    kserve = KServe(namespace)
    thread = threading.Thread(target=kserve.run, name="kserve", daemon=True)
    thread.start()
    try:
        yield kserve
    finally:
        kserve.stop()
        thread.join(timeout=10)

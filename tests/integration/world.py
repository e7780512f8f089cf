"""What a reconciliation test sees and does: resources, the Jobs made for them, and who completes those."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders.manifests import Manifest
from builders.outcomes import planned
from integration.kube import Cluster, Namespace, Object
from integration.nodes import Nodes
from integration.waiting import PATIENCE, until

from fathom_api.meta import Labels

ROOT = Path(__file__).parents[2]
#: What the builders' manifests name.
CLAIMS = ("media", "models", "features", "data")


def unique(prefix: str) -> str:
    """Return a name that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:6]}"


def claim(name: str) -> Manifest:
    """Return a PersistentVolumeClaim."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def prepared(cluster: Cluster) -> Namespace:
    """Return a fresh namespace with the claims that the builders' manifests name."""
    namespace = cluster.namespace(unique("t"))
    for name in CLAIMS:
        namespace.create(claim(name))
    return namespace


@dataclass(frozen=True)
class Resource:
    """A CaptionJob or RecModel, and what the operator made for it."""

    kind: str
    name: str
    namespace: Namespace

    @property
    def nodes(self) -> Nodes:
        """Return the hands of the cluster."""
        return Nodes(self.namespace)

    @property
    def object(self) -> Object:
        """Return it as the API server has it."""
        return self.namespace.get(self.kind, self.name)

    @property
    def status(self) -> Object:
        """Return its status, empty before the first."""
        return self.object.get("status", {})

    def condition(self, kind: str) -> Object:
        """Return one of its conditions, empty if it is not there."""
        conditions = self.status.get("conditions", [])
        return next((each for each in conditions if each["type"] == kind), {})

    def children(self, kind: str, stage: str = "") -> list[Object]:
        """Return what the operator made for it."""
        selector = f"{Labels.KIND}={self.kind},{Labels.NAME}={self.name}"
        return self.namespace.list(kind, selector + (f",{Labels.STAGE}={stage}" if stage else ""))

    def stages(self) -> list[str]:
        """Return the stages that Jobs were made for, each once for every Job, sorted."""
        return sorted(job["metadata"]["labels"][Labels.STAGE] for job in self.children("Job"))

    def job(self, stage: str) -> Object:
        """Return the unfinished Job of a stage, once it is there."""
        return until(
            f"{self} has a Job to {stage}",
            lambda: next((job for job in self.children("Job", stage) if not finished(job)), None),
        )

    def until(self, what: str, holds: Callable[[Object], Any], within: float = PATIENCE) -> Object:
        """Return the status as soon as `holds` of it."""

        def look() -> Object | None:
            status = self.status
            assert holds(status), status
            return status

        return until(f"{self}: {what}", look, within=within)

    def until_stage(self, stage: str, within: float = PATIENCE) -> Object:
        """Return the status as soon as the resource is at `stage`."""
        return self.until(f"at stage {stage}", lambda status: status.get("stage") == stage, within)

    def until_condition(self, kind: str, truth: str, reason: str, within: float = PATIENCE) -> str:
        """Return the condition's message as soon as it says `truth` for `reason`."""

        def look() -> Object | None:
            seen = self.condition(kind)
            assert (seen.get("status"), seen.get("reason")) == (truth, reason), self.status
            return seen

        return until(f"{self}: {kind} is {truth}, {reason}", look, within=within)["message"]

    def planned(self, total: int = 0) -> Resource:
        """Do the planning of a CaptionJob, and return it; without a `total` nobody heard how many items."""
        self.nodes.succeed(self.job("plan"), planned(total))
        return self

    def spec(self, **changes: Any) -> None:
        """Change its spec, as people do; None takes a field away."""
        self.namespace.patch(self.kind, self.name, {"spec": changes})

    def retry(self) -> None:
        """Ask for another try, as people do."""
        annotation = {"fathom.dev/retry": unique("again")}
        self.namespace.patch(self.kind, self.name, {"metadata": {"annotations": annotation}})

    def __str__(self) -> str:
        """Return what people call it."""
        return f"{self.kind} {self.name}"


def submit(namespace: Namespace, manifest: Manifest) -> Resource:
    """Create a resource of ours."""
    namespace.create(manifest)
    return Resource(manifest["kind"], manifest["metadata"]["name"], namespace)


def finished(job: Object) -> bool:
    """Return whether a Job is complete or has failed."""
    conditions = job.get("status", {}).get("conditions", [])
    return any(each["type"] in {"Complete", "Failed"} and each["status"] == "True" for each in conditions)

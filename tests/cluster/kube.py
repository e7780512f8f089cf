"""Talking to a cluster through kubectl."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import tools
from cluster.console import ClusterError
from cluster.controlplane import until
from cluster.shell import attempt, run

Object = dict[str, Any]


@dataclass(frozen=True)
class Kube:
    """One cluster."""

    kubeconfig: Path

    def _argv(self, *words: str | Path) -> list[str | Path]:
        return [tools.kubectl(), "--kubeconfig", self.kubeconfig, *words]

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Run kubectl; raises ClusterError with what it said when it fails."""
        return run(self._argv(*words), stdin=stdin)

    def apply(self, objects: Sequence[Object]) -> None:
        """Apply on the server's side, all in one go."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=_listed(objects))

    def accepts(self, manifest: Object) -> str | None:
        """Whether the API server would take an object: None, or what it says against it."""
        tried = attempt(self._argv("create", "--dry-run=server", "-f", "-"), stdin=json.dumps(manifest))
        return None if tried.returncode == 0 else tried.stderr.strip()

    def get(self, *words: str) -> Object:
        """One ``get`` as JSON."""
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def create(self, objects: Sequence[Object]) -> None:
        """Create objects that are not there yet: less work for the API server than ``apply``."""
        self.kubectl("create", "--validate=false", "-f", "-", stdin=_listed(objects))

    def wait_served(self, crds: Sequence[Object], seconds: float) -> None:
        """Wait until the API server serves the kinds of these CRDs.

        Raises:
            ClusterError: it did not in time; names those it does not serve.
        """
        missing = {(crd["spec"]["group"], crd["spec"]["names"]["plural"]) for crd in crds}
        versions = {(crd["spec"]["group"], one["name"]) for crd in crds for one in crd["spec"]["versions"]}

        def served() -> bool:
            for group, version in versions:
                if any(one == group for one, _ in missing):
                    missing.difference_update((group, name) for name in self._resources(group, version))
            return not missing

        if not until(served, seconds, pause=0.3):
            names = ", ".join(f"{plural}.{group}" for group, plural in sorted(missing))
            raise ClusterError(f"{seconds:.0f} s after their CRDs were made these are not served: {names}")

    def _resources(self, group: str, version: str) -> list[str]:
        asked = attempt(self._argv("get", "--raw", f"/apis/{group}/{version}"))
        # Until the group's first CRD is established the answer is "not found".
        return [one["name"] for one in json.loads(asked.stdout)["resources"]] if asked.returncode == 0 else []

    def advertise(self, resource: str, count: int) -> None:
        """Have every node offer an extended resource, and wait until the scheduler may use it.

        As in kubernetes.io, "Advertise Extended Resources for a Node".
        """
        patch = json.dumps({"status": {"capacity": {resource: str(count)}}})
        for node in self.get("nodes")["items"]:
            self.kubectl("patch", "node", node["metadata"]["name"], "--subresource=status", "-p", patch)

        def offered() -> bool:
            nodes = self.get("nodes")["items"]
            return all(node["status"]["allocatable"].get(resource) == str(count) for node in nodes)

        if not until(offered, 60.0, pause=0.5):
            raise ClusterError(f"the kubelet did not take {resource}={count} over within 60 s")

    def wait_available(self, namespaces: Sequence[str], seconds: float) -> None:
        """Wait until every Deployment of the namespaces has all its replicas.

        Raises:
            ClusterError: they had not in time; names them and shows the pods.
        """
        waiting: list[str] = []

        def available() -> bool:
            waiting[:] = [
                f"{one['metadata']['namespace']}/{one['metadata']['name']}"
                for namespace in namespaces
                for one in self.get("deployments", "-n", namespace)["items"]
                if not _is_available(one)
            ]
            return not waiting

        if not until(available, seconds, pause=0.5):
            pods = self.kubectl("get", "pods", "--all-namespaces", "-o", "wide")
            raise ClusterError(f"not available after {seconds:.0f} s: {', '.join(waiting)}\n{pods}")


def _listed(objects: Sequence[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def _is_available(deployment: Object) -> bool:
    status = deployment.get("status", {})
    current = status.get("observedGeneration") == deployment["metadata"]["generation"]
    wanted = deployment["spec"].get("replicas", 1)
    return current and status.get("availableReplicas", 0) >= wanted

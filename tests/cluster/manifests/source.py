"""Reading upstream's manifests and making them fit a small node."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from cluster.kube import Object


def documents(
    folder: Path, patterns: Iterable[str], replaced: Iterable[tuple[str, str]] = ()
) -> Iterator[Object]:
    """All objects in the files that match, in the order of patterns and names."""
    for pattern in patterns:
        for file in sorted(folder.glob(pattern)):
            text = file.read_text()
            for old, new in replaced:
                text = text.replace(old, new)
            yield from (document for document in json.loads(text) if document)


def fit(deployment: Object) -> Object:
    """Let a deployment start at once on two cores, and live on when they are busy.

    No requests or limits, local images, eager readiness and patient liveness.
    """
    pod = deployment["spec"]["template"]["spec"]
    for container in pod["containers"]:
        container["imagePullPolicy"] = "IfNotPresent"
        container.pop("resources", None)
        if probe := container.get("readinessProbe"):
            probe.update(initialDelaySeconds=0, periodSeconds=1, failureThreshold=10, timeoutSeconds=5)
        if probe := container.get("livenessProbe"):
            probe.update(periodSeconds=10, failureThreshold=30, timeoutSeconds=10)
    return deployment

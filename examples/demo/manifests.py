"""The manifests of `examples/quickstart`, for a namespace: what the demo applies is what people copy."""

from __future__ import annotations

from pathlib import Path

import yaml

from demo.kube import Object

QUICKSTART = Path(__file__).parents[1] / "quickstart"
CAPTION_JOB, REC_MODEL = "catalog", "shop"
INPUT, OUTPUT = "catalog", "artifacts"


def load(name: str, namespace: str) -> list[Object]:
    """Return the objects in `name`.yaml, moved to `namespace`."""
    objects: list[Object] = [o for o in yaml.safe_load_all((QUICKSTART / f"{name}.yaml").read_text()) if o]
    for found in objects:
        metadata = found["metadata"]
        metadata["name" if found["kind"] == "Namespace" else "namespace"] = namespace
    return objects


def second_version() -> Object:
    """Return the patch that makes the second version."""
    return yaml.safe_load((QUICKSTART / "recmodel-second-version.yaml").read_text())


def loader(namespace: str, image: str) -> Object:
    """Return a pod that holds both volumes open, so that files can be streamed in and out of them."""
    volumes = [INPUT, OUTPUT]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "loader", "namespace": namespace, "labels": {"app": "loader"}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "loader",
                    "image": image,
                    "command": ["sleep", "infinity"],
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"memory": "512Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": v, "mountPath": f"/volumes/{v}"} for v in volumes],
                }
            ],
            "volumes": [{"name": v, "persistentVolumeClaim": {"claimName": v}} for v in volumes],
        },
    }

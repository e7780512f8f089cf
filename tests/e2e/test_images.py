"""What is in the images, asked of pods that run under the restricted Pod Security Standard."""

from __future__ import annotations

import json
from typing import Any

import pytest
from e2e.world import World

from demo.waiting import wait_for

HEAVY = ("torch", "transformers", "kserve", "kopf", "pip", "uv", "pytest")
QUESTION = f"""
import importlib.util as util, json, os, shutil, sys
from importlib.metadata import version
found = [name for name in {HEAVY!r} if util.find_spec(name)]
[site] = [path for path in sys.path if "site-packages" in path]
print(json.dumps({{
    "found": found,
    "torch": version("torch") if "torch" in found else None,
    "cuda": any(name.startswith("nvidia") for name in os.listdir(site)),
    "user": os.getuid(),
    "compiled": os.path.exists(util.cache_from_source(util.find_spec("fathom_api.meta").origin)),
    "programs": [name for name in ("fathom", "fathom-operator", "pip", "gcc", "git") if shutil.which(name)],
}}))
"""
FOUND = {
    "operator": ["kopf"],
    "captioner": ["torch", "transformers"],
    "trainer": ["torch"],
    "ranker": ["torch", "kserve"],
    "retriever": ["torch", "transformers", "kserve"],
}


def pod(name: str, namespace: str, image: str) -> dict[str, Any]:
    container = {
        "name": "ask",
        "image": image,
        "command": ["python", "-c", QUESTION],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"restartPolicy": "Never", "securityContext": security, "containers": [container]},
    }


def answer(world: World, image: str) -> dict[str, Any]:
    name = f"image-{image}"
    world.kube.delete("pod", name, world.namespace)
    world.kube.apply([pod(name, world.namespace, world.context.images[image])])

    def ended() -> bool:
        found = world.kube.find("pod", name, world.namespace)
        return bool(found) and found["status"].get("phase") in {"Succeeded", "Failed"}

    wait_for(f"{name} has answered", ended, timeout=120)
    said = json.loads(world.kube.run("logs", name, "-n", world.namespace))
    world.kube.delete("pod", name, world.namespace)
    return said


@pytest.mark.parametrize("image", FOUND)
def test_an_image_holds_what_its_pods_need_and_no_more(world: World, image: str) -> None:
    said = answer(world, image)

    assert said["found"] == FOUND[image]
    assert said["programs"] == ["fathom-operator" if image == "operator" else "fathom"]
    assert said["user"] == 65532
    assert said["compiled"]
    if image != "operator":
        assert said["torch"].startswith("2.")
        assert said["cuda"] == ("+cpu" not in said["torch"])

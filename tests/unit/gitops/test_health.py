"""What Argo CD and Flux make of our statuses, by the health checks in examples/gitops, really evaluated."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml
from builders.gitops import GITOPS, argo_health, flux_state

from fathom_api import RecModelSpec


def obj(ready: str = "False", reconciling: str = "False", stalled: str = "False", **status: Any) -> Any:
    truths = {"Ready": ready, "Reconciling": reconciling, "Stalled": stalled}
    conditions = [{"type": kind, "status": truth, "message": "because"} for kind, truth in truths.items()]
    document = {"observedGeneration": 2, "conditions": conditions} | status
    return {"metadata": {"generation": 2}, "spec": {}, "status": document}


PAUSED = {"rollout": {"phase": "Paused"}}
CASES = [
    pytest.param({"metadata": {"generation": 1}, "status": {}}, "Progressing", "inProgress", id="new"),
    pytest.param(
        obj("True", observedGeneration=1), "Progressing", "inProgress", id="changed and not seen yet"
    ),
    pytest.param(obj("True"), "Healthy", "current", id="served"),
    pytest.param(obj(reconciling="True"), "Progressing", "inProgress", id="rolling out"),
    pytest.param(
        obj("True", reconciling="True"), "Progressing", "inProgress", id="made anew, the old is in use"
    ),
    pytest.param(obj(stalled="True"), "Degraded", "failed", id="taken back, or broken"),
    pytest.param(obj(stalled="True", **PAUSED), "Suspended", "failed", id="paused: too little is known"),
    pytest.param(obj(**PAUSED), "Suspended", None, id="paused by a person"),
    pytest.param(obj(), "Suspended", None, id="suspended"),
]


@pytest.mark.parametrize(("seen", "health", "_flux"), CASES)
def test_argo_cd(seen: Any, health: str, _flux: str | None) -> None:
    said, message = argo_health(seen)
    assert said == health
    assert message


@pytest.mark.parametrize("kind", ["RecModel", "CaptionJob", "Backfill", "InterestMap"])
@pytest.mark.parametrize(("seen", "_argo", "state"), CASES)
def test_flux(seen: Any, _argo: str, state: str | None, kind: str) -> None:
    assert flux_state(seen, kind) == state


def built(folder: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        ["kubectl", "kustomize", GITOPS / folder], capture_output=True, text=True, check=True
    )
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.parametrize(("overlay", "judged", "replicas"), [("staging", 0, 1), ("production", 3, 4)])
def test_an_overlay_is_a_recmodel_of_its_environment(overlay: str, judged: int, replicas: int) -> None:
    [model] = built(f"overlays/{overlay}")
    serving = RecModelSpec.model_validate(model["spec"]).serving
    assert serving is not None
    assert model["metadata"]["namespace"] == overlay
    assert (len(serving.rollout.analysis), serving.replicas) == (judged, replicas)


def test_argo_cd_is_taught_all_kinds() -> None:
    [config] = built("argocd")
    lua = (GITOPS / "argocd" / "health.lua").read_text()
    prefix = "resource.customizations.health.fathom.dev_"
    kinds = ("CaptionJob", "RecModel", "Backfill", "InterestMap")
    assert config["data"] == {f"{prefix}{kind}": lua for kind in kinds}
    assert config["metadata"]["name"] == "argocd-cm"

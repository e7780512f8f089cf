"""What the cluster lacks or forbids is told, and the operator goes on when that has changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders.manifests import caption_job, rec_model, steps
from builders.outcomes import evaluated, succeeded
from integration.kube import Cluster, Namespace
from integration.operator_process import Operator, operator, ready
from integration.waiting import until
from integration.world import ROOT, prepared, submit

from cluster import api_server


@pytest.fixture(scope="module")
def bare() -> Iterator[Path]:
    """Yield the kubeconfig of an API server that knows nothing of us or of KServe."""
    with api_server.running() as kubeconfig:
        yield kubeconfig


def install(kubeconfig: Path) -> None:
    for file in sorted((ROOT / "crds").glob("*s.yaml")):
        Cluster.of(kubeconfig).install(yaml.safe_load(file.read_text()))


def test_without_crds_it_is_not_ready_and_says_why(bare: Path, tmp_path: Path) -> None:
    namespace = prepared(Cluster.of(bare))
    with operator(bare, namespace, tmp_path / "operator.log") as running:

        def told() -> bool:
            answer = running.get("/readyz")
            return answer is not None and not answer.is_success and "kubectl apply -k crds/" in answer.text

        until("it says what to install", told)
        install(bare)
        ready(running)
        assert submit(namespace, caption_job()).job("plan")


@pytest.fixture
def without_kserve(bare: Path, tmp_path: Path) -> Iterator[tuple[Operator, Namespace]]:
    """Yield an operator where nothing can be served."""
    install(bare)
    namespace = prepared(Cluster.of(bare))
    with operator(bare, namespace, tmp_path / "operator.log") as running:
        yield ready(running), namespace


@pytest.mark.parametrize(
    ("serving", "lacking"),
    [
        pytest.param({}, ["serving.kserve.io", "serving.knative.dev"], id="Knative needs both"),
        pytest.param({"mode": "Standard"}, ["serving.kserve.io"], id="Standard needs KServe alone"),
        pytest.param(
            {"mode": "Standard", "rollout": {"steps": steps(10)}},
            ["serving.kserve.io", "gateway.networking.k8s.io"],
            id="steps in Standard mode need the Gateway API too",
        ),
    ],
)
def test_without_kserve_a_model_is_trained_and_then_says_what_to_install(
    without_kserve: tuple[Operator, Namespace], serving: dict[str, Any], lacking: list[str]
) -> None:
    running, namespace = without_kserve
    model = submit(namespace, rec_model(spec__serving=serving))
    model.nodes.succeed(model.job("train"), succeeded("pvc://data/models"))
    model.nodes.succeed(model.job("evaluate"), evaluated(Captions=0.7))

    message = model.until_condition("Stalled", "True", "ModeNotInstalled")

    assert all(group in message for group in lacking)
    assert "kubectl apply" in message
    assert running.running()


def test_the_probes_and_metrics_say_how_it_is(without_kserve: tuple[Operator, Namespace]) -> None:
    running, namespace = without_kserve
    submit(namespace, caption_job()).until_stage("Planning")

    health, metrics = running.get("/healthz"), running.get("/metrics")

    assert health is not None
    assert health.status_code == 200
    assert metrics is not None
    assert 'stage="Planning"' in metrics.text
    assert running.stop() == 0, "asked to end, it ends well"


def test_a_quota_that_forbids_the_work_is_told_and_its_end_noticed(
    without_kserve: tuple[Operator, Namespace],
) -> None:
    _, namespace = without_kserve
    none = {"hard": {"count/jobs.batch": "0"}, "used": {"count/jobs.batch": "0"}}
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": none["hard"]},
    }
    namespace.create(quota)
    # The controller that copies this is not there.
    namespace.patch_status("ResourceQuota", "none", none)
    job = submit(namespace, caption_job())

    def told() -> bool:
        messages = [event["message"] for event in namespace.list("Event")]
        return any("exceeded quota" in message for message in messages)

    until("an Event tells it", told)
    namespace.delete("ResourceQuota", "none")
    assert job.job("plan")

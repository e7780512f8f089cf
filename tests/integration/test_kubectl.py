"""What people type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from builders.manifests import caption_job, rec_model
from integration.commands import kubectl as run_kubectl
from integration.kube import Cluster, Namespace

Kubectl = Callable[..., str]


@pytest.fixture
def kubectl(cluster: Cluster, kubeconfig: Path, tmp_path: Path) -> Kubectl:
    """Return kubectl with an API server that has our CRDs."""

    def run(*arguments: str) -> str:
        return run_kubectl(kubeconfig, tmp_path, *arguments)

    return run


def test_kubectl_apply_k_installs_the_crds(kubectl: Kubectl) -> None:
    out = kubectl("apply", "-k", "crds/")
    for name in ("captionjobs.fathom.dev", "recmodels.fathom.dev"):
        assert f"customresourcedefinition.apiextensions.k8s.io/{name} " in out


def test_kubectl_explain_reads_well(kubectl: Kubectl) -> None:
    text = " ".join(kubectl("explain", "captionjob.spec.model").split())
    assert "The multimodal LLM." in text
    assert "uri <string> `hf://organisation/name`, `pvc://claim/path` or" in text
    assert "dtype <string> enum: Auto, Float32, BFloat16, Float16 Number format of the weights" in text


@pytest.mark.parametrize(
    ("what", "shown"),
    [
        pytest.param("captionjob", "catalog", id="singular"),
        pytest.param("recmodels", "movies", id="plural"),
        pytest.param("cap", "catalog", id="short"),
        pytest.param("rm", "movies", id="short too"),
        pytest.param("fathom", "captionjob.fathom.dev/catalog", id="the category: all of ours"),
    ],
)
def test_kubectl_get_by_every_name(kubectl: Kubectl, namespace: Namespace, what: str, shown: str) -> None:
    namespace.create(caption_job())
    namespace.create(rec_model())
    assert shown in kubectl("get", what, "-n", namespace.name)

"""A real API server with our CRDs for the whole session, and a namespace for every test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from integration.kube import Cluster, Namespace
from integration.waiting import until

ROOT = Path(__file__).parents[2]
#: A kubeconfig of an API server that is there already, to save its start while working on a test.
ENV_KUBECONFIG = "FATHOM_INTEGRATION_KUBECONFIG"
_CRDS = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    """Yield the kubeconfig of an administrator of a bare etcd and kube-apiserver."""
    with ExitStack() as stack:
        if there := os.environ.get(ENV_KUBECONFIG):
            yield Path(there)
            return
        from cluster import api_server

        yield Path(stack.enter_context(api_server.running()))


@pytest.fixture(scope="session")
def cluster(kubeconfig: Path) -> Cluster:
    """Return the API server with the CRDs of this checkout."""
    cluster = Cluster.of(kubeconfig)
    for file in sorted((ROOT / "crds").glob("*s.yaml")):
        crd = cluster.apply(yaml.safe_load(file.read_text()), _CRDS)
        plural = crd["spec"]["names"]["plural"]
        until(
            f"{plural} are served",
            lambda plural=plural: cluster.http.get(f"/apis/fathom.dev/v1alpha1/{plural}").is_success,
        )
    return cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Namespace:
    """Return a namespace of the test's own."""
    return cluster.namespace(f"t-{uuid.uuid4().hex[:8]}")

"""A real API server with our CRDs for the whole session, and a namespace for every test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from integration.kube import Cluster, Namespace

from cluster import api_server, build, settings
from cluster.components import KNATIVE, KSERVE, KSERVE_VERSION

ROOT = Path(__file__).parents[2]
#: A kubeconfig of an API server that is there already, to save its start while working on a test.
ENV_KUBECONFIG = "FATHOM_INTEGRATION_KUBECONFIG"


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    """Yield the kubeconfig of an administrator of a bare etcd and kube-apiserver."""
    with ExitStack() as stack:
        if there := os.environ.get(ENV_KUBECONFIG):
            yield Path(there)
            return
        yield Path(stack.enter_context(api_server.running()))


@pytest.fixture(scope="session")
def cluster(kubeconfig: Path) -> Cluster:
    """Return the API server with the CRDs of this checkout."""
    cluster = Cluster.of(kubeconfig)
    for file in sorted((ROOT / "crds").glob("*s.yaml")):
        cluster.install(file.read_text())
    return cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Namespace:
    """Return a namespace of the test's own."""
    return cluster.namespace(f"t-{uuid.uuid4().hex[:8]}")


@pytest.fixture(scope="session")
def kserve(cluster: Cluster) -> Cluster:
    """Return the API server with the kinds of KServe and Knative; the tests play their controllers."""
    built = build.ensure([KSERVE, KNATIVE], settings.from_env().cache)
    kserve = (
        built["kserve"].manifests("github.com/kserve/kserve") / f"install/{KSERVE_VERSION}/kserve-crds.yaml"
    )
    knative = built["knative"].manifests("knative.dev/serving") / "config/core/300-resources/revision.yaml"
    crds = [*kserve.read_text().split("\n---\n"), knative.read_text()]
    wanted = ("inferenceservices.serving.kserve.io", "revisions.serving.knative.dev")
    for crd in crds:
        if any(f"\n  name: {name}\n" in crd for name in wanted):
            cluster.install(crd)
    return cluster

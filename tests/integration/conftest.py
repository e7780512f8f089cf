"""A real API server with our CRDs for the whole session, and a namespace for every test."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml
from integration import operator_process
from integration.evidence import evidence
from integration.gateways import Gateways, gateway
from integration.kserve import KServe
from integration.kube import Cluster, Namespace, Object
from integration.operator_process import Operator, ready
from integration.world import ROOT, prepared

from cluster import api_server, build, settings
from cluster.components import ETCD, GATEWAY_API, KNATIVE, KSERVE, KUBECTL, KUBERNETES
from cluster.manifests.source import documents

#: A kubeconfig of an API server that is there already, to save its start while working on a test.
ENV_KUBECONFIG = "FATHOM_INTEGRATION_KUBECONFIG"
#: Component, Go module, files in it, CRD.
_SERVING = (
    (
        "kserve",
        "github.com/kserve/kserve",
        "install/*/kserve-crds.json",
        "inferenceservices.serving.kserve.io",
    ),
    ("knative", "knative.dev/serving", "config/core/300-resources/*.json", "revisions.serving.knative.dev"),
    ("gateway-api", "github.com/envoyproxy/gateway", "**/*.json", "gateways.gateway.networking.k8s.io"),
    ("gateway-api", "github.com/envoyproxy/gateway", "**/*.json", "httproutes.gateway.networking.k8s.io"),
)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what the tests run on before the first begins: on a fresh machine that takes minutes."""
    here = Path(__file__).parent
    if session.config.option.collectonly or not any(here in item.path.parents for item in session.items):
        return
    capture: Any = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        build.ensure([ETCD, KUBERNETES, KUBECTL, KSERVE, KNATIVE, GATEWAY_API], settings.from_env().cache)


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
        cluster.install(yaml.safe_load(file.read_text()))
    return cluster


@pytest.fixture(scope="session")
def kserve(cluster: Cluster) -> Cluster:
    """Return the API server with kinds of KServe, Knative, Gateway API; the tests play their controllers."""
    built = build.ensure([KSERVE, KNATIVE, GATEWAY_API], settings.from_env().cache)
    for component, module, files, name in _SERVING:
        [crd] = [
            document
            for document in documents(built[component].manifests(module), [files])
            if document["metadata"]["name"] == name
        ]
        cluster.install(_without_frameworks(crd))
    return cluster


def _without_frameworks(crd: Object) -> Object:
    """Leave out what KServe's schema says of model formats: most of it, seconds to compile, unused here."""
    spec: Object = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    if predictor := spec.get("predictor"):
        fields: Object = predictor["properties"]
        kept = {
            name: field for name, field in fields.items() if "storageUri" not in field.get("properties", {})
        }
        spec.clear()
        spec["predictor"] = predictor | {"properties": kept}
    return crd


@pytest.fixture
def namespace(cluster: Cluster) -> Namespace:
    """Return a namespace of the test's own, without an operator."""
    return prepared(cluster)


@pytest.fixture(scope="session")
def home(kserve: Cluster) -> Namespace:
    """Return the namespace that the session's operator looks after; tests in it use names of their own."""
    return prepared(kserve)


@pytest.fixture(scope="session")
def operator(
    kubeconfig: Path, home: Namespace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """Yield the session's operator."""
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    with operator_process.operator(kubeconfig, home, log) as running:
        yield ready(running)


@pytest.fixture
def shop(home: Namespace, operator: Operator) -> Namespace:
    """Return a namespace with an operator at work."""
    assert operator.running(), operator.log.read_text()[-3000:]
    return home


@pytest.fixture(scope="session")
def hands(home: Namespace) -> Iterator[KServe]:
    """Yield KServe's controllers in the operator's namespace."""
    with KServe(home).playing() as kserve:
        yield kserve


@pytest.fixture(scope="session")
def gateways(home: Namespace) -> Iterator[Gateways]:
    """Yield a controller of the Gateway API in the operator's namespace, where there is one Gateway."""
    home.create(gateway("public"))
    with Gateways(home).playing() as played:
        yield played


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failed test what it saw."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for title, text in evidence(item.funcargs):
            report.sections.append((title, text))
    return report

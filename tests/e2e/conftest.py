"""Brings up cluster, images and chart as the demo does; shows pods, events and logs of what failed."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from e2e.rolling import GATEWAY
from e2e.world import World

from cluster import addons, gatewayapi, providers
from cluster.settings import from_env
from demo import environment
from demo.context import Context
from demo.data import prepare
from demo.environment import SYSTEM, Environment
from demo.steps import load
from demo.trouble import diagnosis
from demo.view import View
from demo.waiting import wait_for

NAMESPACE = "e2e"
SHARED = environment.ROOT.parent / "shared" / "data"
_WORLD: list[World] = []
#: The first test may have to build the cluster's programs; every wait has a deadline of its own.
_TIMEOUT_S = 3600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(_TIMEOUT_S))


def _data_source() -> Path | None:
    named = os.environ.get("FATHOM_DATA")
    if named:
        return Path(named)
    return SHARED if (SHARED / "movielens-posters").is_dir() else None


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    view = View()
    data = prepare(_data_source(), small=True)
    kube, helm = environment.cluster_up(view)
    images = environment.images_loaded()
    installed = Environment(kube, helm, images)
    kube.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true", timeout=300)
    # A dead leader's seat is free after ten seconds instead of thirty: these tests kill many.
    environment.chart_installed(installed, view, "operator.leaseSeconds=10")
    context = Context(kube, view, data, NAMESPACE, tmp_path_factory.mktemp("out"), images)
    made = World(context, installed)
    _WORLD.append(made)
    load.load(context)
    yield made
    if not os.environ.get("FATHOM_KEEP"):
        kube.run("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="session")
def gateway(world: World) -> Generator[str]:
    """The Service of the proxies of a Gateway of Envoy's."""
    provider, cache = providers.choose(from_env()), from_env().cache
    addons.add_envoy_gateway(provider, cache)
    world.kube.apply([gatewayapi.gateway(GATEWAY, world.namespace)])
    owner = "gateway.envoyproxy.io/owning-gateway"
    selector = f"{owner}-name={GATEWAY},{owner}-namespace={world.namespace}"

    def proxies() -> str | None:
        services = world.kube.list("services", gatewayapi.NAMESPACE, selector)
        return services[0]["metadata"]["name"] if services else None

    yield wait_for("the Gateway has proxies", proxies, timeout=120)
    addons.remove_envoy_gateway(provider)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.CallInfo[None]]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed and _WORLD and item.get_closest_marker("skip") is None:
        kube = _WORLD[0].context.kube
        report.sections.append(("what the cluster says", diagnosis(kube, [NAMESPACE, SYSTEM])))

"""Which Gateway takes the requests in Standard mode, where it answers, what is said where there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders.gateways import gateway
from builders.seen import NOW, PLATFORM, condition, stage_of
from builders.standard import NEW, OLD, ROUTE, STEPS, Cluster

from fathom_operator.kube.resources import Obj
from fathom_operator.recmodel.decide import decide


@pytest.mark.parametrize(
    ("gateways", "reference", "words"),
    [
        pytest.param([], None, "no Gateway takes requests in this cluster", id="none"),
        pytest.param(
            [gateway("a"), gateway("b")],
            None,
            "several Gateways: name infra/a, infra/b in spec.serving.gateway",
            id="several",
        ),
        pytest.param([], {"name": "public"}, "no Gateway shop/public", id="not the one that is named"),
        pytest.param(
            [gateway(listeners=[{"name": "db", "protocol": "TCP", "port": 5432}])],
            None,
            "has no listener for HTTP or HTTPS at all",
            id="no listener for HTTP",
        ),
        pytest.param(
            [gateway()],
            {"name": "public", "namespace": "infra", "sectionName": "https"},
            "has no listener for HTTP or HTTPS named https",
            id="no listener of that name",
        ),
    ],
)
def test_a_gateway_that_is_not_there_is_asked_for(
    gateways: list[Obj], reference: Obj | None, words: str
) -> None:
    serving = STEPS | ({"gateway": reference} if reference else {})
    cluster = Cluster.rolling(OLD, serving=serving, gateways=gateways)
    plan = cluster.look()
    assert stage_of(plan) == ("Deploying", "MissingGateway")
    assert words in condition(plan, "Stalled")["message"]
    assert plan.desired == ()
    assert plan.delete == (), "what is served stays"


def test_a_gateway_that_takes_no_requests_is_told_and_waited_for() -> None:
    down = gateway(status={})
    cluster = Cluster.rolling(NEW, stable=None, gateways=[down])
    plan = cluster.looks(0, 1, 600)
    assert stage_of(plan) == ("Deploying", "Deploying")
    assert "Gateway infra/public takes no requests" in condition(plan, "Ready")["message"]
    assert plan.look_again == 10, "nobody tells when it does"
    cluster.gateways = [gateway()]
    assert stage_of(cluster.looks(601, 602)) == ("Serving", "Serving")


@pytest.mark.parametrize(
    ("group", "words"),
    [
        pytest.param("gateway.networking.k8s.io", "gateway-api/releases", id="no Gateway API"),
        pytest.param("serving.kserve.io", "kserve/kserve/releases", id="no KServe"),
    ],
)
def test_what_is_not_installed_is_told_with_the_command(group: str, words: str) -> None:
    seen = replace(Cluster.rolling(OLD).seen(NOW), not_installed=(group,), modes=("Knative",))
    plan = decide(seen, PLATFORM)
    assert stage_of(plan) == ("Deploying", "ModeNotInstalled")
    message = condition(plan, "Stalled")["message"]
    assert f"needs {group}" in message
    assert "kubectl apply --server-side -f https://github.com/" in message
    assert words in message
    assert "What mode Knative needs is there" in message


@pytest.mark.parametrize(
    ("reference", "listeners", "address"),
    [
        pytest.param(None, None, "http://10.0.0.9/shop/movies", id="by the path"),
        pytest.param(
            {"name": "public", "namespace": "infra", "hostname": "movies.example.com"},
            None,
            "http://movies.example.com",
            id="by the host",
        ),
        pytest.param(
            None,
            [{"name": "tls", "protocol": "HTTPS", "port": 443, "hostname": "rank.example.com"}],
            "https://rank.example.com/shop/movies",
            id="the listener's host",
        ),
        pytest.param(
            None,
            [{"name": "http", "protocol": "HTTP", "port": 8080, "hostname": "*.example.com"}],
            "http://10.0.0.9:8080/shop/movies",
            id="another port, any host",
        ),
    ],
)
def test_where_it_answers(reference: Obj | None, listeners: list[Obj] | None, address: str) -> None:
    serving = STEPS | ({"gateway": reference} if reference else {})
    gateways = [gateway(**({"listeners": listeners} if listeners else {}))]
    cluster = Cluster.rolling(NEW, stable=None, serving=serving, gateways=gateways)
    plan = cluster.looks(0, 1)
    assert plan.status["url"] == address
    [paths] = {tuple(m["path"]["value"] for m in rule["matches"]) for rule in cluster.rules[-1:]}
    assert paths == (("/",) if reference else ("/shop/movies",))
    assert ("hostnames" in cluster.children[ROUTE]["spec"]) == bool(reference)

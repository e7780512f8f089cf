"""Standard mode behind a Gateway, on a real API server: the route is what the Gateway API takes."""

from __future__ import annotations

from itertools import groupby

import pytest
from builders.manifests import rec_model, steps
from builders.outcomes import evaluated, succeeded
from integration.gateways import Gateways
from integration.kserve import KServe
from integration.kube import Namespace, Object
from integration.waiting import stays, until
from integration.world import Resource, submit, unique

from fathom_api.meta import Labels

pytestmark = pytest.mark.usefixtures("hands", "gateways")


def movies(shop: Namespace, **serving: object) -> Resource:
    manifest = rec_model(unique("movies"), spec__serving={"mode": "Standard", **serving})
    return submit(shop, manifest)


def train(model: Resource, digest: str = f"sha256:{'a' * 64}", **auc: float) -> None:
    model.nodes.succeed(model.job("train"), succeeded("pvc://data/models", digest))
    model.nodes.succeed(model.job("evaluate"), evaluated(**(auc or {"Captions": 0.7})))


def served(model: Resource) -> str:
    """Return the name of the version that answers all requests."""
    return model.until_stage("Serving")["stable"]["name"]


def next_version(model: Resource, dim: int, letter: str) -> None:
    model.spec(model={"embeddingDim": dim})
    train(model, f"sha256:{letter * 64}", Captions=0.8, Serving=0.7)


def weights(route: Object) -> list[int]:
    """Return the weights of the rule without a header, stable first."""
    [rule] = [r for r in route["spec"]["rules"] if not r["matches"][0].get("headers")]
    return [backend["weight"] for backend in rule["backendRefs"]]


def taken_in(route: Object) -> bool:
    """Return whether what the Gateway says of the route is about what the route says now."""
    said = [c for parent in route.get("status", {}).get("parents", []) for c in parent["conditions"]]
    return bool(said) and all(c["observedGeneration"] == route["metadata"]["generation"] for c in said)


def versions_of(model: Resource) -> set[str]:
    return {each["metadata"]["labels"][Labels.RUN] for each in model.children("InferenceService")}


def test_the_next_version_takes_over_step_by_step_and_the_old_one_is_removed(shop: Namespace) -> None:
    rollout = {"shadow": {"duration": "1s"}, "steps": steps(0, 10, 50), "bake": "1s", "scaleDownDelay": "1s"}
    model = movies(shop, rollout=rollout)
    train(model)
    first = served(model)
    assert model.status["url"] == f"http://10.96.0.9/{shop.name}/{model.name}"
    assert model.status["gateway"]["name"] == "public"
    since = shop.version("HTTPRoute")

    next_version(model, 8, "b")
    model.until("the second is served", lambda status: status.get("stable", {}).get("name") != first)

    second = served(model)
    states = shop.states_since("HTTPRoute", since, model.name)
    # The Gateway may still write to the route of the first version, which is the same state once more.
    told = [each for each, _ in groupby([(100,), *(tuple(weights(state)) for state in states)])]
    assert told == [(100,), (100, 0), (90, 10), (50, 50), (0, 100), (100,)]
    assert any("RequestMirror" in str(state["spec"]) for state in states)
    until("the old one is gone", lambda: versions_of(model) == {second}, within=30)


def test_a_gateway_that_is_slow_holds_the_rollout_and_not_what_is_served(
    shop: Namespace, gateways: Gateways
) -> None:
    model = movies(shop, rollout={"steps": steps(10)})
    train(model)
    first = served(model)
    gateways.ignored.add(model.name)

    next_version(model, 8, "c")
    model.until(
        "it waits for the Gateway",
        lambda status: "has not taken the HTTPRoute in yet" in status.get("rollout", {}).get("message", ""),
    )
    assert model.status["stable"]["name"] == first
    assert model.condition("Serving")["status"] == "True"

    gateways.ignored.discard(model.name)
    model.until("the second is served", lambda status: status.get("stable", {}).get("name") != first)


def test_a_route_that_is_refused_is_told(shop: Namespace, gateways: Gateways) -> None:
    name = unique("movies")
    gateways.refused[name] = "no listener for you"
    model = submit(shop, rec_model(name, spec__serving={"mode": "Standard", "rollout": {"steps": steps(10)}}))
    train(model)
    model.until(
        "it says why", lambda status: "no listener for you" in str(status.get("conditions")), within=30
    )
    del gateways.refused[name]
    served(model)


def test_a_person_takes_it_back_and_the_candidate_goes_when_it_has_drained(shop: Namespace) -> None:
    model = movies(shop, replicas=1, rollout={"steps": steps(10, pause="10m")})
    train(model)
    first = served(model)
    next_version(model, 8, "d")
    model.until("the canary walks", lambda status: status.get("rollout", {}).get("weight") == 10)
    shop.patch("RecModel", model.name, {"metadata": {"annotations": {"fathom.dev/abort": "now"}}})

    assert model.until_stage("Rejected")["stable"]["name"] == first
    until("the route has left it", lambda: weights(shop.get("HTTPRoute", model.name)) == [100])
    until("its pods are gone", lambda: versions_of(model) == {first}, within=40)


def test_a_newer_version_in_the_middle_takes_the_candidates_place(shop: Namespace) -> None:
    model = movies(shop, rollout={"steps": steps(10, pause="10m")})
    train(model)
    first = served(model)
    next_version(model, 8, "e")
    second = model.until_stage("RollingOut")["candidate"]["name"]

    model.spec(model={"embeddingDim": 4}, serving={"rollout": {"steps": steps(10)}})
    until("requests go to stable alone", lambda: weights(shop.get("HTTPRoute", model.name)) == [100])
    train(model, f"sha256:{'f' * 64}", Captions=0.8, Serving=0.7)

    model.until("the third is served", lambda status: status["stable"]["name"] not in {first, second})


def test_a_gateway_that_does_not_exist_is_asked_for(shop: Namespace) -> None:
    model = movies(shop, gateway={"name": "nowhere"})
    train(model)
    said = model.until_condition("Stalled", "True", "MissingGateway")
    assert f"no Gateway {shop.name}/nowhere" in said
    model.spec(serving={"gateway": {"name": "public", "hostname": "movies.example.com"}})
    model.until("it is served", lambda status: status.get("url") == "http://movies.example.com", within=60)


def test_two_pods_or_more_have_a_disruption_budget(shop: Namespace, hands: KServe) -> None:
    model = movies(shop, replicas=2, autoscaling={"maxReplicas": 4, "metric": "CPU", "target": 70})
    train(model)
    [budget] = until("it has a budget", lambda: model.children("PodDisruptionBudget"))
    assert budget["spec"]["maxUnavailable"] == 1
    [service] = model.children("InferenceService")
    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "hpa"
    predictor = service["spec"]["predictor"]
    scaled = {key: predictor[key] for key in ("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget")}
    assert scaled == {"minReplicas": 2, "maxReplicas": 4, "scaleMetric": "cpu", "scaleTarget": 70}


def test_nothing_is_written_when_nothing_has_changed(shop: Namespace) -> None:
    model = movies(shop, rollout={"steps": steps(10)})
    train(model)
    served(model)

    def versions() -> list[str]:
        [service] = model.children("InferenceService")
        route = shop.get("HTTPRoute", model.name)
        return [each["metadata"]["resourceVersion"] for each in (model.object, service, route)]

    # A version is served before the Gateway has said that it took the last change of its route in.
    until("the route is taken in", lambda: taken_in(shop.get("HTTPRoute", model.name)))
    stays("model, service and route are left alone", versions)


def test_not_to_be_served_any_more(shop: Namespace) -> None:
    model = movies(shop, rollout={"steps": steps(10)})
    train(model)
    served(model)
    model.spec(serving=None)
    until(
        "nothing is deployed", lambda: not [*model.children("InferenceService"), *model.children("HTTPRoute")]
    )

"""Standard mode behind Envoy Gateway, asked all the while: a good version takes over, a bad one goes back."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from e2e.traffic import MOVING, Door, Load, Share, last_of, sending, shares, spans
from e2e.witness import State, Witness, first, stables, watching
from e2e.world import World

from cluster import addons, gatewayapi, providers
from cluster.settings import from_env
from demo.kube import Object
from demo.waiting import wait_for
from fathom_api.meta import Labels
from fathom_api.recmodel import RecModelStatus

NAME, GATEWAY, HOST = "walked", "public", "walked.example.com"
#: Time enough at a weight for its share to be told from another.
_PAUSE = "30s"
_STEPS = [{"weight": w, "pause": p} for w, p in ((0, "10s"), (20, _PAUSE), (50, _PAUSE))]
_BACK_S = 10.0


@pytest.fixture(scope="module")
def door(world: World) -> Generator[Door]:
    """The Service of the Gateway's proxies."""
    provider, cache = providers.choose(from_env()), from_env().cache
    addons.add_envoy_gateway(provider, cache)
    world.kube.apply([gatewayapi.gateway(GATEWAY, world.namespace)])
    owner = "gateway.envoyproxy.io/owning-gateway"
    selector = f"{owner}-name={GATEWAY},{owner}-namespace={world.namespace}"

    def proxies() -> str | None:
        services = world.kube.list("services", gatewayapi.NAMESPACE, selector)
        return services[0]["metadata"]["name"] if services else None

    service = wait_for("the Gateway has proxies", proxies, timeout=120)
    yield Door(world.kube, service, gatewayapi.NAMESPACE, NAME, HOST)
    world.kube.delete("recmodel", NAME, world.namespace)
    addons.remove_envoy_gateway(provider)


def _serving(world: World, **rollout: Any) -> dict[str, Any]:
    serving = world.rec_model(NAME, None)["spec"]["serving"]
    gateway = {"name": GATEWAY, "hostname": HOST}
    return serving | {"mode": "Standard", "gateway": gateway, "rollout": rollout}


def _apply(world: World, epochs: int, **rollout: Any) -> None:
    """Ask for a version that is trained for so many epochs; nothing stands in its way but the rollout."""
    evaluation = {"controls": [], "gate": {"against": ["Serving"], "minDelta": -1}}
    model = world.rec_model(NAME, None, serving=_serving(world, **rollout), evaluation=evaluation)
    model["spec"]["training"] |= {"epochs": epochs}
    world.kube.apply([model])


@pytest.fixture(scope="module")
def served(world: World, door: Door) -> RecModelStatus:
    _apply(world, 1, steps=_STEPS)
    status: RecModelStatus = world.until_stage("recmodel", NAME, "Serving")
    return status


def _users(world: World) -> list[str]:
    return world.context.data.table("users", ["user_id"])["user_id"].to_pylist()[:50]


def _weights(states: Iterable[State], candidate: str) -> list[tuple[float, int]]:
    """Return from when on the Gateway had taken in which weight of the candidate's."""
    return [(state.at, _weight(state.object, candidate)) for state in states if not state.gone]


def _weight(route: Object, candidate: str) -> int:
    generation = route["metadata"]["generation"]
    said = [c for p in route.get("status", {}).get("parents", []) for c in p["conditions"]]
    if len(said) < 2 or any(c["observedGeneration"] != generation or c["status"] != "True" for c in said):
        return MOVING
    [rule] = [r for r in route["spec"]["rules"] if not r["matches"][0].get("headers")]
    name = f"{NAME}-{candidate.removeprefix('v-')}-predictor"
    return next((b["weight"] for b in rule["backendRefs"] if b["name"] == name), 0)


@dataclass(frozen=True)
class Went:
    """A rollout from its begin to its end, as people and the API server saw it."""

    before: RecModelStatus
    after: RecModelStatus
    load: Load
    route: Witness
    model: Witness
    #: What the header led to while the candidate had no weight.
    named: dict[str, str]

    @property
    def shares(self) -> list[Share]:
        candidate = self.after.history[0].name
        changes = _weights(self.route.states, candidate)
        return shares(self.load.answers, spans(changes, time.time()), candidate)


def _named(world: World, door: Door, *headers: str) -> dict[str, str]:
    """Return the version that answers requests with this header."""
    path = f"/v1/models/{NAME}:predict"
    body = {"instances": [{"user_id": _users(world)[0], "k": 1}]}
    with (
        world.kube.forward(f"svc/{door.service}", door.namespace, 80) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client,
    ):
        out = {}
        for header in headers:
            answer = client.post(path, json=body, headers={"Host": HOST, "x-fathom-version": header})
            out[header] = answer.raise_for_status().json()["model_version"]
        return out


@pytest.fixture(scope="module")
def good(world: World, door: Door, served: RecModelStatus) -> Went:
    assert served.stable
    first_version = served.stable.name
    with (
        sending(door, _users(world)) as load,
        watching(world.kube, "httproute", NAME, world.namespace) as route,
        watching(world.kube, "recmodel", NAME, world.namespace) as model,
    ):
        _apply(world, 2, steps=_STEPS, bake="20s", scaleDownDelay="5s")
        at_zero = world.until(
            "recmodel",
            NAME,
            lambda s: s.rollout and s.rollout.step == 0 and s.rollout.step_started_at,
            "the first step",
            600,
        )
        named = _named(world, door, "candidate", at_zero.candidate.name, "stable", first_version)
        after = world.until(
            "recmodel",
            NAME,
            lambda s: s.stage == "Serving" and s.stable and s.stable.name != first_version,
            "the second version is served",
            600,
        )
        gone = f"{NAME}-{first_version.removeprefix('v-')}"
        wait_for(
            "the version before is gone",
            lambda: not world.kube.find("inferenceservice", gone, world.namespace),
            timeout=120,
        )
    return Went(served, after, load, route, model, named)


def test_no_request_of_people_fails_while_a_version_takes_over(good: Went) -> None:
    assert good.load.failures() == []
    assert len(good.load.answers) > 400


def test_shares_are_those_of_the_steps(good: Went) -> None:
    seen = {share.weight: share for share in good.shares}
    assert {0, 20, 50, 100} <= set(seen)
    assert [share for share in good.shares if not share.fits()] == []
    assert seen[0].candidate == 0, "no weight, no requests"


def test_the_header_leads_to_a_version_before_it_has_any_weight(good: Went) -> None:
    assert good.before.stable
    assert good.after.stable
    old, new = good.before.stable.name, good.after.stable.name
    assert good.named == {"candidate": new, new: new, "stable": old, old: old}


def test_one_version_was_stable_at_every_instant(good: Went) -> None:
    assert good.before.stable
    assert good.after.stable
    assert stables(good.model.states) == [good.before.stable.name, good.after.stable.name]


def test_the_pods_say_which_bundle_they_serve(world: World, good: Went) -> None:
    assert good.after.stable
    selector = f"{Labels.NAME}={NAME},{Labels.STAGE}=serve"

    def digests() -> set[str]:
        pods = world.kube.list("pods", world.namespace, selector)
        return {p["metadata"]["annotations"].get("fathom.dev/digest") for p in pods}

    # Pods of the version before may still be ending.
    wait_for("only its pods are left", lambda: digests() == {good.after.stable.digest}, timeout=120)


@pytest.fixture(scope="module")
def bad(world: World, door: Door, good: Went) -> Went:
    """A version that a check of the user's fails, once it has requests."""
    smoke = {
        "name": "smoke",
        "job": {"image": world.context.images["ranker"], "command": ["python", "-c", "raise SystemExit(3)"]},
    }
    with (
        sending(door, _users(world)) as load,
        watching(world.kube, "httproute", NAME, world.namespace) as route,
        watching(world.kube, "recmodel", NAME, world.namespace) as model,
    ):
        steps = [{"weight": 20, "pause": "10m"}]
        _apply(world, 3, steps=steps, analysis=[smoke], minSamples=1)
        after = world.until(
            "recmodel", NAME, lambda s: s.stage in {"Rejected", "Serving"} and s.rejected, "the end", 600
        )
        time.sleep(2 * _BACK_S)
    return Went(good.after, after, load, route, model, {})


def test_a_bad_version_is_taken_back_and_no_request_of_people_fails(bad: Went) -> None:
    assert bad.after.rejected[0].reason == "AnalysisFailed"
    assert "exit code 3" in bad.after.rejected[0].message
    assert bad.load.failures() == []
    assert bad.after.stable
    assert bad.before.stable
    assert stables(bad.model.states) == [bad.before.stable.name]


def test_within_ten_seconds_of_the_verdict_nobody_is_sent_to_it(bad: Went) -> None:
    candidate = bad.after.rejected[0].name

    def rejected(model: Object) -> bool:
        return any(r["name"] == candidate for r in (model.get("status") or {}).get("rejected", []))

    verdict = first(bad.model.states, rejected)
    last = last_of(bad.load.answers, candidate)
    assert verdict
    assert last is not None, "it had requests"
    assert last < verdict.at + _BACK_S

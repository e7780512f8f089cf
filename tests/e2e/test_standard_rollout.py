"""Standard mode behind Envoy Gateway, asked all the while: a good version takes over, a bad one goes back.

While the good one does, operators are killed at every step and the Gateway takes in nothing for a while.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from e2e.rolling import Rolled, behind_the_gateway, gateway_asleep, judged_model, rolling
from e2e.traffic import Door, last_of, shares, spans
from e2e.witness import first, gateway_weights, stables
from e2e.world import World

from demo.kube import Object
from demo.waiting import wait_for
from fathom_api.meta import Labels
from fathom_api.recmodel import RecModelStatus

NAME = "walked"
#: Time enough at a weight for its share to be told from another.
_PAUSE = "30s"
_STEPS = [{"weight": w, "pause": p} for w, p in ((0, "10s"), (20, _PAUSE), (50, _PAUSE))]
_BACK_S = 10.0
_UNTAKEN = "has not taken the HTTPRoute in yet"


@pytest.fixture(scope="module")
def door(world: World, gateway: str) -> Generator[Door]:
    yield behind_the_gateway(world, NAME, gateway)
    world.kube.delete("recmodel", NAME, world.namespace)


def _apply(world: World, epochs: int, **rollout: Any) -> None:
    """Ask for a version that is trained for so many epochs; only its rollout may stand in its way."""
    model = judged_model(world, NAME, "Standard", **{"steps": _STEPS, "analysis": [], **rollout})
    model["spec"]["training"] |= {"epochs": epochs}
    world.kube.apply([model])


@pytest.fixture(scope="module")
def served(world: World, door: Door) -> str:
    _apply(world, 1)
    status: RecModelStatus = world.until_stage("recmodel", NAME, "Serving")
    assert status.stable
    return status.stable.name


def _users(world: World) -> list[str]:
    return world.context.data.table("users", ["user_id"])["user_id"].to_pylist()


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
            answer = client.post(path, json=body, headers={"Host": door.host, "x-fathom-version": header})
            out[header] = answer.raise_for_status().json()["model_version"]
        return out


@dataclass(frozen=True)
class Good:
    """A version that took over."""

    rolled: Rolled
    #: What the header led to while the candidate had no weight.
    named: dict[str, str]
    #: The status while the Gateway took nothing in.
    held: RecModelStatus


@pytest.fixture(scope="module")
def good(world: World, door: Door, served: str) -> Good:
    with rolling(world, NAME, "httproute", door) as it:
        _apply(world, 2, scaleDownDelay="5s")
        candidate = it.until_weight(0).candidate
        assert candidate
        named = _named(world, door, "candidate", candidate.name, "stable", served)
        it.until_weight(20)
        it.kill_the_operator()
        with gateway_asleep(world):
            held = it.until(lambda s: s.rollout and _UNTAKEN in (s.rollout.message or ""), "it waits")
        it.until_weight(50)
        it.kill_the_operator()
        it.until(lambda s: s.rollout and s.rollout.phase == "Baking", "it bakes")
        it.kill_the_operator()
        it.until(lambda s: s.stage == "Serving" and s.stable.name == candidate.name, "it is served")
        gone = f"{NAME}-{served.removeprefix('v-')}"
        wait_for(
            "the version before is gone",
            lambda: not world.kube.find("inferenceservice", gone, world.namespace),
            timeout=120,
        )
        return Good(it.rolled(candidate.name), named, held)


def test_no_request_fails_while_a_version_takes_over_and_operators_die(good: Good) -> None:
    assert good.rolled.failures == []
    assert len(good.rolled.answers) > 400
    assert len(set(good.rolled.killed)) == 3


def test_shares_are_those_of_the_steps(good: Good) -> None:
    rolled = good.rolled
    changes = gateway_weights(rolled.route, NAME, rolled.candidate)
    counted = shares(rolled.answers, spans(changes, rolled.end), rolled.candidate)
    seen = {share.weight: share for share in counted}
    assert {0, 20, 50, 100} <= set(seen)
    # 99 % for all of them together.
    assert [share for share in counted if not share.fits(1 - 0.01 / len(counted))] == []
    assert seen[0].candidate == 0, "no weight, no requests"


def test_the_header_leads_to_a_version_before_it_has_any_weight(good: Good) -> None:
    old, new = good.rolled.before, good.rolled.candidate
    assert good.named == {"candidate": new, new: new, "stable": old, old: old}


def test_while_the_gateway_takes_nothing_in_the_version_before_is_the_stable_one(good: Good) -> None:
    assert good.held.stable
    assert good.held.stable.name == good.rolled.before
    assert good.held.rollout
    assert good.held.rollout.step_started_at is None, "nothing is judged meanwhile"


def test_one_version_was_stable_at_every_instant(good: Good) -> None:
    assert stables(good.rolled.model) == [good.rolled.before, good.rolled.candidate]


def test_the_pods_say_which_bundle_they_serve(world: World, good: Good) -> None:
    stable = good.rolled.status.stable
    assert stable
    selector = f"{Labels.NAME}={NAME},{Labels.STAGE}=serve"

    def digests() -> set[str]:
        pods = world.kube.list("pods", world.namespace, selector)
        return {p["metadata"]["annotations"].get("fathom.dev/digest") for p in pods}

    # Pods of the version before may still be ending.
    wait_for("only its pods are left", lambda: digests() == {stable.digest}, timeout=120)


@pytest.fixture(scope="module")
def bad(world: World, door: Door, good: Good) -> Rolled:
    """A version that a check of the user's fails, once it has requests."""
    smoke = {
        "name": "smoke",
        "job": {"image": world.context.images["ranker"], "command": ["python", "-c", "raise SystemExit(3)"]},
    }
    with rolling(world, NAME, "httproute", door) as it:
        _apply(world, 3, steps=[{"weight": 20, "pause": "10m"}], analysis=[smoke], minSamples=1)
        status = it.until(lambda s: s.stage in {"Rejected", "Serving"} and s.rejected, "the end")
        asked = len(it.load.answers)
        it.until(lambda _: len(it.load.answers) > asked + 150, "a hundred and fifty more answers")
        return it.rolled(status.rejected[0].name)


def test_a_bad_version_is_taken_back_and_no_request_of_people_fails(bad: Rolled) -> None:
    assert bad.status.rejected[0].reason == "AnalysisFailed"
    assert "exit code 3" in bad.status.rejected[0].message
    assert bad.failures == []
    assert stables(bad.model) == [bad.before]


def test_within_ten_seconds_of_the_verdict_nobody_is_sent_to_it(bad: Rolled) -> None:
    def rejected(model: Object) -> bool:
        return any(r["name"] == bad.candidate for r in (model.get("status") or {}).get("rejected", []))

    verdict = first(bad.model, rejected)
    last = last_of(bad.answers, bad.candidate)
    assert verdict
    assert last is not None, "it had requests"
    assert last < verdict.at + _BACK_S

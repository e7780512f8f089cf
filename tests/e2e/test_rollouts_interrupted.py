"""Rollouts in either mode, under load, that are not left in peace: another version, no metrics, deletion."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from e2e.rolling import Rolled, at_the_ingress, behind_the_gateway, judged_model, measured, rolling
from e2e.traffic import Door, last_of
from e2e.witness import stables
from e2e.world import World, stalled

from demo.waiting import wait_for
from fathom_api.recmodel import RecModelStatus

#: Nobody listens there.
NOBODY = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Served:
    """A model that is served in one of the modes of KServe."""

    name: str
    #: The kind whose object of that name says who gets which share of the requests.
    route: str
    door: Door
    #: Kinds of what is made for it.
    made: tuple[str, ...]


@pytest.fixture(scope="module", params=["Knative", "Standard"])
def served(world: World, request: pytest.FixtureRequest) -> Served:
    mode = request.param
    name = f"pressed-{mode.lower()}"
    proxies = request.getfixturevalue("gateway") if mode == "Standard" else ""
    world.kube.apply([judged_model(world, name, mode)])
    world.until_stage("recmodel", name, "Serving", timeout=900)
    common = "inferenceservices", "jobs", "configmaps", "pods"
    if mode == "Knative":
        made = *common, "revisions.serving.knative.dev"
        return Served(name, "inferenceservice", at_the_ingress(world, name), made)
    made = *common, "httproutes", "deployments", "services"
    return Served(name, "httproute", behind_the_gateway(world, name, proxies), made)


@dataclass(frozen=True)
class Replaced:
    """Two candidates, the second of which came while the first rolled out."""

    first: str
    rolled: Rolled


def seed(world: World, name: str, number: int) -> None:
    world.kube.patch("recmodel", name, world.namespace, {"spec": {"training": {"seed": number}}})


@pytest.fixture(scope="module")
def replaced(world: World, served: Served) -> Replaced:
    with rolling(world, served.name, served.route, served.door) as it:
        seed(world, served.name, 1)
        one = it.until_weight(20, timeout=900).candidate
        assert one
        # A share of the requests may be none of the first few.
        it.until(lambda _: last_of(it.load.answers, one.name), "it has answered")
        seed(world, served.name, 2)
        two = it.until(lambda s: s.candidate and s.candidate.name != one.name, "another candidate").candidate
        assert two
        it.until(lambda s: s.stage == "Serving" and s.stable.name == two.name, "it is served", timeout=900)
        return Replaced(one.name, it.rolled(two.name))


@pytest.fixture(scope="module")
def blind(world: World, served: Served, replaced: Replaced) -> RecModelStatus:
    """Roll out what is judged by a Prometheus that is not there."""
    query = {"address": NOBODY, "query": 'sales{version="{{version}}"}'}
    metric = {"name": "sales", "prometheus": query, "margin": 0.1}
    rollout = {"analysis": [metric], "analysisDeadline": "10s"}
    spec = {"serving": {"rollout": rollout}, "training": {"seed": 3}}
    world.kube.patch("recmodel", served.name, world.namespace, {"spec": spec})
    status = world.until(
        "recmodel",
        served.name,
        lambda s: s.rollout and s.rollout.phase == "Paused",
        "it is paused",
        timeout=900,
    )
    assert isinstance(status, RecModelStatus)
    return status


def test_a_version_that_comes_meanwhile_takes_the_candidates_place(replaced: Replaced) -> None:
    rolled = replaced.rolled
    assert stables(rolled.model) == [rolled.before, rolled.candidate]
    assert rolled.failures == []
    assert {a.version for a in rolled.answers} == {rolled.before, replaced.first, rolled.candidate}


def test_the_candidate_of_before_answers_nothing_once_the_other_does(replaced: Replaced) -> None:
    began = min(a.sent for a in replaced.rolled.answers if a.version == replaced.rolled.candidate)
    last = last_of(replaced.rolled.answers, replaced.first)
    assert last
    assert last < began


def test_both_are_in_what_was_measured(world: World, served: Served, replaced: Replaced) -> None:
    trail = measured(world, served.name)
    assert [t.candidate for t in (*trail.earlier, trail)] == [replaced.first, replaced.rolled.candidate]


def test_without_metrics_it_waits_and_pauses_and_says_why(blind: RecModelStatus) -> None:
    assert blind.rollout
    assert (blind.rollout.paused_by, blind.rollout.weight) == ("Inconclusive", 20)
    assert "sales" in (stalled(blind) or "")
    assert [(r.metric, r.verdict) for r in blind.analysis] == [("sales", "Inconclusive")]


def test_deleted_while_it_rolls_out_nothing_of_it_is_left(
    world: World, served: Served, blind: RecModelStatus
) -> None:
    selector = f"fathom.dev/name={served.name}"

    def left() -> list[str]:
        return [kind for kind in served.made if world.kube.list(kind, world.namespace, selector)]

    assert {"inferenceservices", "pods"} <= set(left())
    world.kube.delete("recmodel", served.name, world.namespace)
    wait_for("all of it is gone", lambda: not left() or None, timeout=180)

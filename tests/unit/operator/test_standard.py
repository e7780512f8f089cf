"""Standard mode behind a Gateway: who gets which requests, when, and what stays until it is not asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders.manifests import steps
from builders.seen import NOW, PLATFORM, condition, later, ranking, stage_of
from builders.standard import NEW, OLD, ROUTE, STEPS, Cluster, digest, isvc, service

from fathom_operator import apply
from fathom_operator.plan import Plan, Ref
from fathom_operator.recmodel.decide import decide
from fathom_operator.times import text


def phase(plan: Plan) -> tuple[str, int] | None:
    rollout = plan.status.get("rollout")
    return (rollout["phase"], rollout.get("weight", 0)) if rollout else None


def test_the_first_version_is_served_once_the_gateway_has_taken_its_route_in() -> None:
    cluster = Cluster.rolling(stable=None)
    assert stage_of(cluster.look()) == ("Deploying", "Deploying")
    assert cluster.rules == [], "nothing to send requests to"

    cluster.ready = [NEW]
    cluster.look()
    assert cluster.weights == {service(NEW): 100}

    plan = cluster.look()
    assert stage_of(plan) == ("Serving", "Serving")
    assert plan.status["url"] == "http://10.0.0.9/shop/movies"
    assert plan.status["gateway"] == {
        "name": "public",
        "namespace": "infra",
        "listener": "http",
        "programmed": True,
        "address": "10.0.0.9",
    }
    assert condition(plan, "Serving")["status"] == "True"
    cluster.look()
    assert condition(cluster.look(), "Serving")["status"] == "True"


def test_the_candidate_walks_from_step_to_step_and_stable_stays_until_the_end() -> None:
    cluster = Cluster.rolling(OLD)
    cluster.look()
    assert cluster.weights == {service(OLD): 100}
    assert cluster.deployed == {isvc(OLD), isvc(NEW)}

    cluster.ready.append(NEW)
    cluster.look(later(seconds=1))
    assert cluster.weights == {service(OLD): 90, service(NEW): 10}
    assert phase(cluster.look(later(seconds=2))) == ("Stepping", 10)

    cluster.looks(32, 33)
    assert cluster.weights == {service(OLD): 50, service(NEW): 50}
    cluster.looks(34, 64)
    assert cluster.weights == {service(OLD): 0, service(NEW): 100}
    assert isvc(OLD) in cluster.deployed, "warm until it is over"

    plan = cluster.looks(66)
    assert stage_of(plan) == ("Serving", "Serving")
    assert [v["name"] for v in plan.status["history"]] == [NEW, OLD]
    assert cluster.weights == {service(NEW): 100}


def test_time_is_counted_from_when_the_gateway_has_taken_the_share_in() -> None:
    cluster = Cluster.rolling(OLD, NEW)
    cluster.look()
    cluster.look(later(seconds=1))
    cluster.gateway_is_slow = True
    plan = cluster.looks(31, 32, 300)
    assert cluster.weights == {service(OLD): 50, service(NEW): 50}
    assert phase(plan) == ("Stepping", 10), "what it had before"
    assert plan.status["rollout"].get("stepStartedAt") is None
    assert "Gateway infra/public has not taken the HTTPRoute in yet" in plan.status["rollout"]["message"]
    assert condition(plan, "Serving")["status"] == "True", "stable goes on meanwhile"

    cluster.gateway_is_slow = False
    assert phase(cluster.looks(301, 302)) == ("Stepping", 50)
    assert cluster.status["rollout"]["stepStartedAt"] == text(later(seconds=302))


@pytest.mark.parametrize(
    ("refusals", "words"),
    [
        pytest.param(
            {"Accepted": "NotAllowedByListeners"},
            "(Accepted: NotAllowedByListeners: as it says): allow this namespace under allowedRoutes",
            id="a namespace that may not",
        ),
        pytest.param(
            {"ResolvedRefs": "BackendNotFound"},
            "(ResolvedRefs: BackendNotFound: as it says)",
            id="a Service that is not there",
        ),
    ],
)
def test_a_route_that_is_refused_is_told(refusals: dict[str, str], words: str) -> None:
    cluster = Cluster.rolling(NEW, stable=None, refusals=refusals)
    plan = cluster.looks(0, 1)
    assert stage_of(plan) == ("Deploying", "Deploying")
    assert f"Gateway infra/public refuses the HTTPRoute {words}" in condition(plan, "Ready")["message"]


def test_nobody_is_sent_to_endpoints_that_are_not_there() -> None:
    cluster = Cluster.rolling(OLD, NEW, behind=[NEW])
    plan = cluster.look()
    assert cluster.weights == {service(OLD): 100}
    assert plan.look_again == 2, "nobody tells when endpoints follow"
    cluster.behind = []
    cluster.look(later(seconds=2))
    assert cluster.weights == {service(OLD): 90, service(NEW): 10}


def test_a_candidate_that_falls_over_gets_nothing_until_it_stands_again() -> None:
    cluster = Cluster.rolling(OLD, NEW)
    cluster.looks(0, 1)
    cluster.ready = [OLD]
    plan = cluster.looks(2)
    assert cluster.weights == {service(OLD): 100}
    assert phase(plan) == ("Starting", 0)

    cluster.ready = [OLD, NEW]
    assert phase(cluster.looks(10, 11)) == ("Stepping", 10)
    assert cluster.weights == {service(OLD): 90, service(NEW): 10}


def test_it_begins_when_all_its_pods_are_ready() -> None:
    cluster = Cluster.rolling(OLD, NEW, serving=STEPS | {"replicas": 2})
    seen = cluster.seen(NOW)
    one = tuple(p for p in seen.pods if not p.name.endswith(f"{isvc(NEW)}-1"))
    plan = decide(replace(seen, pods=one), PLATFORM)
    assert plan.status["rollout"]["phase"] == "Starting"
    [route] = [child for child in plan.desired if child["kind"] == "HTTPRoute"]
    assert [b["weight"] for b in route["spec"]["rules"][-1]["backendRefs"]] == [100, 0]
    assert plan.status["rollout"].get("weight", 0) == 0


def test_pods_of_another_bundle_do_not_count() -> None:
    cluster = Cluster.rolling(OLD, NEW)
    seen = cluster.seen(NOW)
    stale = tuple(replace(p, digest="sha256:another") if p.run == NEW else p for p in seen.pods)
    plan = decide(replace(seen, pods=stale), PLATFORM)
    assert plan.status["rollout"]["phase"] == "Starting"


def test_the_header_leads_to_a_version_before_it_has_any_weight() -> None:
    cluster = Cluster.rolling(
        OLD, NEW, serving={"mode": "Standard", "rollout": {"steps": steps(0, 10, pause="1h")}}
    )
    plan = cluster.look()
    assert cluster.weights == {service(OLD): 100, service(NEW): 0}
    assert plan.status["rollout"].get("stepStartedAt") is None, "the Gateway knows nothing of it yet"
    assert phase(cluster.looks(1, 2)) == ("Stepping", 0)
    for name in ("candidate", NEW, digest(NEW).removeprefix("sha256:")[:12]):
        assert cluster.named(name) == [service(NEW)], name
    for name in ("stable", OLD):
        assert cluster.named(name) == [service(OLD)], name
    assert cluster.named("v-another") == []

    assert phase(cluster.looks(3602, 3603)) == ("Stepping", 10)


def test_a_rule_has_one_match_else_the_gateway_api_rewrites_no_path() -> None:
    cluster = Cluster.rolling(OLD, NEW)
    cluster.look()
    assert {len(rule["matches"]) for rule in cluster.rules} == {1}


def test_a_shadow_gets_copies_and_no_requests() -> None:
    rollout = {"shadow": {"weight": 20, "duration": "1m"}, "steps": steps(10, pause="30s")}
    cluster = Cluster.rolling(OLD, NEW, serving={"mode": "Standard", "rollout": rollout})
    plan = cluster.looks(0, 1)
    assert cluster.mirrored == [(service(NEW), 20)]
    assert cluster.weights == {service(OLD): 100, service(NEW): 0}
    assert phase(plan) == ("Shadowing", 0)
    assert "copies of 20 %" in plan.status["rollout"]["message"]

    plan = cluster.looks(62, 63)
    assert cluster.mirrored == []
    assert cluster.weights == {service(OLD): 90, service(NEW): 10}
    assert phase(plan) == ("Stepping", 10)


BAKED: dict[str, Any] = {
    "mode": "Standard",
    "rollout": {"steps": steps(10, pause="10s"), "bake": "10m", "maxRestarts": 1},
}


def test_stable_is_warm_without_requests_while_the_candidate_bakes() -> None:
    cluster = Cluster.rolling(OLD, NEW, serving=BAKED)
    plan = cluster.looks(0, 1, 12, 13, 14)
    assert phase(plan) == ("Baking", 100)
    assert cluster.weights == {service(OLD): 0, service(NEW): 100}
    assert cluster.deployed == {isvc(OLD), isvc(NEW)}
    assert stage_of(cluster.looks(615)) == ("Serving", "Serving")


def test_the_way_back_is_one_change_of_the_route_also_while_it_bakes() -> None:
    cluster = Cluster.rolling(OLD, NEW, serving=BAKED)
    cluster.looks(0, 1, 12, 13, 14)
    before = dict(cluster.children)
    seen = cluster.seen(later(seconds=20))
    seen.obj["metadata"]["annotations"]["fathom.dev/abort"] = "now"
    plan = decide(seen, PLATFORM)
    assert stage_of(plan) == ("Rejected", "Aborted")
    changed = [change.child["kind"] for change in apply.changes(plan, before)]
    assert changed == ["HTTPRoute"]
    assert plan.delete == (), "its requests are under way"


def test_a_rejected_candidate_goes_once_the_route_has_left_it_for_long_enough() -> None:
    cluster = Cluster.rolling(OLD, NEW, serving=BAKED)
    cluster.looks(0, 1, 2)
    cluster.changes = {"metadata__annotations": {}}
    cluster.status["rejected"] = [
        {"name": NEW, "reason": "Aborted", "message": "by a person", "at": text(later(seconds=5))}
    ]
    plan = cluster.looks(5)
    assert stage_of(plan)[0] == "Rejected"
    assert cluster.weights == {service(OLD): 100}
    assert isvc(NEW) in cluster.deployed
    assert cluster.looks(6).look_again == 9
    assert isvc(NEW) in cluster.deployed
    cluster.looks(15)
    assert cluster.deployed == {isvc(OLD)}


@pytest.mark.parametrize(
    ("delay", "kept_at", "gone_at"),
    [pytest.param(None, 29, 30, id="half a minute"), pytest.param("5m", 299, 300, id="as the spec says")],
)
def test_the_version_before_is_kept_for_a_while(delay: str | None, kept_at: int, gone_at: int) -> None:
    rollout = STEPS["rollout"] | ({"scaleDownDelay": delay} if delay else {})
    cluster = Cluster.rolling(OLD, NEW, serving={"mode": "Standard", "rollout": rollout})
    cluster.looks(0, 1, 32, 33, 64, 65)
    assert stage_of(cluster.looks(66))[0] == "Serving"
    served = 65 if cluster.status["stable"]["promotedAt"] == text(later(seconds=65)) else 66
    cluster.looks(served + kept_at)
    assert isvc(OLD) in cluster.deployed
    cluster.looks(served + gone_at)
    assert cluster.deployed == {isvc(NEW)}


def test_a_newer_version_takes_the_place_of_the_candidate() -> None:
    cluster = Cluster.rolling(OLD, NEW)
    cluster.looks(0, 1)
    cluster.changes = {"spec__training__epochs": 9}
    plan = cluster.looks(2)
    assert stage_of(plan)[0] == "Training"
    assert cluster.weights == {service(OLD): 100}
    assert cluster.deployed == {isvc(OLD), isvc(NEW)}, "not while requests are under way"
    cluster.looks(13)
    assert cluster.deployed == {isvc(OLD)}


def test_a_weight_that_somebody_has_changed_is_put_right() -> None:
    cluster = Cluster.rolling(OLD, NEW)
    cluster.looks(0, 1)
    for rule in cluster.rules:
        for each in rule["backendRefs"]:
            each["weight"] = 50
    cluster.looks(2)
    assert cluster.weights == {service(OLD): 90, service(NEW): 10}


def test_nothing_is_written_while_nothing_changes() -> None:
    cluster = Cluster.rolling(OLD, NEW)
    cluster.looks(0, 1, 2)
    plan = decide(cluster.seen(later(seconds=9)), PLATFORM)
    assert list(apply.changes(plan, cluster.children)) == []


def test_two_pods_or_more_may_not_all_be_evicted_at_once() -> None:
    cluster = Cluster.rolling(OLD, NEW, serving=STEPS | {"replicas": 2, "maxUnavailable": "50%"})
    cluster.look()
    budgets = {r.name: c for r, c in cluster.children.items() if r.kind == "PodDisruptionBudget"}
    assert set(budgets) == {isvc(OLD), isvc(NEW)}
    assert budgets[isvc(OLD)]["spec"]["maxUnavailable"] == "50%"
    assert budgets[isvc(OLD)]["spec"]["selector"]["matchLabels"]["fathom.dev/run"] == OLD

    cluster.serving = STEPS
    cluster.look(later(seconds=1))
    assert not [r for r in cluster.children if r.kind == "PodDisruptionBudget"]


def test_services_that_kserve_has_made_are_left_alone() -> None:
    """They have our labels: KServe hands on those of the InferenceService."""
    cluster = Cluster.rolling(OLD, NEW)
    cluster.look()
    owned = {"metadata": {"name": service(OLD), "ownerReferences": [{"uid": "of-the-inference-service"}]}}
    cluster.children[Ref("Service", service(OLD))] = owned
    cluster.looks(1, 2)
    assert Ref("Service", service(OLD)) in cluster.children


def test_serving_taken_out_of_the_spec_ends_it_all() -> None:
    cluster = Cluster.rolling(OLD, NEW, serving=STEPS | {"replicas": 2})
    cluster.looks(0, 1)
    seen = replace(ranking(cluster.status), children=cluster.children)
    served = {r for r in cluster.children if r.kind != "ConfigMap"}
    assert {"HTTPRoute", "PodDisruptionBudget", "InferenceService", "Service"} <= {r.kind for r in served}
    assert set(decide(seen, PLATFORM).delete) >= served


def test_without_steps_any_more_the_route_goes_and_the_service_stays() -> None:
    cluster = Cluster.rolling(OLD, NEW)
    cluster.looks(0, 1)
    cluster.serving = {"mode": "Standard"}
    cluster.looks(2, 3)
    assert ROUTE not in cluster.children
    assert Ref("Service", "movies") in cluster.children
    assert cluster.status["url"] == "http://movies.shop.svc"

"""Standard mode behind a Gateway: who gets which requests, when, and what stays until it is not asked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest
from builders.gateways import gateway, slices, taken_in
from builders.manifests import steps
from builders.seen import NOW, PLATFORM, condition, later, pod, ranking, stage_of

from fathom_operator import apply
from fathom_operator.kube.resources import Obj
from fathom_operator.plan import Plan, Ref, ref
from fathom_operator.recmodel.decide import decide
from fathom_operator.recmodel.gateways import gateway_view, ready_endpoints
from fathom_operator.recmodel.observe import RecModelSeen
from fathom_operator.recmodel.services import ServiceView
from fathom_operator.times import text

OLD = "v-00000000"
NEW = decide(ranking(), PLATFORM).status["candidate"]["name"]
ROUTE = Ref("HTTPRoute", "movies")
STEPS: dict[str, Any] = {
    "mode": "Standard",
    "rollout": {"steps": steps(10, 50, pause="30s"), "progressDeadline": "5m"},
}


def digest(name: str) -> str:
    return f"sha256:{name.removeprefix('v-')[::-1] * 8}"


def version(name: str) -> Obj:
    return {"name": name, "digest": digest(name), "uri": f"pvc://data/models/{name}/captions"}


def isvc(name: str) -> str:
    return f"movies-{name.removeprefix('v-')}"


def service(name: str) -> str:
    return f"{isvc(name)}-predictor"


@dataclass
class Cluster:
    """What is seen from look to look: pods as told, all else as the plans have made it."""

    serving: dict[str, Any] = field(default_factory=lambda: STEPS)
    status: Obj = field(default_factory=dict)
    children: dict[Ref, Obj] = field(default_factory=dict)
    ready: list[str] = field(default_factory=list)
    #: Versions whose pods are ready and whose endpoints are not there yet.
    behind: list[str] = field(default_factory=list)
    #: What the Gateway says of the route's latest generation: nothing yet, or what it refuses.
    gateway_is_slow: bool = False
    refusals: dict[str, str] = field(default_factory=dict)
    gateways: list[Obj] = field(default_factory=lambda: [gateway()])
    changes: dict[str, Any] = field(default_factory=dict)
    plan: Plan = field(default_factory=lambda: Plan({}))
    generation: int = 0

    @classmethod
    def rolling(cls, *ready: str, stable: str | None = OLD, **fields: Any) -> Cluster:
        """Return a cluster where NEW begins its rollout, beside `stable` if there is one."""
        status: Obj = {
            "stage": "Deploying",
            "candidate": version(NEW),
            "rollout": {"phase": "Starting", "startedAt": text(NOW)},
        }
        if stable:
            status |= {"stable": version(stable), "history": [version(stable)]}
        it = cls(status=status, ready=list(ready), **fields)
        if it.serving.get("rollout", {}).get("shadow"):
            it.status["rollout"]["step"] = -1
        return it

    def seen(self, now: datetime) -> RecModelSeen:
        names = [name for (kind, name) in self.children if kind == "InferenceService"]
        pods = tuple(
            replace(pod(isvc(v)), name=f"{isvc(v)}-{i}", stage="serve", run=v, ready=True, digest=digest(v))
            for v in self.ready
            for i in range(self.serving.get("replicas", 1))
        )
        there = {service(v).replace("-", "_"): 1 for v in self.ready if v not in self.behind}
        return replace(
            ranking(self.status, now=now, spec__serving=self.serving, **self.changes),
            services={name: ServiceView(name, "", ready=True) for name in names},
            pods=pods,
            children=self.children,
            gateways=tuple(map(gateway_view, self.gateways)),
            endpoints=ready_endpoints(slices(**there)),
        )

    def look(self, now: datetime = NOW) -> Plan:
        """Observe, decide, and carry the plan out as the API server and the Gateway would."""
        self.plan = decide(self.seen(now), PLATFORM)
        for change in apply.changes(self.plan, self.children):
            before = self.children.get(ref(change.child), {})
            said = {"status": before["status"]} if "status" in before else {}
            self.children[ref(change.child)] = change.child | said
            self.generation += change.child["kind"] == "HTTPRoute"
        for gone in self.plan.delete:
            self.children.pop(gone, None)
        if ROUTE in self.children and not self.gateway_is_slow:
            self.children[ROUTE] = taken_in(self.children[ROUTE], generation=self.generation, **self.refusals)
        elif ROUTE in self.children:
            route = self.children[ROUTE]
            self.children[ROUTE] = route | {"metadata": route["metadata"] | {"generation": self.generation}}
        self.status = self.plan.status
        return self.plan

    def looks(self, *seconds: float) -> Plan:
        for moment in seconds:
            self.look(later(seconds=moment))
        return self.plan

    @property
    def rules(self) -> list[Obj]:
        return self.children[ROUTE]["spec"]["rules"] if ROUTE in self.children else []

    @property
    def weights(self) -> dict[str, int]:
        """Return what requests without a header are shared by."""
        rule = next((r for r in self.rules if "headers" not in r["matches"][0]), {"backendRefs": []})
        return {b["name"]: b["weight"] for b in rule["backendRefs"]}

    def named(self, header: str) -> list[str]:
        """Return the Services that requests with this header go to."""
        return [
            b["name"]
            for rule in self.rules
            for match in rule["matches"]
            for said in match.get("headers", [])
            if said["value"] == header
            for b in rule["backendRefs"]
        ]

    @property
    def mirrored(self) -> list[tuple[str, int]]:
        return [
            (f["requestMirror"]["backendRef"]["name"], f["requestMirror"].get("percent", 100))
            for rule in self.rules
            for f in rule.get("filters", [])
            if f["type"] == "RequestMirror"
        ]

    @property
    def deployed(self) -> set[str]:
        return {name for kind, name in self.children if kind == "InferenceService"}


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
    plan = cluster.looks(0, 1, 2)
    assert cluster.weights == {service(OLD): 100, service(NEW): 0}
    assert phase(plan) == ("Stepping", 0)
    for name in ("candidate", NEW, digest(NEW).removeprefix("sha256:")[:12]):
        assert cluster.named(name) == [service(NEW)], name
    for name in ("stable", OLD):
        assert cluster.named(name) == [service(OLD)], name
    assert cluster.named("v-another") == []

    plan = cluster.looks(3602, 3603)
    assert phase(plan) == ("Stepping", 10)


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

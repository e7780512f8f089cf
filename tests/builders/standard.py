"""A RecModel in Standard mode behind a Gateway, look by look: plans are carried out, pods are as told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from builders.gateways import gateway, slices, taken_in
from builders.manifests import steps
from builders.seen import NOW, PLATFORM, later, pod, ranking
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
        model = ranking(self.status, now=now, spec__serving=self.serving, **self.changes)
        return replace(
            model,
            services={name: ServiceView(name, "", ready=True) for name in names},
            pods=pods,
            children={each: obj for each, obj in self.children.items() if model.owner.owns(obj)},
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

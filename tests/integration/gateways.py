"""Plays a controller of the Gateway API: Gateways are programmed, routes accepted once they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from integration.kube import Object
from integration.player import Player

_SINCE = "2026-01-31T12:00:00Z"
CONTROLLER = "example.com/gateways"


def gateway(name: str) -> Object:
    """Return a Gateway for routes of its own namespace."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name},
        "spec": {
            "gatewayClassName": "played",
            "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}],
        },
    }


def condition(kind: str, generation: int, problem: str = "") -> Object:
    return {
        "type": kind,
        "status": "False" if problem else "True",
        "reason": "Refused" if problem else kind,
        "message": problem,
        "observedGeneration": generation,
        "lastTransitionTime": _SINCE,
    }


@dataclass
class Gateways(Player):
    """The controller of one namespace."""

    #: Routes that are refused, with what is said of them; and routes that are not read.
    refused: dict[str, str] = field(default_factory=dict[str, str])
    ignored: set[str] = field(default_factory=set[str])

    def settles(self) -> Iterable[tuple[str, Callable[[Object], None]]]:
        """Gateways are programmed, routes accepted."""
        return ("Gateway", self._programmed), ("HTTPRoute", self._accepted)

    def _programmed(self, obj: Object) -> None:
        generation = obj["metadata"]["generation"]
        self.say(
            "Gateway",
            obj,
            {
                "addresses": [{"type": "IPAddress", "value": "10.96.0.9"}],
                "conditions": [condition(kind, generation) for kind in ("Accepted", "Programmed")],
            },
        )

    def _accepted(self, route: Object) -> None:
        name, generation = route["metadata"]["name"], route["metadata"]["generation"]
        if name in self.ignored:
            return
        kinds = ("Accepted", "ResolvedRefs")
        conditions = [condition(kind, generation, self.refused.get(name, "")) for kind in kinds]
        parents = [
            {"parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions}
            for parent in route["spec"]["parentRefs"]
        ]
        self.say("HTTPRoute", route, {"parents": parents})

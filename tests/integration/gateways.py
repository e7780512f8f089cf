"""Plays a controller of the Gateway API: Gateways are programmed, routes accepted once they are read."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from integration.kube import Namespace, Object, Refused

_INTERVAL = 0.1
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
class Gateways:
    """The controller of one namespace, at work on a thread of its own."""

    namespace: Namespace
    #: Routes that are refused, with what is said of them; and routes that are not read.
    refused: dict[str, str] = field(default_factory=dict[str, str])
    ignored: set[str] = field(default_factory=set[str])
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Bring every status to what the spec says, until stopped."""
        while not self._stop.wait(_INTERVAL):
            for kind, settle in (("Gateway", self._programmed), ("HTTPRoute", self._accepted)):
                for each in self.namespace.list(kind):
                    try:
                        settle(each)
                    except Refused as refused:
                        # Deleted or changed meanwhile: the next round sees what is there then.
                        if refused.code not in {404, 409}:
                            raise

    def stop(self) -> None:
        """Let everything stay as it is."""
        self._stop.set()

    def _programmed(self, obj: Object) -> None:
        generation = obj["metadata"]["generation"]
        self._say(
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
        self._say("HTTPRoute", route, {"parents": parents})

    def _say(self, kind: str, obj: Object, status: Object) -> None:
        if any(obj.get("status", {}).get(key) != value for key, value in status.items()):
            self.namespace.patch_status(kind, obj["metadata"]["name"], status)


@contextmanager
def playing(namespace: Namespace) -> Generator[Gateways]:
    """Play it in a namespace."""
    gateways = Gateways(namespace)
    thread = threading.Thread(target=gateways.run, name="gateways", daemon=True)
    thread.start()
    try:
        yield gateways
    finally:
        gateways.stop()
        thread.join(timeout=10)

"""Gateways, HTTPRoutes and endpoints as the API server has them, in any state."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def gateway(name: str = "public", namespace: str = "infra", **changes: Any) -> Object:
    """Return a Gateway that takes HTTP on port 80; `status` and `listeners` may be replaced."""
    listener = {"name": "http", "protocol": "HTTP", "port": 80}
    return {
        "metadata": {"name": name, "namespace": namespace, "generation": 1},
        "spec": {"gatewayClassName": "any", "listeners": changes.get("listeners", [listener])},
        "status": changes.get(
            "status",
            {
                "addresses": [{"type": "IPAddress", "value": "10.0.0.9"}],
                "conditions": [_condition("Programmed", "True", 1)],
            },
        ),
    }


def taken_in(route: Object, *, generation: int = 1, **refusals: str) -> Object:
    """Return an HTTPRoute of ours as its Gateway has taken it in; `Accepted="NotAllowed"` refuses it."""
    conditions = [
        _condition(kind, "False" if kind in refusals else "True", generation, refusals.get(kind, kind))
        for kind in ("Accepted", "ResolvedRefs")
    ]
    [parent] = route["spec"]["parentRefs"]
    said = {"parentRef": parent, "controllerName": "any", "conditions": conditions}
    return route | {
        "metadata": route["metadata"] | {"generation": generation},
        "status": {"parents": [said]},
    }


def slices(**ready: int) -> list[Object]:
    """Return an EndpointSlice a Service, with so many endpoints that are ready and one that is not."""
    return [
        {
            "metadata": {"labels": {"kubernetes.io/service-name": service.replace("_", "-")}},
            "endpoints": [
                *({"addresses": [f"10.1.0.{i}"], "conditions": {"ready": True}} for i in range(count)),
                {"addresses": ["10.1.0.99"], "conditions": {"ready": False}},
            ],
        }
        for service, count in ready.items()
    ]


def _condition(kind: str, status: str, generation: int, reason: str = "Said") -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "as it says",
        "observedGeneration": generation,
        "lastTransitionTime": "2026-01-31T12:00:00Z",
    }

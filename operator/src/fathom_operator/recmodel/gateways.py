"""What we want to know of Gateways, of our HTTPRoute and of the endpoints behind it; which Gateway it is.

A condition counts only at the generation that the object has: else it speaks of an older spec.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from fathom_api import Reason
from fathom_api.serving import GatewayReference, GatewayStatus
from fathom_operator.failures import Failure
from fathom_operator.kube.resources import HTTP_ROUTES, Obj
from fathom_operator.plan import Children, Ref
from fathom_operator.traffic import mirrors, weights
from fathom_operator.views import condition

#: On the HTTPRoute: since when it shares the requests as it does.
SHARED_SINCE: Final = "fathom.dev/shared-since"
_HTTP: Final = {"HTTP": 80, "HTTPS": 443}
#: What a Gateway must say of a route.
_ROUTED: Final = ("Accepted", "ResolvedRefs")


@dataclass(frozen=True)
class Listener:
    """A listener that takes HTTP."""

    name: str
    protocol: str
    port: int
    hostname: str = ""


@dataclass(frozen=True)
class GatewayView:
    """A Gateway: `address` once it has one, `message` why it takes no requests."""

    namespace: str
    name: str
    programmed: bool = False
    address: str | None = None
    listeners: tuple[Listener, ...] = ()
    message: str = ""

    def __str__(self) -> str:
        """Return `infra/public`."""
        return f"{self.namespace}/{self.name}"

    def listener(self, name: str | None) -> Listener | None:
        """Return the listener of that name, or the first for HTTP."""
        return next((each for each in self.listeners if name in {None, each.name}), None)


@dataclass(frozen=True)
class RouteView:
    """Our HTTPRoute: what it was told to share, and whether the Gateway has taken that in.

    `weights` and `mirrors` are of the rule without a header, in percent by the name of the Service.
    """

    weights: Mapping[str, int] = field(default_factory=dict[str, int])
    mirrors: Mapping[str, int] = field(default_factory=dict[str, int])
    #: Services that any rule sends requests to.
    backends: frozenset[str] = frozenset()
    #: Whether the Gateway does what the route says now, and whether it did what it said before.
    settled: bool = False
    accepted: bool = False
    message: str = ""
    since: str | None = None


def gateway_view(obj: Obj) -> GatewayView:
    """Return what we want to know of a Gateway."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status", {})
    # Of any generation: a Gateway goes on while its controller reads what is new in its spec.
    programmed = condition(status, "Programmed")
    addresses = [a.get("value") for a in status.get("addresses") or []]
    return GatewayView(
        namespace=meta["namespace"],
        name=meta["name"],
        programmed=programmed.get("status") == "True",
        address=next((value for value in addresses if value), None),
        listeners=tuple(
            Listener(each["name"], each["protocol"], each["port"], each.get("hostname", ""))
            for each in spec.get("listeners", [])
            if each["protocol"] in _HTTP
        ),
        message=programmed.get("message", "") or "its controller has not programmed it",
    )


def route_view(obj: Obj) -> RouteView:
    """Return what we want to know of an HTTPRoute of ours."""
    meta, spec = obj["metadata"], obj["spec"]
    parents = obj.get("status", {}).get("parents") or []
    conditions = _conditions(parents, spec["parentRefs"][0])
    problem = _problem(conditions, spec["parentRefs"][0], meta.get("generation"))
    rules: list[Obj] = spec.get("rules", [])
    sharing = next((r for r in rules if not any(m.get("headers") for m in r.get("matches", []))), {})
    return RouteView(
        weights=weights(sharing),
        mirrors=mirrors(sharing),
        backends=frozenset(name for rule in rules for name in (*weights(rule), *mirrors(rule))),
        settled=not problem,
        accepted=all(condition(conditions, kind).get("status") == "True" for kind in _ROUTED),
        message=problem,
        since=meta.get("annotations", {}).get(SHARED_SINCE),
    )


def ready_endpoints(slices: Iterable[Obj]) -> dict[str, int]:
    """Return how many endpoints take requests, by the name of their Service."""
    out: dict[str, int] = {}
    for each in slices:
        service = each["metadata"].get("labels", {}).get("kubernetes.io/service-name", "")
        ready = [e for e in each.get("endpoints") or [] if e.get("conditions", {}).get("ready", True)]
        out[service] = out.get(service, 0) + len(ready)
    return out


def chosen(
    reference: GatewayReference | None, gateways: Iterable[GatewayView], namespace: str
) -> GatewayView | Failure:
    """Return the Gateway that `reference` names, or without one the only one; or why there is none."""
    found = sorted(gateways, key=str)
    if reference is not None:
        name = f"{reference.namespace or namespace}/{reference.name}"
        found = [each for each in found if str(each) == name]
        if not found:
            return Failure(
                Reason.MISSING_GATEWAY, f"no Gateway {name}: create it, or correct spec.serving.gateway"
            )
    if not found:
        message = (
            "no Gateway takes requests in this cluster: create one (docs/how-to/serve-in-standard-mode.md "
            "has one to copy); serving begins by itself then"
        )
        return Failure(Reason.MISSING_GATEWAY, message)
    if len(found) > 1:
        names = ", ".join(map(str, found))
        return Failure(
            Reason.MISSING_GATEWAY, f"there are several Gateways: name {names} in spec.serving.gateway"
        )
    section = reference.section_name if reference else None
    if found[0].listener(section) is None:
        wanted = f"named {section}" if section else "at all"
        message = (
            f"Gateway {found[0]} has no listener for HTTP or HTTPS {wanted}: correct spec.serving.gateway"
        )
        return Failure(Reason.MISSING_GATEWAY, message)
    return found[0]


def gateway_status(gateway: GatewayView, reference: GatewayReference | None) -> GatewayStatus:
    """Return what the status says of the Gateway."""
    listener = gateway.listener(reference.section_name if reference else None)
    return GatewayStatus(
        name=gateway.name,
        namespace=gateway.namespace,
        listener=listener.name if listener else "",
        programmed=gateway.programmed,
        address=gateway.address,
    )


def url(gateway: GatewayView, reference: GatewayReference | None, path: str) -> str | None:
    """Return where requests go; None while the Gateway has no address."""
    listener = gateway.listener(reference.section_name if reference else None)
    if listener is None:
        return None
    own = "" if listener.hostname.startswith("*") else listener.hostname
    host = (reference.hostname if reference else None) or own or gateway.address
    if not host:
        return None
    host = f"[{host}]" if ":" in host else host
    port = "" if listener.port == _HTTP[listener.protocol] else f":{listener.port}"
    return f"{listener.protocol.lower()}://{host}{port}{path.removesuffix('/')}"


def route_of(children: Children, name: str) -> RouteView | None:
    """Return our HTTPRoute among `children`."""
    found = children.get(Ref(HTTP_ROUTES.kind, name))
    return route_view(found) if found else None


def _conditions(parents: Iterable[Obj], parent: Obj) -> Obj:
    """Return what the Gateway that is `parent` says of the route; nothing if it has not spoken."""

    def key(ref: Obj) -> tuple[object, ...]:
        return ref["name"], ref.get("namespace", parent.get("namespace")), ref.get("sectionName")

    return next((each for each in parents if key(each["parentRef"]) == key(parent)), {})


def _problem(conditions: Obj, parent: Obj, generation: int | None) -> str:
    """Return why the Gateway does not do what the route says; nothing once it does."""
    what = f"Gateway {parent.get('namespace', '')}/{parent['name']}"
    for kind in _ROUTED:
        found = condition(conditions, kind)
        # Of an older generation it speaks of what the route said before.
        if not found or found.get("observedGeneration", generation) != generation:
            return f"{what} has not taken the HTTPRoute in yet"
        if found.get("status") != "True":
            why = f"{found.get('reason', '')}: {found.get('message', '')}".strip(": ")
            return f"{what} refuses the HTTPRoute ({kind}: {why}){_fix(found)}"
    return ""


def _fix(said: Obj) -> str:
    if said.get("reason") == "NotAllowedByListeners":
        return ": allow this namespace under allowedRoutes of its listener"
    return ""

"""Serving in Standard mode: an InferenceService a version, in front of them an HTTPRoute or a Service; pure.

With a Gateway our HTTPRoute shares the requests; KServe's own is switched off (cluster-local). Without one a
Service of ours switches from one version to the next as a whole. The Service is there in both cases: callers
in the cluster that go round the Gateway reach the stable version.

Whether a version can take requests is told by its pods and endpoints, with the digest they serve: an
InferenceService says Ready of older ones too.
"""

from __future__ import annotations

from dataclasses import replace

from fathom_api.recmodel import Version
from fathom_api.types import seconds
from fathom_operator.analysis.decide import Sight
from fathom_operator.analysis.judge import SHADOW
from fathom_operator.failures import Failure
from fathom_operator.kube.resources import HTTP_ROUTES, INFERENCE_SERVICES, SERVICES
from fathom_operator.plan import Ref
from fathom_operator.recmodel.budgets import budgets, superfluous
from fathom_operator.recmodel.gateways import GatewayView, RouteView, chosen, gateway_status, route_of, url
from fathom_operator.recmodel.predictor import STAGE, stable_service, standard_name, standard_service
from fathom_operator.recmodel.rollout import Move
from fathom_operator.recmodel.route import Share, backend, http_route, path_of
from fathom_operator.recmodel.situation import Served, Situation
from fathom_operator.times import seconds_since, soonest, text

#: How long the pods of the version before go on once the rollout is over, unless the spec says.
_SCALE_DOWN_DELAY = "30s"
#: How long pods go on that the HTTPRoute has left, for requests under way.
_DRAIN_SECONDS = 10.0
#: How soon to look again for what nobody tells us of: endpoints, and a route that is left.
_SOON = 2.0
#: And for a Gateway that takes no requests yet, or has no address.
_LOOK_FOR_GATEWAY = 10.0


def standard(it: Situation) -> Served:
    """Return how the stable version is served and the candidate, if any, brought in beside it."""
    gateway = chosen(it.serving.gateway, it.seen.gateways, it.seen.owner.namespace)
    if it.serving.routed and not isinstance(gateway, Failure):
        return _routed(it, gateway)
    return _switched(it)


def _routed(it: Situation, gateway: GatewayView) -> Served:
    owner, reference = it.seen.owner, it.serving.gateway
    route = route_of(it.seen.children, owner.name)
    answers = _answers(it, gateway, route)
    sight = _sight(it, gateway, route, it.candidate) if it.candidate else None
    move = it.move(sight) if sight else None
    shares = _shares(it, move, ready=sight is not None and sight.ready)
    base = _deployed(it, move)
    wanted = [http_route(owner, reference, gateway, shares, text(it.seen.now))] if shares else []
    gone = [] if shares else [Ref(HTTP_ROUTES.kind, owner.name)] * (route is not None)
    address = url(gateway, reference, path_of(owner, reference))
    waits = _SOON if _lags(it) else None if gateway.programmed and address else _LOOK_FOR_GATEWAY
    return replace(
        base,
        desired=(*base.desired, *wanted),
        delete=(*base.delete, *gone),
        ready=answers.ready,
        url=address if it.stable else None,
        message=move.message if move else answers.message,
        look_again=soonest(base.look_again, waits),
        gateway=gateway_status(gateway, reference),
    )


def _switched(it: Situation) -> Served:
    """Return how it is without a Gateway: a candidate that is ready has, so to say, all requests."""
    owner = it.seen.owner
    move = None
    if it.candidate is not None:
        enough = _ready_pods(it, it.candidate) >= it.serving.replicas
        sight = Sight(enough, 100 if enough else 0, message=_trouble(it, it.candidate))
        move = it.move(sight, shared=False)
    base = _deployed(it, move)
    route = Ref(HTTP_ROUTES.kind, owner.name)
    return replace(
        base,
        delete=(*base.delete, *([route] if route in it.seen.children else [])),
        ready=it.stable is not None and _ready_pods(it, it.stable) > 0,
        url=f"http://{owner.name}.{owner.namespace}.svc" if it.stable else None,
        message=move.message if move else _trouble(it, it.stable) if it.stable else "",
    )


def _deployed(it: Situation, move: Move | None) -> Served:
    """Return what both ways deploy, and what they take away."""
    owner = it.seen.owner
    versions = [version for version in (it.stable, it.candidate) if version is not None]
    guide = it.seen.guide
    isvcs = [standard_service(owner, it.serving, version, it.platform, guide=guide) for version in versions]
    services = [stable_service(owner, it.stable)] if it.stable else []
    delete, linger = _leftovers(it)
    look = soonest(move.look_again if move else None, linger)
    return Served(
        desired=(*isvcs, *services, *budgets(it)),
        delete=(*delete, *superfluous(it)),
        move=move,
        look_again=look,
    )


def _shares(it: Situation, move: Move | None, *, ready: bool) -> list[Share]:
    """Return who gets what: a candidate that is not ready nothing, whatever its step says."""
    out: list[Share] = []
    weight = 0
    if it.candidate is not None and move is not None and _takes_requests(it, it.candidate):
        if ready:
            weight = 100 if move.percent is None or it.stable is None else move.percent
        out = [Share(it.candidate, "candidate", weight, move.mirror if ready else 0)]
    if it.stable is not None:
        out.insert(0, Share(it.stable, "stable", 100 - weight))
    return out


def _sight(it: Situation, gateway: GatewayView, route: RouteView | None, candidate: Version) -> Sight:
    """Return what is seen of the candidate; where it begins, ready means all of its pods."""
    starting = it.rollout is None or it.rollout.phase == "Starting"
    needed = it.serving.replicas if starting else 1
    if _ready_pods(it, candidate) < needed or not _takes_requests(it, candidate):
        return Sight(ready=False, percent=0, message=_trouble(it, candidate))
    if route is None or not (gateway.programmed and route.settled):
        before = it.rollout.weight if it.rollout else 0
        return Sight(ready=True, percent=before, settled=False, message=_why_not(gateway, route))
    name = backend(it.seen.owner, candidate)
    if name not in route.weights:
        # A weight of 0 too is there only once the header leads to it.
        return Sight(ready=True, percent=0, settled=False, message="the HTTPRoute does not name it yet")
    shadow = it.rollout is not None and it.rollout.step == SHADOW
    return Sight(ready=True, percent=(route.mirrors if shadow else route.weights).get(name, 0))


def _answers(it: Situation, gateway: GatewayView, route: RouteView | None) -> Sight:
    """Return whether the stable version answers requests that come by the Gateway."""
    if it.stable is None:
        return Sight(ready=False, percent=0)
    if not _takes_requests(it, it.stable):
        return Sight(ready=False, percent=0, message=_trouble(it, it.stable))
    if route is None or not (gateway.programmed and route.accepted):
        return Sight(ready=False, percent=0, message=_why_not(gateway, route))
    if url(gateway, it.serving.gateway, "/") is None:
        return Sight(ready=False, percent=0, message=f"Gateway {gateway} has no address yet")
    return Sight(ready=True, percent=100)


def _why_not(gateway: GatewayView, route: RouteView | None) -> str:
    if not gateway.programmed:
        return f"Gateway {gateway} takes no requests: {gateway.message}"
    return route.message if route else ""


def _ready_pods(it: Situation, version: Version) -> int:
    """Return how many pods are ready that serve this version's bundle."""
    made_of = (STAGE, version.name, version.digest or "")
    pods = [pod for pod in it.seen.pods if (pod.stage, pod.run, pod.digest) == made_of]
    return sum(pod.ready and not pod.deleting for pod in pods)


def _takes_requests(it: Situation, version: Version) -> bool:
    """Return whether the Service behind the route has pods that are ready: what a Gateway sends to."""
    there = it.seen.endpoints.get(backend(it.seen.owner, version), 0) > 0
    return there and _ready_pods(it, version) > 0


def _lags(it: Situation) -> bool:
    """Return whether endpoints are behind the pods: nobody tells us when they catch up."""
    versions = [version for version in (it.stable, it.candidate) if version is not None]
    return any(_ready_pods(it, v) > 0 and not _takes_requests(it, v) for v in versions)


def _trouble(it: Situation, version: Version) -> str:
    pods = [pod for pod in it.seen.pods if (pod.stage, pod.run) == (STAGE, version.name)]
    view = it.seen.services.get(standard_name(it.seen.owner, version))
    return next((pod.problem.message for pod in pods if pod.problem), view.message if view else "")


def _leftovers(it: Situation) -> tuple[tuple[Ref, ...], float | None]:
    """Return what is served no more, and in how many seconds to look again for what has to wait."""
    owner = it.seen.owner
    kept = {standard_name(owner, version) for version in (it.stable, it.candidate) if version}
    route = route_of(it.seen.children, owner.name)
    gone: list[Ref] = []
    waits: list[float] = []
    for name in (each for each in it.seen.services if each not in kept):
        left = max(_lingers(it, name), _drains(it, route, name))
        if left > 0:
            waits.append(left)
        else:
            gone.append(Ref(INFERENCE_SERVICES.kind, name))
    service = Ref(SERVICES.kind, owner.name)
    if it.stable is None and service in it.seen.children:
        gone.append(service)
    return tuple(gone), soonest(*waits)


def _lingers(it: Situation, name: str) -> float:
    """Return for how many seconds the version before is kept after the rollout; others are not."""
    since = it.stable.promoted_at if it.stable else None
    if since is None or it.before is None or name != standard_name(it.seen.owner, it.before):
        return 0.0
    delay = it.serving.rollout.scale_down_delay or _SCALE_DOWN_DELAY
    return seconds(delay) - seconds_since(since, it.seen.now)


def _drains(it: Situation, route: RouteView | None, name: str) -> float:
    """Return in how many seconds the HTTPRoute, if there is one, has left these pods for long enough."""
    if route is None:
        return 0.0
    if f"{name}-predictor" in route.backends or not route.settled:
        return _SOON
    return _DRAIN_SECONDS - seconds_since(route.since, it.seen.now) if route.since else 0.0

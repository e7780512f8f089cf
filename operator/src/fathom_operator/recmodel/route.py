"""The HTTPRoute of Standard mode: which requests go to which version; pure.

Two kinds of rules: a header names a version, for people who try it and for checks; all other requests are
shared by weight, and in a shadow copied. Gateways prefer the rule that says more, so their order is of no
account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fathom_api.recmodel import Version
from fathom_api.serving import GatewayReference
from fathom_operator.kube.resources import HTTP_ROUTES, Obj
from fathom_operator.owner import Owner
from fathom_operator.recmodel.gateways import SHARED_SINCE, GatewayView
from fathom_operator.recmodel.predictor import STAGE, standard_name

HEADER: Final = "x-fathom-version"
#: How many hex digits of a digest name a version in the header.
DIGITS: Final = 12
#: KServe's Service of a predictor listens here, whatever its container does.
_PORT: Final = 80


@dataclass(frozen=True)
class Share:
    """What a version gets of the requests and of copies of them, in percent, and what it is called."""

    version: Version
    role: str
    weight: int
    mirror: int = 0


def backend(owner: Owner, version: Version) -> str:
    """Return the name of the Service that KServe makes for the pods of `version`."""
    return f"{standard_name(owner, version)}-predictor"


def path_of(owner: Owner, reference: GatewayReference | None) -> str:
    """Return below which path the requests are."""
    return "/" if reference and reference.hostname else f"/{owner.namespace}/{owner.name}"


def http_route(
    owner: Owner,
    reference: GatewayReference | None,
    gateway: GatewayView,
    shares: list[Share],
    now: str,
) -> Obj:
    """Return the HTTPRoute that shares the requests so; `now` is noted where that is new.

    Args:
        owner: The RecModel.
        reference: What it says of the Gateway.
        gateway: The Gateway that is meant.
        shares: The versions that may be reached, whose endpoints are ready.
        now: The time.
    """
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    parent |= {"name": gateway.name, "namespace": gateway.namespace}
    if reference and reference.section_name:
        parent["sectionName"] = reference.section_name
    path = path_of(owner, reference)
    spec: Obj = {
        "parentRefs": [parent],
        "rules": [
            *(_named(owner, path, share.version, name) for share in shares for name in names(share)),
            _shared(owner, path, shares),
        ],
    }
    if reference and reference.hostname:
        spec["hostnames"] = [reference.hostname]
    labels = owner.labels(STAGE, "route")
    route = owner.child(HTTP_ROUTES, owner.name, labels, {"spec": spec})
    # After the hash has been taken: the same shares are not written again for another time.
    route["metadata"]["annotations"][SHARED_SINCE] = now
    return route


def names(share: Share) -> list[str]:
    """Return what the header may say for this version: its role, its name, the begin of its digest."""
    digest = (share.version.digest or "").removeprefix("sha256:")[:DIGITS]
    return [share.role, share.version.name, *([digest] if digest else [])]


def _named(owner: Owner, path: str, version: Version, name: str) -> Obj:
    """Return the rule for one name: with a rewritten path a rule may have one match only."""
    header = {"type": "Exact", "name": HEADER, "value": name}
    return {
        "matches": [_match(path) | {"headers": [header]}],
        **_filters(path, []),
        "backendRefs": [_to(owner, version, 1)],
    }


def _shared(owner: Owner, path: str, shares: list[Share]) -> Obj:
    mirrors = [_mirror(owner, share) for share in shares if share.mirror]
    backends = [_to(owner, share.version, share.weight) for share in shares]
    return {"matches": [_match(path)], **_filters(path, mirrors), "backendRefs": backends}


def _match(path: str) -> Obj:
    return {"path": {"type": "PathPrefix", "value": path}}


def _filters(path: str, others: list[Obj]) -> Obj:
    """Return the filters of a rule: a ranker knows nothing of the path in front of its own."""
    rewrite = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
    own = [{"type": "URLRewrite", "urlRewrite": {"path": rewrite}}] if path != "/" else []
    return {"filters": [*own, *others]} if own or others else {}


def _mirror(owner: Owner, share: Share) -> Obj:
    mirror: Obj = {"backendRef": _service(owner, share.version)}
    if share.mirror < 100:
        # Of Gateway API 1.3; all is what older ones copy too.
        mirror["percent"] = share.mirror
    return {"type": "RequestMirror", "requestMirror": mirror}


def _to(owner: Owner, version: Version, weight: int) -> Obj:
    return _service(owner, version) | {"weight": weight}


def _service(owner: Owner, version: Version) -> Obj:
    return {"group": "", "kind": "Service", "name": backend(owner, version), "port": _PORT}

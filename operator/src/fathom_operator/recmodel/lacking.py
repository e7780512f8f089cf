"""What the cluster lacks for the way of serving that the spec asks for, and the fix; pure."""

from __future__ import annotations

from typing import Final

from fathom_api import Reason
from fathom_api.recmodel import Serving
from fathom_operator.failures import Failure
from fathom_operator.kube.resources import HTTP_ROUTES, INFERENCE_SERVICES, REVISIONS
from fathom_operator.recmodel.gateways import chosen
from fathom_operator.recmodel.observe import RecModelSeen

_RELEASES: Final = {
    INFERENCE_SERVICES.group: "kserve/kserve/releases/download/v0.20.0/kserve.yaml",
    REVISIONS.group: "knative/serving/releases/download/knative-v1.21.1/serving-core.yaml",
    HTTP_ROUTES.group: "kubernetes-sigs/gateway-api/releases/download/v1.6.1/standard-install.yaml",
}


def lacking(seen: RecModelSeen, serving: Serving | None) -> Failure | None:
    """Return why versions cannot be served so, None if they can."""
    if serving is None:
        return None
    if seen.not_installed:
        return _not_installed(seen, serving)
    if serving.routed:
        gateway = chosen(serving.gateway, seen.gateways, seen.owner.namespace)
        return gateway if isinstance(gateway, Failure) else None
    return None


def _not_installed(seen: RecModelSeen, serving: Serving) -> Failure:
    release = "kubectl apply --server-side -f https://github.com/{}"
    install = " and ".join(release.format(_RELEASES[group]) for group in seen.not_installed)
    if HTTP_ROUTES.group in seen.not_installed:
        install += ", and an implementation of it with a Gateway"
    others = [mode for mode in seen.modes if mode != serving.mode]
    there = f". What mode {others[0]} needs is there" if others else ""
    message = (
        f"serving in mode {serving.mode} needs {', '.join(seen.not_installed)}, which the cluster does not "
        f"have: {install}; serving begins by itself then{there}"
    )
    return Failure(Reason.MODE_NOT_INSTALLED, message)

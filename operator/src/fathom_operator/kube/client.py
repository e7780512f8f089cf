"""A small synchronous client of the Kubernetes API; objects are plain dictionaries.

Credentials, certificates and token renewal are the official client's; its generated models are not used,
since the operator hands on objects of kinds the models do not know. Safe to use from several threads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any, Final, cast
from urllib.parse import urlencode

import kubernetes.client
import kubernetes.config
import urllib3
from kubernetes.client.rest import RESTClientObject

from fathom_operator.kube.errors import KubeError, NotFoundError, error_of
from fathom_operator.kube.resources import Obj, Resource

FIELD_MANAGER: Final = "fathom-operator"
#: No request takes longer.
REQUEST_SECONDS: Final = 10.0
#: Workers, watches and the progress server share them.
_CONNECTIONS: Final = 32
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"


#: Called before a write: raises if writing is forbidden, else returns the seconds the write may take at most.
Guard = Callable[[], float]


def _allowed() -> float:
    return REQUEST_SECONDS


class Kube:
    """Requests to one API server."""

    def __init__(self, configuration: Any) -> None:
        """Take a configuration of the official client."""
        configuration.connection_pool_maxsize = _CONNECTIONS
        self.configuration = configuration
        configuration.connection_pool_maxsize = 16
        self._pool = RESTClientObject(configuration).pool_manager
        self._guard: Guard = _allowed

    def guarded(self, guard: Guard) -> Kube:
        """Return a client of the same API server whose writes need `guard`'s consent."""
        out = copy(self)
        out._guard = guard
        return out

    def get(self, resource: Resource, namespace: str | None, name: str) -> Obj | None:
        """Return the object, or None if there is none (or no such kind)."""
        try:
            return self._call("GET", resource.path(namespace, name))
        except NotFoundError:
            return None

    def list(self, resource: Resource, namespace: str | None, selector: str = "") -> Obj:
        """Return the list object, `items` and `metadata.resourceVersion`; read in pages."""
        query = {"limit": "500"} | ({"labelSelector": selector} if selector else {})
        answer = self._call("GET", resource.path(namespace), query)
        page = answer
        while token := page.get("metadata", {}).get("continue"):
            page = self._call("GET", resource.path(namespace), query | {"continue": token})
            answer["items"] += page["items"]
        return answer

    def items(self, resource: Resource, namespace: str | None, selector: str = "") -> list[Obj]:
        """Return all objects that `selector` selects; none where the kind is not installed."""
        try:
            return cast("list[Obj]", self.list(resource, namespace, selector)["items"])
        except NotFoundError:
            return []

    def served(self, resource: Resource) -> bool:
        """Return whether the API server has this kind."""
        root = resource.path(None).removesuffix(f"/{resource.plural}")
        try:
            kinds = self._call("GET", root).get("resources", [])
        except NotFoundError:
            return False
        return any(kind["name"] == resource.plural for kind in kinds)

    def create(self, resource: Resource, namespace: str | None, obj: Obj) -> Obj:
        """Create an object and return it.

        Raises:
            ConflictError: it exists.
        """
        return self._call("POST", resource.path(namespace), {"fieldManager": FIELD_MANAGER}, obj)

    def replace(self, resource: Resource, namespace: str | None, name: str, obj: Obj) -> Obj:
        """Write back an object that was read.

        Raises:
            ConflictError: it has changed since.
        """
        return self._call("PUT", resource.path(namespace, name), {"fieldManager": FIELD_MANAGER}, obj)

    def apply(self, resource: Resource, obj: Obj, subresource: str | None = None) -> Obj:
        """Apply `obj` on the server's side: what we no longer name is removed, what others own is kept."""
        meta = obj["metadata"]
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        path = resource.path(meta.get("namespace"), meta["name"], subresource)
        return self._call("PATCH", path, query, obj, _APPLY)

    def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        changes: Obj,
        *,
        manager: str = FIELD_MANAGER,
    ) -> Obj:
        """Merge `changes` into an object, in the name of `manager`."""
        path = resource.path(namespace, name)
        return self._call("PATCH", path, {"fieldManager": manager}, changes, _MERGE)

    def delete(
        self, resource: Resource, namespace: str | None, name: str, only_if: Obj | None = None
    ) -> None:
        """Delete an object and, in the background, what it owns; no error if it is gone already.

        Raises:
            ConflictError: its `uid` or `resourceVersion` is not that of `only_if`.
        """
        options: Obj = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if only_if is not None:
            options["preconditions"] = only_if
        try:
            self._call("DELETE", resource.path(namespace, name), body=options)
        except NotFoundError:
            return

    def watch(
        self, resource: Resource, namespace: str | None, selector: str, since: str, seconds: int
    ) -> Iterator[Obj]:
        """Yield watch events until the server ends the stream after about `seconds`.

        Raises:
            GoneError: `since` is too old; list again.
        """
        query = {
            "watch": "true", "labelSelector": selector, "resourceVersion": since,
            "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds),
        }  # fmt: skip
        # Bookmarks come every minute: a stream silent for longer is dead, whatever TCP thinks.
        timeout = urllib3.Timeout(connect=REQUEST_SECONDS, read=90)
        response = self._send("GET", resource.path(namespace), query, timeout=timeout, stream=True)
        try:
            for line in _lines(response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise error_of(status.get("code", 500), json.dumps(status).encode())
                yield event
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise KubeError(0, "", f"watching {resource.plural}: {error}") from error
        finally:
            response.close()

    def _call(
        self, method: str, path: str, query: dict[str, str] | None = None, body: Obj | None = None,
        content_type: str = "application/json",
    ) -> Obj:  # fmt: skip
        seconds = REQUEST_SECONDS if method == "GET" else min(REQUEST_SECONDS, self._guard())
        timeout = urllib3.Timeout(total=seconds)
        response = self._send(
            method, path, query or {}, body=body, content_type=content_type, timeout=timeout
        )
        return cast("Obj", json.loads(response.data)) if response.data else {}

    def _send(
        self, method: str, path: str, query: dict[str, str], *, timeout: urllib3.Timeout,
        body: Obj | None = None, content_type: str = "", stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:  # fmt: skip
        headers = {"Accept": "application/json", "User-Agent": FIELD_MANAGER} | self._authorization()
        if body is not None:
            headers["Content-Type"] = content_type
        url = f"{self.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            response = self._pool.request(
                method, url, headers=headers, timeout=timeout, retries=False,
                body=None if body is None else json.dumps(body).encode(), preload_content=not stream,
            )  # fmt: skip
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise KubeError(0, "", f"{method} {path}: {error}") from error
        if response.status >= 400:
            raise error_of(response.status, response.read() if stream else response.data)
        return response

    def _authorization(self) -> dict[str, str]:
        value = self.authorization()
        return {"Authorization": value} if value else {}

    def authorization(self) -> str | None:
        """Return the value of the Authorization header, renewed when it runs out; None without a token."""
        return self.configuration.auth_settings().get("BearerToken", {}).get("value")


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    for chunk in response.stream(None):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line)


def connect(kubeconfig: str | None = None) -> Kube:
    """Return a client of the cluster that `kubeconfig` names, or else of the one we run in.

    Raises:
        kubernetes.config.ConfigException: there is neither.
    """
    configuration = kubernetes.client.Configuration()
    if kubeconfig:
        kubernetes.config.load_kube_config(kubeconfig, client_configuration=configuration)
    else:
        kubernetes.config.load_incluster_config(configuration)
    return Kube(configuration)

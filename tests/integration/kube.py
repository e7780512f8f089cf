"""A small client of our own for the tests: the operator must not be judged by the client it uses itself."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml
from integration.waiting import until

Object = dict[str, Any]

_PATHS: Final = {
    "Backfill": ("apis/fathom.dev/v1alpha1", "backfills"),
    "CaptionJob": ("apis/fathom.dev/v1alpha1", "captionjobs"),
    "RecModel": ("apis/fathom.dev/v1alpha1", "recmodels"),
    "InterestMap": ("apis/fathom.dev/v1alpha1", "interestmaps"),
    "Job": ("apis/batch/v1", "jobs"),
    "Pod": ("api/v1", "pods"),
    "Event": ("api/v1", "events"),
    "Service": ("api/v1", "services"),
    "ConfigMap": ("api/v1", "configmaps"),
    "Secret": ("api/v1", "secrets"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "PersistentVolumeClaim": ("api/v1", "persistentvolumeclaims"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "Lease": ("apis/coordination.k8s.io/v1", "leases"),
    "InferenceService": ("apis/serving.kserve.io/v1beta1", "inferenceservices"),
    "Revision": ("apis/serving.knative.dev/v1", "revisions"),
    "Gateway": ("apis/gateway.networking.k8s.io/v1", "gateways"),
    "HTTPRoute": ("apis/gateway.networking.k8s.io/v1", "httproutes"),
    "EndpointSlice": ("apis/discovery.k8s.io/v1", "endpointslices"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "ResourceQuota": ("api/v1", "resourcequotas"),
}
_TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io"


class Refused(Exception):  # noqa: N818 - what the API server did
    """The API server refused a request; the text is its sentence."""

    def __init__(self, response: httpx.Response) -> None:
        self.code = response.status_code
        super().__init__(response.json().get("message", response.text))


@dataclass(frozen=True)
class Cluster:
    """Where an API server is and who we are to it."""

    server: str
    http: httpx.Client

    @classmethod
    def of(cls, kubeconfig: Path) -> Cluster:
        """Return the cluster of the current context."""
        config = yaml.safe_load(kubeconfig.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        with tempfile.TemporaryDirectory() as folder:
            tls = ssl.create_default_context(
                cafile=_file(cluster, "certificate-authority", kubeconfig, Path(folder))
            )
            if "client-certificate" in user or "client-certificate-data" in user:
                tls.load_cert_chain(
                    _file(user, "client-certificate", kubeconfig, Path(folder)),
                    _file(user, "client-key", kubeconfig, Path(folder)),
                )
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        return cls(
            cluster["server"],
            httpx.Client(base_url=cluster["server"], verify=tls, headers=headers, timeout=20),
        )

    def namespace(self, name: str) -> Namespace:
        """Return a namespace, made if it is not there."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        response = self.http.post("/api/v1/namespaces", json=body)
        if response.status_code not in (201, 409):
            raise Refused(response)
        return Namespace(name, self)

    def install(self, crd: Object) -> None:
        """Apply a CustomResourceDefinition and wait until its kind is served."""
        spec, name = crd["spec"], crd["metadata"]["name"]
        _answer(
            self.http.patch(
                f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}",
                params={"fieldManager": "tests", "force": "true"},
                headers={"Content-Type": "application/apply-patch+yaml"},
                content=json.dumps(crd),
            )
        )

        def listed() -> bool:
            group, plural = f"/apis/{spec['group']}/{spec['versions'][0]['name']}", spec["names"]["plural"]
            answer = self.http.get(group)
            kinds = answer.json()["resources"] if answer.is_success else []
            known = plural in [kind["name"] for kind in kinds]
            # Known is not yet ready: for a moment it answers that its storage is being initialised.
            return known and self.http.get(f"{group}/{plural}").is_success

        until(f"{name} is served", listed)


@dataclass(frozen=True)
class Namespace:
    """Objects of one namespace."""

    name: str
    cluster: Cluster

    def create(self, manifest: Object, *, dry_run: bool = False) -> Object:
        """Create an object as strictly as kubectl does: unknown fields are refused."""
        params = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        return _answer(self.cluster.http.post(self._path(manifest["kind"]), json=manifest, params=params))

    def get(self, kind: str, name: str) -> Object:
        """Return one object."""
        return _answer(self.cluster.http.get(self._path(kind, name)))

    def find(self, kind: str, name: str) -> Object | None:
        """Return one object if it is there."""
        response = self.cluster.http.get(self._path(kind, name))
        return None if response.status_code == 404 else _answer(response)

    def list(self, kind: str, selector: str = "") -> list[Object]:
        """Return objects, oldest first."""
        params = {"labelSelector": selector} if selector else {}
        items = _answer(self.cluster.http.get(self._path(kind), params=params))["items"]
        return sorted(items, key=lambda each: int(each["metadata"]["resourceVersion"]))

    def find_all(self, kind: str) -> list[Object]:
        """Return objects, none where their kind is not installed."""
        response = self.cluster.http.get(self._path(kind))
        return [] if response.status_code == 404 else _answer(response)["items"]

    def version(self, kind: str) -> str:
        """Return the point in time, as the API server counts it, from which `made_since` can tell."""
        return _answer(self.cluster.http.get(self._path(kind)))["metadata"]["resourceVersion"]

    def made_since(self, kind: str, version: str) -> list[Object]:
        """Return every object made since `version`, those that are gone again too."""
        return [event["object"] for event in self._events(kind, version) if event["type"] == "ADDED"]

    def states_since(self, kind: str, version: str, name: str) -> list[Object]:
        """Return every state that an object has had since `version`."""
        events = self._events(kind, version)
        return [event["object"] for event in events if event["object"]["metadata"]["name"] == name]

    def _events(self, kind: str, version: str) -> list[Object]:
        params = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "1"}
        lines = self.cluster.http.get(self._path(kind), params=params).text.splitlines()
        return [json.loads(line) for line in lines]

    def table(self, kind: str) -> Object:
        """Return what `kubectl get -o wide` prints."""
        return _answer(self.cluster.http.get(self._path(kind), headers={"Accept": _TABLE}))

    def patch(self, kind: str, name: str, body: Object, *, subresource: str = "") -> Object:
        """Merge `body` into an object or a part of it."""
        return _answer(
            self.cluster.http.patch(
                self._path(kind, name) + (f"/{subresource}" if subresource else ""),
                json=body,
                headers={"Content-Type": "application/merge-patch+json"},
            )
        )

    def patch_status(self, kind: str, name: str, status: Object) -> Object:
        """Merge `status` into an object's status, as its controller would."""
        return self.patch(kind, name, {"status": status}, subresource="status")

    def delete(self, kind: str, name: str) -> None:
        """Delete an object; its children are left to the garbage collector."""
        _answer(self.cluster.http.delete(self._path(kind, name), params={"gracePeriodSeconds": "0"}))

    def token(self, account: str, audience: str, pod: Object | None = None) -> str:
        """Return a token as the kubelet would project it into `pod`."""
        spec: Object = {"audiences": [audience]}
        if pod:
            meta = pod["metadata"]
            spec["boundObjectRef"] = {
                "kind": "Pod",
                "apiVersion": "v1",
                "name": meta["name"],
                "uid": meta["uid"],
            }
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = self._path("ServiceAccount", account) + "/token"
        return _answer(self.cluster.http.post(path, json=body))["status"]["token"]

    def _path(self, kind: str, name: str = "") -> str:
        group, plural = _PATHS[kind]
        return f"/{group}/namespaces/{self.name}/{plural}" + (f"/{name}" if name else "")


def _answer(response: httpx.Response) -> Object:
    if response.is_error:
        raise Refused(response)
    return response.json()


def _named(entries: list[Object], name: str) -> Object:
    return next(entry for entry in entries if entry["name"] == name)


def _file(entry: Object, key: str, kubeconfig: Path, folder: Path) -> str:
    """Return a file with what a kubeconfig holds as a path or as data."""
    if key in entry:
        return str(kubeconfig.parent / entry[key])
    file = folder / key
    file.write_bytes(base64.b64decode(entry[f"{key}-data"]))
    return str(file)

"""KServe's controller for InferenceServices, in Standard and Knative mode."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from cluster import pki, systemimages
from cluster.build import Built
from cluster.components import KSERVE_VERSION
from cluster.kube import Object
from cluster.manifests.knative import DOMAIN
from cluster.manifests.source import documents, fit

NAMESPACE = "kserve"
_FOLDER = f"install/{KSERVE_VERSION}"
_WEBHOOK_HOST = f"kserve-webhook-server-service.{NAMESPACE}.svc"

# LLM serving and node-local models are controllers of their own, and cert-manager's part is ours.
_LEFT_OUT_NAMES = ("llm", "localmodel")
_LEFT_OUT_KINDS = ("CustomResourceDefinition", "Certificate", "Issuer", "ClusterStorageContainer")

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "deploy": {"defaultDeploymentMode": "Knative"},
    # Kourier serves Knative's routes; there is no Istio, and routes for Standard mode are the user's.
    "ingress": {"disableIstioVirtualHost": True, "disableIngressCreation": True, "ingressDomain": DOMAIN},
}


def crds(built: Built) -> list[Object]:
    """The CRDs of the kinds that the controller serves."""
    return list(documents(built.manifests("github.com/kserve/kserve"), [f"{_FOLDER}/kserve-crds.json"]))


def objects(built: Built) -> list[Object]:
    """The controller, its rights, its webhooks, and a certificate for them."""
    authority = pki.authority("kserve-webhook-ca")
    found = documents(built.manifests("github.com/kserve/kserve"), [f"{_FOLDER}/kserve.json"])
    kept = [_adapted(one, authority.certificate_pem) for one in found if _wanted(one)]
    namespace: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    return [namespace, _certificate(authority), *kept]


def _wanted(one: Object) -> bool:
    name: str = one["metadata"]["name"]
    unused = name == "kserve-webhook-server-secret" or any(part in name for part in _LEFT_OUT_NAMES)
    return one["kind"] not in _LEFT_OUT_KINDS and not unused


def _certificate(authority: pki.Pair) -> Object:
    pair = pki.issue(authority, _WEBHOOK_HOST, hosts=[_WEBHOOK_HOST])
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "kserve-webhook-server-cert", "namespace": NAMESPACE},
        "data": {"tls.crt": _base64(pair.certificate_pem), "tls.key": _base64(pair.key_pem)},
    }


def _adapted(one: Object, ca: bytes) -> Object:
    if one["kind"].endswith("WebhookConfiguration"):
        one["metadata"].pop("annotations", None)
        for webhook in one["webhooks"]:
            webhook["clientConfig"]["caBundle"] = _base64(ca)
    elif one["kind"] == "Deployment":
        pod = one["spec"]["template"]["spec"]
        pod["containers"] = [container for container in pod["containers"] if container["name"] == "manager"]
        manager = pod["containers"][0]
        manager.update(image=systemimages.name("kserve-manager"), command=["/kserve-manager"])
        # One replica has nobody to lose an election to, but would end itself when a busy API server is late.
        manager["args"] = [word for word in manager.get("args", []) if word != "--leader-elect"]
        fit(one)
    elif one["kind"] == "ConfigMap" and one["metadata"]["name"] == "inferenceservice-config":
        for key, changes in SETTINGS.items():
            one["data"][key] = json.dumps({**json.loads(one["data"][key]), **changes})
    return one


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()

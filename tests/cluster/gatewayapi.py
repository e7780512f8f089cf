"""Envoy Gateway as the tests use it: small, with our image, its proxies inside the cluster."""

from typing import Any, Final

from cluster.kube import Object

NAMESPACE: Final = "envoy-gateway-system"
RELEASE: Final = "eg"
CLASS: Final = "envoy"
_CONTROLLER: Final = "gateway.envoyproxy.io/gatewayclass-controller"
_SMALL: Final = {"requests": {"cpu": "10m", "memory": "64Mi"}}


def values(image: str) -> dict[str, Any]:
    """The values of Envoy Gateway's chart for an image of ours."""
    kubernetes = {"shutdownManager": {"image": image}}
    provider = {"type": "Kubernetes", "kubernetes": kubernetes}
    eager = {"httpGet": {"path": "/readyz", "port": 8081}, "periodSeconds": 1, "failureThreshold": 30}
    return {
        "global": {"images": {"envoyGateway": {"image": image, "pullPolicy": "IfNotPresent"}}},
        "deployment": {"envoyGateway": {"resources": _SMALL, "readinessProbe": eager}},
        "config": {"envoyGateway": {"provider": provider}},
        "topologyInjector": {"enabled": False},
    }


def objects(envoy: str | None) -> list[Object]:
    """The GatewayClass and how its proxies run; `envoy` is their image, None for Envoy Gateway's own."""
    container: dict[str, Any] = {"resources": _SMALL} | ({"image": envoy} if envoy else {})
    proxy = {
        "envoyDeployment": {"container": container},
        "envoyService": {"type": "ClusterIP"},
    }
    return [
        {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "EnvoyProxy",
            "metadata": {"name": CLASS, "namespace": NAMESPACE},
            "spec": {"provider": {"type": "Kubernetes", "kubernetes": proxy}},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": CLASS},
            "spec": {
                "controllerName": _CONTROLLER,
                "parametersRef": {
                    "group": "gateway.envoyproxy.io",
                    "kind": "EnvoyProxy",
                    "name": CLASS,
                    "namespace": NAMESPACE,
                },
            },
        },
    ]


def gateway(name: str, namespace: str) -> Object:
    """A Gateway for HTTP routes of its own namespace."""
    listener = {"name": "http", "protocol": "HTTP", "port": 80}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"gatewayClassName": CLASS, "listeners": [listener]},
    }

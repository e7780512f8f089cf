"""Knative Serving with Kourier as its ingress."""

from cluster import systemimages
from cluster.build import Built
from cluster.components import KNATIVE
from cluster.kube import Object
from cluster.manifests.source import documents, fit

NAMESPACES = ("knative-serving", "kourier-system")
DOMAIN = "example.com"
INGRESS_PORT = 31080

# KServe's predictors mount claims, run without privileges, and are placed like any other pod.
_FEATURES = (
    "affinity",
    "fieldref",
    "init-containers",
    "nodeselector",
    "persistent-volume-claim",
    "persistent-volume-write",
    "priorityclassname",
    "runtimeclassname",
    "schedulername",
    "securitycontext",
    "tolerations",
    "topologyspreadconstraints",
)

CONFIG: dict[str, dict[str, str]] = {
    "config-features": {f"kubernetes.podspec-{feature}": "enabled" for feature in _FEATURES},
    "config-network": {"ingress-class": "kourier.ingress.networking.knative.dev"},
    "config-deployment": {
        "queue-sidecar-image": systemimages.name("kn-queue"),
        "registries-skipping-tag-resolving": "kind.local,ko.local,dev.local,localhost",
    },
    "config-domain": {DOMAIN: ""},
    # The activator stays out of the way of services that have a pod.
    "config-autoscaler": {"target-burst-capacity": "0"},
}

_FILES = {
    "knative.dev/serving": (
        "config/core/100-namespace.json",
        "config/core/200-roles/*.json",
        "config/core/200-serviceaccount.json",
        "config/core/300-resources/*.json",
        "config/core/configmaps/*.json",
        "config/core/deployments/*.json",
        "config/core/webhooks/*.json",
        "config/core/999-cache.json",
    ),
    "knative.dev/networking": (
        "config/certificate.json",
        "config/config-network.json",
        "config/domain-claim.json",
        "config/ingress.json",
        "config/serverlessservice.json",
    ),
    "knative.dev/caching": ("config/image.json",),
    "knative.dev/net-kourier": ("config/*.json",),
}
_DROPPED = ("HorizontalPodAutoscaler", "PodDisruptionBudget")


def objects(built: Built, *, envoy: str | None) -> list[Object]:
    """All objects of Knative and Kourier.

    Args:
        built: the component with its manifests.
        envoy: the image of Kourier's gateway; None keeps upstream's, which comes from a registry.
    """
    programs = [name.removeprefix("kn-") for name in KNATIVE.binaries]
    images = [
        (f"ko://knative.dev/{module}/cmd/{program}", systemimages.name(f"kn-{program}"))
        for module in ("serving", "net-kourier")
        for program in programs
    ]
    found = [
        document
        for module, files in _FILES.items()
        for document in documents(built.manifests(module), files, images)
    ]
    return [_adapted(one, envoy) for one in found if one["kind"] not in _DROPPED]


def _adapted(one: Object, envoy: str | None) -> Object:
    name = one["metadata"]["name"]
    if one["kind"] == "Deployment":
        fit(one)
        if envoy and name == "3scale-kourier-gateway":
            _use_envoy(one, envoy)
    elif one["kind"] == "ConfigMap" and name in CONFIG:
        one.setdefault("data", {}).update(CONFIG[name])
    elif one["kind"] == "Service" and name == "kourier":
        one["spec"]["type"] = "NodePort"
        one["spec"]["ports"][0]["nodePort"] = INGRESS_PORT
    return one


def _use_envoy(deployment: Object, image: str) -> None:
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["image"] = image
    container.pop("lifecycle")  # drains with curl, which our image has not

"""Installing Knative, Kourier and KServe on a cluster, and waiting until they serve."""

import time
from pathlib import Path

from cluster import build
from cluster.components import KNATIVE, KSERVE
from cluster.console import ClusterError, step
from cluster.kube import Kube, Object
from cluster.manifests import knative, kserve

NAMESPACES = (*knative.NAMESPACES, kserve.NAMESPACE)
_FIRST = ("Namespace", "CustomResourceDefinition")
_LAST = ("Deployment", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "Image")

# Accepted only once the webhooks of both answer.
_PROBES: list[Object] = [
    {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "fathom-probe", "namespace": "default"},
        "spec": {"template": {"spec": {"containers": [{"image": "dev.local/probe:1"}]}}},
    },
    {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "fathom-probe", "namespace": "default"},
        "spec": {"predictor": {"containers": [{"name": "kserve-container", "image": "dev.local/probe:1"}]}},
    },
]


def install(kube: Kube, cache: Path, *, envoy: str | None, fresh: bool) -> None:
    """Put everything on a cluster; the pods start when there is a node for them.

    Args:
        kube: the cluster.
        cache: the cache folder.
        envoy: the image of Kourier's gateway; None takes upstream's from a registry.
        fresh: nothing of it is there yet.
    """
    built = build.ensure([KNATIVE, KSERVE], cache)
    put = kube.create if fresh else kube.apply
    with step("Installing Knative, Kourier and KServe"):
        crds = kserve.crds(built["kserve"])
        wanted = [
            *knative.objects(built["knative"], envoy=envoy),
            *kserve.objects(built["kserve"]),
        ]
        crds += [one for one in wanted if one["kind"] == "CustomResourceDefinition"]
        put([*crds, *(one for one in wanted if one["kind"] == "Namespace")])
        put([one for one in wanted if one["kind"] not in (*_FIRST, *_LAST)])
        # KServe's controller looks once, at its start, for the kinds of Knative.
        kube.wait_served(crds, 60.0)
        put([one for one in wanted if one["kind"] in _LAST])


def wait(kube: Kube, seconds: float = 300.0) -> None:
    """Wait until every deployment is available and the webhooks take a Service and an InferenceService."""
    deadline = time.monotonic() + seconds
    with step("Waiting for Knative, Kourier and KServe"):
        kube.wait_available(("kube-system", *NAMESPACES), seconds)
        for probe in _PROBES:
            while (refusal := kube.accepts(probe)) is not None:
                if time.monotonic() > deadline:
                    raise ClusterError(f"a {probe['kind']} is not accepted after {seconds:.0f} s: {refusal}")
                time.sleep(0.5)

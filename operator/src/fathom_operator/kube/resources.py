"""The kinds the operator deals with and where the API server has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from fathom_api import GROUP, VERSION

Obj = dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """A kind of object; `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """Return the `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the path of an object, or of all of them without a name."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root, *(["namespaces", namespace] if namespace and self.namespaced else []), self.plural]
        return "/".join(part for part in (*parts, name, subresource) if part)


CAPTION_JOBS: Final = Resource(GROUP, VERSION, "captionjobs", "CaptionJob")
REC_MODELS: Final = Resource(GROUP, VERSION, "recmodels", "RecModel")
BACKFILLS: Final = Resource(GROUP, VERSION, "backfills", "Backfill")
INTEREST_MAPS: Final = Resource(GROUP, VERSION, "interestmaps", "InterestMap")
JOBS: Final = Resource("batch", "v1", "jobs", "Job")
JOB_SETS: Final = Resource("jobset.x-k8s.io", "v1alpha2", "jobsets", "JobSet")
TRAIN_JOBS: Final = Resource("trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob")
TRAINING_RUNTIMES: Final = Resource("trainer.kubeflow.org", "v1alpha1", "trainingruntimes", "TrainingRuntime")
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
PODS: Final = Resource("", "v1", "pods", "Pod")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
SERVICES: Final = Resource("", "v1", "services", "Service")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
EVENTS: Final = Resource("", "v1", "events", "Event")
CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
TOKEN_REVIEWS: Final = Resource(
    "authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False
)
INFERENCE_SERVICES: Final = Resource("serving.kserve.io", "v1beta1", "inferenceservices", "InferenceService")
REVISIONS: Final = Resource("serving.knative.dev", "v1", "revisions", "Revision")
GATEWAYS: Final = Resource("gateway.networking.k8s.io", "v1", "gateways", "Gateway")
HTTP_ROUTES: Final = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
ENDPOINT_SLICES: Final = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
DISRUPTION_BUDGETS: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")

OWN_KINDS: Final = {
    resource.kind: resource for resource in (CAPTION_JOBS, REC_MODELS, BACKFILLS, INTEREST_MAPS)
}
#: What runs pods of ours to an end.
JOB_KINDS: Final = {resource.kind: resource for resource in (JOBS, JOB_SETS, TRAIN_JOBS)}
CHILD_KINDS: Final = {
    resource.kind: resource
    for resource in (
        *JOB_KINDS.values(), TRAINING_RUNTIMES, CONFIG_MAPS, SERVICES, NETWORK_POLICIES, INFERENCE_SERVICES,
        HTTP_ROUTES, DISRUPTION_BUDGETS,
    )
}  # fmt: skip

"""What users may say about the pods that do their work."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from fathom_api.meta import ApiModel
from fathom_api.types import Quantity

#: A Kubernetes object that we hand on as it is; the API server checks it when the pod is made.
Passed = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]


class Resources(ApiModel):
    """Compute resources of a pod's container, as in a Kubernetes container."""

    requests: dict[str, Quantity] = Field(
        default_factory=dict, max_length=32, description="Least that is set aside, e.g. `cpu: 1`."
    )
    limits: dict[str, Quantity] = Field(
        default_factory=dict, max_length=32, description="Most that may be used, e.g. `nvidia.com/gpu: 1`."
    )
    claims: list[Passed] = Field(
        default_factory=list,
        max_length=16,
        description="Entries of `resourceClaims` that the container uses (dynamic resource allocation).",
    )


class PodTemplate(ApiModel):
    """What the pods of this resource look like; each field means what it means in a Kubernetes pod."""

    image: str | None = Field(
        default=None, max_length=1024, description="Container image; the operator's default if unset."
    )
    image_pull_secrets: list[Passed] = Field(
        default_factory=list, max_length=16, description="Secrets with which the image is pulled."
    )
    resources: Resources = Field(default_factory=Resources, description="CPU, memory and GPUs of each pod.")
    node_selector: dict[str, str] = Field(default_factory=dict, description="Labels a node must have.")
    tolerations: list[Passed] = Field(
        default_factory=list, max_length=64, description="Taints the pods tolerate."
    )
    affinity: Passed | None = Field(default=None, description="Node and pod affinity.")
    topology_spread_constraints: list[Passed] = Field(
        default_factory=list, max_length=16, description="How the pods are spread over zones and nodes."
    )
    resource_claims: list[Passed] = Field(
        default_factory=list,
        max_length=16,
        description="Devices by dynamic resource allocation: claims, or templates of them.",
    )
    scheduler_name: str | None = Field(
        default=None, max_length=253, description="Scheduler of the pods; the cluster's default if unset."
    )
    termination_grace_period_seconds: int | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="Time to finish the batch in flight when a pod is told to go; if unset 120 s for "
        "captioning and Kubernetes' 30 s for all else.",
    )
    priority_class_name: str | None = Field(
        default=None, max_length=253, description="PriorityClass of the pods."
    )
    runtime_class_name: str | None = Field(
        default=None, max_length=253, description="RuntimeClass, e.g. `nvidia`."
    )
    service_account_name: str | None = Field(
        default=None,
        max_length=253,
        description="ServiceAccount of the pods; the namespace's default if unset.",
    )
    env: list[Passed] = Field(default_factory=list, max_length=128, description="Environment variables.")
    env_from: list[Passed] = Field(
        default_factory=list,
        max_length=32,
        description="Sources of environment variables: Secrets, ConfigMaps.",
    )
    volumes: list[Passed] = Field(default_factory=list, max_length=32, description="Further volumes.")
    volume_mounts: list[Passed] = Field(
        default_factory=list, max_length=32, description="Where the further volumes are mounted."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="When the image is pulled; Kubernetes' default if unset."
    )

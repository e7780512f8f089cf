"""Where and how a ranker is served: KServe's mode, pods and their number, the Gateway in front of them."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from fathom_api.meta import ApiModel, StatusModel
from fathom_api.pods import Passed, PodTemplate
from fathom_api.rollout import Rollout
from fathom_api.rules import Rule
from fathom_api.types import IntOrPercent, seconds

_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_Label = Annotated[str, StringConstraints(pattern=rf"^{_LABEL}$", max_length=63)]
_Host = Annotated[str, StringConstraints(pattern=rf"^{_LABEL}([.]{_LABEL})*$", max_length=253)]

#: What an HPA can measure by itself, and what Knative's autoscaler alone can.
_HPA_METRICS: Final = ("CPU", "Memory")


class GatewayReference(ApiModel):
    """A Gateway (Gateway API) whose listener takes the requests."""

    name: _Host = Field(description="Its name.")
    namespace: _Label | None = Field(default=None, description="Its namespace; the RecModel's if unset.")
    section_name: _Host | None = Field(
        default=None, description="One of its listeners; the first for HTTP or HTTPS if unset."
    )
    hostname: _Host | None = Field(
        default=None,
        description="Host that the requests are for. If unset they are told by their path, "
        "`/NAMESPACE/NAME`, which is taken away before a ranker sees it.",
    )


class Autoscaling(ApiModel):
    """How many pods a version has, by their load: from `replicas` up."""

    RULES = (
        Rule(
            "!has(self.triggers) || (has(self.scaler) && self.scaler == 'KEDA')",
            "triggers are KEDA's: set spec.serving.autoscaling.scaler to KEDA, or remove triggers",
            lambda scaling: scaling.triggers is None or scaling.scaler == "KEDA",
            ".triggers",
        ),
        Rule(
            "!has(self.triggers) || !(has(self.metric) || has(self.target))",
            "triggers say what is measured: remove metric and target, or triggers",
            lambda scaling: scaling.triggers is None or not (scaling.metric or scaling.target),
            ".triggers",
        ),
    )

    max_replicas: int = Field(ge=1, le=10_000, description="Most pods of a version.")
    scaler: Literal["HPA", "KEDA"] | None = Field(
        default=None,
        description="What scales in Standard mode; HPA if unset. In Knative mode Knative does.",
    )
    metric: Literal["CPU", "Memory", "Concurrency", "RPS"] | None = Field(
        default=None,
        description="What is measured: CPU, Memory, or in Knative mode Concurrency and RPS too. If unset "
        "CPU in Standard mode, Concurrency in Knative mode.",
    )
    target: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="How much of it a pod shall have: percent of the request of CPU or Memory, requests at "
        "once, or requests per second. KServe's default if unset.",
    )
    triggers: Annotated[list[Passed], Field(min_length=1, max_length=16)] | None = Field(
        default=None,
        description="Metrics for KEDA as an InferenceService has them in `autoScaling.metrics`.",
    )


class Serving(PodTemplate):
    """Where and how the ranker is served."""

    RULES = (
        Rule(
            "self.mode != 'Knative' || !has(self.rollout.shadow)",
            "in mode Knative nothing copies requests, so there is no shadow: remove "
            "spec.serving.rollout.shadow and begin with a step of weight 1, or set spec.serving.mode to "
            "Standard",
            lambda serving: serving.mode != "Knative" or serving.rollout.shadow is None,
            ".rollout.shadow",
        ),
        Rule(
            "self.mode != 'Knative' || self.rollout.steps.all(s, s.weight > 0)",
            "in mode Knative a candidate without requests cannot be reached: begin with a weight of 1, or "
            "set spec.serving.mode to Standard",
            lambda serving: serving.mode != "Knative" or all(s.weight > 0 for s in serving.rollout.steps),
            ".rollout.steps",
        ),
        Rule(
            "self.mode != 'Knative' || !has(self.gateway)",
            "in mode Knative Knative's own ingress takes the requests: remove spec.serving.gateway, or set "
            "spec.serving.mode to Standard",
            lambda serving: serving.mode != "Knative" or serving.gateway is None,
            ".gateway",
        ),
        Rule(
            "self.mode != 'Knative' || !has(self.rollout.scaleDownDelay)",
            "in mode Knative Knative stops the pods of the version before: remove "
            "spec.serving.rollout.scaleDownDelay",
            lambda serving: serving.mode != "Knative" or serving.rollout.scale_down_delay is None,
            ".rollout.scaleDownDelay",
        ),
        Rule(
            "!has(self.autoscaling) || self.autoscaling.maxReplicas >= self.replicas",
            "autoscaling.maxReplicas must be at least replicas",
            lambda serving: (
                serving.autoscaling is None or serving.autoscaling.max_replicas >= serving.replicas
            ),
            ".autoscaling.maxReplicas",
        ),
        Rule(
            "self.mode != 'Knative' || !has(self.autoscaling) || !has(self.autoscaling.scaler)",
            "in mode Knative Knative scales: remove spec.serving.autoscaling.scaler",
            lambda serving: (
                serving.mode != "Knative" or serving.autoscaling is None or serving.autoscaling.scaler is None
            ),
            ".autoscaling.scaler",
        ),
        Rule(
            "self.mode != 'Standard' || !has(self.autoscaling) || !has(self.autoscaling.metric) || "
            "self.autoscaling.metric in ['CPU', 'Memory']",
            "in mode Standard only CPU and Memory can be measured: change "
            "spec.serving.autoscaling.metric, or use triggers of KEDA",
            lambda serving: (
                serving.mode != "Standard"
                or serving.autoscaling is None
                or serving.autoscaling.metric in {None, *_HPA_METRICS}
            ),
            ".autoscaling.metric",
        ),
    )

    mode: Literal["Knative", "Standard"] = Field(
        default="Knative",
        description="KServe deployment mode. In Standard mode canary steps, a shadow and `bake` need a "
        "Gateway; without any of them a Service switches from one version to the next.",
    )
    replicas: int = Field(
        default=1, ge=1, le=1000, description="Pods that each version has; at least, with `autoscaling`."
    )
    autoscaling: Autoscaling | None = Field(
        default=None, description="More pods under load; always `replicas` if unset."
    )
    max_unavailable: IntOrPercent = Field(
        default=1,
        description="Pods of a version that may be evicted at once, when nodes are drained. Where a version "
        "has two or more, a PodDisruptionBudget says so.",
    )
    gateway: GatewayReference | None = Field(
        default=None,
        description="What takes the requests in Standard mode. If unset and one is needed, the cluster's "
        "only Gateway.",
    )
    rollout: Rollout = Field(default_factory=Rollout, description="How a new version takes over.")

    @property
    def routed(self) -> bool:
        """Return whether an HTTPRoute of ours shares the requests."""
        rollout = self.rollout
        asked = rollout.steps or rollout.shadow or self.gateway or seconds(rollout.bake) > 0
        return self.mode == "Standard" and bool(asked)


class GatewayStatus(StatusModel):
    """The Gateway that takes the requests, as it was last seen."""

    name: str = Field(description="Its name.")
    namespace: str = Field(description="Its namespace.")
    listener: str = Field(default="", description="The listener.")
    programmed: bool = Field(default=False, description="Whether it takes requests.")
    address: str | None = Field(default=None, description="Where.")

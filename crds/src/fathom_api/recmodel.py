"""RecModel: train this ranker on these interactions with these features; serve it if it is better."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fathom_api.analysis import AnalysisResult, Scores
from fathom_api.captionjob import Artifact, Output
from fathom_api.conditions import Condition
from fathom_api.learning import (
    CaptionsFeature,
    Data,
    Feature,
    Features,
    RankerModel,
    Split,
    Table,
    Training,
    UserHistory,
)
from fathom_api.meta import ApiModel, StatusModel
from fathom_api.rollout import Rollout, RolloutStatus, RolloutStep
from fathom_api.rules import Rule
from fathom_api.serving import Autoscaling, GatewayReference, GatewayStatus, Serving
from fathom_api.types import CronSchedule, Timestamp, Unique

__all__ = [
    "LOWER_IS_BETTER",
    "Arm",
    "ArmMetrics",
    "Autoscaling",
    "CaptionsFeature",
    "Control",
    "Data",
    "Evaluation",
    "Feature",
    "Features",
    "Gate",
    "GateVerdict",
    "GatewayReference",
    "GatewayStatus",
    "Metric",
    "Metrics",
    "RankerModel",
    "RecModelSpec",
    "RecModelStatus",
    "Rejection",
    "Rollout",
    "RolloutStatus",
    "RolloutStep",
    "Serving",
    "Split",
    "Stage",
    "Table",
    "Training",
    "TrainingStatus",
    "UserHistory",
    "Version",
]

Arm = Literal["Captions", "WithoutCaptions", "ShuffledCaptions", "Serving"]
Control = Literal["WithoutCaptions", "ShuffledCaptions"]
Metric = Literal["AUC", "GAUC", "LogLoss", "NormalizedEntropy"]
#: Metrics of which less is better.
LOWER_IS_BETTER: frozenset[str] = frozenset({"LogLoss", "NormalizedEntropy"})


class Gate(ApiModel):
    """What a new model must beat to be served."""

    metric: Metric = Field(default="AUC", description="Measured on the test split.")
    against: Annotated[list[Literal["Serving", "WithoutCaptions", "ShuffledCaptions"]], Unique()] = Field(
        default_factory=lambda: ["Serving"],
        max_length=3,
        description="Serving: the model served now. "
        "WithoutCaptions, ShuffledCaptions: the same ranker, trained so.",
    )
    min_delta: float = Field(
        default=0.0, ge=-1, le=1, description="Least improvement; negative allows that much loss."
    )


class Evaluation(ApiModel):
    """How a trained model is judged before it is served."""

    controls: Annotated[list[Control], Unique()] = Field(
        default_factory=lambda: ["WithoutCaptions", "ShuffledCaptions"],
        max_length=2,
        description="Trained beside it with the same parameters and seed, to show what the captions give; "
        "what the gate compares with is trained in any case.",
    )
    gate: Gate = Field(default_factory=Gate, description="What it must beat.")


class RecModelSpec(ApiModel):
    """Train this ranker on these interactions with these features; serve it if it is better."""

    RULES = (
        Rule(
            "self.features.captions.size() > 0 || !self.evaluation.gate.against.exists(a, a != 'Serving')",
            "there are no captions to compare without: name a CaptionJob under spec.features.captions, "
            "or leave only Serving in spec.evaluation.gate.against",
            lambda spec: bool(spec.features.captions) or {*spec.evaluation.gate.against} <= {"Serving"},
            ".evaluation.gate.against",
        ),
        Rule(
            "self.features.user.size() == 0 || has(self.data.users)",
            "spec.features.user needs spec.data.users, the table that holds these columns",
            lambda spec: not spec.features.user or spec.data.users is not None,
            ".features.user",
        ),
        Rule(
            "self.features.item.size() == 0 || has(self.data.items)",
            "spec.features.item needs spec.data.items, the table that holds these columns",
            lambda spec: not spec.features.item or spec.data.items is not None,
            ".features.item",
        ),
    )

    data: Data = Field(description="What it learns from.")
    features: Features = Field(default_factory=Features, description="What it knows of users and items.")
    model: RankerModel = Field(default_factory=RankerModel, description="Its architecture.")
    training: Training = Field(default_factory=Training, description="How it is trained.")
    evaluation: Evaluation = Field(default_factory=Evaluation, description="What it must beat.")
    serving: Serving | None = Field(default=None, description="How it is served; not at all if unset.")
    output: Output = Field(description="Where model bundles and evaluations go.")
    schedule: CronSchedule | None = Field(
        default=None,
        description="When a new version is trained from what the data are then, as in cron: `0 3 * * 0`. "
        "What was missed is made up for by one version; none begins while another is under way.",
    )
    time_zone: str = Field(
        default="Etc/UTC", min_length=1, max_length=64, description="Time zone of the schedule."
    )
    on_new_captions: Literal["Retrain", "Wait"] = Field(
        default="Retrain",
        description="Retrain: new features of a CaptionJob begin a new version. Wait: the next version that "
        "begins for another reason uses them.",
    )


Stage = Literal[
    "Pending",
    "Training",
    "Evaluating",
    "Deploying",
    "RollingOut",
    "Serving",
    "Complete",
    "Rejected",
    "Failed",
]


class Metrics(StatusModel):
    """Metrics on the test split."""

    auc: float | None = Field(default=None, description="Area under the ROC curve.")
    gauc: float | None = Field(
        default=None, description="AUC of each user, weighted by the user's interactions."
    )
    log_loss: float | None = Field(default=None, description="Mean binary cross-entropy, nats.")
    normalized_entropy: float | None = Field(
        default=None, description="Log loss over the entropy of the base rate."
    )
    calibration: float | None = Field(default=None, description="Mean prediction over mean label.")


class ArmMetrics(Metrics):
    """Metrics of one arm of the evaluation."""

    arm: Arm = Field(description="Captions is the candidate itself, also where it uses no captions.")


class GateVerdict(StatusModel):
    """One comparison."""

    metric: Metric = Field(description="What was compared.")
    against: str = Field(description="With what.")
    value: float | None = Field(default=None, description="The candidate's.")
    baseline: float | None = Field(default=None, description="The other's.")
    delta: float | None = Field(default=None, description="Improvement, positive is better.")
    verdict: Literal["Pass", "Fail", "Skipped"] = Field(
        description="Skipped: there is nothing to compare with yet."
    )
    message: str = Field(default="", description="In words.")


class Version(StatusModel):
    """A trained model."""

    name: str = Field(description="`v-` and eight hex digits of what it was trained from.")
    digest: str | None = Field(default=None, description="`sha256:` of the model bundle.")
    uri: str | None = Field(default=None, description="Where the bundle lies.")
    auc: float | None = Field(default=None, description="AUC on the test split.")
    image: str | None = Field(
        default=None,
        description="Image it is served with, fixed when it was first deployed: a new default is for new "
        "versions. `spec.serving.image` goes first.",
    )
    parameters: dict[str, float] | None = Field(
        default=None, max_length=16, description="What `spec.training.search` chose."
    )
    created_at: Timestamp | None = Field(default=None, description="When training began.")
    promoted_at: Timestamp | None = Field(default=None, description="When it got all requests.")


class Rejection(StatusModel):
    """A version that is not tried again unless asked (annotation `fathom.dev/retry`)."""

    name: str = Field(description="The version.")
    digest: str | None = Field(default=None, description="Its bundle.")
    reason: str = Field(
        description="GateFailed, CandidateNotReady, AnalysisFailed, CandidateRestarts or Aborted."
    )
    message: str = Field(default="", description="In words.")
    at: Timestamp = Field(description="When.")
    retry: str = Field(
        default="",
        max_length=253,
        description="What the annotation `fathom.dev/retry` said then: another value has it tried again.",
    )
    gate: Gate | None = Field(
        default=None, description="The gate that refused it: another gate judges it again, without training."
    )


class TrainingStatus(StatusModel):
    """How far training is."""

    percent: int = Field(default=0, description="Of all arms, in percent.")
    epoch: float = Field(default=0.0, description="Epochs of the arm at work.")
    rows_per_second: float | None = Field(default=None, description="Interactions trained on per second.")
    validation_auc: float | None = Field(default=None, description="Latest AUC on the validation split.")


class RecModelStatus(StatusModel):
    """What the operator has seen."""

    observed_generation: int | None = Field(
        default=None, description="Generation of the spec that this status speaks of."
    )
    conditions: list[Condition] = Field(
        default_factory=list[Condition],
        description="Ready, Reconciling, Stalled (kstatus), and Trained, GatePassed, Serving.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    stage: Stage = Field(default="Pending", description="What is being done.")
    candidate: Version | None = Field(
        default=None, description="The version being trained, judged or rolled out."
    )
    stable: Version | None = Field(default=None, description="The version that is served.")
    features: list[Artifact] = Field(
        default_factory=list[Artifact], description="Caption features of the candidate."
    )
    training: TrainingStatus | None = Field(default=None, description="How far training is.")
    metrics: list[ArmMetrics] = Field(
        default_factory=list[ArmMetrics], description="Of the latest evaluation."
    )
    scores: Scores | None = Field(
        default=None,
        description="The candidate's scores of the test split, counted as a ranker counts those it gives.",
    )
    caption_lift: float | None = Field(default=None, description="AUC with captions minus AUC without.")
    gates: list[GateVerdict] = Field(
        default_factory=list[GateVerdict], description="Of the latest evaluation."
    )
    evaluation_uri: str | None = Field(default=None, description="The evaluation, JSON.")
    report_uri: str | None = Field(default=None, description="Its report, HTML.")
    rollout: RolloutStatus | None = Field(default=None, description="The canary, while there is one.")
    analysis: list[AnalysisResult] = Field(
        default_factory=list[AnalysisResult],
        max_length=16,
        description="What the latest rollout measured at its latest look, also once it is over.",
    )
    obeyed: dict[str, str] = Field(
        default_factory=dict[str, str],
        max_length=8,
        description="The annotations promote, pause, resume and abort as they were last seen: another value "
        "is another command.",
    )
    rejected: list[Rejection] = Field(
        default_factory=list[Rejection], max_length=10, description="Latest rejections."
    )
    history: list[Version] = Field(
        default_factory=list[Version], max_length=10, description="Versions served, latest first."
    )
    last_retrain: Timestamp | None = Field(
        default=None, description="When the schedule last began a version."
    )
    next_retrain: Timestamp | None = Field(
        default=None, description="When the schedule begins the next version."
    )
    url: str | None = Field(default=None, description="Where the model answers.")
    gateway: GatewayStatus | None = Field(
        default=None, description="What takes the requests in Standard mode, where there is a Gateway."
    )
    last_progress_time: Timestamp | None = Field(default=None, description="When a pod last reported.")

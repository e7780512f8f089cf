"""RecModel: train this ranker on these interactions with these features; serve it if it is better."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from fathom_api.captionjob import Artifact, Output
from fathom_api.conditions import Condition
from fathom_api.meta import ApiModel, StatusModel
from fathom_api.pods import PodTemplate
from fathom_api.rules import Rule
from fathom_api.types import ColumnName, DatasetUri, Duration, ObjectName, Timestamp, Unique

Arm = Literal["Captions", "WithoutCaptions", "ShuffledCaptions", "Serving"]
Control = Literal["WithoutCaptions", "ShuffledCaptions"]
Metric = Literal["AUC", "GAUC", "LogLoss", "NormalizedEntropy"]
#: Metrics of which less is better.
LOWER_IS_BETTER: frozenset[str] = frozenset({"LogLoss", "NormalizedEntropy"})


class Table(ApiModel):
    """A Parquet or CSV file."""

    uri: DatasetUri = Field(description="Where it lies (`pvc://claim/path`).")


class Split(ApiModel):
    """How interactions are divided into training, validation and test."""

    RULES = (
        Rule(
            "self.validation + self.test <= 0.5",
            "validation and test leave less than half of the interactions to train on: lower one of them",
            lambda split: split.validation + split.test <= 0.5,
        ),
    )

    strategy: Literal["Time", "Random", "ItemCold"] = Field(
        default="Time",
        description="Time: the latest interactions are held out. Random: any. ItemCold: all interactions of "
        "held-out items, which the ranker has then never seen.",
    )
    validation: float = Field(default=0.1, ge=0.01, le=0.4, description="Share held out to stop training by.")
    test: float = Field(default=0.1, ge=0.01, le=0.4, description="Share held out to judge the model by.")
    seed: int = Field(default=0, ge=0, description="Seed of Random and ItemCold.")


class Data(ApiModel):
    """Interactions, and what is known of items and users."""

    interactions: Table = Field(description="One row an interaction.")
    items: Table | None = Field(default=None, description="One row an item; keyed by `itemColumn`.")
    users: Table | None = Field(default=None, description="One row a user; keyed by `userColumn`.")
    label: ColumnName = Field(default="label", description="Column of 0 and 1 to predict.")
    user_column: ColumnName = Field(default="user_id", description="Column with the user's id.")
    item_column: ColumnName = Field(default="item_id", description="Column with the item's id.")
    time_column: ColumnName | None = Field(
        default="timestamp", description="Column with the time, a number or a timestamp."
    )
    split: Split = Field(default_factory=Split, description="What is held out.")


class Feature(ApiModel):
    """A column used as a feature."""

    column: ColumnName = Field(description="Its name in the items or users table.")
    type: Literal["Categorical", "CategoricalList", "Numeric"] = Field(
        default="Categorical",
        description="Categorical: one value. CategoricalList: several, in a list or in one string. "
        "Numeric: standardised.",
    )
    separator: str = Field(
        default=" ", min_length=1, max_length=4, description="Between the values of a CategoricalList string."
    )


class UserHistory(ApiModel):
    """A profile of the tokens of what the user liked before."""

    max_items: int = Field(default=50, ge=1, le=1000, description="Latest positive items that count.")


class CaptionsFeature(ApiModel):
    """Caption tokens of a CaptionJob as a feature of the item, and of the user's history."""

    caption_job: ObjectName = Field(description="Name of a CaptionJob in this namespace.")
    pooling: Literal["Mean", "Sum"] = Field(
        default="Mean", description="How the token embeddings of an item become one."
    )
    user_history: UserHistory | None = Field(
        default=None, description="Also describe users by the captions they liked."
    )


class Features(ApiModel):
    """What the ranker knows of users and items, besides their ids."""

    user: Annotated[list[Feature], Unique("column")] = Field(
        default_factory=list[Feature], max_length=64, description="Columns of the users table."
    )
    item: Annotated[list[Feature], Unique("column")] = Field(
        default_factory=list[Feature], max_length=64, description="Columns of the items table."
    )
    captions: Annotated[list[CaptionsFeature], Unique("caption_job")] = Field(
        default_factory=list[CaptionsFeature], max_length=4, description="Caption tokens."
    )


class RankerModel(ApiModel):
    """The ranker's architecture."""

    architecture: Literal["DCNv2", "DLRM"] = Field(
        default="DCNv2", description="DCNv2: arXiv 2008.13535. DLRM: arXiv 1906.00091."
    )
    embedding_dim: int = Field(default=16, ge=2, le=1024, description="Width of the embeddings.")
    cross_layers: int = Field(default=2, ge=1, le=8, description="Cross layers (DCNv2).")
    hidden_units: list[Annotated[int, Field(ge=1, le=65_536)]] = Field(
        default_factory=lambda: [128, 64], min_length=1, max_length=8, description="Widths of the MLP."
    )
    dropout: float = Field(default=0.0, ge=0, le=0.9, description="Dropout in the MLP.")


class Training(ApiModel):
    """How the ranker is trained."""

    processes_per_node: int = Field(
        default=1, ge=1, le=16, description="Processes in the training pod: torchrun, DDP."
    )
    epochs: int = Field(default=15, ge=1, le=1000, description="Most passes over the training interactions.")
    patience: int = Field(
        default=4, ge=1, le=100, description="Epochs without a better validation AUC before training stops."
    )
    batch_size: int = Field(
        default=1024, ge=1, le=1_000_000, description="Interactions per step, of all processes together."
    )
    learning_rate: float = Field(default=5e-3, gt=0, le=1, description="Learning rate (Adam).")
    weight_decay: float = Field(default=1e-4, ge=0, le=1, description="L2 on embeddings and weights.")
    seed: int = Field(default=0, ge=0, description="Seed of all that is random.")
    backoff_limit: int = Field(
        default=4, ge=0, le=100, description="Times the pod is tried again; each resumes from a checkpoint."
    )
    queue_name: str | None = Field(default=None, max_length=63, description="Kueue LocalQueue of the Jobs.")
    template: PodTemplate = Field(
        default_factory=PodTemplate, description="The training and evaluation pods."
    )


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


class RolloutStep(ApiModel):
    """One step of a canary."""

    weight: int = Field(
        ge=1, le=100, description="Share of the requests that the candidate gets, in percent."
    )
    pause: Duration = Field(
        default="30s", description="How long the candidate must stay ready at this weight."
    )


class Rollout(ApiModel):
    """How a new version takes over."""

    RULES = (
        Rule(
            # CEL has no "next element": in order and without duplicates is the same.
            "self.steps.map(s, s.weight).isSorted() && "
            "self.steps.all(s, self.steps.exists_one(t, t.weight == s.weight))",
            "weights must rise from step to step, as in 10, 50",
            lambda rollout: all(a.weight < b.weight for a, b in pairwise(rollout.steps)),
            ".steps",
        ),
    )

    steps: list[RolloutStep] = Field(
        default_factory=list[RolloutStep],
        max_length=20,
        description="Weights on the way to 100 %; none means at once.",
    )
    progress_deadline: Duration = Field(
        default="10m", description="How long a candidate may take to become ready before it is rejected."
    )


class Serving(PodTemplate):
    """Where and how the ranker is served."""

    RULES = (
        Rule(
            "self.mode != 'Standard' || self.rollout.steps.size() == 0",
            "canary steps need mode Knative: remove spec.serving.rollout.steps, or change spec.serving.mode",
            lambda serving: serving.mode != "Standard" or not serving.rollout.steps,
            ".rollout.steps",
        ),
    )

    mode: Literal["Knative", "Standard"] = Field(
        default="Knative", description="KServe deployment mode. Canary steps need Knative."
    )
    replicas: int = Field(default=1, ge=1, le=1000, description="Pods that are kept.")
    rollout: Rollout = Field(default_factory=Rollout, description="How a new version takes over.")


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
    created_at: Timestamp | None = Field(default=None, description="When training began.")
    promoted_at: Timestamp | None = Field(default=None, description="When it got all requests.")


class RolloutStatus(StatusModel):
    """Where the canary is."""

    phase: Literal["Starting", "Stepping", "Promoting"] = Field(
        description="Starting: the candidate is not ready yet."
    )
    step: int = Field(default=0, description="Current step, from 0.")
    weight: int = Field(default=0, description="Share of the requests that the candidate gets, in percent.")
    started_at: Timestamp | None = Field(default=None, description="When the rollout began.")
    step_started_at: Timestamp | None = Field(
        default=None, description="When the candidate was first seen ready at this weight."
    )


class Rejection(StatusModel):
    """A version that is not tried again unless asked (annotation `fathom.dev/retry`)."""

    name: str = Field(description="The version.")
    digest: str | None = Field(default=None, description="Its bundle.")
    reason: str = Field(description="GateFailed or CandidateNotReady.")
    message: str = Field(default="", description="In words.")
    at: Timestamp = Field(description="When.")
    retry: str = Field(
        default="",
        max_length=253,
        description="What the annotation `fathom.dev/retry` said then: another value has it tried again.",
    )
    retry: str = Field(default="", description="Value of the annotation `fathom.dev/retry` at that time.")


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
    caption_lift: float | None = Field(default=None, description="AUC with captions minus AUC without.")
    gates: list[GateVerdict] = Field(
        default_factory=list[GateVerdict], description="Of the latest evaluation."
    )
    evaluation_uri: str | None = Field(default=None, description="The evaluation, JSON.")
    rollout: RolloutStatus | None = Field(default=None, description="The canary, while there is one.")
    rejected: list[Rejection] = Field(
        default_factory=list[Rejection], max_length=10, description="Latest rejections."
    )
    history: list[Version] = Field(
        default_factory=list[Version], max_length=10, description="Versions served, latest first."
    )
    url: str | None = Field(default=None, description="Where the model answers.")
    last_progress_time: Timestamp | None = Field(default=None, description="When a pod last reported.")

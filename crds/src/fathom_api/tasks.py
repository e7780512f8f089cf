"""Tasks: the one JSON document that tells a pod (or `fathom` on a laptop) what to do.

The operator writes it into a ConfigMap that the pod mounts; `fathom COMMAND --task FILE` reads it. URIs here
may also be plain paths and `file://`, so that every task runs without a cluster. `pvc://claim/path` is
`$FATHOM_VOLUMES/claim/path`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fathom_api.captioning import CaptionModel, FineTune, Source
from fathom_api.meta import ApiModel
from fathom_api.recmodel import Arm, Data, Features, RankerModel, Table, Training
from fathom_api.tokens import CaptionFeatures


class AnySource(Source):
    """A source anywhere."""

    uri: str = Field(description="Path or URI.")


class AnyModel(CaptionModel):
    """A model anywhere."""

    uri: str | None = Field(
        default=None, description="Path or URI of a Hugging Face checkpoint, or `fathom://small-llava`."
    )
    digest: str | None = Field(
        default=None, description="What it was when the task was made: another digest is another task."
    )


class AnyFineTune(FineTune):
    """Pairs anywhere."""

    uri: str = Field(description="Path or URI.")


class AnyTable(Table):
    """A table anywhere."""

    uri: str = Field(description="Path or URI.")


# The models are frozen, so a narrower type is safe; pyright does not see pydantic's `frozen`.
# pyright: reportIncompatibleVariableOverride=false
class AnyData(Data):
    """Data anywhere."""

    interactions: AnyTable = Field(description="One row an interaction.")
    items: AnyTable | None = Field(default=None, description="One row an item.")
    users: AnyTable | None = Field(default=None, description="One row a user.")


class CaptionsAt(ApiModel):
    """The captions of a CaptionJob."""

    output: str = Field(description="The CaptionJob's folder; reads `captions/`.")
    shards: int = Field(default=1, ge=1, description="Its shards.")
    aspect: str = Field(default="caption", description="Which captions.")
    digest: str = Field(default="", description="What they were when the task was made.")


class PlanTask(ApiModel):
    """Deal the items into shards (`fathom plan`): checks the source and finds what is captioned already."""

    kind: Literal["PlanTask"] = "PlanTask"
    source: AnySource = Field(description="The items.")
    output: str = Field(description="Folder; the plan goes to `plan/`, unusable rows to `errors/`.")
    shards: int = Field(default=1, ge=1, description="Shards in all.")
    run: int = Field(default=1, ge=1, description="Number of the run; a new one looks at the source again.")


class CaptionTask(ApiModel):
    """Caption one shard (`fathom caption`); the shard is `--shard` or `JOB_COMPLETION_INDEX`."""

    kind: Literal["CaptionTask"] = "CaptionTask"
    source: AnySource = Field(description="The items.")
    model: AnyModel = Field(description="The model.")
    output: str = Field(
        description="Folder; reads `plan/`, made by `fathom plan` with the same source and shards (or by "
        "this command where there is none); captions go to `captions/`, errors to `errors/`."
    )
    shards: int = Field(default=1, ge=1, description="Shards in all.")
    run: int = Field(default=1, ge=1, description="Number of the run.")
    retry_failed: bool = Field(default=False, description="Try again what failed before.")


class FinetuneTask(ApiModel):
    """Fine-tune a captioner (`fathom finetune`)."""

    kind: Literal["FinetuneTask"] = "FinetuneTask"
    model: AnyModel = Field(description="What to start from.")
    fine_tune: AnyFineTune = Field(description="The pairs and how to learn from them.")
    output: str = Field(description="Folder for the checkpoint, Hugging Face format.")


class FeaturiseTask(ApiModel):
    """Turn captions into features and write the report (`fathom featurise`)."""

    kind: Literal["FeaturiseTask"] = "FeaturiseTask"
    source: AnySource | None = Field(default=None, description="The items; for the report's pictures.")
    output: str = Field(
        description="The CaptionJob's folder: reads `captions/`, writes `features/` and `report/`."
    )
    shards: int = Field(default=1, ge=1, description="Shards that must have been finished.")
    run: int = Field(default=1, ge=1, description="Number of the run.")
    features: CaptionFeatures = Field(default_factory=CaptionFeatures, description="How.")
    model: AnyModel = Field(description="The caption model (its tokenizer, for ModelTokens).")


class TrainTask(ApiModel):
    """Train one arm of a ranker (`fathom train`)."""

    kind: Literal["TrainTask"] = "TrainTask"
    arm: Arm = Field(default="Captions", description="Captions, or a control.")
    data: AnyData = Field(description="What it learns from.")
    features: Features = Field(description="What it knows.")
    caption_features: dict[str, str] = Field(
        default_factory=dict,
        description="Folder of the features of each CaptionJob named in `features.captions`.",
    )
    model: RankerModel = Field(default_factory=RankerModel, description="Architecture.")
    training: Training = Field(default_factory=Training, description="How.")
    output: str = Field(description="Folder for the model bundle.")


class EvaluateTask(ApiModel):
    """Measure bundles on the test split (`fathom evaluate`)."""

    kind: Literal["EvaluateTask"] = "EvaluateTask"
    data: AnyData = Field(description="Whose test split.")
    bundles: dict[str, str] = Field(
        description="Folder of the bundle of each arm; Captions is the candidate."
    )
    caption_features: dict[str, str] = Field(
        default_factory=dict,
        description="Folder of the features of each CaptionJob: what the report's tokens are called.",
    )
    source: AnySource | None = Field(default=None, description="The items; for the report's pictures.")
    output: str = Field(description="Folder for `evaluation.json`, `report.html` and `MODEL_CARD.md`.")


class ServeTask(ApiModel):
    """Serve a bundle (`fathom serve`)."""

    kind: Literal["ServeTask"] = "ServeTask"
    bundle: str = Field(description="Folder of the model bundle.")
    model_name: str = Field(description="Name in the inference protocol's paths.")
    model_version: str = Field(default="", description="Version told with every answer.")
    port: int = Field(default=8080, ge=1, le=65535, description="HTTP port.")
    grpc_port: int = Field(default=0, ge=0, le=65535, description="gRPC port; 0 for no gRPC.")
    items: str = Field(
        default="",
        description="Folder that `fathom items` writes new items to; they are ranked once they are there.",
    )
    items_poll_seconds: float = Field(
        default=10.0, gt=0, le=3600, description="How often that folder is looked at."
    )
    guide: str = Field(
        default="",
        description="Folder that `fathom publish` writes to; the table that it names leads users to new "
        "interests, from when it is there.",
    )
    guide_poll_seconds: float = Field(
        default=10.0, gt=0, le=3600, description="How often that folder is looked at."
    )
    feedback: bool = Field(
        default=False,
        description="Take outcomes at /v1/feedback; FATHOM_FEEDBACK_KEY of the environment signs.",
    )

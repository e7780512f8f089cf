"""CaptionJob: caption this media with this model, and turn the captions into features."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fathom_api.conditions import Condition
from fathom_api.meta import ApiModel, StatusModel
from fathom_api.pods import PodTemplate
from fathom_api.rules import Rule
from fathom_api.types import ColumnName, DatasetUri, IntOrPercent, ModelUri, Timestamp

PROMPT = "Describe this item in one sentence."


class Source(ApiModel):
    """The items to caption and where their media lie."""

    uri: DatasetUri = Field(
        description="A Parquet, CSV or JSONL file, or a folder of image files (`pvc://claim/path`). "
        "In a folder the file's name without suffix is the item's id."
    )
    id_column: ColumnName = Field(default="item_id", description="Column with the item's id.")
    media_column: ColumnName = Field(
        default="image",
        description="Column with the media: bytes, or a path relative to the file or absolute in its claim.",
    )
    media_type: Literal["Image"] = Field(default="Image", description="Kind of media.")


class CaptionModel(ApiModel):
    """The multimodal LLM that writes the captions."""

    uri: ModelUri = Field(
        description="`hf://organisation/name`, `pvc://claim/path` or `fathom://small-llava`."
    )
    revision: str = Field(
        default="main", max_length=128, description="Branch, tag or commit of an `hf://` model."
    )
    prompt: str = Field(
        default=PROMPT, min_length=1, max_length=4000, description="What the model is asked about each item."
    )
    max_new_tokens: int = Field(
        default=48, ge=1, le=1024, description="Longest caption, in the model's tokens."
    )
    batch_size: int = Field(default=8, ge=1, le=1024, description="Media captioned at once.")
    dtype: Literal["Auto", "Float32", "BFloat16", "Float16"] = Field(
        default="Auto",
        description="Number format of the weights; Auto takes BFloat16 on a GPU and Float32 on a CPU.",
    )
    trust_remote_code: bool = Field(
        default=False,
        description="Run Python code that comes with the model. Off unless you have read that code.",
    )


class FineTune(ApiModel):
    """Pairs of media and captions that teach the model the domain before it captions."""

    uri: DatasetUri = Field(description="Parquet, CSV or JSONL with one pair a row.")
    media_column: ColumnName = Field(default="image", description="Column with the media: bytes or a path.")
    caption_column: ColumnName = Field(default="caption", description="Column with the caption to learn.")
    epochs: int = Field(default=3, ge=1, le=100, description="Passes over the pairs.")
    batch_size: int = Field(default=32, ge=1, le=4096, description="Pairs per step.")
    learning_rate: float = Field(default=1e-3, gt=0, le=1, description="Peak learning rate (AdamW, cosine).")
    validation: float = Field(
        default=0.05, ge=0, le=0.5, description="Share of the pairs held out to measure the loss on."
    )
    seed: int = Field(default=0, ge=0, description="Seed of all that is random.")


class CaptionFeatures(ApiModel):
    """How captions become tokens, the categorical features of an item."""

    tokenizer: Literal["WordNgram", "HashedNgram", "ModelTokens"] = Field(
        default="WordNgram",
        description="WordNgram: word n-grams that occur in at least `minCount` captions. "
        "HashedNgram: word n-grams hashed to `vocabularySize` buckets. "
        "ModelTokens: the caption model's own tokens.",
    )
    max_ngram: int = Field(default=2, ge=1, le=4, description="Longest n-gram, in words.")
    min_count: int = Field(default=5, ge=1, description="Captions an n-gram must occur in to get an id.")
    vocabulary_size: int = Field(
        default=50_000, ge=2, le=100_000_000, description="Most ids (WordNgram) or buckets (HashedNgram)."
    )
    max_tokens_per_item: int = Field(default=32, ge=1, le=1024, description="Tokens kept of one item.")


class Output(ApiModel):
    """Where the resource writes; never deleted by the operator."""

    uri: DatasetUri = Field(description="Folder for what is made (`pvc://claim/path`).")


class FailurePolicy(ApiModel):
    """How much may go wrong before the job has failed."""

    max_failed_items: IntOrPercent = Field(
        default="5%",
        description="Items that may fail, as a number or a percentage; each is a row under `errors/`.",
    )
    backoff_limit_per_index: int = Field(
        default=4, ge=0, le=100, description="Times a shard's pod is tried again."
    )


class CaptionJobSpec(ApiModel):
    """Caption this media with this model, and turn the captions into features."""

    RULES = (
        Rule(
            "!self.model.uri.startsWith('fathom://') || has(self.fineTune)",
            "fathom://small-llava has not learned to speak yet: give it pairs under spec.fineTune, "
            "or name a trained model in spec.model.uri",
            lambda spec: not spec.model.uri.startswith("fathom://") or spec.fine_tune is not None,
            ".model.uri",
        ),
        Rule(
            "self.output.uri != self.source.uri",
            "spec.output.uri must not be the source itself: choose a folder of its own",
            lambda spec: spec.output.uri != spec.source.uri,
            ".output.uri",
        ),
    )

    source: Source = Field(description="The items and their media.")
    model: CaptionModel = Field(description="The multimodal LLM.")
    fine_tune: FineTune | None = Field(default=None, description="Teach the model the domain first.")
    features: CaptionFeatures = Field(
        default_factory=CaptionFeatures, description="How captions become tokens."
    )
    output: Output = Field(description="Where captions, features and errors go.")
    shards: int = Field(
        default=1, ge=1, le=10_000, description="Parts the items are dealt into; one pod works on one shard."
    )
    parallelism: int = Field(
        default=1, ge=1, le=10_000, description="Pods at work at once. May be changed while running."
    )
    failure_policy: FailurePolicy = Field(default_factory=FailurePolicy, description="What may go wrong.")
    queue_name: str | None = Field(
        default=None,
        max_length=63,
        description="Kueue LocalQueue; put on the Jobs as `kueue.x-k8s.io/queue-name`.",
    )
    template: PodTemplate = Field(default_factory=PodTemplate, description="The pods that do the work.")


Stage = Literal["Pending", "FineTuning", "Captioning", "Featurising", "Complete", "Failed"]


class Items(StatusModel):
    """Counts of items; `done` counts captions that exist, `reused` those made by an earlier run or pod."""

    total: int = Field(default=0, description="Items in the source.")
    done: int = Field(default=0, description="Items with a caption.")
    failed: int = Field(default=0, description="Items that could not be read or captioned.")
    reused: int = Field(default=0, description="Items whose caption was there already.")


class Shards(StatusModel):
    """Counts of shards."""

    total: int = Field(default=0, description="Shards in all.")
    active: int = Field(default=0, description="Shards being worked on.")
    succeeded: int = Field(default=0, description="Shards finished.")
    failed: int = Field(default=0, description="Shards given up.")


class Artifact(StatusModel):
    """Something that was made: where it is and the digest of its content."""

    uri: str = Field(description="Where it lies.")
    digest: str = Field(description="`sha256:` of its content.")


class FeatureArtifact(Artifact):
    """Token features of all items."""

    vocabulary_size: int = Field(default=0, description="Token ids in use, padding and unknown included.")
    coverage: float = Field(default=0.0, description="Share of the items with at least one token.")
    tokens_per_item: float = Field(default=0.0, description="Mean number of tokens of an item.")


class FineTuneStatus(StatusModel):
    """How the fine-tuning went or goes."""

    epoch: float = Field(default=0.0, description="Epochs done.")
    loss: float | None = Field(default=None, description="Training loss, nats a token.")
    validation_loss: float | None = Field(default=None, description="Loss on held-out pairs, nats a token.")
    model: Artifact | None = Field(default=None, description="The fine-tuned checkpoint.")


class CaptionJobStatus(StatusModel):
    """What the operator has seen."""

    observed_generation: int | None = Field(
        default=None, description="Generation of the spec that this status speaks of."
    )
    conditions: list[Condition] = Field(
        default_factory=list[Condition],
        description="Ready, Reconciling, Stalled (kstatus), and Captioned.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    stage: Stage = Field(default="Pending", description="What is being done.")
    start_time: Timestamp | None = Field(
        default=None, description="When work began; from then on the spec's input cannot change."
    )
    completion_time: Timestamp | None = Field(default=None, description="When all was done.")
    estimated_completion_time: Timestamp | None = Field(
        default=None, description="When the stage will be done at today's speed."
    )
    percent: int = Field(default=0, description="Share of the current stage that is done, in percent.")
    items: Items = Field(default_factory=Items, description="How many items.")
    items_per_second: float | None = Field(default=None, description="Speed of all pods together.")
    shards: Shards = Field(default_factory=Shards, description="How many shards.")
    fine_tune: FineTuneStatus | None = Field(default=None, description="The fine-tuning.")
    captions: Artifact | None = Field(default=None, description="The captions, Parquet.")
    features: FeatureArtifact | None = Field(default=None, description="The features, Parquet.")
    errors_uri: str | None = Field(
        default=None, description="Folder of the items that failed, with the reason of each."
    )
    sample_captions: list[str] = Field(
        default_factory=list, max_length=3, description="Three of the captions."
    )
    last_progress_time: Timestamp | None = Field(default=None, description="When a pod last reported.")

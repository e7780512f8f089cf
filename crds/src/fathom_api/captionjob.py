"""CaptionJob: caption this media with this model, and turn the captions into features."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fathom_api.captioning import CaptionModel, FineTune, Source
from fathom_api.conditions import Condition
from fathom_api.meta import ApiModel, StatusModel
from fathom_api.pods import PodTemplate, Resources
from fathom_api.rules import Rule
from fathom_api.tokens import CaptionFeatures
from fathom_api.types import CronSchedule, DatasetUri, IntOrPercent, SourceUri, Timestamp


class Output(ApiModel):
    """Where the resource writes; never deleted by the operator."""

    uri: DatasetUri = Field(description="Folder for what is made (`pvc://claim/path`).")


class CaptionOutput(ApiModel):
    """Where captions, features and errors go; never deleted by the operator."""

    uri: SourceUri = Field(
        description="Folder for what is made: `pvc://claim/path`, `s3://bucket/path` or `gs://bucket/path`."
    )


class FailurePolicy(ApiModel):
    """How much may go wrong before the job has failed."""

    max_failed_items: IntOrPercent = Field(
        default="5%",
        description="Items that may fail, as a number or a percentage; each is a row under `errors/`.",
    )
    backoff_limit_per_index: int = Field(
        default=4, ge=0, le=100, description="Times a shard's pod is tried again."
    )
    retry_failed: bool = Field(
        default=False,
        description="Try items that failed before again on every run; otherwise only when their media or the "
        "model changed, or when asked with the annotation `fathom.dev/retry`.",
    )


class Refresh(ApiModel):
    """Captioning what is new, on a schedule."""

    schedule: CronSchedule = Field(description="When, as in cron: `0 3 * * *`.")
    time_zone: str = Field(
        default="Etc/UTC", min_length=1, max_length=64, description="Time zone of the schedule."
    )


def _has_device(resources: Resources) -> bool:
    return bool(resources.claims) or any("/" in name for name in resources.limits)


class CaptionJobSpec(ApiModel):
    """Caption this media with this model, and turn the captions into features."""

    RULES = (
        Rule(
            "!has(self.model.uri) || !self.model.uri.startsWith('fathom://') || has(self.fineTune)",
            "fathom://small-llava has not learned to speak yet: give it pairs under spec.fineTune, "
            "or name a trained model in spec.model.uri",
            lambda spec: not (spec.model.uri or "").startswith("fathom://") or spec.fine_tune is not None,
            ".model.uri",
        ),
        Rule(
            "!has(self.model.uri) || !self.model.uri.startsWith('fathom://') || !has(self.fineTune) || "
            "self.fineTune.method == 'Full'",
            "fathom://small-llava starts from nothing, which adapters cannot teach: set spec.fineTune.method "
            "to Full, or name a trained model in spec.model.uri",
            lambda spec: (
                not (spec.model.uri or "").startswith("fathom://")
                or spec.fine_tune is None
                or spec.fine_tune.method == "Full"
            ),
            ".fineTune.method",
        ),
        Rule(
            "self.output.uri != self.source.uri",
            "spec.output.uri must not be the source itself: choose a folder of its own",
            lambda spec: spec.output.uri != spec.source.uri,
            ".output.uri",
        ),
        Rule(
            "!self.output.uri.startsWith('http')",
            "spec.output.uri must be written to: name a folder under pvc://, s3:// or gs://",
            lambda spec: not spec.output.uri.startswith("http"),
            ".output.uri",
        ),
        Rule(
            "self.model.engine != 'OpenAI' || !has(self.fineTune)",
            "a model behind an endpoint cannot be fine-tuned from here: remove spec.fineTune, or name the "
            "model by spec.model.uri",
            lambda spec: spec.model.engine != "OpenAI" or spec.fine_tune is None,
            ".fineTune",
        ),
        Rule(
            "!has(self.refresh) || !has(self.ttlSecondsAfterFinished)",
            "a job that is refreshed never ends: remove spec.ttlSecondsAfterFinished or spec.refresh",
            lambda spec: spec.refresh is None or spec.ttl_seconds_after_finished is None,
            ".ttlSecondsAfterFinished",
        ),
        Rule(
            "!has(self.fineTune) || self.output.uri.startsWith('pvc://')",
            "a fine-tuned model is left on a claim: name a folder under pvc:// in spec.output.uri",
            lambda spec: spec.fine_tune is None or spec.output.uri.startswith("pvc://"),
            ".output.uri",
        ),
        Rule(
            "self.model.engine != 'VLLM' || self.template.resources.claims.size() > 0 || "
            "self.template.resources.limits.exists(name, name.contains('/'))",
            "engine VLLM needs a GPU: give one under spec.template.resources.limits (nvidia.com/gpu: 1) or "
            "by resourceClaims, or choose another engine",
            lambda spec: spec.model.engine != "VLLM" or _has_device(spec.template.resources),
            ".template.resources",
        ),
    )

    source: Source = Field(description="The items and their media.")
    model: CaptionModel = Field(description="The multimodal LLM.")
    fine_tune: FineTune | None = Field(default=None, description="Teach the model the domain first.")
    features: CaptionFeatures = Field(
        default_factory=CaptionFeatures, description="How captions become tokens."
    )
    output: CaptionOutput = Field(description="Where captions, features and errors go.")
    shards: int = Field(
        default=1, ge=1, le=10_000, description="Parts the items are dealt into; one pod works on one shard."
    )
    parallelism: int = Field(
        default=1, ge=1, le=10_000, description="Pods at work at once. May be changed while running."
    )
    failure_policy: FailurePolicy = Field(default_factory=FailurePolicy, description="What may go wrong.")
    refresh: Refresh | None = Field(
        default=None, description="Caption what is new on a schedule, after the first run."
    )
    suspend: bool = Field(
        default=False,
        description="Stop the pods, each after the batch in flight, and go on from there when unset. No run "
        "begins meanwhile. With `queueName` the Job is deleted and queued anew, since Kueue owns its "
        "`suspend`; captions are kept either way.",
    )
    active_deadline_seconds: int | None = Field(
        default=None,
        ge=1,
        description="Longest time a run may take, in seconds; while it is suspended, "
        "by you or by its queue, nothing is counted.",
    )
    ttl_seconds_after_finished: int | None = Field(
        default=None,
        ge=0,
        description="The CaptionJob is deleted so long after it is complete or has failed for good, its data "
        "are not; never if unset. Not together with `refresh`.",
    )
    queue_name: str | None = Field(
        default=None,
        max_length=63,
        description="Kueue LocalQueue; put on the Jobs as `kueue.x-k8s.io/queue-name`.",
    )
    template: PodTemplate = Field(
        default_factory=PodTemplate,
        description="The pods that do the work. Those that plan and featurise need no GPU: they get no "
        "extended resources (`nvidia.com/gpu`), no `resourceClaims` and no `runtimeClassName`.",
    )


Stage = Literal[
    "Pending", "Planning", "FineTuning", "Captioning", "Featurising", "Suspended", "Complete", "Failed"
]


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
    retries: int = Field(default=0, description="Pods that failed and counted as a try of their shard.")


class Artifact(StatusModel):
    """Something that was made: where it is and the digest of its content."""

    uri: str = Field(description="Where it lies.")
    digest: str = Field(description="`sha256:` of its content.")


class AspectFeatures(StatusModel):
    """Token features of one aspect; they lie in a folder of its name."""

    name: str = Field(description="The aspect.")
    vocabulary_size: int = Field(default=0, description="Token ids in use, padding and unknown included.")
    coverage: float = Field(default=0.0, description="Share of the items with at least one token.")
    tokens_per_item: float = Field(default=0.0, description="Mean number of tokens of an item.")


class FeatureArtifact(Artifact):
    """Token features of all items: a folder for each aspect."""

    aspects: list[AspectFeatures] = Field(
        default_factory=list[AspectFeatures], max_length=8, description="By aspect."
    )

    vocabulary_size: int = Field(default=0, description="Token ids in use, of all aspects.")
    coverage: float = Field(default=0.0, description="Share of the items with at least one token.")
    tokens_per_item: float = Field(default=0.0, description="Mean number of tokens of an item.")


class FineTuneStatus(StatusModel):
    """How the fine-tuning went or goes."""

    epoch: float = Field(default=0.0, description="Epochs done.")
    loss: float | None = Field(default=None, description="Training loss, nats a token.")
    validation_loss: float | None = Field(default=None, description="Loss on held-out pairs, nats a token.")
    cider: float | None = Field(default=None, description="CIDEr-D of captions of held-out media.")
    bleu4: float | None = Field(default=None, description="BLEU-4 of captions of held-out media, 0 to 100.")
    token_f1: float | None = Field(default=None, description="F1 of their words, 0 to 1.")
    model: Artifact | None = Field(default=None, description="The fine-tuned checkpoint.")


class Usage(StatusModel):
    """What the pods have used, runs before this one included."""

    tokens: int = Field(default=0, description="Tokens that the model wrote.")
    cpu_seconds: int = Field(default=0, description="Requested CPUs × seconds.")
    gpu_seconds: int = Field(default=0, description="GPUs × seconds, of all kinds.")
    resource_seconds: dict[str, float] = Field(
        default_factory=dict,
        max_length=16,
        description="Requested amount × seconds by resource: `cpu`, `memory` in GiB, GPUs by their name.",
    )
    counted_until: Timestamp | None = Field(
        default=None, description="Until when the pods' time is counted; later time comes on top."
    )
    estimated_cost: str | None = Field(
        default=None,
        max_length=64,
        description="By the prices in the chart's values, `12.30 USD`; unset without prices.",
    )


class RunStatus(StatusModel):
    """Which run this is, how far it is and when the next one is due."""

    number: int = Field(default=1, description="Runs begun; a refresh or a retry begins one.")
    start_time: Timestamp | None = Field(default=None, description="When its first Job was made.")
    end_time: Timestamp | None = Field(default=None, description="When it ended, well or not.")
    completed: list[Literal["plan", "caption", "featurise"]] = Field(
        default_factory=list[Literal["plan", "caption", "featurise"]],
        max_length=3,
        description="What of it is done.",
    )
    planned: int = Field(default=0, description="Items that the plan found in the source.")
    retry: str = Field(
        default="",
        max_length=253,
        description="What the annotation `fathom.dev/retry` said when it began: another value begins one.",
    )
    retry_failed: bool = Field(default=False, description="Whether it tries again what failed before.")
    model: Artifact | None = Field(
        default=None,
        description="The model of `spec.model.captionJob` that it uses; a newer one is used by the next run.",
    )
    tokens: int = Field(default=0, description="Tokens that the model wrote in it.")
    suspended_time: Timestamp | None = Field(default=None, description="Since when it is suspended.")
    suspended_seconds: int = Field(default=0, description="How long it was suspended before that.")
    last_success_time: Timestamp | None = Field(default=None, description="When a run was last complete.")
    next_time: Timestamp | None = Field(default=None, description="When the schedule begins the next one.")


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
        default=None,
        description="When the plan was done and work began; from then on the spec's input cannot change.",
    )
    completion_time: Timestamp | None = Field(
        default=None, description="When all was done; unset while a later run works."
    )
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
    report_uri: str | None = Field(default=None, description="The report, one HTML page.")
    usage: Usage = Field(default_factory=Usage, description="What it has used and cost.")
    run: RunStatus = Field(default_factory=RunStatus, description="Runs.")
    sample_captions: list[str] = Field(
        default_factory=list, max_length=3, description="Three of the captions."
    )
    last_progress_time: Timestamp | None = Field(default=None, description="When a pod last reported.")
    last_checkpoint_time: Timestamp | None = Field(
        default=None, description="When a pod last committed captions: what would be lost if all died now."
    )

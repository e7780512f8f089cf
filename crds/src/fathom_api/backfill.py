"""Backfill: replace the embeddings of a gallery, made by one model, with another's, while it is searched."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from fathom_api.captionjob import Output
from fathom_api.meta import ApiModel
from fathom_api.pods import PodTemplate
from fathom_api.rules import Rule
from fathom_api.types import (
    AspectName,
    ColumnName,
    EncoderUri,
    LongDuration,
    ObjectName,
    Origin,
    Percent,
    SourceUri,
    Unique,
    Window,
)

Method = Literal[
    "MetricCompatible",
    "QueryTransform",
    "Procrustes",
    "LowRankAffine",
    "ResidualMlp",
    "RankMerge",
    "Isotonic",
]
#: Methods by which each query is embedded by both models as long as both are in the gallery.
TWO_PASSES: Final[frozenset[str]] = frozenset({"RankMerge", "Isotonic"})
OrderPolicy = Literal["Random", "Age", "Popularity", "QueryFrequency", "ClassMeanDistance", "QueryBoundary"]
#: Orders that a column of the gallery decides.
BY_COLUMN: Final[frozenset[str]] = frozenset({"Age", "Popularity", "QueryFrequency"})


class Gallery(ApiModel):
    """The items that are searched: media, or the captions of a CaptionJob."""

    RULES = (
        Rule(
            "has(self.uri) != has(self.captionJob)",
            "spec.gallery needs either uri, for items with pictures, or captionJob, for captions: set one",
            lambda gallery: (gallery.uri is not None) != (gallery.caption_job is not None),
            ".uri",
        ),
    )

    uri: SourceUri | None = Field(
        default=None,
        description="A Parquet, CSV or JSONL file, a folder of them, or a folder of pictures, as a "
        "CaptionJob's source. In a folder of pictures the file's path without suffix is the item's id.",
    )
    id_column: ColumnName = Field(default="item_id", description="Column with the item's id.")
    media_column: ColumnName = Field(
        default="image",
        description="Column with the picture: bytes, a path relative to the file or absolute in its claim, "
        "or a URI of one of `allowedOrigins`.",
    )
    caption_job: ObjectName | None = Field(
        default=None,
        description="Instead of `uri`: a CaptionJob in this namespace. What is embedded is what it says of "
        "each item; nothing is captioned again. Both models must take texts.",
    )
    aspect: AspectName = Field(
        default="caption",
        description="With `captionJob`: which of its `prompts`; a single prompt's aspect is `caption`.",
    )
    allowed_origins: Annotated[list[Origin], Unique()] = Field(
        default_factory=list[str],
        max_length=32,
        description="Where URIs in the media column may point besides the gallery's own claim or bucket.",
    )


class OldModel(ApiModel):
    """The model that the gallery's embeddings are from."""

    model: EncoderUri = Field(description="The model.")
    embeddings: SourceUri | None = Field(
        default=None,
        description="Parquet file, or folder of them, with the embeddings: the gallery's `idColumn` and "
        "`embedding`, a list of float32. If unset they are made first, with `from.model`.",
    )


class NewModel(ApiModel):
    """The model that replaces it."""

    model: EncoderUri = Field(description="The model.")


class CompatibilityTraining(ApiModel):
    """How vectors of both models are made comparable while both are in the gallery."""

    method: Method = Field(
        default="MetricCompatible",
        description="MetricCompatible: a transform of queries to the old space, learnt with negatives from "
        "both (https://arxiv.org/abs/2301.03767). QueryTransform: the same by regression alone. Procrustes, "
        "LowRankAffine, ResidualMlp: adapters, to compare with. RankMerge: nothing is learnt, and each query "
        "is embedded by both models until all items have moved; Isotonic: the same with the old model's "
        "distances calibrated.",
    )
    pairs: int = Field(
        default=20_000,
        ge=16,
        le=10_000_000,
        description="Items embedded by both models to learn from; a fifth is held out to judge by.",
    )
    labels: ColumnName | None = Field(
        default=None,
        description="Column of the gallery with a class: what shall be found together. Without it clusters "
        "of the new embeddings stand for classes.",
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Of the sample and of the training.")


class Order(ApiModel):
    """Which items move first."""

    RULES = (
        Rule(
            "(self.policy in ['Age', 'Popularity', 'QueryFrequency']) == has(self.column)",
            "policies Age, Popularity and QueryFrequency need spec.order.column, and no other has one: name "
            "the column, or change the policy",
            lambda order: (order.policy in BY_COLUMN) == (order.column is not None),
            ".column",
        ),
    )

    policy: OrderPolicy = Field(
        default="Random",
        description="Age: the newest by `column` first. Popularity, QueryFrequency: the greatest first. "
        "ClassMeanDistance: the least typical of their class first. QueryBoundary: first what is near the "
        "last answer of many of the probes' queries.",
    )
    column: ColumnName | None = Field(default=None, description="Column of the gallery that decides.")


class Pace(ApiModel):
    """How fast items move."""

    parallelism: int = Field(
        default=1, ge=1, le=1000, description="Pods at work at once. May be changed while running."
    )
    items_per_second: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="Most items a second, all pods together; no limit if unset. May be changed on the way.",
    )
    window: Window | None = Field(
        default=None,
        description="Items move only in these hours, `22:00-06:00 Europe/Berlin`; always if unset.",
    )


class StopIf(ApiModel):
    """What must not happen while items move."""

    negative_flip_rate: Percent | None = Field(
        default=None,
        description="Share of the probes that the old gallery answers and the mixed one does not: above it "
        "nothing moves any more.",
    )
    recall_drop: Percent | None = Field(
        default=None,
        description="How far recall may fall below the old gallery's, in points: `1%` from .80 to .79.",
    )


class Probes(ApiModel):
    """Queries with known answers, asked at every percent."""

    queries: SourceUri = Field(
        description="Parquet file: a picture in `mediaColumn` or a text in `textColumn`, the ids of the "
        "items that answer it in `relevantColumn`."
    )
    media_column: ColumnName = Field(default="image", description="Column with the picture.")
    text_column: ColumnName | None = Field(
        default=None, description="Column with a text, which is asked instead of a picture."
    )
    relevant_column: ColumnName = Field(
        default="relevant", description="Column with the relevant items: an id, or a list of ids."
    )
    k: int = Field(default=10, ge=1, le=1000, description="How many answers count.")
    stop_if: StopIf = Field(default_factory=StopIf, description="When to stop by itself.")


class Retention(ApiModel):
    """What is kept once all items have moved."""

    old: LongDuration = Field(
        default="7d", description="How long the old embeddings are kept: so long a rollback is possible."
    )


class RetrieverServing(PodTemplate):
    """Where and how the gallery is searched: a KServe InferenceService in Standard mode."""

    replicas: int = Field(default=1, ge=1, le=1000, description="Pods that are kept.")


class BackfillSpec(ApiModel):
    """Replace the embeddings of this gallery, made by one model, with another's, while it is searched."""

    RULES = (
        Rule(
            "self.from.model != self.to.model",
            "spec.from.model and spec.to.model are the same, so there is nothing to replace: name the new "
            "model in spec.to.model",
            lambda spec: spec.from_.model != spec.to.model,
            ".to.model",
        ),
        Rule(
            "!has(self.gallery.uri) || self.output.uri != self.gallery.uri",
            "spec.output.uri must not be the gallery itself: choose a folder of its own",
            lambda spec: spec.output.uri != spec.gallery.uri,
            ".output.uri",
        ),
        Rule(
            "!has(self.gallery.captionJob) || (!has(self.compatibility.labels) && !has(self.order.column))",
            "captions have no columns: leave out spec.compatibility.labels and spec.order.column, or give "
            "the items as spec.gallery.uri",
            lambda spec: (
                spec.gallery.caption_job is None
                or (spec.compatibility.labels is None and spec.order.column is None)
            ),
            ".gallery.captionJob",
        ),
        Rule(
            "self.order.policy != 'ClassMeanDistance' || has(self.compatibility.labels)",
            "policy ClassMeanDistance needs classes: name their column in spec.compatibility.labels, or "
            "change spec.order.policy",
            lambda spec: spec.order.policy != "ClassMeanDistance" or spec.compatibility.labels is not None,
            ".order.policy",
        ),
        Rule(
            "self.order.policy != 'QueryBoundary' || has(self.probes)",
            "policy QueryBoundary needs queries: give some in spec.probes, or change spec.order.policy",
            lambda spec: spec.order.policy != "QueryBoundary" or spec.probes is not None,
            ".order.policy",
        ),
    )

    gallery: Gallery = Field(description="The items that are searched.")
    from_: OldModel = Field(alias="from", description="The model whose embeddings are replaced.")
    to: NewModel = Field(description="The model that replaces it.")
    compatibility: CompatibilityTraining = Field(
        default_factory=CompatibilityTraining, description="How both are made comparable meanwhile."
    )
    order: Order = Field(default_factory=Order, description="Which items move first.")
    pace: Pace = Field(default_factory=Pace, description="How fast.")
    target: int = Field(
        default=100,
        ge=0,
        le=100,
        description="How much of the gallery is to be answered by the new model, in percent. More than has "
        "moved: go on until then. Less: roll back to there; what was embedded is kept and comes back when "
        "the target rises.",
    )
    approve: bool = Field(
        default=True, description="Go on after the estimate of items, time and cost; wait for it if false."
    )
    suspend: bool = Field(
        default=False,
        description="Stop the pods, each after the batch in flight, and go on from there when unset. The "
        "gallery is searched meanwhile. With `queueName` the Job is deleted and queued anew.",
    )
    probes: Probes | None = Field(default=None, description="Queries with known answers, asked on the way.")
    serving: RetrieverServing | None = Field(
        default=None, description="How the gallery is searched; not by Fathom if unset."
    )
    retention: Retention = Field(default_factory=Retention, description="What is kept in the end.")
    output: Output = Field(description="Folder for the gallery, the compatibility and the report.")
    queue_name: str | None = Field(
        default=None,
        max_length=63,
        description="Kueue LocalQueue; put on the Jobs as `kueue.x-k8s.io/queue-name`; not on those "
        "that need little and must not wait, a rollback for one.",
    )
    backoff_limit: int = Field(default=4, ge=0, le=100, description="Times a pod of a Job is tried again.")
    template: PodTemplate = Field(
        default_factory=PodTemplate,
        description="The pods that do the work. Those that only read and write get no GPU.",
    )

"""The parts of an InterestMap's spec: clusters, planner, gates, and how the ranker uses what comes of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fathom_api.captioning import Lora
from fathom_api.meta import ApiModel
from fathom_api.rules import Rule
from fathom_api.types import (
    AspectName,
    ColumnName,
    CronSchedule,
    DatasetUri,
    IntOrPercent,
    ObjectName,
    Percent,
    PlannerUri,
    SentenceEncoderUri,
    Unique,
)

#: The planner that Fathom builds itself where no model hub can be reached.
SMALL_PLANNER = "fathom://small-planner"


class InterestCaptions(ApiModel):
    """The captions that say what the items show."""

    caption_job: ObjectName = Field(description="Name of a CaptionJob in this namespace.")
    aspect: AspectName = Field(
        default="caption",
        description="Which of the CaptionJob's `prompts`; a single prompt's aspect is `caption`.",
    )


class Interactions(ApiModel):
    """What users did with items; the columns are those of a RecModel's `data`."""

    uri: DatasetUri = Field(description="A Parquet or CSV file, one row an interaction.")
    label: ColumnName = Field(default="label", description="Column of 0 and 1; the ones count.")
    user_column: ColumnName = Field(default="user_id", description="Column with the user's id.")
    item_column: ColumnName = Field(default="item_id", description="Column with the item's id.")
    time_column: ColumnName = Field(
        default="timestamp", description="Column with the time, a number or a timestamp."
    )
    satisfaction: ColumnName | None = Field(
        default=None,
        description="Column of 0 and 1, or empty: whether the user was satisfied with it, had watched it to "
        "the end or rated it best. `inference.best` learns from it.",
    )
    max_bad_rows: IntOrPercent = Field(
        default="1%",
        description="Interactions that may be unusable (no id, no label of 0 or 1, no time), as a number or "
        "a percentage; they are left out and counted.",
    )
    validation: float = Field(
        default=0.1,
        ge=0.01,
        le=0.5,
        description="Share of the time-ordered interactions, the latest, that the planner is judged by and "
        "nothing is learned from.",
    )


class Mix(ApiModel):
    """How much each source counts in an item's vector; sources are normalised first."""

    RULES = (
        Rule(
            "self.captions + self.coEngagement > 0.0",
            "clusters need something to be made of: give captions or coEngagement a weight above 0",
            lambda mix: mix.captions + mix.co_engagement > 0,
        ),
    )

    captions: float = Field(default=1.0, ge=0, le=1, description="What captions say, by a sentence encoder.")
    co_engagement: float = Field(
        default=1.0, ge=0, le=1, description="Which users liked it: SVD of the interactions to learn from."
    )


class Clusters(ApiModel):
    """How items become interest clusters: balanced hierarchical k-means."""

    RULES = (
        Rule(
            # CEL has no "next element": in order and without duplicates is the same.
            "self.counts.isSorted() && self.counts.all(c, self.counts.exists_one(d, d == c))",
            "counts must rise from level to level, as in 12, 60",
            lambda clusters: all(a < b for a, b in pairwise(clusters.counts)),
            ".counts",
        ),
    )

    counts: list[Annotated[int, Field(ge=2, le=2000)]] = Field(
        default_factory=lambda: [12, 60],
        min_length=1,
        max_length=4,
        description="Clusters on each level, from coarse to fine. Pairs of the finest level are planned: 300 "
        "clusters have 89,700.",
    )
    balance: float = Field(
        default=3.0,
        ge=1.5,
        le=100,
        description="No cluster holds more items than so many times the mean of its level, nor fewer than "
        "the mean divided by it.",
    )
    mix: Mix = Field(default_factory=Mix, description="What items are alike by.")
    encoder: SentenceEncoderUri = Field(
        default="fathom://lsa",
        description="Sentence encoder of captions: `fathom://lsa`, latent semantic analysis of their words, "
        "or `hf://organisation/name` or `pvc://claim/path` in Hugging Face's format.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of all that is random.")


class Understanding(ApiModel):
    """What a multimodal LLM says of each cluster, once, by its most typical media."""

    prompt: str = Field(
        default="What do these have in common? Answer in one sentence.",
        min_length=1,
        max_length=4000,
        description="What the CaptionJob's model is asked about the media of a cluster. `{keywords}` is "
        "replaced by the cluster's keywords.",
    )
    media: int = Field(
        default=4,
        ge=1,
        le=16,
        description="Typical media of a cluster that the model sees. One that takes a single picture is "
        "asked about each, and what it says is put together.",
    )
    max_new_tokens: int = Field(default=64, ge=1, le=1024, description="Longest answer, in tokens.")


class PlannerFineTune(ApiModel):
    """How the planner learns from what users went on to."""

    method: Literal["Full", "LoRA"] = Field(default="Full", description="Full: all weights. LoRA: adapters.")
    lora: Lora = Field(default_factory=Lora, description="The adapters (`method: LoRA`).")
    epochs: int = Field(default=5, ge=1, le=1000, description="Most passes over the transitions.")
    patience: int | None = Field(
        default=1,
        ge=1,
        le=100,
        description="Stop after so many epochs without a lower loss on the latest transitions.",
    )
    batch_size: int = Field(default=64, ge=1, le=4096, description="Transitions per step.")
    learning_rate: float = Field(default=1e-3, gt=0, le=1, description="Peak learning rate (AdamW, cosine).")
    per_target: int = Field(
        default=100,
        ge=1,
        le=100_000,
        description="Most transitions to one cluster, the most frequent first: popular interests do not "
        "drown the others.",
    )


class PlannerPrompt(ApiModel):
    """What the planner is told of a pair of clusters, and how it answers."""

    chain_of_thought: bool = Field(
        default=True,
        description="It says what the two show and what connects them before it names an interest.",
    )
    keywords: int = Field(
        default=5, ge=0, le=50, description="Words of each cluster that it is told besides the name."
    )


class Planner(ApiModel):
    """The language model that says which interest comes next."""

    RULES = (
        Rule(
            f"self.model != '{SMALL_PLANNER}' || has(self.fineTune)",
            f"{SMALL_PLANNER} has learned nothing yet: keep spec.planner.fineTune, or name a trained model",
            lambda planner: planner.model != SMALL_PLANNER or planner.fine_tune is not None,
            ".fineTune",
        ),
        Rule(
            f"self.model != '{SMALL_PLANNER}' || !has(self.fineTune) || self.fineTune.method == 'Full'",
            f"{SMALL_PLANNER} starts from nothing, which adapters cannot teach: set "
            "spec.planner.fineTune.method to Full, or name a trained model",
            lambda planner: (
                planner.model != SMALL_PLANNER
                or planner.fine_tune is None
                or planner.fine_tune.method == "Full"
            ),
            ".fineTune.method",
        ),
    )

    model: PlannerUri = Field(
        default=SMALL_PLANNER,
        description="`hf://organisation/name`, `pvc://claim/path`, or `fathom://small-planner`, a small "
        "transformer that is trained here from nothing.",
    )
    prompt: PlannerPrompt = Field(default_factory=PlannerPrompt, description="How it is asked.")
    fine_tune: PlannerFineTune | None = Field(
        default=None, description="Teach it the users' transitions first; unset, it is asked as it is."
    )
    seed: int = Field(default=0, ge=0, description="Seed of all that is random.")


class Inference(ApiModel):
    """Asking the planner about all ordered pairs of clusters."""

    samples: int = Field(
        default=10, ge=1, le=32, description="Answers that a pair gets, by beam search over the names."
    )
    best: int | None = Field(
        default=None,
        ge=1,
        le=32,
        description="Best of n: of a pair's answers so many are kept, those that users would be the most "
        "satisfied with, as a scorer learns from `interactions.satisfaction`. All, if unset.",
    )
    batch_size: int = Field(default=64, ge=1, le=4096, description="Pairs asked at once.")
    shards: int = Field(
        default=1, ge=1, le=10_000, description="Parts the pairs are dealt into; one pod works on one shard."
    )
    parallelism: int = Field(
        default=1, ge=1, le=10_000, description="Pods at work once. May be changed while running."
    )


class Gates(ApiModel):
    """What a new table must fulfil to be served; a failed gate keeps the table before."""

    min_exact_match: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="Least share of free answers, without constrained decoding, that are the name of a "
        "cluster word for word.",
    )
    min_recall: float = Field(
        default=0.015,
        ge=0,
        le=1,
        description="Least share of users' later moves to a new interest that the table names for "
        "their pair.",
    )
    max_self_repeat: float = Field(
        default=0.1, ge=0, le=1, description="Most free answers that are a cluster of their pair."
    )
    min_coverage: float = Field(
        default=0.3, ge=0, le=1, description="Least share of the clusters that some pair leads to."
    )
    min_pairs: float = Field(
        default=0.95, ge=0, le=1, description="Least share of all pairs that lead somewhere."
    )
    max_churn: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Most change against the table served, 1 − Jaccard of a pair's first targets; any if "
        "unset.",
    )
    banned: Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=128)]], Unique()] = (
        Field(
            default_factory=list[str],
            max_length=256,
            description="Names of clusters, or whole words of names, that nobody is led to: an answer "
            "that names one is thrown away, and a table with one is refused.",
        )
    )


class Explore(ApiModel):
    """How much of what users see leads somewhere new."""

    share: Percent = Field(default="10%", description="Slots of an answer for items that lead somewhere new.")
    max_per_user: int = Field(
        default=3,
        ge=0,
        le=1000,
        description="Most such items a user is shown: in an answer, less those the request says were shown.",
    )
    recent: int = Field(
        default=5, ge=1, le=50, description="A user's latest clusters that are looked up, in pairs."
    )
    targets: int = Field(default=3, ge=1, le=20, description="Clusters a user is led to in one answer.")


class MapServing(ApiModel):
    """Which ranker leads users by the table."""

    rec_model: ObjectName = Field(description="Name of a RecModel in this namespace.")
    explore: Explore = Field(default_factory=Explore, description="How much.")
    table: Annotated[str, StringConstraints(pattern=r"^t-[0-9a-f]{8}$")] | None = Field(
        default=None,
        description="Serve this table of `status.tables`, whatever is newer: a rollback. The latest if "
        "unset.",
    )


class MapSchedule(ApiModel):
    """When the map is made anew."""

    RULES = (
        Rule(
            "has(self.fineTune) || has(self.bulk)",
            "a schedule says when: give spec.schedule.fineTune or spec.schedule.bulk, or remove it",
            lambda schedule: schedule.fine_tune is not None or schedule.bulk is not None,
        ),
    )

    fine_tune: CronSchedule | None = Field(
        default=None,
        description="When all of it is made anew, clusters and planner too, as in cron: `0 3 1 * *`.",
    )
    bulk: CronSchedule | None = Field(
        default=None,
        description="When the pairs are planned anew by the planner there is, with what users went on to "
        "lately in the prompt: `0 3 * * 1`.",
    )
    time_zone: str = Field(
        default="Etc/UTC", min_length=1, max_length=64, description="Time zone of the schedule."
    )

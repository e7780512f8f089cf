"""Tasks of an InterestMap: one JSON document for each step; see `tasks.py` for what all tasks have in common.

Each step writes a folder of its own, sealed by a manifest, and reads those of the steps before.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fathom_api.interests import (
    SMALL_PLANNER,
    Clusters,
    Explore,
    Gates,
    Interactions,
    Planner,
    Understanding,
)
from fathom_api.meta import ApiModel
from fathom_api.tasks import AnyModel, AnySource, CaptionsAt


# The models are frozen, so a narrower type is safe; pyright does not see pydantic's `frozen`.
# pyright: reportIncompatibleVariableOverride=false
class AnyInteractions(Interactions):
    """Interactions anywhere."""

    uri: str = Field(description="Path or URI.")


class AnyClusters(Clusters):
    """Clusters with a sentence encoder anywhere."""

    encoder: str = Field(default="fathom://lsa", description="Path or URI of a sentence encoder.")


class AnyPlanner(Planner):
    """A planner anywhere."""

    model: str = Field(default=SMALL_PLANNER, description="Path or URI, or `fathom://small-planner`.")


class ClusterTask(ApiModel):
    """Make interest clusters of items (`fathom cluster`)."""

    kind: Literal["ClusterTask"] = "ClusterTask"
    captions: CaptionsAt = Field(description="What items show.")
    interactions: AnyInteractions = Field(description="What users liked.")
    clusters: AnyClusters = Field(default_factory=AnyClusters, description="How.")
    previous: str | None = Field(
        default=None, description="Folder of clusters whose ids live on where the items are the same."
    )
    output: str = Field(description="Folder for `clusters.parquet` and `names.json`.")


class UnderstandTask(ApiModel):
    """Say what each cluster is about (`fathom understand`)."""

    kind: Literal["UnderstandTask"] = "UnderstandTask"
    clusters: str = Field(description="Folder of the clusters.")
    source: AnySource = Field(description="The items and their media.")
    model: AnyModel = Field(description="The multimodal LLM.")
    understanding: Understanding = Field(default_factory=Understanding, description="How it is asked.")
    cache: str = Field(description="Folder of answers by content: what was asked before is not asked again.")
    output: str = Field(description="Folder for `summaries.parquet`.")


class TransitionsTask(ApiModel):
    """Turn users' sequences into transitions between clusters (`fathom transitions`)."""

    kind: Literal["TransitionsTask"] = "TransitionsTask"
    clusters: str = Field(description="Folder of the clusters.")
    interactions: AnyInteractions = Field(description="What users liked.")
    per_target: int = Field(default=100, ge=1, description="Most transitions to one cluster.")
    output: str = Field(description="Folder for the transitions.")


class PlanTrainTask(ApiModel):
    """Teach a planner the transitions (`fathom plan-train`)."""

    kind: Literal["PlanTrainTask"] = "PlanTrainTask"
    clusters: str = Field(description="Folder of the clusters.")
    summaries: str | None = Field(default=None, description="Folder of what was said of them.")
    transitions: str = Field(description="Folder of the transitions.")
    planner: AnyPlanner = Field(default_factory=AnyPlanner, description="The model, and how it learns.")
    output: str = Field(description="Folder for the planner.")


class PlanBulkTask(ApiModel):
    """Plan the pairs of one shard (`fathom plan-bulk`); the shard is `--shard` or `JOB_COMPLETION_INDEX`."""

    kind: Literal["PlanBulkTask"] = "PlanBulkTask"
    clusters: str = Field(description="Folder of the clusters.")
    summaries: str | None = Field(default=None, description="Folder of what was said of them.")
    transitions: str = Field(description="Folder of the transitions; the prompt tells recent ones.")
    planner: AnyPlanner = Field(default_factory=AnyPlanner, description="The model, where it was not taught.")
    trained: str | None = Field(default=None, description="Folder of the planner that was taught.")
    samples: int = Field(default=10, ge=1, description="Answers that a pair gets.")
    batch_size: int = Field(default=64, ge=1, description="Pairs asked at once.")
    banned: list[str] = Field(default_factory=list, description="Names and words that nobody is led to.")
    shards: int = Field(default=1, ge=1, description="Shards in all.")
    output: str = Field(description="Folder for the plans, one part a batch.")


class GateTask(ApiModel):
    """Make a table of the plans, measure and judge it, write the report (`fathom gate`)."""

    kind: Literal["GateTask"] = "GateTask"
    clusters: str = Field(description="Folder of the clusters.")
    summaries: str | None = Field(default=None, description="Folder of what was said of them.")
    transitions: str = Field(description="Folder of the transitions, held-out ones too.")
    plans: str = Field(description="Folder of the plans.")
    planner: AnyPlanner = Field(default_factory=AnyPlanner, description="The model, where it was not taught.")
    trained: str | None = Field(default=None, description="Folder of the planner that was taught.")
    samples: int = Field(default=10, ge=1, description="Answers that a pair got.")
    best: int | None = Field(default=None, ge=1, description="How many of them are kept; all if unset.")
    interactions: AnyInteractions | None = Field(
        default=None, description="What users liked, and how much; needed where only the best are kept."
    )
    gates: Gates = Field(default_factory=Gates, description="What the table must fulfil.")
    previous: str | None = Field(default=None, description="Folder of the table served, to compare with.")
    source: AnySource | None = Field(default=None, description="The items; for the report's pictures.")
    name: str = Field(default="t-00000000", description="The table's name.")
    output: str = Field(description="Folder for the table.")
    report: str = Field(description="Folder for the report.")


class PublishTask(ApiModel):
    """Point rankers at a table (`fathom publish`)."""

    kind: Literal["PublishTask"] = "PublishTask"
    table: str = Field(description="Folder of the table.")
    explore: Explore = Field(default_factory=Explore, description="How much of it users see.")
    output: str = Field(description="Folder that rankers watch (`fathom serve --guide`).")

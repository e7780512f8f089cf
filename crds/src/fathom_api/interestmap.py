"""InterestMap: tell the recommender where to lead users next."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fathom_api.captionjob import Artifact, Output
from fathom_api.conditions import Condition
from fathom_api.interests import (
    Clusters,
    Gates,
    Inference,
    Interactions,
    InterestCaptions,
    MapSchedule,
    MapServing,
    Planner,
    PlannerFineTune,
    Understanding,
)
from fathom_api.meta import ApiModel, StatusModel
from fathom_api.pods import PodTemplate
from fathom_api.progress import Verdict
from fathom_api.rules import Rule
from fathom_api.types import Timestamp


class InterestMapSpec(ApiModel):
    """Find interests in a catalogue, and plan which one each pair of them leads to."""

    RULES = (
        Rule(
            "!has(self.schedule) || !has(self.schedule.fineTune) || has(self.planner.fineTune)",
            "there is nothing to fine-tune on a schedule: give spec.planner.fineTune, or use "
            "spec.schedule.bulk alone",
            lambda spec: (
                spec.schedule is None or spec.schedule.fine_tune is None or spec.planner.fine_tune is not None
            ),
            ".schedule.fineTune",
        ),
        Rule(
            "!has(self.inference.best) || has(self.interactions.satisfaction)",
            "the best answers are those that satisfy: name a column in spec.interactions.satisfaction, or "
            "unset spec.inference.best",
            lambda spec: spec.inference.best is None or spec.interactions.satisfaction is not None,
            ".inference.best",
        ),
    )

    captions: InterestCaptions = Field(description="What the items show.")
    interactions: Interactions = Field(description="What users liked, one after the other.")
    clusters: Clusters = Field(default_factory=Clusters, description="How items become interests.")
    understanding: Understanding | None = Field(
        default=None,
        description="Have the CaptionJob's model say what each cluster is about; unset, its keywords and "
        "typical captions do.",
    )
    planner: Planner = Field(
        default_factory=lambda: Planner(fine_tune=PlannerFineTune()),
        description="The model that plans.",
    )
    inference: Inference = Field(default_factory=Inference, description="How the pairs are planned.")
    gates: Gates = Field(default_factory=Gates, description="What a table must fulfil.")
    serving: MapServing | None = Field(
        default=None, description="Which ranker leads users by it; none if unset."
    )
    output: Output = Field(description="Where all of it is kept.")
    schedule: MapSchedule | None = Field(
        default=None,
        description="When it is made anew. What was missed is made up for once; nothing begins while "
        "something is under way.",
    )
    suspend: bool = Field(
        default=False,
        description="Stop the pods, and go on from there when unset. No refresh begins meanwhile; the table "
        "stays in use.",
    )
    queue_name: str | None = Field(default=None, max_length=63, description="Kueue LocalQueue of the Jobs.")
    backoff_limit: int = Field(default=4, ge=0, le=100, description="Times a pod is tried again.")
    template: PodTemplate = Field(
        default_factory=PodTemplate,
        description="The pods that do the work. Those that need no model get no GPU.",
    )


Stage = Literal[
    "Pending",
    "Clustering",
    "Understanding",
    "Transitions",
    "Training",
    "Planning",
    "Gating",
    "Publishing",
    "Published",
    "Rejected",
    "Suspended",
    "Failed",
]
#: What is made, in order; each is a Job and a versioned dataset.
Step = Literal["cluster", "understand", "transitions", "plan-train", "plan-bulk", "gate", "publish"]


class StepStatus(StatusModel):
    """A step that is done."""

    name: Step = Field(description="The step.")
    run: str = Field(description="Eight hex digits of what was done.")
    uri: str = Field(description="What it made.")
    digest: str = Field(default="", description="`sha256:` of its content.")
    counts: dict[str, float] = Field(
        default_factory=dict, max_length=32, description="What it counted and measured."
    )


class Pairs(StatusModel):
    """Ordered pairs of clusters."""

    total: int = Field(default=0, description="Pairs there are.")
    planned: int = Field(default=0, description="Pairs with at least one interest planned.")
    rejected: int = Field(default=0, description="Answers that were thrown away.")


class TableVersion(StatusModel):
    """A table of planned interests."""

    name: str = Field(description="`t-` and eight hex digits of what it was made from.")
    uri: str = Field(description="Where it lies.")
    clusters_uri: str = Field(description="The clusters it speaks of.")
    digest: str = Field(default="", description="`sha256:` of it.")
    recall: float | None = Field(default=None, description="NovelRecall on held-out interactions.")
    published_at: Timestamp | None = Field(default=None, description="When it was first served.")


class TableRejection(StatusModel):
    """A table that a gate refused."""

    name: str = Field(description="The table.")
    message: str = Field(default="", max_length=2048, description="Which gate, and why.")
    at: Timestamp = Field(description="When.")


class MapRun(StatusModel):
    """What is made now, or was made last, and what it was made from."""

    table: str = Field(default="", description="The table that comes of it.")
    fine_tunes: int = Field(default=0, description="Times all was made anew since the first.")
    bulks: int = Field(default=0, description="Times the pairs alone were planned anew.")
    captions: Artifact | None = Field(
        default=None, description="The captions it uses; newer ones are used by the next refresh."
    )
    clusters: str = Field(default="", description="Folder of its clusters.")
    planner: str = Field(default="", description="Folder of its planner, or the planner itself.")
    clusters_before: str | None = Field(
        default=None, description="The clusters served when it began, whose ids live on in the new ones."
    )
    table_before: str | None = Field(default=None, description="The table served when it began.")
    retry: str = Field(
        default="", max_length=253, description="What the annotation `fathom.dev/retry` said when it began."
    )
    start_time: Timestamp | None = Field(default=None, description="When it began.")
    end_time: Timestamp | None = Field(default=None, description="When it ended, well or not.")
    last_fine_tune: Timestamp | None = Field(default=None, description="When all was last begun anew.")
    last_bulk: Timestamp | None = Field(default=None, description="When planning last began anew.")


class InterestMapStatus(StatusModel):
    """What the operator has seen."""

    observed_generation: int | None = Field(
        default=None, description="Generation of the spec that this status speaks of."
    )
    conditions: list[Condition] = Field(
        default_factory=list[Condition],
        description="Ready, Reconciling, Stalled (kstatus), and GatePassed, Published.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    stage: Stage = Field(default="Pending", description="What is being done.")
    percent: int = Field(default=0, description="Share of the current stage that is done, in percent.")
    clusters: int = Field(default=0, description="Interest clusters.")
    cluster_churn: float | None = Field(
        default=None, description="Share of the items whose cluster is another than in the map before."
    )
    transitions: int = Field(default=0, description="Transitions to learn from.")
    pairs: Pairs = Field(default_factory=Pairs, description="How many are planned.")
    exact_match: float | None = Field(
        default=None, description="Share of free answers that are a cluster's name word for word."
    )
    recall: float | None = Field(default=None, description="NovelRecall on held-out interactions.")
    novelty: float | None = Field(
        default=None, description="Share of the targets in the table that are neither of their pair."
    )
    gates: list[Verdict] = Field(
        default_factory=list[Verdict], max_length=16, description="Verdicts on the latest table."
    )
    table: TableVersion | None = Field(default=None, description="The table that is served.")
    tables: list[TableVersion] = Field(
        default_factory=list[TableVersion], max_length=10, description="Tables served so far, latest first."
    )
    rejected: list[TableRejection] = Field(
        default_factory=list[TableRejection], max_length=10, description="Latest tables refused."
    )
    report_uri: str | None = Field(default=None, description="The report, one HTML page.")
    run: MapRun = Field(default_factory=MapRun, description="What is being made.")
    steps: list[StepStatus] = Field(
        default_factory=list[StepStatus], max_length=8, description="What of it is done."
    )
    last_refresh: Timestamp | None = Field(default=None, description="When a table was last published.")
    next_refresh: Timestamp | None = Field(
        default=None, description="When the schedule next begins something."
    )
    last_progress_time: Timestamp | None = Field(default=None, description="When a pod last reported.")

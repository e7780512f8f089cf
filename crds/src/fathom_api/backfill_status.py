"""What the operator has seen of a Backfill."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fathom_api.captionjob import Artifact, Usage
from fathom_api.conditions import Condition
from fathom_api.meta import StatusModel
from fathom_api.types import Timestamp

Stage = Literal[
    "Pending",
    "Estimating",
    "AwaitingApproval",
    "Pairing",
    "Fitting",
    "Deploying",
    "Moving",
    "Paused",
    "Holding",
    "RolledBack",
    "Stopped",
    "Completing",
    "Retaining",
    "Complete",
    "Failed",
]
#: What is done once and for all; an item's move is done when all have moved.
Part = Literal["estimate", "pair", "fit", "move", "complete", "drop"]
Verdict = Literal["Better", "NoWorse", "Worse"]


class Estimate(StatusModel):
    """What the backfill will take."""

    items: int = Field(description="Items in the gallery.")
    without_embedding: int = Field(
        default=0,
        description="Of them, those that `from.embeddings` does not know: they are embedded in Completing.",
    )
    items_per_second: float | None = Field(
        default=None, description="Speed of all pods together, by a sample, within `pace.itemsPerSecond`."
    )
    seconds: int | None = Field(default=None, description="Time of moving, without pauses.")
    cost: str | None = Field(
        default=None, max_length=64, description="By the prices in the chart's values, `12.30 USD`."
    )


class BackfillItems(StatusModel):
    """Counts of items."""

    total: int = Field(default=0, description="Items to move.")
    moved: int = Field(default=0, description="Items embedded by the new model.")
    failed: int = Field(default=0, description="Items whose picture cannot be read: they stay as they are.")
    added: int = Field(default=0, description="Items that came, or changed, meanwhile and were embedded.")


class Fit(StatusModel):
    """How well both models' vectors can be compared, on pairs that were held out."""

    recall_old: float | None = Field(default=None, description="Recall of the old gallery alone.")
    recall_merged: float | None = Field(default=None, description="Recall with half of the items moved.")
    recall_new: float | None = Field(default=None, description="Recall of the new gallery alone.")
    pairs: int = Field(default=0, description="Pairs that were learnt from and judged by.")
    compatibility: Artifact | None = Field(default=None, description="What was learnt.")


class Probe(StatusModel):
    """What the probes found at one percent."""

    percent: int = Field(description="Share of the gallery that the new model answered, in percent.")
    recall: float = Field(description="Recall at `probes.k`.")
    negative_flip_rate: float = Field(
        description="Share of the probes that the old gallery answered and this one did not."
    )


class Stopped(StatusModel):
    """Why nothing moves any more until people say so."""

    percent: int = Field(description="How far it was.")
    message: str = Field(max_length=1024, description="What was found.")
    overridden: bool = Field(
        default=False,
        description="The annotation `fathom.dev/retry` had it go on: the probes stop it no more.",
    )


class BackfillStatus(StatusModel):
    """What the operator has seen."""

    observed_generation: int | None = Field(
        default=None, description="Generation of the spec that this status speaks of."
    )
    conditions: list[Condition] = Field(
        default_factory=list[Condition],
        description="Ready, Reconciling, Stalled (kstatus), and Compatible, Serving.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    stage: Stage = Field(default="Pending", description="What is being done.")
    completed: list[Part] = Field(default_factory=list[Part], max_length=6, description="What is done.")
    start_time: Timestamp | None = Field(
        default=None,
        description="When the pairs were drawn and work began; from then on what is moved cannot change.",
    )
    completion_time: Timestamp | None = Field(
        default=None, description="When the new model answered everything."
    )
    estimated_completion_time: Timestamp | None = Field(
        default=None, description="When all items will have moved at today's speed."
    )
    beta: float = Field(
        default=0.0,
        description="Backfill progress β: share of the gallery that the new model answers, 0 to 1.",
    )
    view: int = Field(
        default=100, description="Most of the gallery that is answered by the new model, in percent."
    )
    items: BackfillItems = Field(default_factory=BackfillItems, description="How many items.")
    items_per_second: float | None = Field(default=None, description="Speed of all pods together.")
    estimate: Estimate | None = Field(default=None, description="What it will take.")
    fit: Fit | None = Field(default=None, description="How well both models can be compared.")
    probes: list[Probe] = Field(
        default_factory=list[Probe], max_length=101, description="What the probes found, by percent."
    )
    verdict: Verdict | None = Field(
        default=None, description="Whether the gallery answers better than the old one, as far as is known."
    )
    stopped: Stopped | None = Field(default=None, description="Why it stopped by itself, if it did.")
    attempt: str = Field(
        default="",
        max_length=253,
        description="What the annotation `fathom.dev/retry` said when the present try began: another value "
        "begins another after a failure, and goes on after a stop.",
    )
    gallery: Artifact | None = Field(default=None, description="The gallery that is searched.")
    report_uri: str | None = Field(default=None, description="The report, HTML.")
    url: str | None = Field(default=None, description="Where the gallery is searched.")
    usage: Usage = Field(default_factory=Usage, description="What the pods have used.")
    last_progress_time: Timestamp | None = Field(default=None, description="When a pod last reported.")

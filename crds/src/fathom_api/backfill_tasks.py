"""Tasks of a Backfill's pods (`fathom backfill …`); URIs may also be plain paths, see `fathom_api.tasks`.

All of them share one folder, `output`: `gallery/` is what is searched, `work/` what the stages leave for each
other, `compatibility/` what makes both models comparable, `report/` the report.
"""

# The models are frozen, so a narrower type is safe; pyright does not see pydantic's `frozen`.
# pyright: reportIncompatibleVariableOverride=false
from __future__ import annotations

from typing import Literal

from pydantic import Field

from fathom_api.backfill import CompatibilityTraining, Gallery, NewModel, OldModel, Order, Probes
from fathom_api.meta import ApiModel
from fathom_api.rules import Rule
from fathom_api.tasks import CaptionsAt

GALLERY = "gallery"
COMPATIBILITY = "compatibility"
REPORT = "report/index.html"


class AnyGallery(Gallery):
    """A gallery anywhere: media at `uri`, or captions."""

    RULES = (
        Rule(
            "has(self.uri) != has(self.captions)",
            "a gallery is either media, at uri, or captions: give one",
            lambda gallery: (gallery.uri is not None) != (gallery.captions is not None),
            ".uri",
        ),
    )

    uri: str | None = Field(default=None, description="Path or URI.")
    captions: CaptionsAt | None = Field(default=None, description="Captions that are the items.")

    @property
    def where(self) -> str:
        """Return where the items are, for people."""
        return self.uri or (self.captions.output if self.captions else "")


class AnyOldModel(OldModel):
    """A model anywhere."""

    model: str = Field(description="Path or URI.")
    embeddings: str | None = Field(default=None, description="Path or URI.")


class AnyNewModel(NewModel):
    """A model anywhere."""

    model: str = Field(description="Path or URI.")


class AnyProbes(Probes):
    """Queries anywhere."""

    queries: str = Field(description="Path or URI.")


class BackfillTask(ApiModel):
    """What all stages know."""

    gallery: AnyGallery = Field(description="The items.")
    from_: AnyOldModel = Field(alias="from", description="The old model.")
    to: AnyNewModel = Field(description="The new model.")
    output: str = Field(description="Folder of the backfill.")


class BackfillEstimateTask(BackfillTask):
    """Count the items and time the new model on a few (`fathom backfill estimate`); writes nothing."""

    kind: Literal["BackfillEstimateTask"] = "BackfillEstimateTask"
    sample: int = Field(default=64, ge=1, le=10_000, description="Items that are embedded to measure speed.")


class BackfillPairTask(BackfillTask):
    """Make a gallery of the old embeddings, embed a sample with the new model (`fathom backfill pair`)."""

    kind: Literal["BackfillPairTask"] = "BackfillPairTask"
    pairs: int = Field(default=20_000, ge=16, description="Items embedded by both models.")
    seed: int = Field(default=0, ge=0, description="Of the sample.")
    old_queries: bool = Field(
        default=False,
        description="Whether queries are embedded by the old model too: it must then be one that can be "
        "opened, and be the one that made the embeddings.",
    )


class BackfillFitTask(BackfillTask):
    """Learn what makes both models comparable, judge it, and order the items (`fathom backfill fit`)."""

    kind: Literal["BackfillFitTask"] = "BackfillFitTask"
    compatibility: CompatibilityTraining = Field(
        default_factory=CompatibilityTraining, description="How it is learnt."
    )
    order: Order = Field(default_factory=Order, description="Which items move first.")
    probes: AnyProbes | None = Field(default=None, description="Queries, for orders that need some.")


class BackfillMoveTask(BackfillTask):
    """Embed items with the new model, in order, and commit them part by part (`fathom backfill move`).

    The pod is one of `parallelism`, which one says `--shard` or `JOB_COMPLETION_INDEX`.
    """

    kind: Literal["BackfillMoveTask"] = "BackfillMoveTask"
    parallelism: int = Field(default=1, ge=1, description="Pods that share the work.")
    items_per_second: float | None = Field(default=None, gt=0, description="Most items, all pods together.")
    target: int = Field(default=100, ge=0, le=100, description="How much of the gallery, in percent.")


class BackfillProbeTask(BackfillTask):
    """Ask the probes at every percent until `target` has moved (`fathom backfill probe`)."""

    kind: Literal["BackfillProbeTask"] = "BackfillProbeTask"
    probes: AnyProbes = Field(description="Queries with known answers.")
    target: int = Field(default=100, ge=0, le=100, description="When to end, in percent.")
    poll_seconds: float = Field(default=2.0, gt=0, le=3600, description="How often the gallery is looked at.")


class BackfillViewTask(BackfillTask):
    """Say how much of the gallery the new model answers (`fathom backfill view`)."""

    kind: Literal["BackfillViewTask"] = "BackfillViewTask"
    target: int = Field(default=100, ge=0, le=100, description="At most so much, in percent.")


class BackfillCompleteTask(BackfillTask):
    """Embed what came or changed meanwhile, check that nothing is missing, write the report.

    `fathom backfill complete`.
    """

    kind: Literal["BackfillCompleteTask"] = "BackfillCompleteTask"
    probes: AnyProbes | None = Field(default=None, description="What was asked on the way, for the report.")


class BackfillDropTask(BackfillTask):
    """Remove the old embeddings (`fathom backfill drop`)."""

    kind: Literal["BackfillDropTask"] = "BackfillDropTask"

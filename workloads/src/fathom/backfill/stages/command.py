"""`fathom backfill …`: opens the models, catches SIGTERM, reports progress; the stages do the rest."""

from __future__ import annotations

from fathom.backfill.stages.embedding import Encoder
from fathom.captioning.stopping import on_sigterm
from fathom.progress import reporter
from fathom_api.backfill_tasks import (
    BackfillCompleteTask,
    BackfillDropTask,
    BackfillEstimateTask,
    BackfillFitTask,
    BackfillMoveTask,
    BackfillPairTask,
    BackfillProbeTask,
    BackfillViewTask,
)
from fathom_api.progress import Outcome


def open_encoder(uri: str) -> Encoder:
    """Return the embedding model at `uri`.

    Raises:
        InvalidInputError: there is none, or it cannot be opened.
    """
    # torch takes seconds to import: a wrong task should be told before.
    from fathom.retrieval import encoders

    return encoders.open_encoder(uri)


def estimate(task: BackfillEstimateTask) -> Outcome:
    """Count the items and time the new model."""
    from fathom.backfill.stages import estimate as stage

    return stage.estimate(task, open_encoder(task.to.model))


def pair(task: BackfillPairTask) -> Outcome:
    """Make the gallery and the pairs."""
    from fathom.backfill.stages import pair as stage

    with reporter() as report:
        return stage.pair(task, open_encoder, report)


def fit(task: BackfillFitTask) -> Outcome:
    """Learn what makes both models comparable, judge it, order the items."""
    from fathom.backfill.stages import fit as stage

    with reporter() as report:
        return stage.fit(task, open_encoder, report)


def move(task: BackfillMoveTask, shard: int) -> Outcome:
    """Move this pod's share of the items."""
    from fathom.backfill.stages import move as stage

    with reporter() as report, on_sigterm() as stop:
        return stage.move(task, shard, open_encoder(task.to.model), report, stop)


def probe(task: BackfillProbeTask) -> Outcome:
    """Ask the probes at every percent."""
    from fathom.backfill.stages import probe as stage

    with reporter() as report, on_sigterm() as stop:
        return stage.probe(task, open_encoder, report, stop)


def view(task: BackfillViewTask) -> Outcome:
    """Say how much is in force."""
    from fathom.backfill.stages import ending

    return ending.view(task)


def complete(task: BackfillCompleteTask) -> Outcome:
    """Embed the last items, check, and report."""
    from fathom.backfill.stages import ending

    with reporter() as report:
        return ending.complete(task, open_encoder(task.to.model), report)


def drop(task: BackfillDropTask) -> Outcome:
    """Remove the old embeddings."""
    from fathom.backfill.stages import ending

    return ending.drop(task)

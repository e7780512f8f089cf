"""The commands of a Backfill's stages, as `fathom backfill` has them.

Not in `fathom.backfill`, whose library they import only when they run: `fathom --help` waits for none of it.
"""

from __future__ import annotations

import typer

from fathom.options import Shard, TaskFile
from fathom.run import run_task
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

_app = typer.Typer(
    no_args_is_help=True,
    help="Replace the embeddings of a gallery with a newer model's while it is searched. Stages in order: "
    "estimate, pair, fit, move (with probe beside it), complete, drop; view rolls back and forth.",
)


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`, as `fathom backfill …`."""
    app.add_typer(_app, name="backfill")


@_app.command()
def estimate(task: TaskFile) -> None:
    """Count the items and time the new model on a few. Writes nothing."""
    from fathom.backfill.stages.command import estimate as work

    run_task(task, BackfillEstimateTask, work)


@_app.command()
def pair(task: TaskFile) -> None:
    """Make a gallery of the old embeddings, and embed a sample of it with the new model."""
    from fathom.backfill.stages.command import pair as work

    run_task(task, BackfillPairTask, work)


@_app.command()
def fit(task: TaskFile) -> None:
    """Learn what makes both models comparable and put the items in order.

    Ends with 65 (WorseThanOld) where, on pairs it has not learnt from, the mixed gallery would answer worse
    than the old one.
    """
    from fathom.backfill.stages.command import fit as work

    run_task(task, BackfillFitTask, work)


@_app.command()
def move(task: TaskFile, shard: Shard = 0) -> None:
    """Embed items with the new model, in order, and commit them part by part. Again: it goes on.

    A pod that is told to go (SIGTERM) ends after the batch in flight, with 143.
    """
    from fathom.backfill.stages.command import move as work

    run_task(task, BackfillMoveTask, lambda t: work(t, shard))


@_app.command()
def probe(task: TaskFile) -> None:
    """Ask queries with known answers at every percent until the target has moved."""
    from fathom.backfill.stages.command import probe as work

    run_task(task, BackfillProbeTask, work)


@_app.command()
def view(task: TaskFile) -> None:
    """Have at most so much of what has moved in force: less rolls back, 100 % rolls forward."""
    from fathom.backfill.stages.command import view as work

    run_task(task, BackfillViewTask, work)


@_app.command()
def complete(task: TaskFile) -> None:
    """Embed what came or changed meanwhile, check that nothing is missing, write the report."""
    from fathom.backfill.stages.command import complete as work

    run_task(task, BackfillCompleteTask, work)


@_app.command()
def drop(task: TaskFile) -> None:
    """Remove the old embeddings; refused while an item needs them."""
    from fathom.backfill.stages.command import drop as work

    run_task(task, BackfillDropTask, work)

"""The commands of an InterestMap's steps, as `fathom` has them."""

from __future__ import annotations

import typer

from fathom.options import Shard, TaskFile
from fathom.run import run_task
from fathom_api.interest_tasks import (
    ClusterTask,
    GateTask,
    PlanBulkTask,
    PlanTrainTask,
    PublishTask,
    TransitionsTask,
    UnderstandTask,
)


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (cluster, understand, transitions, plan_train, plan_bulk, gate, publish):
        app.command(name=command.__name__.replace("_", "-"))(command)


def cluster(task: TaskFile) -> None:
    """Make interest clusters of items, by what their captions say and who liked them."""
    from fathom.interests.clustering import cluster as work

    run_task(task, ClusterTask, work)


def understand(task: TaskFile) -> None:
    """Have a multimodal LLM say what each cluster is about. What it said before is not asked again."""
    from fathom.interests.understanding import understand as work

    run_task(task, UnderstandTask, work)


def transitions(task: TaskFile) -> None:
    """Find which interest users went on to after each pair of interests."""
    from fathom.interests.transitions import transitions as work

    run_task(task, TransitionsTask, work)


def plan_train(task: TaskFile) -> None:
    """Teach a language model where users went on to. Run it again after an interruption: it goes on."""
    from fathom.interests.training import plan_train as work

    run_task(task, PlanTrainTask, work)


def plan_bulk(task: TaskFile, shard: Shard = 0) -> None:
    """Ask the planner about all ordered pairs of clusters of one shard, but those planned already."""
    from fathom.interests.bulk import plan_bulk as work

    run_task(task, PlanBulkTask, lambda t: work(t, shard))


def gate(task: TaskFile) -> None:
    """Make a table of what is planned, measure and judge it, write a report."""
    from fathom.interests.gating import gate as work

    run_task(task, GateTask, work)


def publish(task: TaskFile) -> None:
    """Have rankers that watch a folder (`fathom serve --guide`) lead users by a table."""
    from fathom.interests.publishing import publish as work

    run_task(task, PublishTask, work)

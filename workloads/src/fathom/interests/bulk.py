"""`fathom plan-bulk`: all ordered pairs of clusters, planned in shards that can be killed at any time."""

from __future__ import annotations

from fathom import storage
from fathom.interests import reading
from fathom.progress import reporter
from fathom.serendipity import bulk
from fathom.serendipity.bulk import Counts
from fathom.serendipity.planning import Decoding
from fathom.serendipity.transitions import Lessons
from fathom_api.interest_tasks import PlanBulkTask
from fathom_api.progress import Outcome, Progress


def plan_bulk(task: PlanBulkTask, shard: int) -> Outcome:
    """Plan the pairs of `shard` that are not planned yet.

    Raises:
        InvalidInputError: the planner cannot be opened, there is no such shard, or its files are damaged.
    """
    clusters = reading.clusters(task.clusters, task.summaries)
    lessons = Lessons.read(storage.existing(task.transitions), clusters)
    decoding = Decoding(task.samples, batch=task.batch_size)
    planner = reading.planner(task, clusters, lessons, decoding)
    folder = storage.resolve(task.output)
    with reporter() as report:

        def tell(counts: Counts) -> None:
            done = counts.reused + counts.planned
            report.update(Progress(total=counts.total, done=done, reused=counts.reused))

        bulk.run(folder, planner, clusters, shard, task.shards, task.banned, tell)
        progress = report.progress
    uri = f"{task.output.rstrip('/')}/shard-{shard:05d}"
    return Outcome(result="Succeeded", uri=uri, digest=f"sha256:{planner.digest}", progress=progress)

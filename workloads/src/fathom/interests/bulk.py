"""`fathom plan-bulk`: all ordered pairs of clusters, planned in shards that can be killed at any time."""

from __future__ import annotations

from collections import Counter

from fathom import storage
from fathom.interests import reading
from fathom.progress import reporter
from fathom.serendipity import bulk
from fathom.serendipity.bulk import Counts
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.planning import Decoding, Pair
from fathom.serendipity.transitions import Lessons
from fathom_api.interest_tasks import PlanBulkTask
from fathom_api.progress import Outcome, Progress


def plan_bulk(task: PlanBulkTask, shard: int) -> Outcome:
    """Plan the pairs of `shard` that are not planned yet.

    Raises:
        InvalidInputError: the planner cannot be opened, there is no such shard, or its files are damaged.
    """
    clusters = reading.clusters(task.clusters, task.summaries)
    recent = recently(Lessons.read(storage.existing(task.transitions), clusters), clusters)
    decoding = Decoding(task.samples, batch=task.batch_size)
    # The small planner was never taught to read where users went lately.
    told = None if reading.asked(task.planner).brief else recent
    planner = reading.planner(task.planner, task.trained, clusters, decoding, told)
    folder = storage.resolve(task.output)
    with reporter() as report:

        def tell(counts: Counts) -> None:
            done = counts.reused + counts.planned
            report.update(Progress(total=counts.total, done=done, reused=counts.reused))

        bulk.run(folder, planner, clusters, shard, task.shards, task.banned, tell)
        progress = report.progress
    uri = f"{task.output.rstrip('/')}/shard-{shard:05d}"
    return Outcome(result="Succeeded", uri=uri, digest=f"sha256:{planner.digest}", progress=progress)


def recently(lessons: Lessons, clusters: Clusters) -> dict[Pair, str]:
    """Return the name of where most users of each pair went lately, by ids: of the later half to learn from.

    What is held out to measure on is not told.
    """
    train = lessons.train
    if not len(train):
        return {}
    order = sorted(range(len(train)), key=lambda n: float(train.time[n]))[len(train) // 2 :]
    counts: dict[Pair, Counter[int]] = {}
    for n in order:
        pair = int(clusters.ids[train.first[n]]), int(clusters.ids[train.second[n]])
        counts.setdefault(pair, Counter())[int(train.target[n])] += int(train.count[n])
    return {pair: clusters.finest[found.most_common(1)[0][0]].name for pair, found in counts.items()}

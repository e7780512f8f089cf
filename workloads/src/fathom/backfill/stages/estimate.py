"""`fathom backfill estimate`: how many items there are, and how fast the new model is."""

from __future__ import annotations

import time
from collections.abc import Callable

from fathom.backfill.stages.embedding import Encoder, embed
from fathom.backfill.stages.items import open_items
from fathom.backfill.stages.old import known_ids
from fathom_api.backfill_tasks import BackfillEstimateTask
from fathom_api.progress import Outcome, Progress


def estimate(
    task: BackfillEstimateTask, encoder: Encoder, *, clock: Callable[[], float] = time.perf_counter
) -> Outcome:
    """Count the items, and time the new model on a few of them, reading included.

    Raises:
        InvalidInputError: there are no items, or the old embeddings know none of them.
    """
    items = open_items(task.gallery)
    ids, rows = items.ids()
    known = known_ids(task)
    unknown = sum(item_id not in known for item_id in ids) if known is not None else 0
    every = max(1, len(rows) // task.sample)
    sample, places = ids[::every][: task.sample], rows[::every][: task.sample]
    # The first batch pays for what is made once.
    list(embed(encoder, items.contents(sample[:1], places[:1])))
    begin = clock()
    embedded = list(embed(encoder, items.contents(sample, places)))
    took = clock() - begin
    done = sum(len(part.seen) for part in embedded)
    failed = sum(len(part.unusable) for part in embedded)
    metrics = {
        "items": float(len(ids)),
        "without_embedding": float(unknown),
        "per_second": (done + failed) / took,
    }
    return Outcome(
        result="Succeeded",
        digest=encoder.digest,
        progress=Progress(total=len(sample), done=done, failed=failed, metrics=metrics),
    )

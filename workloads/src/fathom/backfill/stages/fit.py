"""`fathom backfill fit`: what makes both models comparable, whether to start, and which items move first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fathom.backfill import orders
from fathom.backfill.compatibility import Compatibility
from fathom.backfill.examination import Examination, examine
from fathom.backfill.fitting import fit as learn
from fathom.backfill.fitting import parted
from fathom.backfill.stages.folders import Floats, Folders, Order, Pairs
from fathom.backfill.stages.items import Items, numbers, open_items
from fathom.backfill.stages.pair import Opened, old_encoder, old_vectors
from fathom.backfill.stages.queries import read as read_queries
from fathom.errors import InvalidInputError
from fathom.progress import Reporter
from fathom.retrieval.gallery import Gallery
from fathom.storage import digest_files, files
from fathom_api.backfill import BY_COLUMN
from fathom_api.backfill_tasks import BackfillFitTask
from fathom_api.progress import Outcome, Progress

#: Share of the pairs that is judged by, never learnt from.
HELD_OUT = 0.2


def fit(task: BackfillFitTask, open_encoder: Opened, report: Reporter) -> Outcome:
    """Learn from the pairs, judge it on those held out, and put the items in order.

    Raises:
        InvalidInputError: there are no pairs yet, a column cannot be used, or the search would be worse than
            the old model's (`WorseThanOld`).
    """
    folders, items = Folders(task), open_items(task.gallery)
    gallery, pairs = folders.gallery(), folders.pairs()
    if pairs is None:
        raise InvalidInputError(
            "NoPairs", f"{folders.uri}: no pairs yet; run `fathom backfill pair` with the same task first"
        )
    classes = items.column(task.compatibility.labels) if task.compatibility.labels else None
    labels = _labels(pairs.ids, classes) if classes is not None else None
    compatibility = learn(
        task.compatibility.method,
        pairs.old,
        pairs.new,
        labels,
        from_digest=gallery.info.old.model,
        to_digest=gallery.info.new.model,
        seed=task.compatibility.seed,
        validation=HELD_OUT,
        progress=lambda done, total, figures: report.update(
            Progress(total=total, done=done, metrics={k: float(v) for k, v in figures.items()})
        ),
    )
    examination = _examined(compatibility, pairs, labels, task.compatibility.seed)
    figures = _figures(examination, len(pairs.ids))
    report.update(report.progress.model_copy(update={"metrics": figures}))
    if examination.worse_than_old:
        raise InvalidInputError("WorseThanOld", f"{examination.verdict}.")
    compatibility.save(folders.compatibility)
    folders.save_order(_ordered(task, gallery, items, classes, open_encoder))
    written = (entry.path for entry in files(folders.compatibility))
    return Outcome(
        result="Succeeded",
        uri=f"{folders.uri}/compatibility",
        digest=digest_files(folders.compatibility, written),
        progress=Progress(total=len(pairs.ids), done=len(pairs.ids), metrics=figures),
    )


def _labels(ids: list[str], classes: dict[str, str]) -> NDArray[Any]:
    """Return a number for each item's class; an item without a class is one of its own: negative."""
    known = {name: number for number, name in enumerate(sorted(set(classes.values())))}
    return np.array([known[classes[i]] if i in classes else -1 for i in ids], np.int64)


def _examined(
    compatibility: Compatibility, pairs: Pairs, labels: NDArray[Any] | None, seed: int
) -> Examination:
    _, held = parted(len(pairs.ids), HELD_OUT, seed)
    known = None if labels is None else labels[held]
    return examine(compatibility, pairs.old[held], pairs.new[held], known, seed=seed)


def _figures(examination: Examination, pairs: int) -> dict[str, float]:
    found = examination.figures()
    named = {"recall_old": "old.recall", "recall_merged": "0.5.recall", "recall_new": "new.recall"}
    figures = {name: found[key] for name, key in named.items() if key in found}
    gain = {"relative_gain": found["relative_gain"]} if "relative_gain" in found else {}
    return figures | gain | {"pairs": float(pairs)}


def _ordered(
    task: BackfillFitTask,
    gallery: Gallery,
    items: Items,
    classes: dict[str, str] | None,
    open_encoder: Opened,
) -> Order:
    """Return the items that have an old embedding in the order in which they move."""
    ids, rows = items.ids()
    row_of = dict(zip(ids, rows, strict=True))
    known, vectors = old_vectors(gallery, row_of)
    policy, column = task.order.policy, task.order.column
    values: NDArray[Any] | None = None
    if policy in BY_COLUMN and column is not None:
        found = items.column(column)
        values = numbers((found.get(item_id) for item_id in known), column)
    elif policy == "ClassMeanDistance":
        values = orders.class_mean_distance(vectors, _labels(known, classes or {}))
    elif policy == "QueryBoundary":
        values = orders.query_boundary(_old_queries(task, gallery, open_encoder), vectors, _k(task))
    chosen = orders.order(
        policy, len(known), seed=task.compatibility.seed, values=values, ids=np.array(known, dtype=object)
    )
    placed = [known[number] for number in chosen.tolist()]
    return Order(placed, [row_of[item_id] for item_id in placed])


def _old_queries(task: BackfillFitTask, gallery: Gallery, open_encoder: Opened) -> Floats:
    encoder = old_encoder(
        task.from_.model, gallery, open_encoder, "correct spec.from.model, or take another order"
    )
    if task.probes is None:
        raise InvalidInputError("NoProbes", "order QueryBoundary needs queries; give some in probes")
    return read_queries(task.probes, encoder).vectors


def _k(task: BackfillFitTask) -> int:
    return task.probes.k if task.probes else 10

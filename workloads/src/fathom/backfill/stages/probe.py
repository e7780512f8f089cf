"""`fathom backfill probe`: queries with known answers, asked of the gallery at every percent.

Which items have moved at a percent follows from their order alone. So a percent is measured once its chunks
are there, however far the movers have come meanwhile, and a pod that comes late misses none.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fathom.backfill.compatibility import Compatibility
from fathom.backfill.metrics import negative_flip_rate
from fathom.backfill.stages.folders import Floats, Folders, Order
from fathom.backfill.stages.move import opened
from fathom.backfill.stages.pair import Opened, old_encoder
from fathom.backfill.stages.queries import Queries
from fathom.backfill.stages.queries import read as read_queries
from fathom.captioning.stopping import Stop
from fathom.progress import Reporter
from fathom.retrieval.gallery import Gallery, chunk_part
from fathom_api.backfill_tasks import BackfillProbeTask
from fathom_api.progress import Outcome, Progress

Bools = NDArray[np.bool_]
#: Kubernetes keeps 4,096 bytes of a pod's last words: they hold the end of the curve.
_LAST_WORDS = 24


def probe(
    task: BackfillProbeTask,
    open_encoder: Opened,
    report: Reporter,
    stop: Stop,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Measure every percent up to the target as it is reached.

    Raises:
        InvalidInputError: the queries cannot be used, or the gallery is for other models.
        SystemExit: the pod was told to go; what it has measured stays.
    """
    folders = Folders(task)
    gallery, order = folders.gallery(), folders.order()
    curve = folders.curve()
    probes = _probes(task, folders, gallery, order, open_encoder)
    wanted = [percent for percent in range(task.target + 1) if percent not in curve]
    report.update(_progress(curve, task.target))
    for percent in wanted:
        while not frozenset(range(order.limit(percent))) <= folders.chunks_done():
            stop.check()
            sleep(task.poll_seconds)
        curve[percent] = probes.at(order.limit(percent), task.probes.k)
        folders.save_curve(curve)
        report.update(_progress(curve, task.target))
        stop.check()
    ended = _progress({p: curve[p] for p in sorted(curve)[-_LAST_WORDS:]}, task.target)
    return Outcome(result="Succeeded", uri=f"{folders.uri}/work/probes.json", progress=ended)


def _probes(
    task: BackfillProbeTask, folders: Folders, gallery: Gallery, order: Order, open_encoder: Opened
) -> Probes:
    """Return the queries by both models: the old one's are what people have got until today."""
    old = old_encoder(task.from_.model, gallery, open_encoder, "correct from.model")
    before = read_queries(task.probes, old).vectors
    encoder = open_encoder(task.to.model)
    compatibility = opened(folders, gallery, encoder)
    return Probes(gallery, order, compatibility, read_queries(task.probes, encoder), before)


class Probes:
    """Queries asked of a gallery of which some chunks have moved."""

    def __init__(
        self,
        gallery: Gallery,
        order: Order,
        compatibility: Compatibility,
        queries: Queries,
        before: Floats,
    ) -> None:
        """Read the old vectors, later the new; `before` are the queries by the old model."""
        self._gallery, self._order = gallery, order
        rows = [gallery.read(part) for part in gallery.parts("old")]
        vectors = {i: v for part in rows for i, v in zip(part.ids.to_pylist(), part.vectors, strict=True)}
        self._position = {item_id: place for place, item_id in enumerate(order.ids)}
        raw = np.stack([vectors[item_id] for item_id in order.ids])
        old = _unit(compatibility.old_vector(raw))
        asked = _unit(before) if compatibility.needs_old_query else compatibility.old_query(queries.vectors)
        distance = 1 - asked @ old.T
        #: Scores of all items as they stand: old ones are replaced as chunks move, [queries, items].
        self._scores: Floats = (1 - compatibility.merge_distance(distance)).astype(np.float32)
        self._asked = compatibility.new_vector(queries.vectors)
        self._moved = 0
        self._relevant = self._marked(queries)
        self._old_scores = (_unit(before) @ _unit(raw).T).astype(np.float32)

    def at(self, chunks: int, k: int) -> dict[str, float]:
        """Return `recall` and `flips` with the first `chunks` moved; ask with ever more of them.

        With none moved it is what the old model alone answers. Recall is the share of each query's relevant
        items among the first `k`, of as many as `k` can hold; a flip is a query that has a relevant item
        there by the old model alone and has none now.
        """
        recall, before = self._found(self._old_scores, k)
        if chunks == 0:
            return {"recall": recall, "flips": 0.0}
        for number in range(self._moved, chunks):
            self._move(number)
        self._moved = max(self._moved, chunks)
        recall, now = self._found(self._scores, k)
        return {"recall": recall, "flips": negative_flip_rate(before, now)}

    def _move(self, number: int) -> None:
        part = chunk_part("new", number)
        rows = self._gallery.read(part)
        if not len(rows):
            return  # None of its items could be read: they stay where they are.
        places = [self._position[item_id] for item_id in rows.ids.to_pylist()]
        self._scores[:, places] = self._asked @ _unit(rows.vectors).T

    def _found(self, scores: Floats, k: int) -> tuple[float, Bools]:
        """Return recall at `k`, and for which queries anything relevant is among the first `k`."""
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        hits = np.take_along_axis(self._relevant, best, axis=1)
        there = np.minimum(self._relevant.sum(axis=1), k)
        share = hits.sum(axis=1) / np.maximum(there, 1)
        return float(share.mean()), np.asarray(hits.any(axis=1))

    def _marked(self, queries: Queries) -> Bools:
        """Return which items are relevant to which query, [queries, items]."""
        marks = np.zeros((len(queries.relevant), len(self._order.ids)), np.bool_)
        for row, ids in enumerate(queries.relevant):
            marks[row, [self._position[i] for i in ids if i in self._position]] = True
        return marks


def _unit(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(length, 1e-12)).astype(np.float32)


def _progress(curve: dict[int, dict[str, float]], target: int) -> Progress:
    metrics = {
        f"probe/{percent}/{name}": round(value, 6)
        for percent, point in sorted(curve.items())
        for name, value in point.items()
    }
    done = sum(percent <= target for percent in curve)
    return Progress(total=target + 1, done=done, metrics=metrics)

"""`fathom backfill move`: items get their new embeddings, in order, chunk by chunk, each exactly once.

A chunk's vectors are one file that appears whole (`fathom.retrieval.writing.commit`), and what became of its
items a second one, after it. Killed between the two, a pod embeds the chunk again and changes nothing: what
is committed stays.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import pyarrow as pa

from fathom.backfill.compatibility import Compatibility
from fathom.backfill.stages.embedding import Embedded, Encoder, Pace, embed, together
from fathom.backfill.stages.folders import Done, Folders, chunk_name
from fathom.backfill.stages.items import open_items
from fathom.captioning.stopping import Stop
from fathom.errors import InvalidInputError
from fathom.progress import Reporter
from fathom.retrieval import writing
from fathom.retrieval.gallery import Gallery
from fathom.retrieval.parts import Rows
from fathom_api.backfill_tasks import BackfillMoveTask
from fathom_api.progress import Outcome, Progress


@dataclass
class Tally:
    """Items of one pod."""

    total: int
    done: int = 0
    failed: int = 0
    reused: int = 0

    def count(self, items: list[Done], *, reused: bool = False) -> None:
        """Count a chunk."""
        failed = sum(item.reason is not None for item in items)
        self.failed += failed
        self.done += len(items) - failed
        self.reused += len(items) - failed if reused else 0

    def progress(self) -> Progress:
        """Return what the operator is told."""
        return Progress(
            total=self.total,
            done=self.done,
            failed=self.failed,
            reused=self.reused,
            committed_at=time.time(),
        )


def move(
    task: BackfillMoveTask,
    shard: int,
    encoder: Encoder,
    report: Reporter,
    stop: Stop,
) -> Outcome:
    """Move this pod's share of the items that are to have moved at the task's target.

    Raises:
        InvalidInputError: there is no such shard, or the gallery is for other models.
        SystemExit: the pod was told to go; what it has committed stays.
    """
    if shard >= task.parallelism:
        raise InvalidInputError("NoSuchShard", f"shard {shard} of {task.parallelism}: shards count from 0")
    folders = Folders(task)
    gallery, order = folders.gallery(), folders.order()
    compatibility = opened(folders, gallery, encoder)
    mine = range(shard, order.limit(task.target), task.parallelism)
    before = folders.chunks_done()
    tally = Tally(sum(len(order.chunk(number)[0]) for number in mine))
    for number in mine:
        if number in before:
            tally.count(folders.done(chunk_name(number)) or [], reused=True)
    report.update(tally.progress())
    items = open_items(task.gallery)
    items.ids()
    share = task.items_per_second / task.parallelism if task.items_per_second else None
    pace = Pace(share)
    for number in (number for number in mine if number not in before):
        parts = embed(encoder, items.contents(*order.chunk(number)), pace=pace, check=stop.check)
        found = together(parts, encoder.dim)
        writing.commit(gallery, number, stored(compatibility, found), encoder.digest)
        done = noted(found)
        folders.save_done(chunk_name(number), done)
        tally.count(done)
        report.update(tally.progress())
        stop.check()
    return Outcome(
        result="Succeeded", uri=folders.gallery_uri, digest=gallery.info.ids, progress=tally.progress()
    )


def opened(folders: Folders, gallery: Gallery, encoder: Encoder) -> Compatibility:
    """Return what makes both models comparable.

    Raises:
        InvalidInputError: there is none, or it or the gallery is for another model than `encoder`.
    """
    compatibility = Compatibility.load(folders.compatibility)
    compatibility.expect(gallery.info.old.model, gallery.info.new.model)
    if encoder.digest != gallery.info.new.model:
        raise InvalidInputError(
            "MixedModels",
            f"{folders.uri}: the gallery is for the model {gallery.info.new.model}, but "
            f"{gallery.info.new.encoder} is now {encoder.digest}: bring that model back, or begin a backfill "
            "to this one",
        )
    return compatibility


def stored(compatibility: Compatibility, found: Embedded, version: int = 0) -> Rows:
    """Return what the new space stores of embedded items."""
    ids = pa.array([item.id for item in found.seen], pa.string())
    vectors = compatibility.new_vector(found.vectors) if found.seen else found.vectors
    rows = Rows(ids, vectors)
    rows.versions[:] = version
    return rows


def noted(found: Embedded) -> list[Done]:
    """Return what became of the items."""
    usable = [Done(item.id, item.sha256) for item in found.seen]
    return usable + [Done(i.id, None, i.reason, i.message) for i in found.unusable]

"""`fathom backfill pair`: the old embeddings as a gallery, and a sample of items embedded by both models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from fathom.backfill.stages import old as olds
from fathom.backfill.stages.embedding import Encoder, embed
from fathom.backfill.stages.folders import Floats, Folders, Pairs
from fathom.backfill.stages.items import Items, open_items
from fathom.errors import InvalidInputError
from fathom.progress import Reporter
from fathom.retrieval.gallery import Gallery
from fathom.retrieval.parts import Rows, Space
from fathom.retrieval.writing import Import
from fathom_api.backfill_tasks import BackfillPairTask
from fathom_api.progress import Outcome, Progress

Opened = Callable[[str], Encoder]
_LEAST: Final = 32


@dataclass(frozen=True)
class _Source:
    """What both parts of this stage read: the items, the rows by id, and who is told."""

    task: BackfillPairTask
    items: Items
    rows: dict[str, int]
    report: Reporter


def pair(task: BackfillPairTask, open_encoder: Opened, report: Reporter) -> Outcome:
    """Make the gallery and the pairs, each unless it is there.

    Raises:
        InvalidInputError: items or embeddings cannot be used, or too few items have both.
    """
    folders, items, new = Folders(task), open_items(task.gallery), open_encoder(task.to.model)
    source = _Source(task, items, dict(zip(*items.ids(), strict=True)), report)
    gallery = _imported(source, folders, open_encoder, new)
    pairs = folders.pairs()
    if pairs is None:
        pairs = _paired(source, gallery, new)
        folders.save_pairs(pairs)
    return Outcome(
        result="Succeeded",
        uri=folders.gallery_uri,
        digest=gallery.info.ids,
        progress=Progress(
            total=len(pairs.ids),
            done=len(pairs.ids),
            metrics={"items": float(gallery.info.items), "pairs": float(len(pairs.ids))},
        ),
    )


def old_vectors(gallery: Gallery, wanted: Iterable[str]) -> tuple[list[str], Floats]:
    """Return ids and old vectors of the items of the gallery that are `wanted`."""
    chosen = set(wanted)
    ids: list[str] = []
    vectors: list[Floats] = []
    for part in gallery.parts("old"):
        rows = gallery.read(part)
        found = rows.ids.to_pylist()
        mask = np.fromiter((item_id in chosen for item_id in found), np.bool_, len(found))
        ids += [item_id for item_id, kept in zip(found, mask, strict=True) if kept]
        vectors.append(rows.vectors[mask])
    return ids, np.concatenate(vectors)


def _imported(source: _Source, folders: Folders, open_encoder: Opened, new: Encoder) -> Gallery:
    """Return the gallery of the old embeddings; an item that the catalogue has no more is left out."""
    try:
        return folders.gallery()
    except InvalidInputError as error:
        if error.reason != "Unfinished":
            raise
    task, rows = source.task, source.rows
    if task.from_.embeddings is None:
        encoder = open_encoder(task.from_.model)
        digest, batches = encoder.digest, _made(encoder, source)
    else:
        digest, batches = _old_digest(task, open_encoder), olds.read(task, task.from_.embeddings)
    space = Space(model=new.digest, dim=new.dim, encoder=task.to.model)
    made: Import | None = None
    for ids, vectors in batches:
        if made is None:
            old = Space(model=digest, dim=vectors.shape[1], encoder=task.from_.model)
            made = Import(folders.gallery_uri, old, space)
        mask = np.fromiter((item_id in rows for item_id in ids), np.bool_, len(ids))
        kept = pa.array([item_id for item_id, known in zip(ids, mask, strict=True) if known], pa.string())
        if len(kept):
            made.add(Rows(kept, vectors[mask]), digest)
    if made is None:
        raise InvalidInputError(
            "NoEmbeddings",
            f"{task.from_.embeddings or task.gallery.where}: no item can be embedded or read",
        )
    return made.seal()


def _old_digest(task: BackfillPairTask, open_encoder: Opened) -> str:
    """Return the digest of the model of old embeddings; it is opened only where queries need it."""
    return open_encoder(task.from_.model).digest if task.old_queries else olds.digest_of(task.from_.model)


def _made(encoder: Encoder, source: _Source) -> Iterator[tuple[list[str], Floats]]:
    """Yield ids and vectors of all items that can be read, made by the old model."""
    done = failed = 0
    ids, rows = list(source.rows), list(source.rows.values())
    for part in embed(encoder, source.items.contents(ids, rows)):
        done, failed = done + len(part.seen), failed + len(part.unusable)
        source.report.update(Progress(total=len(rows), done=done, failed=failed))
        if part.seen:
            yield [item.id for item in part.seen], part.vectors


def _paired(source: _Source, gallery: Gallery, encoder: Encoder) -> Pairs:
    """Return a sample of the gallery's items with the vectors of both models."""
    task, rows = source.task, source.rows
    every = sorted(item_id for part in gallery.parts("old") for item_id in gallery.read(part).ids.to_pylist())
    drawn = np.random.default_rng(task.seed).permutation(len(every))[: task.pairs]
    sample = [every[number] for number in sorted(drawn.tolist())]
    new: dict[str, Floats] = {}
    failed = 0
    for part in embed(encoder, source.items.contents(sample, [rows[item_id] for item_id in sample])):
        new |= {item.id: vector for item, vector in zip(part.seen, part.vectors, strict=True)}
        failed += len(part.unusable)
        source.report.update(Progress(total=len(sample), done=len(new), failed=failed))
    if len(new) < min(_LEAST, task.pairs):
        raise InvalidInputError(
            "TooFewPairs",
            f"{task.gallery.where}: of {len(sample)} items drawn only {len(new)} could be embedded by both "
            f"models, {_LEAST} are needed to learn from; correct the gallery's column, or add items",
        )
    ids, old = old_vectors(gallery, new)
    return Pairs(ids, [rows[item_id] for item_id in ids], old, np.stack([new[item_id] for item_id in ids]))


def old_encoder(model: str, gallery: Gallery, open_encoder: Opened, fix: str) -> Encoder:
    """Return the encoder of the gallery's old model; `fix` says what to do where it is another one.

    Raises:
        InvalidInputError: its vectors are not as wide as the gallery's.
    """
    encoder = open_encoder(model)
    if encoder.dim != gallery.info.old.dim:
        raise InvalidInputError(
            "WrongShape",
            f"{model} makes vectors of {encoder.dim} components, the old embeddings have "
            f"{gallery.info.old.dim}: {fix}",
        )
    return encoder

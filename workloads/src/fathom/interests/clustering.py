"""`fathom cluster`: captions and interactions in, interest clusters out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fathom import manifest, storage
from fathom.captioning.store.captions import Captions
from fathom.features import stopwords
from fathom.interests import reading
from fathom.interests.reading import identity, outcome
from fathom.progress import reporter
from fathom.serendipity import clusters, vectors
from fathom.serendipity.balanced import Shape
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.events import Events, Floats
from fathom_api.interest_tasks import ClusterTask
from fathom_api.progress import Outcome, Progress
from fathom_api.tasks import CaptionsAt


def cluster(task: ClusterTask) -> Outcome:
    """Make the clusters, unless they are there. Nothing is learned from the interactions that are held out.

    Raises:
        InvalidInputError: captions or interactions cannot be used, or there are too few items.
    """
    folder = storage.resolve(task.output)
    captions = captions_of(task.captions)
    found = reading.events(task.interactions)
    previous = reading.digest(task.previous) if task.previous else ""
    made_from = identity(task, captions=str(len(captions)), events=str(len(found)), previous=previous)
    if manifest.unchanged(folder, made_from) is None:
        with reporter() as report:
            report.update(Progress(total=3))
            early = found.time <= reading.cut(found, task.interactions.validation)
            made = _made(task, captions, found.where(early))
            report.update(Progress(total=3, done=2))
            made.write(folder, made_from)
            report.update(Progress(total=3, done=3))
    made = Clusters.read(folder)
    metrics = {"clusters": float(len(made.finest)), "churn": made.churn[-1], "items": float(len(made.items))}
    return outcome(task.output, reading.digest(task.output), done=len(made.items), **metrics)


def captions_of(at: CaptionsAt) -> dict[str, str]:
    """Return the caption of each item.

    Raises:
        InvalidInputError: they are unfinished, or there is no such aspect.
    """
    store = Captions(storage.existing(at.output), at.shards)
    found: dict[str, str] = {}
    for batch in store.batches(at.aspect):
        found.update(zip(batch.item_ids, batch.captions, strict=True))
    return dict(sorted(found.items()))


def _made(task: ClusterTask, captions: dict[str, str], early: Events) -> Clusters:
    settings = task.clusters
    items = sorted({*captions, *early.items})
    texts = [captions.get(item, "") for item in items]
    parts: dict[str, tuple[float, Floats]] = {}
    if settings.mix.captions:
        own = _embedded(settings.encoder, list(captions.values()))
        parts["captions"] = settings.mix.captions, _among(items, list(captions), own)
    if settings.mix.co_engagement:
        own = vectors.co_engagement(early, seed=settings.seed)
        parts["coEngagement"] = settings.mix.co_engagement, _among(items, early.items, own)
    shape = Shape(tuple(settings.counts), settings.balance, settings.seed)
    before = Clusters.read(storage.existing(task.previous)) if task.previous else None
    return clusters.build(items, vectors.mix(parts), texts, shape, before, stop=stopwords.of("en"))


def _embedded(encoder: str, captions: list[str]) -> Floats:
    return vectors.text_embedder(encoder, captions).embed(captions).astype(np.float32)


def _among(items: Sequence[str], some: Sequence[str], own: Floats) -> Floats:
    """Return vectors [len(items), width]: those of `some`, zeros for the others."""
    place = {item: row for row, item in enumerate(items)}
    found = np.zeros((len(items), own.shape[1]), np.float32)
    found[[place[item] for item in some]] = own
    return found

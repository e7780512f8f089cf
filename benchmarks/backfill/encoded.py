"""A gallery as an episode: two pretrained encoders of different strength, no training of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.backfill.galleries import Gallery
from benchmarks.backfill.protocol import Episode, Trial, cached
from fathom.backfill.belonging import Belonging

TRIALS: Final = ("held-out pictures",)
#: Share of the pictures that methods learn from; the others are queries and gallery.
_SAMPLE: Final = 0.5
_BATCH: Final = 32


def about(gallery: Gallery, encoders: tuple[str, str]) -> str:
    """Return what the page says of a gallery and its encoders."""
    alike = (
        " Both are one network that looks at few pixels and at many, so their spaces are alike to begin "
        "with, and vectors that are merely mixed compare quite well."
        if encoders[0].rpartition("/")[0] == encoders[1].rpartition("/")[0]
        else ""
    )
    return (
        f"{len(gallery.names):,} pictures. {gallery.about} **Old model** `{encoders[0]}`, **new model** "
        f"`{encoders[1]}`, both as they are.{alike} Methods learn from one half of the pictures, drawn anew "
        "for each seed; the other half is searched."
    )


def episode(gallery: Gallery, encoders: tuple[str, str], folder: Path, seed: int) -> Episode:
    """Return the draw of `seed`: which pictures are learned from, and which are searched."""
    old, new = (_vectors(gallery, uri, folder) for uri in encoders)
    order = np.random.default_rng([seed, 7]).permutation(len(old)).astype(np.int64)
    cut = round(len(order) * _SAMPLE)
    sample, tested = np.sort(order[:cut]), np.sort(order[cut:])
    known = _known(gallery, len(old))
    rows = np.arange(len(tested), dtype=np.int64)
    relevant = known.only(tested).between(rows, rows)
    np.fill_diagonal(relevant, val=False)
    return Episode(
        name=gallery.name,
        seed=seed,
        old=old[sample],
        new=new[sample],
        labels=_labels(known.only(sample)),
        trials={TRIALS[0]: Trial(old[tested], new[tested], relevant)},
    )


def _known(gallery: Gallery, count: int) -> Belonging:
    if gallery.labels is not None:
        return Belonging("Classes", count, classes=gallery.labels)
    assert gallery.pairs is not None, "a gallery has labels or pairs"
    both = np.concatenate([gallery.pairs, gallery.pairs[:, ::-1]])
    return Belonging("Pairs", count, links=np.unique(both[:, 0] * count + both[:, 1]))


def _labels(known: Belonging) -> NDArray[Any]:
    """Return what belongs together as `fit` takes it."""
    if known.classes is not None:
        return known.classes
    assert known.links is not None, "classes or links"
    return np.stack([known.links // known.count, known.links % known.count], axis=1)


def _vectors(gallery: Gallery, uri: str, folder: Path) -> NDArray[np.float32]:
    name = "".join(c if c.isalnum() else "-" for c in f"{gallery.name} {uri}").lower()

    def make() -> dict[str, NDArray[Any]]:
        from fathom.retrieval.encoders import open_encoder

        encoder = open_encoder(uri)
        found: list[NDArray[np.float32]] = []
        for at in range(0, len(gallery.names), _BATCH):
            rows = range(at, min(at + _BATCH, len(gallery.names)))
            found.append(encoder.pictures([gallery.open(row).convert("RGB") for row in rows]))
        return {"vectors": np.concatenate(found)}

    return cached(folder / f"{name}.npz", make)["vectors"]

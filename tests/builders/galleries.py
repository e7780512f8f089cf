"""Galleries of random vectors under two models that have nothing in common: mixing them up finds nonsense."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from fathom.backfill import closed_form, fit
from fathom.backfill.compatibility import Compatibility
from fathom.retrieval import writing
from fathom.retrieval.gallery import Gallery
from fathom.retrieval.parts import Floats, Rows, Space

OLD_MODEL, NEW_MODEL, OTHER_MODEL = (f"sha256:{letter * 64}" for letter in "abc")


def unit(vectors: Floats) -> Floats:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def vectors(count: int, dim: int, seed: int) -> Floats:
    """Return unit vectors in clusters, as embeddings are [count, dim]."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(1, count // 50), dim))
    near = centres[random.integers(len(centres), size=count)] + 0.6 * random.normal(size=(count, dim))
    return unit(near.astype(np.float32))


def names(count: int, start: int = 0) -> list[str]:
    return [f"item-{number:06d}" for number in range(start, start + count)]


def rows(ids: list[str], found: Floats, version: int = 0) -> Rows:
    return Rows(pa.array(ids, pa.string()), found, np.full(len(ids), version, np.int64))


class World:
    """A catalogue under two models, and the gallery of it."""

    def __init__(
        self, folder: Path, items: int = 500, old_dim: int = 16, new_dim: int = 24, seed: int = 1
    ) -> None:
        self.uri = str(folder)
        self.ids = names(items)
        self.old, self.new = vectors(items, old_dim, seed), vectors(items, new_dim, seed + 1)
        self.spaces = Space(model=OLD_MODEL, dim=old_dim), Space(model=NEW_MODEL, dim=new_dim)
        self.order = np.random.default_rng(seed + 2).permutation(items)

    def related(self) -> "World":
        """Have the old vectors be a projection of the new ones, so that a query transform can be exact."""
        width = self.spaces[0].dim
        axes, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(self.spaces[1].dim, width)))
        self.old = unit((self.new @ axes).astype(np.float32))
        return self

    def compatibility(self, method: str = "Procrustes") -> Compatibility:
        digests = {"from_digest": OLD_MODEL, "to_digest": NEW_MODEL}
        if method == "Forward":
            # As ForwardTransform does, without the training.
            info = fit("Procrustes", self.old, self.new, **digests).info
            brought = closed_form.low_rank_affine(self.old, self.new, 8)
            return Compatibility(info.model_copy(update={"old_query": "Unchanged"}), old_gallery=brought)
        return fit(method, self.old, self.new, np.arange(len(self.ids)) // 5, **digests)

    def imported(self) -> Gallery:
        importing = writing.Import(self.uri, *self.spaces, clock=lambda: 0.0)
        importing.add(rows(self.ids, self.old), OLD_MODEL)
        return importing.seal()

    def chunk(self, number: int, size: int) -> Rows:
        """Return the rows of one chunk of the order."""
        chosen = self.order[number * size : (number + 1) * size]
        return rows([self.ids[i] for i in chosen], self.new[chosen])

    def move(self, gallery: Gallery, chunks: range, size: int) -> None:
        for number in chunks:
            writing.commit(gallery, number, self.chunk(number, size), NEW_MODEL)

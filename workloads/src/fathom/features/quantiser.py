"""Residual quantisation: a vector as a few codes, from coarse to fine.

Each level is a k-means codebook of what the levels before left over (Chen et al., Sensors 2010; semantic ids:
Rajput et al., arXiv 2305.05065, with k-means in the place of a learned autoencoder).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from fathom.features.counting import Ints

Floats = NDArray[np.float32]
_ROUNDS: Final = 20
#: Distances worked out at once.
_CELLS: Final = 1 << 23


@dataclass(frozen=True)
class Quantiser:
    """Codebooks: float32 [codes, width] each, from coarse to fine."""

    books: list[Floats]

    @classmethod
    def learn(cls, vectors: Floats, levels: int, codes: int, seed: int = 0) -> Self:
        """Learn `levels` codebooks of at most `codes` codes from `vectors` [n, width]."""
        chance, left = np.random.default_rng(seed), vectors.astype(np.float32)
        books: list[Floats] = []
        for _ in range(levels):
            books.append(_k_means(left, codes, chance))
            left = left - books[-1][_nearest(left, books[-1])]
        return cls(books)

    def codes(self, vectors: Floats) -> Ints:
        """Return the codes [n, levels] of `vectors` [n, width]."""
        left = vectors
        found: list[Ints] = []
        for book in self.books:
            found.append(_nearest(left, book))
            left = left - book[found[-1]]
        return np.stack(found, axis=1)


def _k_means(vectors: Floats, codes: int, chance: np.random.Generator) -> Floats:
    """Return at most `codes` centres, as many as there are different vectors."""
    different = np.unique(vectors, axis=0)
    if len(different) <= codes:
        return different
    book = different[np.sort(chance.choice(len(different), codes, replace=False))]
    before: Ints | None = None
    for _ in range(_ROUNDS):
        own = _nearest(vectors, book)
        if before is not None and (own == before).all():
            break
        before = own
        sizes = np.bincount(own, minlength=codes)
        order = np.argsort(own, kind="stable")
        used = np.flatnonzero(sizes)
        starts = (np.cumsum(sizes) - sizes)[used]
        book = book.copy()
        book[used] = np.add.reduceat(vectors[order], starts) / sizes[used, None]
        if len(empty := np.flatnonzero(sizes == 0)):
            # A code nobody has moves to what is described worst.
            far = np.argsort(-((vectors - book[own]) ** 2).sum(axis=1), kind="stable")
            book[empty] = vectors[far[: len(empty)]]
    return book


def _nearest(vectors: Floats, book: Floats) -> Ints:
    lengths, step = (book**2).sum(axis=1), max(_CELLS // len(book), 1)
    parts = [
        np.argmin(lengths - 2 * (vectors[at : at + step] @ book.T), axis=1)
        for at in range(0, len(vectors), step)
    ]
    return np.concatenate([np.empty(0, np.int64), *parts])

"""Vectors of one space in lists, as a snapshot: what it holds never changes, the next one shares most of it.

An inverted file (Jégou, Douze and Schmid 2011, https://doi.org/10.1109/TPAMI.2010.57, with exact distances):
each vector is in the list of its nearest centroid, and a query looks into the lists of its nearest centroids.
Without centroids vectors are in lists as they came, all of which are looked into.

faiss trains the centroids, but does not hold the vectors. Its lists keep the memory of what was removed and
cannot be searched while they change; here half of the vectors move from one space to another and each is in
memory once.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fathom.retrieval.parts import Floats

Items: TypeAlias = NDArray[np.int32]
#: From this size on, memory comes straight from the kernel and goes back to it, page by page.
_MAPPED: Final = 1 << 16
_GROWTH: Final = 1.5
_LEAST_ROWS: Final = 32


@dataclass(frozen=True)
class Block:
    """One list: the first `rows` of its buffers. What is appended goes where no older snapshot looks."""

    vectors: Floats
    items: Items
    rows: int

    @staticmethod
    def empty(dim: int, capacity: int = 0) -> Block:
        """Return a list with room for `capacity` vectors of `dim` components."""
        return Block(allocated(capacity, dim), np.empty(capacity, np.int32), 0)

    def appended(self, vectors: Floats, items: Items) -> Block:
        """Return this list with more vectors. Only ever called on the latest of a list's blocks."""
        rows = self.rows + len(items)
        block = self if rows <= len(self.items) else self._larger(rows)
        block.vectors[self.rows : rows] = vectors
        block.items[self.rows : rows] = items
        return Block(block.vectors, block.items, rows)

    def without(self, items: Items) -> Block:
        """Return this list without `items`, in memory of its own: what it no longer needs is given back."""
        kept = np.flatnonzero(~np.isin(self.items[: self.rows], items))
        block = Block.empty(self.vectors.shape[1], len(kept))
        np.take(self.vectors, kept, axis=0, out=block.vectors)
        np.take(self.items, kept, out=block.items)
        return Block(block.vectors, block.items, len(kept))

    def _larger(self, rows: int) -> Block:
        # Pages that nothing has been written to cost nothing.
        block = Block.empty(self.vectors.shape[1], max(_LEAST_ROWS, int(rows * _GROWTH)))
        block.vectors[: self.rows] = self.vectors[: self.rows]
        block.items[: self.rows] = self.items[: self.rows]
        return block


@dataclass(frozen=True)
class Partition:
    """The lists of one space.

    Attributes:
        dim: components of a vector.
        centroids: unit vectors, one for each list, float32 [lists, dim]; None where all lists are looked
        into.
        blocks: the lists.
    """

    dim: int
    centroids: Floats | None
    blocks: tuple[Block, ...]

    @cached_property
    def rows(self) -> int:
        """How many vectors there are."""
        return sum(block.rows for block in self.blocks)

    def search(self, query: Floats, k: int, probes: int) -> tuple[Items, Floats]:
        """Return items and inner products [≤ about k] of `query` [dim], in no order.

        All that score like the k-th are among them, so that the caller can break ties.
        """
        blocks = self._probed(query, probes)
        total = sum(block.rows for block in blocks)
        scores = np.empty(total, np.float32)
        starts = np.zeros(len(blocks) + 1, np.int64)
        start = 0
        compare = _numpy if self.centroids is None else _faiss
        for number, block in enumerate(blocks, 1):
            stop = start + block.rows
            compare(block.vectors[: block.rows], query, scores[start:stop])
            starts[number] = start = stop
        best = top(scores, k)
        where = np.searchsorted(starts, best, side="right") - 1
        items = [blocks[b].items[row] for b, row in zip(where, best - starts[where], strict=True)]
        return np.array(items, np.int32), scores[best]

    def assigned(self, vectors: Floats) -> NDArray[np.int64]:
        """Return the list that each of `vectors` [n, dim] belongs to; only with centroids."""
        if self.centroids is None:
            raise ValueError("lists without centroids are filled in order")
        return nearest(vectors, self.centroids)

    def _probed(self, query: Floats, probes: int) -> list[Block]:
        if self.centroids is None or probes >= len(self.blocks):
            return [block for block in self.blocks if block.rows]
        near = self.centroids @ query
        return [self.blocks[i] for i in np.argpartition(near, -probes)[-probes:] if self.blocks[i].rows]


def _numpy(vectors: Floats, query: Floats, out: Floats) -> None:
    """Write the inner products of `query` [d] with `vectors` [n, d] to `out` [n]."""
    np.dot(vectors, query, out=out)


def _faiss(vectors: Floats, query: Floats, out: Floats) -> None:
    """Do the same with the loop that faiss compares with; it trained the centroids, so it is there.

    Where memory is the limit it takes three quarters of the time of OpenBLAS.
    """
    import faiss

    library: Any = faiss
    at = library.swig_ptr
    library.fvec_inner_products_ny(at(out), at(query), at(vectors), vectors.shape[1], len(vectors))


def top(scores: Floats, k: int) -> NDArray[np.int64]:
    """Return where the `k` highest are, and all that equal the lowest of these, in no order."""
    if k >= len(scores):
        return np.arange(len(scores))
    bound = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero(scores >= bound)


def nearest(vectors: Floats, centroids: Floats) -> NDArray[np.int64]:
    """Return the centroid with the largest inner product for each of `vectors` [n]."""
    found = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), 4096):
        part = slice(start, start + 4096)
        found[part] = (vectors[part] @ centroids.T).argmax(axis=1)
    return found


def allocated(rows: int, dim: int) -> Floats:
    """Return room for float32 [rows, dim]."""
    size = 4 * rows * dim
    if size < _MAPPED:
        return np.empty((rows, dim), np.float32)
    return np.frombuffer(mmap.mmap(-1, size), np.float32).reshape(rows, dim)

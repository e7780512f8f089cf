"""Balanced hierarchical k-means: a tree of clusters, none of which is much larger or smaller than others."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sklearn.cluster import KMeans

from fathom.errors import InvalidInputError
from fathom.serendipity.events import Floats, Ints

_ROUNDS: Final = 10
_STARTS: Final = 3
#: Distances held at once.
_CELLS: Final = 1 << 24


@dataclass(frozen=True)
class Shape:
    """The tree that is asked for.

    Attributes:
        counts: clusters on each level, from coarse to fine: (8, 60).
        balance: no cluster holds more than `balance` times the mean of its level, nor less than the mean
            divided by it.
        seed: of k-means.
    """

    counts: tuple[int, ...]
    balance: float = 3.0
    seed: int = 0

    def bounds(self, items: int, level: int) -> tuple[int, int]:
        """Return the least and most of `items` items that a cluster of `level` may hold."""
        mean = items / self.counts[level]
        return max(1, math.floor(mean / self.balance)), math.ceil(mean * self.balance)

    def check(self, items: int) -> None:
        """Refuse a tree that `items` items cannot fill.

        Raises:
            InvalidInputError: says which number is wrong.
        """
        counts = self.counts
        if not counts or counts[0] < 1 or any(b <= a for a, b in itertools.pairwise(counts)):
            raise InvalidInputError(
                "BadClusters", f"clusters on each level must be growing numbers of 1 or more, not {counts}"
            )
        if self.balance < 1.5:
            raise InvalidInputError(
                "BadClusters", f"balance must be 1.5 or more, {self.balance} leaves k-means no choice"
            )
        if items < 2 * counts[-1]:
            raise InvalidInputError(
                "TooFewItems",
                f"{items} items with vectors are too few for {counts[-1]} clusters: ask for {items // 2} "
                "at most",
            )


def grow(vectors: Floats, shape: Shape) -> Ints:
    """Return the path [n, levels] of each of `vectors` [n, width]: its cluster on each level, from 0.

    Each level divides the clusters of the one above; a cluster is given children by its size.

    Raises:
        InvalidInputError: there are fewer items than the tree needs.
    """
    shape.check(len(vectors))
    path = np.zeros((len(vectors), len(shape.counts)), np.int64)
    parents = np.zeros(len(vectors), np.int64)
    for level, count in enumerate(shape.counts):
        low, high = shape.bounds(len(vectors), level)
        sizes = np.bincount(parents)
        first = 0
        for parent, children in enumerate(_children(sizes, count, low, high)):
            rows = np.flatnonzero(parents == parent)
            path[rows, level] = first + divide(vectors[rows], int(children), low, high, shape.seed)
            first += int(children)
        parents = path[:, level]
    return path


def divide(vectors: Floats, count: int, low: int, high: int, seed: int = 0) -> Ints:
    """Return one of `count` clusters for each of `vectors` [n, width]; each gets `low` to `high` of them.

    k-means (the best of a few starts), then rounds of assignment under the bounds, each from the means of the
    round before.
    """
    if count == 1:
        return np.zeros(len(vectors), np.int64)
    # scikit-learn says less of its types than it takes.
    k_means: Any = KMeans
    start = k_means(count, n_init=_STARTS, random_state=seed).fit(vectors)
    own, centres = start.labels_.astype(np.int64), start.cluster_centers_.astype(np.float32)
    for _ in range(_ROUNDS):
        sizes = np.bincount(own, minlength=count)
        if low <= sizes.min() and sizes.max() <= high:
            break
        own = _fill(vectors, centres, _accept(vectors, centres, high), low)
        centres = np.stack([vectors[own == c].mean(axis=0) for c in range(count)])
    return own


def _children(sizes: Ints, count: int, low: int, high: int) -> Ints:
    """Return how many of `count` clusters each parent gets: by its size, so that all can keep the bounds."""
    least, most = -(-sizes // high), np.maximum(sizes // low, 1)
    if least.sum() > count or most.sum() < count:
        raise InvalidInputError(
            "BadClusters",
            f"{count} clusters of {low} to {high} items do not fit below the level above: raise balance",
        )
    share = sizes * count / sizes.sum()
    given = np.clip(np.floor(share).astype(np.int64), least, most)
    while (left := count - int(given.sum())) != 0:
        step = 1 if left > 0 else -1
        free = given < most if step > 0 else given > least
        want = np.where(free, step * (share - given), -np.inf)
        given[int(np.argmax(want))] += step
    return given


def _accept(vectors: Floats, centres: Floats, high: int) -> Ints:
    """Return the cluster of each vector when none takes more than `high`: deferred acceptance.

    Each vector asks its nearest cluster that has not refused it; a cluster keeps the nearest of those that
    ask (Gale & Shapley 1962). Nobody is left who would be nearer elsewhere and welcome there.
    """
    count = len(centres)
    order, distances = _preferences(vectors, centres)
    asked, own = np.zeros(len(vectors), np.int64), order[:, 0].copy()
    while True:
        sizes = np.bincount(own, minlength=count)
        crowded = np.flatnonzero(sizes > high)
        if not len(crowded):
            return own
        for cluster in crowded:
            rows = np.flatnonzero(own == cluster)
            refused = rows[np.argsort(distances[rows, cluster], kind="stable")[high:]]
            asked[refused] += 1
            own[refused] = order[refused, asked[refused]]


def _fill(vectors: Floats, centres: Floats, own: Ints, low: int) -> Ints:
    """Return `own` with each cluster filled up to `low` by those whom moving costs least."""
    own = own.copy()
    _, distances = _preferences(vectors, centres)
    sizes = np.bincount(own, minlength=len(centres))
    for cluster in np.flatnonzero(sizes < low):
        cost = distances[:, cluster] - distances[np.arange(len(own)), own]
        for row in np.argsort(cost, kind="stable"):
            if sizes[cluster] >= low:
                break
            if own[row] != cluster and sizes[own[row]] > low:
                sizes[own[row]] -= 1
                sizes[cluster] += 1
                own[row] = cluster
    return own


def _preferences(vectors: Floats, centres: Floats) -> tuple[Ints, Floats]:
    """Return the clusters [n, count] from near to far and the squared distances to each, up to a constant."""
    lengths = (centres**2).sum(axis=1)
    step = max(_CELLS // len(centres), 1)
    parts = [lengths - 2 * (vectors[at : at + step] @ centres.T) for at in range(0, len(vectors), step)]
    distances = np.concatenate(parts)
    return np.argsort(distances, axis=1, kind="stable"), distances

"""What a planner is compared with. Each scores all clusters for a user; clusters that were met are left out.

A scorer takes a user's clusters in the order in which they were met and returns one score for each cluster,
float [k]. All are fitted on journeys of the same training events.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fathom.serendipity.events import Floats, Ints
from fathom.serendipity.table import NONE, Table
from fathom.serendipity.transitions import Journeys
from fathom.serendipity.vectors import unit

Scores = NDArray[np.float64]
Scorer = Callable[[Ints], Scores]


def recommend(scorer: Scorer, met: Ints, most: int) -> Ints:
    """Return the `most` best clusters that were not met; fewer where all others are."""
    scores = scorer(met).astype(np.float64).copy()
    scores[met] = -np.inf
    best = np.argsort(-scores, kind="stable")[:most]
    return best[np.isfinite(scores[best])]


def random(count: int, seed: int = 0) -> Scorer:
    """Return a scorer by chance."""
    chance = np.random.default_rng(seed)
    return lambda met: chance.random(count)


def popular(found: Journeys, count: int) -> Scorer:
    """Return a scorer by how many users have met a cluster."""
    often = np.bincount(found.cluster, minlength=count).astype(np.float64)
    return lambda met: often


def markov(found: Journeys, count: int, order: int, backoff: bool = True) -> Scorer:
    """Return a scorer by what followed a user's last `order` (1 or 2) clusters.

    Where such a context was never seen, and as a tie-breaker, it falls back on the order below and last on
    popularity, unless `backoff` is False.
    """
    after, rest = _followed(found, count), _popularity(found, count)
    triples: dict[tuple[int, int], Scores] = {}
    if order == 2:
        for user in range(len(found.users)):
            own = found.of(user).tolist()
            for a, b, c in zip(own[:-2], own[1:-1], own[2:], strict=True):
                triples.setdefault((a, b), np.zeros(count))[c] += 1
    weak = 1e-3 if backoff else 0.0

    def score(met: Ints) -> Scores:
        if not len(met):
            return rest
        first = after[met[-1]] + weak * rest
        if order == 1 or len(met) < 2:
            return first
        second = triples.get((int(met[-2]), int(met[-1])))
        return weak * first if second is None else second + weak * first

    return score


def markov_mixture(found: Journeys, count: int, recent: int, weak: float = 30.0) -> Scorer:
    """Return a scorer by the mean, over a user's `recent` latest clusters, of what followed each.

    A mixture transition distribution (Raftery, JRSS B 1985) of equal weights: in which order the latest were
    met says nothing. Each distribution is drawn to popularity as if by `weak` transitions.
    """
    after, popularity = _followed(found, count), _popularity(found, count)
    after = (after + weak * popularity) / (after.sum(axis=1, keepdims=True) + weak)
    return lambda met: after[met[-recent:]].mean(axis=0) if len(met) else popularity


def ease(found: Journeys, count: int, penalty: float = 100.0) -> Scorer:
    """Return EASE over clusters: the whole history, in closed form (Steck, WWW 2019, equation 8)."""
    matrix = _matrix(found, count)
    weights = ease_weights(matrix, penalty)
    return lambda met: weights[met].sum(axis=0)


def ease_weights(matrix: NDArray[np.floating], penalty: float) -> Scores:
    """Return EASE's item-item weights [n, n] of a users × items `matrix`; the diagonal is 0."""
    gram = matrix.T @ matrix + penalty * np.eye(matrix.shape[1])
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def neighbours(centres: Floats) -> Scorer:
    """Return a scorer by the mean cosine of clusters' centres [k, width] with those that were met."""
    likeness = (unit(centres) @ unit(centres).T).astype(np.float64)
    return lambda met: likeness[met].mean(axis=0) if len(met) else np.zeros(len(centres))


def table_scorer(of: Table, recent: int | None = None) -> Scorer:
    """Return a scorer by a table: the mean over ordered pairs of the `recent` latest clusters, all if None.

    `recent` 2 asks for one pair alone, in the order in which it was met.
    """
    count = len(of.ids)

    def score(met: Ints) -> Scores:
        last = met if recent is None else met[-recent:]
        if not len(last):
            return np.zeros(count)
        places = np.arange(len(last))
        earlier, later = (grid.ravel() for grid in np.meshgrid(places, places, indexing="ij"))
        kept = (earlier < later) if recent == 2 else (earlier != later)
        pairs = (last[earlier[kept]], last[later[kept]]) if len(last) > 1 else (last, last)
        targets, scores = of.lookup(*pairs)
        flat = np.where(targets == NONE, 0, targets).ravel()
        return np.bincount(flat, scores.ravel(), count) / max(len(pairs[0]), 1)

    return score


def mmr(scores: Scores, vectors: Floats, size: int, trade: float, pool: int = 100) -> Ints:
    """Return `size` items by maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998).

    Args:
        scores: [n], the higher the better; -inf of those that are not shown.
        vectors: [n, width] of length 1.
        size: items wanted.
        trade: 1 is relevance alone, 0 difference from what was chosen alone.
        pool: only the best-scored so many are looked at.
    """
    best = np.argsort(-scores, kind="stable")[:pool]
    best = best[np.isfinite(scores[best])]
    own = scores[best]
    spread = own.max() - own.min() if len(own) else 0.0
    relevance = (own - own.min()) / spread if spread > 0 else np.ones(len(own))
    likeness = vectors[best] @ vectors[best].T
    nearest, chosen = np.full(len(best), 0.0), list[int]()
    for _ in range(min(size, len(best))):
        gain = trade * relevance - (1 - trade) * nearest
        gain[chosen] = -np.inf
        chosen.append(int(np.argmax(gain)))
        nearest = np.maximum(nearest, likeness[chosen[-1]])
    return best[chosen]


def _followed(found: Journeys, count: int) -> Scores:
    """Return [k, k] how often a cluster, by column, was met right after another, by row."""
    after = np.zeros((count, count))
    for user in range(len(found.users)):
        own = found.of(user)
        np.add.at(after, (own[:-1], own[1:]), 1)
    return after


def _popularity(found: Journeys, count: int) -> Scores:
    """Return [k] the share of each cluster in what was met."""
    often = np.bincount(found.cluster, minlength=count).astype(np.float64)
    return often / max(often.sum(), 1)


def _matrix(found: Journeys, count: int) -> Scores:
    matrix = np.zeros((len(found.users), count))
    matrix[np.repeat(np.arange(len(found.users)), np.diff(found.starts)), found.cluster] = 1
    return matrix

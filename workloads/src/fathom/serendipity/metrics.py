"""How well users are led to what they have not met. All means are over users or lists, as each says."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fathom.serendipity.events import Floats, Ints

Figures = NDArray[np.float64]


def exact_match(outputs: Sequence[str], names: Collection[str]) -> float:
    """Return the share of a planner's `outputs` that are one of `names`, verbatim (arXiv 2510.20260)."""
    return sum(output in names for output in outputs) / len(outputs) if outputs else float("nan")


def hit_at(targets: Sequence[Ints], future: Sequence[Ints]) -> Figures:
    """Return for each user 1 if any target is a cluster met in future, else 0; NaN without future."""
    pairs = zip(targets, future, strict=True)
    return np.array([float(np.isin(t, f).any()) if len(f) else np.nan for t, f in pairs])


def novel_recall_at(targets: Sequence[Ints], past: Sequence[Ints], future: Sequence[Ints]) -> Figures:
    """Return |T ∩ (F \\ C)| / |F \\ C| for each user; NaN where the future holds nothing new.

    T: targets, C: clusters met, F: clusters met in future.
    """
    found: list[float] = []
    for t, c, f in zip(targets, past, future, strict=True):
        new = np.setdiff1d(f, c)
        found.append(len(np.intersect1d(t, new)) / len(new) if len(new) else np.nan)
    return np.array(found)


def novelty_rate(targets: Sequence[Ints], past: Sequence[Ints]) -> Figures:
    """Return the share of each user's targets that the user has not met; NaN without targets."""
    pairs = zip(targets, past, strict=True)
    return np.array([float((~np.isin(t, c)).mean()) if len(t) else np.nan for t, c in pairs])


def cluster_serendipity_at(  # noqa: PLR0917 (what a list is judged by)
    items: Ints, own: Ints, past: Ints, relevant: Ints, k: int, popularity: Floats | None = None
) -> float:
    """Return (1/k) Σ 1[cluster of i was not met] · 1[i is relevant] over the first k of a user's list.

    With `popularity` [n], the share of items less popular than each, a hit counts 1 - popularity.
    """
    shown = items[:k]
    gain = ~np.isin(own[shown], past) & np.isin(shown, relevant)
    weight = 1.0 if popularity is None else 1.0 - popularity[shown]
    return float((gain * weight).sum() / k)


def auralist_serendipity(items: Ints, history: Ints, relevant: Ints, vectors: Floats) -> float:
    """Return the mean of (1 - mean cosine with the history) · relevance over a user's list.

    Zhang et al., Auralist, WSDM 2012, as `recommenders` has it with item features.
    """
    gain = np.isin(items, relevant).astype(np.float64)
    return float((_unexpected(items, history, vectors) * gain).mean())


def unexpectedness(items: Ints, history: Ints, vectors: Floats) -> float:
    """Return 1 - the mean cosine of a user's list with the history (Zhang et al. 2012)."""
    return float(_unexpected(items, history, vectors).mean())


def rectools_serendipity_at(items: Ints, relevant: Ints, popularity_rank: Ints, k: int) -> float:
    """Return (1/k) Σ max(p(i) - p_u(i), 0) · rel(i), RecTools' serendipity, of a user's list.

    p(i) = (n + 1 - rank) / n by the place in the list, p_u(i) likewise by `popularity_rank` [n], see
    `popularity_ranks`.
    """
    n = len(popularity_rank)
    shown = items[:k]
    by_list = (n - np.arange(len(shown))) / n
    by_popularity = (n + 1 - popularity_rank[shown]) / n
    gain = np.maximum(by_list - by_popularity, 0) * np.isin(shown, relevant)
    return float(gain.sum() / k)


def popularity_ranks(counts: Ints) -> Ints:
    """Return the popularity rank [n] of items by their `counts` [n]: 1 for the most popular, the same for the
    same count; n + 1 for an item without any, so that its p_u is 0 (RecTools' ranks).
    """
    _, place = np.unique(-counts, return_inverse=True)
    return np.where(counts > 0, place.ravel() + 1, len(counts) + 1)


def miuf(items: Ints, counts: Ints, users: int, k: int) -> float:
    """Return the mean inverse user frequency of the first k, bits: mean of -log2(users who had i / users)."""
    return float(-np.log2(np.maximum(counts[items[:k]], 1) / users).mean())


def novelty(lists: Sequence[Ints], counts: Ints) -> float:
    """Return the mean of -log2(count of i / all counts) over all lists' items (Castells et al. 2011)."""
    shown = np.concatenate(list(lists))
    return float(-np.log2(counts[shown] / counts.sum()).mean())


def intra_list_diversity(items: Ints, vectors: Floats) -> float:
    """Return the mean cosine distance of all pairs of a user's list; NaN for fewer than two."""
    if len(items) < 2:
        return float("nan")
    own = vectors[items]
    upper = np.triu_indices(len(items), 1)
    return float(1 - (own @ own.T)[upper].mean())


def coverage(lists: Sequence[Ints], count: int) -> float:
    """Return the share of `count` items or clusters that are in any list."""
    return len(np.unique(np.concatenate(list(lists)))) / count if len(lists) else 0.0


def gini(counts: NDArray[np.integer]) -> float:
    """Return the Gini index of how often each thing is shown: 0 if all alike, towards 1 if one has all."""
    ordered = np.sort(counts.astype(np.float64))
    n, total = len(ordered), ordered.sum()
    if not total:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))


def entropy(counts: NDArray[np.integer]) -> float:
    """Return the entropy of how often each thing is shown, bits."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum())


def uci_at(clusters: Mapping[str, Ints], n: int) -> int:
    """Return how many users consumed from n different clusters or more (UCI@N, arXiv 2405.16363)."""
    return sum(len(np.unique(own)) >= n for own in clusters.values())


def ndcg_at(items: Ints, relevant: Ints, k: int) -> float:
    """Return the normalised discounted cumulative gain of a user's list; NaN where nothing is relevant."""
    if not len(relevant):
        return float("nan")
    gains = np.isin(items[:k], relevant) / np.log2(np.arange(2, len(items[:k]) + 2))
    ideal = (1 / np.log2(np.arange(2, min(len(relevant), k) + 2))).sum()
    return float(gains.sum() / ideal)


def _unexpected(items: Ints, history: Ints, vectors: Floats) -> Figures:
    mean = vectors[history].mean(axis=0) if len(history) else np.zeros(vectors.shape[1])
    return 1 - (vectors[items] @ mean).astype(np.float64)

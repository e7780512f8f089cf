"""In which order items move: what moves early gains longest."""

from __future__ import annotations

import heapq
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from fathom.backfill.arrays import Floats, Ints, vectors
from fathom.backfill.metrics import ranked
from fathom.errors import InvalidInputError

Policy = Literal[
    "Random", "Age", "Popularity", "QueryFrequency", "Uncertainty", "ClassMeanDistance", "QueryBoundary"
]
#: Of a query's nearest items, those around its k-th place are the ones a move can bring in or push out.
_AROUND: Final = 2


def order(
    policy: Policy,
    n: int,
    *,
    seed: int = 0,
    values: NDArray[Any] | None = None,
    ids: NDArray[Any] | None = None,
) -> Ints:
    """Return the rows 0 … n − 1 in the order in which they move, int64 [n].

    Args:
        policy: `Random`; `Age`: the newest first; `Popularity`, `QueryFrequency`, `Uncertainty`,
            `ClassMeanDistance` and `QueryBoundary`: the largest value first.
        n: items.
        seed: of `Random`.
        values: one number (or moment) for each item, [n]: when it was added, how often it was looked at or
            found, or what `uncertainty`, `class_mean_distance` and `query_boundary` return. A missing one
            (NaN, NaT) moves last.
        ids: of the items, [n]; ties are in their order. None: in the order of rows.

    Raises:
        InvalidInputError: the policy is unknown, or has no values of the right number.
    """
    if policy not in Policy.__args__:
        raise InvalidInputError(
            "UnknownOrder", f"{policy}: no such order; there are {', '.join(Policy.__args__)}"
        )
    if ids is not None and len(ids) != n:
        raise InvalidInputError("InvalidOrder", f"{len(ids)} ids for {n} items: give one for each")
    ties = np.arange(n) if ids is None else np.argsort(np.argsort(ids, kind="stable"), kind="stable")
    if policy == "Random":
        # By id, so that the same items move first however the table is sorted.
        places = np.argsort(ties, kind="stable")
        return places[np.random.default_rng(seed).permutation(n)].astype(np.int64)
    if values is None or len(values) != n:
        given = "none" if values is None else str(len(values))
        raise InvalidInputError(
            "InvalidOrder", f"order {policy} needs a value for each of {n} items, got {given}"
        )
    numbers = _numbers(values)
    return np.lexsort((ties, -numbers)).astype(np.int64)


def class_mean_distance(old: NDArray[np.floating], labels: Ints) -> Floats:
    """Return each item's cosine distance to the mean old vector of its class, float32 [n].

    Farthest first is the order of λ-orthogonality regularisation (arXiv 2509.16664): what the old model
    places badly gains most.

    Args:
        old: [n, d].
        labels: int64 [n]; clusters where there are no classes. Negative: unknown, distance NaN.
    """
    own = vectors("old", old)
    _, numbers = np.unique(labels, return_inverse=True)
    sums = np.zeros((int(numbers.max()) + 1, own.shape[1]), np.float64)
    np.add.at(sums, numbers, own)
    means = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    distance = 1 - (own * means[numbers]).sum(axis=1)
    return np.where(labels < 0, np.nan, distance).astype(np.float32)


def query_boundary(queries: NDArray[np.floating], gallery: NDArray[np.floating], k: int = 10) -> Floats:
    """Return how soon each item should move to serve as many queries as possible early, float32 [n].

    An item within the first 2k of a query can enter its top k, or leave it, when it moves; one far down
    hardly can. Items are taken greedily: each next one is that which most queries have at their boundary, and
    a query counts half as much for each item it has already got (coverage with diminishing returns; our own
    proposal, no paper has it). The earlier taken the larger the value; what no query sees has 0.

    Args:
        queries: by the old model, [q, d].
        gallery: by the old model, [n, d].
        k: how many items a query shows.
    """
    asked, items = vectors("queries", queries), vectors("gallery", gallery)
    near = min(_AROUND * k, len(items))
    seen: dict[int, list[int]] = {}
    for at in range(0, len(asked), 256):
        scores = asked[at : at + 256] @ items.T
        for row, found in enumerate(ranked(scores)[:, :near]):
            for item in found.tolist():
                seen.setdefault(item, []).append(at + row)
    weights = np.ones(len(asked))
    heap = [(-float(len(own)), item) for item, own in seen.items()]
    heapq.heapify(heap)
    values = np.zeros(len(items), np.float32)
    left = len(heap)
    while heap:
        stale, item = heapq.heappop(heap)
        now = -float(weights[seen[item]].sum())
        if now > stale + 1e-12:
            # Its queries have been served since: it may no longer be the best.
            heapq.heappush(heap, (now, item))
            continue
        values[item] = left
        left -= 1
        weights[seen[item]] /= 2
    return values


def _numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    if np.issubdtype(values.dtype, np.datetime64):
        moments = values.astype("datetime64[ns]")
        numbers = moments.astype(np.int64).astype(np.float64)
        numbers[np.isnat(moments)] = -np.inf
        return numbers
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            "InvalidOrder", f"the order's values are no numbers or moments: {error}"
        ) from error
    return np.where(np.isnan(numbers), -np.inf, numbers)

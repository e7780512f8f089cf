"""How good a search is, query by query, and what becomes of it while a gallery moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fathom.backfill.arrays import Bools, Floats, Ints

Doubles = NDArray[np.float64]


def hits(scores: Floats, relevant: Bools) -> Bools:
    """Return, for each query, whether its items are relevant, best score first; ties in the order of items.

    Args:
        scores: float32 [queries, items], higher is nearer; −inf: not in this query's gallery.
        relevant: bool [queries, items], false where the score is −inf.
    """
    return np.take_along_axis(relevant, ranked(scores), axis=1)


def ranked(scores: Floats) -> Ints:
    """Return each query's items, best score first and ties in their order, int64 [queries, items].

    A stable argsort, done as a sort of whole numbers (score, item): several times as fast.
    """
    # −0 and 0 are equal, their bits are not.
    bits = (np.negative(scores, dtype=np.float32) + np.float32(0)).view(np.int32)
    rising = (bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))).astype(np.int64)
    keys = (rising << 32) | np.arange(scores.shape[1], dtype=np.int64)
    keys.sort(axis=1)
    return keys & np.int64(0xFFFFFFFF)


def average_precision(found: Bools) -> Doubles:
    """Return AP of each query, [queries]: the mean over its relevant items of the precision at their rank.

    Args:
        found: from `hits`; a query without a relevant item has NaN.
    """
    totals = found.sum(axis=1)
    precision = np.cumsum(found, axis=1) / np.arange(1, found.shape[1] + 1)
    return _share((precision * found).sum(axis=1), totals)


def cmc(found: Bools, k: int) -> Doubles:
    """Return whether each query finds a relevant item among its first `k`, as 1 or 0, [queries]."""
    within = found[:, :k].sum(axis=1) > 0
    return _share(within, found.sum(axis=1) > 0)


def recall(found: Bools, k: int) -> Doubles:
    """Return the share of each query's relevant items among its first `k`, [queries].

    Of as many as `k` can hold, where more are relevant.
    """
    return _share(found[:, :k].sum(axis=1), np.minimum(found.sum(axis=1), k))


def area(betas: Sequence[float], values: Sequence[float]) -> float:
    """Return the mean of a curve over β, by the trapezoid rule: E over β ~ U[0, 1] of the metric."""
    return float(np.trapezoid(values, betas) / (betas[-1] - betas[0]))


def relative_gain(mean: float, old: float, new: float) -> float:
    """Return which share of what the new model gains is there on average while the gallery moves.

    0: as if the old model answered all the time; 1: as if the new one did. NaN where both are as good.
    """
    return (mean - old) / (new - old) if new != old else float("nan")


def negative_flip_rate(before: Bools, after: Bools) -> float:
    """Return the share of all queries that were right `before` and are wrong `after`, both [queries]."""
    return float((before & ~after).mean())


def largest_drop(values: Sequence[float]) -> float:
    """Return max over β' < β of M(β') − M(β), 0 for a curve that never falls."""
    best = np.maximum.accumulate(np.asarray(values, np.float64))
    return float((best - values).max())


def _share(part: NDArray[Any], whole: NDArray[Any]) -> Doubles:
    of = np.asarray(whole, np.float64)
    return np.divide(np.asarray(part, np.float64), of, out=np.full(len(of), np.nan), where=of > 0)

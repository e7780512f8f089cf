"""Metrics of predicted probabilities against labels of 0 and 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
#: Probabilities are kept this far from 0 and 1, where the log loss is infinite.
EPSILON = 1e-7


def auc(labels: Array, scores: Array, weights: Array | None = None) -> float:
    """Return the area under the ROC curve: P(positive scored above negative), ties counted half.

    Args:
        labels: [n] 0 or 1.
        scores: [n], more is more likely.
        weights: [n] how often each row counts; once if None.

    Returns:
        NaN where one of the classes is missing.
    """
    return float(PreparedAUC(labels, scores)(np.ones(len(labels)) if weights is None else weights))


class PreparedAUC:
    """AUC of the same scores under many weightings: sorted once, linear each time (for the bootstrap)."""

    def __init__(self, labels: Array, scores: Array) -> None:
        self._order = np.argsort(scores, kind="stable")
        ranked = np.asarray(scores)[self._order]
        self._starts = (
            np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]])) if len(ranked) else []
        )
        self._positive = np.asarray(labels)[self._order] > 0

    def __call__(self, weights: Array) -> float:
        """Return the AUC with each row counted `weights` [n] times; NaN where a class is missing."""
        if not len(self._order):
            return float("nan")
        ranked = np.asarray(weights, np.float64)[self._order]
        positives = np.add.reduceat(np.where(self._positive, ranked, 0.0), self._starts)
        negatives = np.add.reduceat(np.where(self._positive, 0.0, ranked), self._starts)
        pairs = positives.sum() * negatives.sum()
        below = np.cumsum(negatives) - negatives
        return float((positives * (below + negatives / 2)).sum() / pairs) if pairs else float("nan")


def gauc(labels: Array, scores: Array, groups: Array) -> float:
    """Return the mean of each group's AUC weighted by its rows (Zhu et al., arXiv 1706.06978, equation 11).

    Args:
        labels: [n] 0 or 1.
        scores: [n].
        groups: [n] the user of each row, an integer; users with one class only do not count.

    Returns:
        NaN where no group has both classes.
    """
    if not len(labels):
        return float("nan")
    _, group = np.unique(groups, return_inverse=True)
    aucs, rows = group_aucs(labels, scores, group)
    return float(np.average(aucs, weights=rows)) if rows.any() else float("nan")


def group_aucs(labels: Array, scores: Array, group: Array) -> tuple[Array, Array]:
    """Return the AUC [g] of each group and the rows [g] it is of; 0 and 0 for a group with one class only.

    Args:
        labels: [n] 0 or 1, n > 0.
        scores: [n].
        group: [n] numbers 0 to g - 1, each of which occurs.
    """
    order = np.lexsort((scores, group))
    group, ranked, positive = group[order], np.asarray(scores)[order], np.asarray(labels)[order] > 0
    changed = (group[1:] != group[:-1]) | (ranked[1:] != ranked[:-1])
    starts = np.flatnonzero(np.concatenate([[True], changed]))
    tie_group = group[starts]
    positives = np.add.reduceat(positive.astype(np.float64), starts)
    negatives = np.add.reduceat((~positive).astype(np.float64), starts)
    of_group = np.bincount(tie_group, negatives)
    before = np.cumsum(of_group) - of_group
    below = np.cumsum(negatives) - negatives - before[tie_group]
    won = np.bincount(tie_group, positives * (below + negatives / 2))
    both = (pairs := np.bincount(tie_group, positives) * of_group) > 0
    aucs = np.divide(won, pairs, out=np.zeros_like(won), where=both)
    return aucs, np.where(both, np.bincount(group), 0).astype(np.float64)


def log_loss(labels: Array, probabilities: Array) -> float:
    """Return the mean binary cross-entropy, in nats."""
    losses = log_losses(labels, probabilities)
    return float(losses.mean()) if len(losses) else float("nan")


def log_losses(labels: Array, probabilities: Array) -> Array:
    """Return the binary cross-entropy [n] of each row, in nats."""
    p = np.clip(np.asarray(probabilities, np.float64), EPSILON, 1 - EPSILON)
    return -np.where(np.asarray(labels) > 0, np.log(p), np.log1p(-p))


def normalized_entropy(labels: Array, probabilities: Array) -> float:
    """Return the log loss over that of always predicting the base rate (He et al., ADKDD 2014, section 3).

    Returns:
        NaN where one of the classes is missing.
    """
    base = float(np.mean(labels)) if len(labels) else 0.0
    if not 0 < base < 1:
        return float("nan")
    return log_loss(labels, probabilities) / entropy(base)


def entropy(rate: float) -> float:
    """Return the entropy of a label that is 1 at this rate, in nats; 0 < rate < 1."""
    return float(-(rate * np.log(rate) + (1 - rate) * np.log1p(-rate)))


def calibration(labels: Array, probabilities: Array) -> float:
    """Return the mean prediction over the mean label; NaN without positives."""
    positives = float(np.sum(labels))
    return float(np.sum(probabilities, dtype=np.float64)) / positives if positives else float("nan")


def calibration_bins(labels: Array, probabilities: Array, bins: int = 10) -> list[dict[str, float]]:
    """Return mean prediction, mean label and rows of `bins` groups of (nearly) equal size by prediction."""
    order = np.argsort(probabilities, kind="stable")
    groups = [g for g in np.array_split(order, bins) if len(g)]
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels, np.float64)
    return [
        {"prediction": float(p[g].mean()), "label": float(y[g].mean()), "rows": float(len(g))} for g in groups
    ]

"""Stable ids: a cluster of a rebuilt tree keeps the id of the one it continues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from fathom.serendipity.events import Ints

#: Least overlap (Jaccard) at which a cluster continues another.
LEAST_OVERLAP: Final = 0.25


@dataclass(frozen=True)
class Matched:
    """How a rebuilt level continues the one before.

    Attributes:
        ids: [k] id of each new cluster.
        continued: [k] whether it continues an old one.
        churn: share of the items of both that have another cluster now.
    """

    ids: Ints
    continued: NDArray[Any]
    churn: float


def match(before: Ints, after: Ints, count: int, first_free: int) -> Matched:
    """Return ids for the `count` clusters of a rebuilt level.

    Args:
        before: [n] old id of each item that both trees hold.
        after: [n] its new cluster, 0 to count - 1.
        count: new clusters.
        first_free: lowest id that was never used: an id never comes to mean another cluster.

    Pairs of old and new with the most items in common in all (Kuhn 1955), if they overlap enough.
    """
    old, place = np.unique(before, return_inverse=True)
    common = np.zeros((len(old), count))
    np.add.at(common, (place, after), 1)
    union = common.sum(axis=1, keepdims=True) + common.sum(axis=0, keepdims=True) - common
    overlap = common / np.maximum(union, 1)
    rows, columns = linear_sum_assignment(common, maximize=True)
    ids, continued = np.full(count, -1, np.int64), np.zeros(count, bool)
    for row, column in zip(rows, columns, strict=True):
        if overlap[row, column] >= LEAST_OVERLAP:
            ids[column], continued[column] = old[row], True
    ids[~continued] = first_free + np.arange(int((~continued).sum()))
    moved = float((ids[after] != before).mean()) if len(before) else 0.0
    return Matched(ids, continued, moved)

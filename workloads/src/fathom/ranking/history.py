"""What each user had liked before each interaction."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fathom.ranking.interactions import Interactions


@dataclass(frozen=True)
class Histories:
    """Histories of n interactions as windows of one list of positives, ordered by user and time.

    Attributes:
        at: [p] which interactions the positives are.
        start: [n] where the user's positives begin in `at`.
        end: [n] where the window ends; `at[start:end]` is the history, latest last.
    """

    at: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


def before_each(interactions: Interactions, known: NDArray[np.bool_]) -> Histories:
    """Return each interaction's history: the user's positives among `known` [n], strictly before it in time.

    `known` are the training interactions, for validation and test too: that is what a model deployed when
    training ends knows of its users, and no label of the held-out parts can leak into a feature.
    Without times there is no before: every history is empty.
    """
    n = len(interactions)
    if interactions.time is None:
        nothing = np.zeros(n, np.int64)
        return Histories(np.zeros(0, np.int64), nothing, nothing)
    positives = np.flatnonzero(known & (interactions.label > 0))
    user = np.concatenate([interactions.user, interactions.user[positives]])
    time = np.concatenate([interactions.time, interactions.time[positives]])
    # At the same instant a query sorts before a positive, which therefore is not before it.
    is_positive = np.repeat([False, True], [n, len(positives)])
    order = np.lexsort((is_positive, time, user))
    seen = np.empty(len(order), np.int64)
    seen[order] = np.cumsum(is_positive[order])
    ordered = positives[order[is_positive[order]] - n]
    start = np.searchsorted(interactions.user[ordered], interactions.user, side="left")
    return Histories(ordered, start, seen[:n])


def latest(interactions: Interactions, size: int) -> list[list[str]]:
    """Return for each of `interactions.users` the ids of the latest `size` items liked, latest first.

    All parts count: this is for serving, where everything in the data has happened.
    """
    if interactions.time is None or not size:
        return [[] for _ in interactions.users]
    positives = np.flatnonzero(interactions.label > 0)
    order = positives[np.lexsort((interactions.time[positives], interactions.user[positives]))]
    bounds = np.searchsorted(interactions.user[order], np.arange(len(interactions.users) + 1))
    names = np.array(interactions.items, object)[interactions.item[order]]
    return [names[max(a, b - size) : b][::-1].tolist() for a, b in pairwise(bounds)]

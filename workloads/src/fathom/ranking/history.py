"""What each user had liked before each interaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fathom.ranking.interactions import Interactions
from fathom.ranking.stream.scratch import CHUNK, Column, counts, empty, grouped


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
    n, time = len(interactions), interactions.time
    start, end = empty(n, np.int64), empty(n, np.int64)
    at = Column(np.int64)
    done = 0
    if time is None:
        return Histories(at.array(), start, end)
    for rows in _blocks(interactions):
        positive = known[rows] & (interactions.label[rows] > 0)
        ordered, first, last = _windows(interactions.user[rows], time[rows], positive)
        at.append(rows[ordered])
        start[rows], end[rows] = done + first, done + last
        done += len(ordered)
    return Histories(at.array(), start, end)


def _windows(
    user: NDArray[np.int64], time: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the positives by user and time, and for each row where its window of them begins and ends."""
    n, positives = len(user), np.flatnonzero(positive)
    users, times = np.concatenate([user, user[positives]]), np.concatenate([time, time[positives]])
    # At the same instant a query sorts before a positive, which therefore is not before it.
    is_positive = np.repeat([False, True], [n, len(positives)])
    order = np.lexsort((is_positive, times, users))
    seen = np.empty(len(order), np.int64)
    seen[order] = np.cumsum(is_positive[order])
    ordered = positives[order[is_positive[order]] - n]
    return ordered, np.searchsorted(user[ordered], user, side="left"), seen[:n]


def _blocks(interactions: Interactions) -> Iterator[NDArray[np.int64]]:
    """Yield all rows of some users after those of others: about `CHUNK` rows, or those of one user."""
    sizes = counts(interactions.user, len(interactions.users))
    order, bounds, first = grouped(interactions.user, sizes), np.cumsum(sizes), 0
    while first < len(order):
        last = int(bounds[np.searchsorted(bounds, first + CHUNK, side="right") - 1]) if len(bounds) else 0
        if last <= first:
            last = int(bounds[np.searchsorted(bounds, first, side="right")])
        yield order[first:last]
        first = last


def latest(interactions: Interactions, size: int) -> list[list[str]]:
    """Return for each of `interactions.users` the ids of the latest `size` items liked, latest first.

    All parts count: this is for serving, where everything in the data has happened.
    """
    found: list[list[str]] = [[] for _ in interactions.users]
    if interactions.time is None or not size:
        return found
    names = np.array(interactions.items, object)
    for rows in _blocks(interactions):
        liked = rows[interactions.label[rows] > 0]
        liked = liked[np.lexsort((interactions.time[liked], interactions.user[liked]))]
        users, firsts = np.unique(interactions.user[liked], return_index=True)
        for user, items in zip(users, np.split(interactions.item[liked], firsts[1:]), strict=True):
            found[user] = names[items[-size:][::-1]].tolist()
    return found

"""Best of n: of a planner's answers those that users are satisfied with.

A planner says what is new; whether people like it where they are led, they say afterwards (arXiv 2504.05522:
one model for novelty, another for alignment, learned from aggregated feedback ({C1 … CK}, Cn, L)). Here L is
the share of a cluster's items, among those a user engaged with after two others, that satisfied. A ridge
regression learns it from how near the cluster is to the two, how often people go there, and how it satisfies
on the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fathom.errors import InvalidInputError
from fathom.serendipity.bulk import Planned
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.events import Events, Ints
from fathom.serendipity.transitions import consecutive, journeys
from fathom.serendipity.vectors import unit

Floats = NDArray[np.float64]
#: A cluster's mean is drawn to that of all as if so many had been seen there before.
_PRIOR: Final = 10.0
_RIDGE: Final = 1.0
#: With fewer there is nothing to learn.
_LEAST: Final = 50


@dataclass(frozen=True)
class Feedback:
    """m moves and how they went: places of clusters, the share of satisfying items in 0 to 1, and when."""

    first: Ints
    second: Ints
    target: Ints
    satisfaction: Floats
    time: Floats

    def __len__(self) -> int:
        return len(self.target)

    def after(self, time: float) -> Feedback:
        """Return the moves that were made later than `time`."""
        late = self.time > time
        return Feedback(
            self.first[late],
            self.second[late],
            self.target[late],
            self.satisfaction[late],
            self.time[late],
        )


def feedback(events: Events, clusters: Clusters) -> Feedback:
    """Return users' moves to clusters new to them, and how satisfied they were with what they met there.

    Raises:
        InvalidInputError: the events say nothing of satisfaction.
    """
    satisfied = events.satisfied
    if satisfied is None:
        raise InvalidInputError(
            "NoSatisfaction", "interactions.satisfaction names no column: name one, or unset inference.best"
        )
    moves = consecutive(journeys(events, clusters))
    cluster = clusters.of(events.items)[events.item]
    known = (cluster >= 0) & ~np.isnan(satisfied)
    key = events.user[known] * len(clusters.ids) + cluster[known]
    keys, inverse = np.unique(key, return_inverse=True)
    share = np.bincount(inverse, satisfied[known]) / np.bincount(inverse)
    wanted = moves.user * len(clusters.ids) + moves.target
    place = np.searchsorted(keys, wanted).clip(max=max(len(keys) - 1, 0))
    told = keys[place] == wanted if len(keys) else np.zeros(len(wanted), bool)
    share = share[place[told]]
    return Feedback(moves.first[told], moves.second[told], moves.target[told], share, moves.time[told])


@dataclass(frozen=True)
class Scorer:
    """Says how satisfied users of two clusters would be with a third.

    Attributes:
        centres: [k, width] of the clusters, of unit length.
        worth: [k] how satisfied users are with a cluster, on the whole.
        seen: [k] log of 1 + how often users moved there.
        mean, scale: [f] of what it looks at.
        weights: [f]; bias: what is said of the average move.
    """

    centres: Floats
    worth: Floats
    seen: Floats
    mean: Floats
    scale: Floats
    weights: Floats
    bias: float

    def __call__(self, first: Ints, second: Ints, target: Ints) -> Floats:
        """Return [m], the higher the more satisfied; of places of clusters."""
        looked = _features(self.centres, first, second, target, self.seen[target], self.worth[target])
        return self.bias + ((looked - self.mean) / self.scale) @ self.weights


def learn(told: Feedback, clusters: Clusters) -> Scorer:
    """Return a scorer that has learned from `told`.

    Raises:
        InvalidInputError: there is too little of it, or everybody was equally satisfied.
    """
    if len(told) < _LEAST:
        raise InvalidInputError(
            "TooLittleFeedback",
            f"{len(told)} moves with a word on satisfaction, {_LEAST} are needed: fill "
            "interactions.satisfaction, or unset inference.best",
        )
    if np.ptp(told.satisfaction) == 0:
        raise InvalidInputError(
            "NoDifference",
            f"interactions.satisfaction is {told.satisfaction[0]:g} everywhere, which says nothing: name "
            "another column, or unset inference.best",
        )
    count, mean = len(clusters.ids), float(told.satisfaction.mean())
    seen = np.bincount(told.target, minlength=count)
    total = np.bincount(told.target, told.satisfaction, minlength=count)
    worth = (total + _PRIOR * mean) / (seen + _PRIOR)
    often, centres = np.log1p(seen), unit(np.asarray(clusters.centres, np.float64))
    # Of a move its own outcome is left out of its cluster's worth: it would be told what it is to say.
    others = (total[told.target] - told.satisfaction + _PRIOR * mean) / (seen[told.target] - 1 + _PRIOR)
    looked = _features(centres, told.first, told.second, told.target, often[told.target], others)
    middle, scale = looked.mean(axis=0), looked.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    x, y = (looked - middle) / scale, told.satisfaction - mean
    weights = np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ y)
    return Scorer(centres, worth, often, middle, scale, weights, mean)


def best(planned: Planned, scorer: Scorer, most: int) -> Planned:
    """Return `planned` with the `most` answers of each pair that satisfy most; equals as they were."""
    satisfying = scorer(planned.first, planned.second, planned.target)
    pair = planned.first * len(scorer.worth) + planned.second
    order = np.lexsort((-planned.score, -satisfying, pair))
    rank = np.arange(len(order)) - np.searchsorted(pair[order], pair[order], side="left")
    return planned.only(np.sort(order[rank < most]))


def agreement(scorer: Scorer, told: Feedback) -> float:
    """Return Spearman's rank correlation of what is said and what was, on feedback not learned from."""
    from scipy.stats import spearmanr

    said = scorer(told.first, told.second, told.target)
    if len(told) < 2 or np.ptp(said) == 0 or np.ptp(told.satisfaction) == 0:
        return 0.0
    found: Any = spearmanr(said, told.satisfaction)
    return float(found.statistic)


def _features(  # noqa: PLR0917 (what is looked at)
    centres: Floats, first: Ints, second: Ints, target: Ints, often: Floats, worth: Floats
) -> Floats:
    """Return [m, f]: nearness to either, and of these to each other; beside `often` and `worth` [m]."""
    a, b, c = centres[first], centres[second], centres[target]
    near_first, near_second, between = ((x * y).sum(axis=1) for x, y in ((a, c), (b, c), (a, b)))
    return np.stack([near_first, near_second, between, near_first * near_second, often, worth], axis=1)

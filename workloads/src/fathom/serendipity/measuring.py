"""What the gates judge, measured: of a planner by itself, of what it planned, of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fathom.serendipity import metrics, table
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.gates import Measured
from fathom.serendipity.planning import Pair, Planner
from fathom.serendipity.table import NONE, Table
from fathom.serendipity.transitions import Transitions

#: Targets of a pair that recall and coverage look at.
TOP = 5


@dataclass(frozen=True)
class Freely:
    """What a planner says that may say anything.

    Attributes:
        exact_match: share of its answers that are names, word for word.
        self_repeat: share that are the name of a cluster of their pair.
    """

    exact_match: float
    self_repeat: float


def freely(planner: Planner, clusters: Clusters, pairs: Sequence[Pair]) -> Freely | None:
    """Return what an unconstrained `planner` says of `pairs`; None where it says nothing.

    Constrained it can say names alone, and asked for as many as there are also those of its pair: neither
    share would tell a good planner from a bad one.
    """
    said = [
        (pair, answer.text.strip())
        for pair, own in zip(pairs, planner.plan(pairs), strict=True)
        for answer in own
    ]
    if not said:
        return None
    repeats = [clusters.by_name.get(text) in pair for pair, text in said]
    return Freely(metrics.exact_match([text for _, text in said], clusters.by_name), float(np.mean(repeats)))


def recall(of: Table, later: Transitions, top: int = TOP) -> float | None:
    """Return the share of `later` transitions whose target is among the `top` that the table names."""
    if not len(later):
        return None
    return float(hits(of, later, top).mean())


def hits(of: Table, later: Transitions, top: int = TOP) -> NDArray[Any]:
    """Return [m] whether the table names the target of each transition among the `top` for its pair."""
    targets, _ = of.lookup(later.first, later.second)
    return (targets[:, :top] == later.target[:, None]).any(axis=1)


def measure(
    of: Table,
    later: Transitions,
    free: Freely | None,
    before: Table | None = None,
) -> Measured:
    """Return what the gates judge."""
    count = len(of.ids)
    first, second = np.nonzero(~np.eye(count, dtype=bool))
    targets = of.lookup(first, second)[0]
    own = (targets == first[:, None]) | (targets == second[:, None])
    said = targets != NONE
    top = targets[:, :TOP]
    led_to = np.unique(top[top != NONE])
    every = np.unique(targets[said])
    return Measured(
        exact_match=free.exact_match if free else None,
        recall=recall(of, later),
        novelty=float(1 - own[said].mean()) if said.any() else 0.0,
        self_repeat=free.self_repeat if free else None,
        coverage=len(led_to) / count,
        pairs=float(said[:, 0].mean()) if len(said) else 0.0,
        churn=table.churn(before, of) if before is not None else None,
        targets=tuple(of.names[c] for c in every.tolist()),
    )

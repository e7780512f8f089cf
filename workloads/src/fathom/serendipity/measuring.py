"""What the gates judge, measured: of a planner by itself, of what it planned, of the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fathom.serendipity import metrics, table
from fathom.serendipity.bulk import Planned
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.gates import Measured
from fathom.serendipity.planning import Pair, Planner
from fathom.serendipity.table import NONE, Table
from fathom.serendipity.transitions import Transitions

#: Targets of a pair that recall and coverage look at.
TOP = 5


def free_match(planner: Planner, clusters: Clusters, pairs: Sequence[Pair]) -> float | None:
    """Return the share of the answers of an unconstrained `planner` that are names; None without answers."""
    said = [answer.text.strip() for own in planner.plan(pairs) for answer in own]
    return metrics.exact_match(said, clusters.by_name) if said else None


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
    planned: Planned,
    later: Transitions,
    exact_match: float | None,
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
        exact_match=exact_match,
        recall=recall(of, later),
        novelty=float(1 - own[said].mean()) if said.any() else 0.0,
        self_repeat=planned.rejected.get("SelfRepeat", 0) / planned.answers if planned.answers else 0.0,
        coverage=len(led_to) / count,
        pairs=float(said[:, 0].mean()) if len(said) else 0.0,
        churn=table.churn(before, of) if before is not None else None,
        targets=tuple(of.names[c] for c in every.tolist()),
    )

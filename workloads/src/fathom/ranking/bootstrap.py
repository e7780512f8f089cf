"""How sure a difference in AUC is: a paired bootstrap over users."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fathom.ranking.metrics import PreparedAUC

RESAMPLES: Final = 1000


def auc_difference(
    labels: NDArray[Any],
    scores: NDArray[Any],
    others: NDArray[Any],
    users: NDArray[np.int64],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return AUC(scores) - AUC(others) and the ends of its 95 % interval.

    Users are drawn, not rows, because the rows of one user are alike; each draw judges both rankers by the
    same users (Efron & Tibshirani, An Introduction to the Bootstrap, chapters 13 and 16).

    Args:
        labels: [n] 0 or 1.
        scores: [n] of the one ranker.
        others: [n] of the other.
        users: [n] the user of each row.
        resamples: draws.
        seed: of the draws.
    """
    _, user = np.unique(users, return_inverse=True)
    count = int(user.max()) + 1
    one, other = PreparedAUC(labels, scores), PreparedAUC(labels, others)
    generator = np.random.default_rng(seed)
    differences = np.empty(resamples)
    for i in range(resamples):
        weights = np.bincount(generator.integers(count, size=count), minlength=count)[user]
        differences[i] = one(weights) - other(weights)
    low, high = np.nanquantile(differences, [0.025, 0.975])
    every = np.ones(len(user))
    return one(every) - other(every), float(low), float(high)

"""Buckets of scores, the same in an evaluation as in a ranker that counts what it gives."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fathom_api.analysis import Scores

#: Upper bounds, the logistic function at halves from −8 to 8: as fine near 0 as click rates need, and the
#: same for all models and pods, so that buckets can be added up.
BOUNDS: Final[NDArray[np.float64]] = np.append(1 / (1 + np.exp(-np.arange(-16, 17) / 2)), 1.0)


def label(bound: float) -> str:
    """Return a bound as metrics show it."""
    return f"{bound:.6g}"


def count(scores: NDArray[Any]) -> Scores:
    """Return how many of `scores` [n], P(label = 1), are in each bucket."""
    counts = np.bincount(np.searchsorted(BOUNDS, scores), minlength=len(BOUNDS) + 1)
    return Scores(
        edges=[float(label(bound)) for bound in BOUNDS],
        counts=[int(n) for n in counts],
        total=round(float(scores.sum(dtype=np.float64)), 3),
    )

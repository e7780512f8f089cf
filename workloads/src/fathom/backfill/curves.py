"""How a search does from the first item moved to the last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fathom.backfill import metrics
from fathom.backfill.arrays import Bools, Floats, Ints
from fathom.backfill.merging import Scores
from fathom.backfill.metrics import Doubles

BETAS: Final = tuple(step / 10 for step in range(11))


@dataclass(frozen=True)
class Quality:
    """Figures of each query at one β, [queries]; queries to which nothing is relevant are left out."""

    average_precision: Doubles
    cmc1: Doubles
    cmc5: Doubles
    recall: Doubles

    def means(self) -> dict[str, float]:
        """Return the mean of each figure."""
        return {
            "map": float(self.average_precision.mean()),
            "cmc1": float(self.cmc1.mean()),
            "cmc5": float(self.cmc5.mean()),
            "recall": float(self.recall.mean()),
        }


@dataclass(frozen=True)
class Curve:
    """Figures over β.

    Attributes:
        betas: shares of the gallery that have moved.
        points: at each of them.
        old, new: of the old model alone and the new model alone, as both are.
    """

    betas: Sequence[float]
    points: Sequence[Quality]
    old: Quality
    new: Quality

    def values(self, figure: str = "map") -> list[float]:
        """Return a figure (map, cmc1, cmc5, recall) at each β."""
        return [point.means()[figure] for point in self.points]

    def area(self, figure: str = "map") -> float:
        """Return its mean over β: mAP_AUC for map, CMC_AUC for cmc1."""
        return metrics.area(self.betas, self.values(figure))

    def relative_gain(self, figure: str = "map") -> float:
        """Return (area − old) / (new − old), with the new model as it is, whatever the method makes of it."""
        return metrics.relative_gain(self.area(figure), self.old.means()[figure], self.new.means()[figure])

    def largest_drop(self, figure: str = "map") -> float:
        """Return by how much it falls, at most, from one β to a later one."""
        return metrics.largest_drop(self.values(figure))

    def flips(self) -> list[float]:
        """Return, at each β, the share of queries whose first item was right before and is wrong."""
        before = self.old.cmc1 > 0
        return [metrics.negative_flip_rate(before, point.cmc1 > 0) for point in self.points]


def quality(scores: Floats, relevant: Bools, k: int = 10) -> Quality:
    """Return the figures of a search by `scores` [queries, items]; recall is at `k`."""
    found = metrics.hits(scores, relevant)[relevant.any(axis=1)]
    return Quality(
        metrics.average_precision(found),
        metrics.cmc(found, 1),
        metrics.cmc(found, 5),
        metrics.recall(found, k),
    )


def curve(
    scores: Scores,
    old: Floats,
    new: Floats,
    relevant: Bools,
    order: Ints,
    *,
    betas: Sequence[float] = BETAS,
    k: int = 10,
    tell: Callable[[float], None] | None = None,
) -> Curve:
    """Return the curve of a merged search.

    Args:
        scores: of the method.
        old, new: of either model alone, float32 [queries, items] (`merging.plain`).
        relevant: bool [queries, items].
        order: items in the order in which they move, int64 [items]; at β the first ⌊β items⌋ have moved.
        betas: ascending.
        k: of the recall.
        tell: called with each β.
    """
    points: list[Quality] = []
    for beta in betas:
        moved = np.zeros(len(order), np.bool_)
        moved[order[: int(beta * len(order) + 1e-9)]] = True
        points.append(quality(scores.at(moved), relevant, k))
        if tell:
            tell(beta)
    return Curve(betas, points, quality(old, relevant, k), quality(new, relevant, k))

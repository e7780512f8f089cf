"""How sure differences between rankers are: a paired bootstrap over users."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fathom.ranking import metrics
from fathom.ranking.metrics import PreparedAUC

RESAMPLES: Final = 1000
#: Share of the draws in which a figure may have no value; with more, it has no interval.
_UNDEFINED: Final = 0.025

Draws = NDArray[np.float64]


class Estimate(NamedTuple):
    """A figure and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


class Judged(NamedTuple):
    """Metrics of one ranker: [1 + resamples], first of all users once, then of each draw of users.

    NaN where a metric has no value: AUC without both classes, GAUC where no drawn user has both.
    """

    auc: Draws
    gauc: Draws
    log_loss: Draws
    normalized_entropy: Draws


class Panel:
    """Draws of users by whom all rankers are judged alike.

    Users are drawn, not rows, because the rows of one user are alike; each draw judges every ranker by the
    same users (Efron & Tibshirani, An Introduction to the Bootstrap, chapters 13 and 16).

    Args:
        labels: [n] 0 or 1.
        users: [n] the user of each row.
        resamples: draws.
        seed: of the draws.
    """

    def __init__(
        self,
        labels: NDArray[Any],
        users: NDArray[np.int64],
        *,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> None:
        self._labels = labels
        _, self._user = np.unique(users, return_inverse=True)
        self._resamples, self._seed = resamples, seed

    def judge(self, scores: NDArray[Any]) -> Judged:
        """Return the metrics of a ranker with these scores [n], for all and in each draw."""
        labels, user = self._labels, self._user
        count = int(user.max()) + 1
        prepared = PreparedAUC(labels, scores)
        aucs, paired = metrics.group_aucs(labels, scores, user)
        losses = np.bincount(user, metrics.log_losses(labels, scores))
        rows, positives = np.bincount(user).astype(np.float64), np.bincount(user, labels)
        found = np.full((4, 1 + self._resamples), np.nan)
        generator = np.random.default_rng(self._seed)
        for draw in range(1 + self._resamples):
            times = np.bincount(generator.integers(count, size=count), minlength=count) if draw else None
            weight = np.ones(count) if times is None else times.astype(np.float64)
            drawn = float(weight @ rows)
            loss, base = float(weight @ losses) / drawn, float(weight @ positives) / drawn
            of_both = float(weight @ paired)
            found[:, draw] = (
                prepared(weight[user]),
                (weight * paired) @ aucs / of_both if of_both else np.nan,
                loss,
                loss / metrics.entropy(base) if 0 < base < 1 else np.nan,
            )
        return Judged(*found)


def difference(one: Draws, other: Draws) -> Estimate | None:
    """Return one - other."""
    return _estimate(one - other)


def relative(one: Draws, other: Draws) -> Estimate | None:
    """Return one / other - 1."""
    return _estimate(one / other - 1)


def rela_impr(one: Draws, other: Draws) -> Estimate | None:
    """Return RelaImpr, how much further from chance one AUC is: (one - ½) / (other - ½) - 1.

    Yan et al., Coupled Group Lasso for Web-Scale CTR Prediction, ICML 2014. None where the other is hardly
    better than chance.
    """
    above = np.where(other > 0.5, other - 0.5, np.nan)
    return _estimate((one - 0.5) / above - 1)


def _estimate(values: Draws) -> Estimate | None:
    if not np.isfinite(values[0]) or np.isnan(values).mean() > _UNDEFINED:
        return None
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return Estimate(float(values[0]), float(low), float(high))

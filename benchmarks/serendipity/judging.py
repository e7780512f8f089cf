"""Figures with intervals: means over users, and paired differences by a bootstrap over users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.serendipity.world import Stage
from fathom.serendipity import baselines, metrics
from fathom.serendipity.baselines import Scorer

Figures = NDArray[np.float64]
TARGETS: Final = 5
RESAMPLES: Final = 2000


@dataclass(frozen=True)
class Difference:
    """A mean paired difference and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def told(self) -> str:
        """In words of a table."""
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def novel_recall(found: Stage, scorer: Scorer, most: int = TARGETS) -> Figures:
    """Return NovelRecall@most of each user, NaN where there is nothing new."""
    return recall_of(found, led(found, scorer, most))


def led(found: Stage, scorer: Scorer, most: int = TARGETS) -> list[NDArray[np.int64]]:
    """Return the `most` clusters that a scorer leads each user to."""
    return [baselines.recommend(scorer, found.journeys.of(u), most) for u in range(len(found.future))]


def recall_of(found: Stage, targets: list[NDArray[np.int64]]) -> Figures:
    """Return NovelRecall of each user who is led to `targets`, NaN where there is nothing new."""
    own = [t if judged else t[:0] for t, judged in zip(targets, found.judged, strict=True)]
    return metrics.novel_recall_at(own, [found.journeys.of(u) for u in range(len(own))], found.future)


def mean(values: Figures) -> tuple[float, float]:
    """Return the mean over users who have a value, and its standard error."""
    own = values[~np.isnan(values)]
    return float(own.mean()), float(own.std(ddof=1) / np.sqrt(len(own)))


def paired(one: Figures, other: Figures, seed: int = 0) -> Difference:
    """Return one - other with the interval of a bootstrap over users who have both.

    Rows of several seeds may be stacked [seeds, users]: a user is drawn with all of them.
    """
    difference = np.atleast_2d(one - other)
    per_user = np.nanmean(difference[:, ~np.isnan(difference).all(axis=0)], axis=0)
    draws = np.random.default_rng(seed).integers(len(per_user), size=(RESAMPLES, len(per_user)))
    low, high = np.quantile(per_user[draws].mean(axis=1), [0.025, 0.975])
    return Difference(float(per_user.mean()), float(low), float(high))


@dataclass(frozen=True)
class Share:
    """A share of sums, and the same of resampled users."""

    value: float
    drawn: Figures


def share(part: Figures, whole: Figures, seed: int = 0) -> Share:
    """Return Σ `part` / Σ `whole`, both [seeds, users], with the bootstrap over users beside it."""
    own, all_of = part.sum(axis=0), whole.sum(axis=0)
    draws = np.random.default_rng(seed).integers(len(own), size=(RESAMPLES, len(own)))
    return Share(float(own.sum() / all_of.sum()), own[draws].sum(axis=1) / all_of[draws].sum(axis=1))


def difference(one: Share, other: Share) -> Difference:
    """Return one - other of the same users, drawn alike, with its interval."""
    low, high = np.quantile(one.drawn - other.drawn, [0.025, 0.975])
    return Difference(one.value - other.value, float(low), float(high))


def best(found: Stage, options: Mapping[float, Scorer]) -> float:
    """Return the option with the best NovelRecall on `found`, which must be the validation stage."""
    return max(options, key=lambda option: mean(novel_recall(found, options[option]))[0])

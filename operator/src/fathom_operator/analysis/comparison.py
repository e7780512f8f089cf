"""The difference of two versions in one metric, with bounds that hold at every look."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fathom_operator.analysis.estimates import Estimate, design_effect
from fathom_operator.analysis.sequential import critical_value, rate_bounds


@dataclass(frozen=True)
class Missing:
    """There is nothing to compare, and why."""

    message: str


@dataclass(frozen=True)
class Comparison:
    """Both versions in one metric.

    `low` and `high` bound the true `delta` at all looks at once; infinite where they do not. `harm` is 1
    where a positive delta is worse, -1 where a negative one is.
    """

    stable: float
    candidate: float
    delta: float
    low: float
    high: float
    #: Of the candidate, and of the version that has fewer.
    samples: float
    fewest: float
    harm: int = 1
    #: By how much the difference varies more than that of independent requests.
    effect: float = 1.0
    #: The bounds are good already: they may fail a candidate before it has its samples.
    early: bool = False

    @property
    def least_harm(self) -> float:
        """Return how much worse the candidate is at least."""
        return self.low if self.harm > 0 else -self.high

    @property
    def most_harm(self) -> float:
        """Return how much worse the candidate is at most."""
        return self.high if self.harm > 0 else -self.low


def compare_rates(candidate: Estimate, stable: Estimate, alpha: float, *, harm: int = 1) -> Comparison:
    """Compare two shares: bounds of each by the beta-binomial mixture, at half of `alpha` each.

    Counts are divided by the design effect first: for independent requests the bounds are exact at any
    number of them, for others they hold as far as the design effect is known.
    """
    effect = design_effect(candidate, stable)
    (low_c, high_c), (low_s, high_s) = (
        rate_bounds(it.value * it.samples / effect, it.samples / effect, alpha / 2)
        for it in (candidate, stable)
    )
    return Comparison(
        stable.value,
        candidate.value,
        candidate.value - stable.value,
        low_c - high_s,
        high_c - low_s,
        candidate.samples,
        min(candidate.samples, stable.samples),
        harm,
        effect,
        early=True,
    )


def compare_means(
    candidate: Estimate, stable: Estimate, alpha: float, planned: float, *, harm: int = 1
) -> Comparison:
    """Compare two smooth estimates: the normal mixture, with the variance that the windows show.

    `alpha` is the chance that the candidate looks worse than it is; that of too good is the same.
    """
    effect = design_effect(candidate, stable)
    fewest = min(candidate.samples, stable.samples)
    variance = effect * (candidate.variance + stable.variance)
    radius = math.sqrt(variance * critical_value(fewest, planned, 2 * alpha))
    delta = candidate.value - stable.value
    return Comparison(
        stable.value,
        candidate.value,
        delta,
        delta - radius,
        delta + radius,
        candidate.samples,
        fewest,
        harm,
        effect,
    )

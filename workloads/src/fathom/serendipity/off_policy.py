"""What another policy would have earned, from what was logged under the one that was served.

Estimators as in the Open Bandit Pipeline (Saito et al., arXiv 2008.07146): inverse propensity weighting
(IPW), its self-normalised kind (SNIPW), the direct method (DM) and doubly robust estimation (DR; Dudík et
al., ICML 2011). Guided slots that are filled at random among candidates give logs with known propensities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fathom.errors import InvalidInputError
from fathom.serendipity.events import Ints

Numbers = NDArray[np.float64]
_RESAMPLES: Final = 1000


@dataclass(frozen=True)
class Logged:
    """n logged decisions.

    Attributes:
        action: [n] what was shown, 0 to actions - 1.
        reward: [n] what came of it.
        propensity: [n] probability with which the logging policy showed it.
    """

    action: Ints
    reward: Numbers
    propensity: Numbers

    def __post_init__(self) -> None:
        if len({len(self.action), len(self.reward), len(self.propensity)}) > 1 or not len(self.action):
            raise InvalidInputError(
                "BadLog", "actions, rewards and propensities must be of the same decisions, one or more"
            )
        if not ((self.propensity > 0) & (self.propensity <= 1)).all():
            raise InvalidInputError(
                "BadLog",
                "a propensity is not above 0 and at most 1: log the probability with which each item was "
                "shown, and leave out what could not have been shown",
            )


@dataclass(frozen=True)
class Value:
    """The mean reward of a policy, with a 95 % interval by bootstrap over decisions."""

    value: float
    low: float
    high: float


def ipw(logged: Logged, policy: Numbers) -> Numbers:
    """Return each decision's term of IPW, whose mean is the estimate: w · r.

    `policy` [n, actions] is the probability with which the policy in question shows each action; w is that of
    the logged action over its propensity.
    """
    return _weights(logged, policy) * logged.reward


def snipw(logged: Logged, policy: Numbers) -> Numbers:
    """Return each decision's term of SNIPW: w · r over the mean w. Less variance, hardly any bias."""
    weights = _weights(logged, policy)
    return weights * logged.reward / weights.mean() if weights.any() else np.zeros(len(weights))


def direct(policy: Numbers, expected: Numbers) -> Numbers:
    """Return each decision's term of DM: the policy's mean of the `expected` reward [n, actions]."""
    return (policy * expected).sum(axis=1)


def doubly_robust(logged: Logged, policy: Numbers, expected: Numbers) -> Numbers:
    """Return each decision's term of DR: DM, and IPW of what `expected` got wrong.

    Right in the mean where propensities or expected rewards are right.
    """
    told = expected[np.arange(len(logged.action)), logged.action]
    return direct(policy, expected) + _weights(logged, policy) * (logged.reward - told)


def value(terms: Numbers, seed: int = 0) -> Value:
    """Return the mean of an estimator's `terms` with its interval."""
    draws = np.random.default_rng(seed).integers(len(terms), size=(_RESAMPLES, len(terms)))
    low, high = np.quantile(terms[draws].mean(axis=1), [0.025, 0.975])
    return Value(float(terms.mean()), float(low), float(high))


def effective_sample(logged: Logged, policy: Numbers) -> float:
    """Return how many decisions the weighted ones are worth: (Σ w)² / Σ w² (Kish 1965)."""
    weights = _weights(logged, policy)
    return float(weights.sum() ** 2 / (weights**2).sum()) if weights.any() else 0.0


def _weights(logged: Logged, policy: Numbers) -> Numbers:
    return policy[np.arange(len(logged.action)), logged.action] / logged.propensity

"""Always-valid inference: bounds that hold at every look at once, however often we look.

A fixed-sample interval looked at a hundred times excludes the truth far more often than it says. These come
from non-negative martingales, for which Ville's inequality bounds the chance of *ever* reaching 1/α by α.

Sources: Howard, Ramdas, McAuliffe & Sekhon 2021 (arXiv 1810.08240) for the normal and the beta-binomial
mixture; Waudby-Smith et al. 2021 (arXiv 2103.06476) for the normal mixture with an estimated variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Final

#: Beta prior of the mixture: Jeffreys', which costs least over all rates together.
_PRIOR: Final = (0.5, 0.5)
_HALVINGS: Final = 50


@cache
def _best_information(alpha: float, dimensions: int) -> float:
    """Return the information, in units of the mixture's own, at which the bound is tightest.

    It is where the derivative of `critical_value` is 0: `d·r = 2·log(1/α) + d·log(1 + r)`.
    """
    start = 2 * math.log(1 / alpha) / dimensions
    ratio = start
    for _ in range(_HALVINGS):
        ratio = start + math.log1p(ratio)
    return ratio


def critical_value(samples: float, planned: float, alpha: float, dimensions: int = 1) -> float:
    """Return what a χ² statistic of `dimensions` degrees must not exceed at any look (normal mixture).

    Its root, in one dimension, takes the place of 1.96. The bound is tightest at `planned` samples and valid
    at all; two-sided at level `alpha`, exact for Gaussian increments, asymptotic for others.

    Raises:
        ValueError: `samples` or `planned` is not positive, or `alpha` is not a probability.
    """
    if samples <= 0 or planned <= 0 or not 0 < alpha < 1:
        raise ValueError(f"no bound for {samples} of {planned} samples at level {alpha}")
    r = _best_information(alpha, dimensions) * samples / planned
    return (1 + 1 / r) * (2 * math.log(1 / alpha) + dimensions * math.log1p(r))


def log_mixture(successes: float, trials: float, rate: float) -> float:
    """Return the log of the beta-binomial mixture martingale for the null that each trial succeeds at `rate`.

    It starts at 0 and, where the null is true, ever exceeds log(1/α) with probability α at most. `successes`
    and `trials` need not be whole: divided by a design effect they are effective numbers.
    """
    a, b = _PRIOR
    failures = trials - successes
    mixture = _log_beta(a + successes, b + failures) - _log_beta(a, b)
    return mixture - _times_log(successes, rate) - _times_log(failures, 1 - rate)


def rate_bounds(successes: float, trials: float, alpha: float) -> tuple[float, float]:
    """Return the rates that the trials so far are compatible with: a confidence sequence, two-sided."""
    if trials <= 0:
        return 0.0, 1.0
    limit = math.log(1 / alpha)
    seen = successes / trials

    def compatible(rate: float) -> bool:
        return log_mixture(successes, trials, rate) < limit

    low = 0.0 if successes <= 0 else _edge(compatible, seen, 0.0)
    high = 1.0 if successes >= trials else _edge(compatible, seen, 1.0)
    return low, high


def _edge(compatible: Callable[[float], bool], inside: float, outside: float) -> float:
    """Return where `compatible` ends between `inside` and `outside`, on the safe side; `outside` if not."""
    if compatible(outside):
        return outside
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if compatible(middle):
            inside = middle
        else:
            outside = middle
    return outside


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _times_log(count: float, probability: float) -> float:
    """Return `count · log(probability)`; nothing of the impossible is 0, anything of it is impossible."""
    if count <= 0:
        return 0.0
    return count * math.log(probability) if probability > 0 else -math.inf

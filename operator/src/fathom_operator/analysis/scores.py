"""How far the distribution of scores is from another: PSI and Kolmogorov-Smirnov, without the sampling noise.

PSI of two samples of the same distribution is not 0: with k groups and n effective scores each it is about
2(k - 1)/n, and with few users far more, since a user's scores come together. So a bare threshold on PSI
takes back good candidates with little traffic. Here the threshold is held against the lower bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from fathom_operator.analysis.comparison import Comparison, Missing
from fathom_operator.analysis.counts import Histogram, NotComparableError, merged
from fathom_operator.analysis.estimates import Vector, design_effect_of_vectors
from fathom_operator.analysis.sequential import critical_value
from fathom_operator.analysis.windows import Window

#: Groups of scores, about equally full: PSI's usual ten.
_GROUPS: Final = 10


def population_stability(
    windows: Sequence[Window], alpha: float, planned: float, reference: Histogram | None = None
) -> Comparison | Missing:
    """Compare by PSI = Σ (c - s)·ln(c/s) over groups, the symmetric Kullback-Leibler divergence.

    Near equality n·PSI is a χ² statistic of k - 1 dimensions, √PSI a distance; by the triangle inequality
    the true √PSI is within √(critical/n) of the measured one, where n is the effective number of scores.
    """
    pair = _histograms(windows, reference)
    if isinstance(pair, Missing):
        return pair
    candidate, stable = pair
    groups = _groups(merged([candidate, stable]))
    if len(groups) < 2:
        return Missing("all scores are in one bucket: nothing can be compared")
    shares_c, shares_s = _shares(candidate, groups), _shares(stable, groups)
    n = _effective(windows, candidate, stable, groups, reference)
    # Half a score in each group: an empty one has no logarithm.
    psi = math.fsum(
        (c - s) * math.log(c / s)
        for c, s in zip(_smoothed(shares_c, candidate), _smoothed(shares_s, stable), strict=True)
    )
    asked, fewest = _requests(windows, reference)
    radius = math.sqrt(critical_value(fewest, planned, alpha, len(groups) - 1) / n)
    low, high = max(0.0, math.sqrt(psi) - radius) ** 2, (math.sqrt(psi) + radius) ** 2
    return Comparison(
        _mean(stable),
        _mean(candidate),
        psi,
        low,
        high,
        asked,
        fewest,
        1,
        _ideal(candidate, stable) / n,
    )


def kolmogorov_smirnov(
    windows: Sequence[Window], alpha: float, planned: float, reference: Histogram | None = None
) -> Comparison | Missing:
    """Compare by the largest difference of the two distribution functions, over the edges of the buckets.

    At each edge a normal mixture bounds the difference; `alpha` is shared by the edges.
    """
    pair = _histograms(windows, reference)
    if isinstance(pair, Missing):
        return pair
    candidate, stable = pair
    groups = _groups(merged([candidate, stable]))
    if len(groups) < 2:
        return Missing("all scores are in one bucket: nothing can be compared")
    n = _effective(windows, candidate, stable, groups, reference)
    asked, fewest = _requests(windows, reference)
    critical = critical_value(fewest, planned, alpha / (len(groups) - 1))
    distance = low = high = upto_c = upto_s = 0.0
    for c, s in zip(_shares(candidate, groups)[:-1], _shares(stable, groups)[:-1], strict=True):
        upto_c, upto_s = upto_c + c, upto_s + s
        pooled = (upto_c * candidate.size + upto_s * stable.size) / (candidate.size + stable.size)
        gap, radius = abs(upto_c - upto_s), math.sqrt(critical * pooled * (1 - pooled) / n)
        distance, low, high = max(distance, gap), max(low, gap - radius), max(high, gap + radius)
    return Comparison(
        _mean(stable),
        _mean(candidate),
        distance,
        low,
        min(1.0, high),
        asked,
        fewest,
        1,
        _ideal(candidate, stable) / n,
    )


def _histograms(
    windows: Sequence[Window], reference: Histogram | None
) -> tuple[Histogram, Histogram] | Missing:
    candidate = merged(w.candidate.scores for w in windows)
    stable = merged(w.stable.scores for w in windows) if reference is None else reference
    if candidate.size <= 0 or _requests(windows, reference)[1] <= 0:
        return Missing("the candidate, or the version beside it, has no scores yet")
    if stable.size <= 0:
        return Missing(f"{'the stable version' if reference is None else 'the evaluation'} has no scores yet")
    if candidate.edges != stable.edges:
        raise NotComparableError("the two versions count scores in other buckets")
    return candidate, stable


def _requests(windows: Sequence[Window], reference: Histogram | None) -> tuple[float, float]:
    """Return the requests of the candidate, and of the version that has fewer: scores come by the request."""
    candidate = math.fsum(w.candidate.requests for w in windows)
    stable = math.fsum(w.stable.requests for w in windows)
    return candidate, candidate if reference is not None else min(candidate, stable)


def _mean(histogram: Histogram) -> float:
    return histogram.total / histogram.size


def _groups(pooled: Histogram) -> list[range]:
    """Return runs of buckets that each hold about a tenth of all scores."""
    groups, start, held = list[range](), 0, 0.0
    least = pooled.size / _GROUPS
    for place, count in enumerate(pooled.counts):
        held += count
        if held >= least * 0.999:
            groups.append(range(start, place + 1))
            start, held = place + 1, 0.0
    if start < len(pooled.counts) and groups:
        groups[-1] = range(groups[-1].start, len(pooled.counts))
    return groups


def _shares(histogram: Histogram, groups: Sequence[range]) -> Vector:
    return tuple(_in(histogram, group) / histogram.size for group in groups)


def _in(histogram: Histogram, group: range) -> float:
    return sum(histogram.counts[group.start : group.stop]) if histogram.edges else 0.0


def _smoothed(shares: Vector, histogram: Histogram) -> Vector:
    n = histogram.size
    return tuple((share * n + 0.5) / (n + 0.5 * len(shares)) for share in shares)


def _ideal(candidate: Histogram, stable: Histogram) -> float:
    return 1 / (1 / candidate.size + 1 / stable.size)


def _effective(
    windows: Sequence[Window],
    candidate: Histogram,
    stable: Histogram,
    groups: Sequence[range],
    reference: Histogram | None,
) -> float:
    """Return how many independent pairs of scores would tell as much."""
    shares_c, shares_s = _shares(candidate, groups), _shares(stable, groups)
    moves = [_moves(w.candidate.scores, candidate, shares_c, groups, 1.0) for w in windows]
    if reference is None:
        other = [_moves(w.stable.scores, stable, shares_s, groups, -1.0) for w in windows]
        moves = [tuple(a + b for a, b in zip(x, y, strict=True)) for x, y in zip(moves, other, strict=True)]
    ideal = _ideal(candidate, stable)
    pooled = _shares(merged([candidate, stable]), groups)
    # Scaled by p rather than p(1 - p): the multinomial covariance then has eigenvalues 1 (and one 0).
    effect = design_effect_of_vectors(moves, [p / ideal for p in pooled])
    return ideal / effect


def _moves(
    window: Histogram, whole: Histogram, shares: Vector, groups: Sequence[range], sign: float
) -> Vector:
    size = window.size
    return tuple(
        sign * (_in(window, group) - share * size) / whole.size
        for group, share in zip(groups, shares, strict=True)
    )

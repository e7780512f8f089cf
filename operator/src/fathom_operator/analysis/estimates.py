"""Estimates with what each window added to them, and how much more they vary than independent requests would.

The *influence* of a window is how far it moved the estimate. For independent requests the squares of
influences add up to the variance; where requests come in clusters they add up to more. The ratio is the
design effect (Kish 1965), measured on the *difference* of two versions, window by window: a busy hour or a
slow database moves both alike and cancels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

#: Before there are many windows, they are taken as though as many more had been seen with this effect.
_PRIOR_WINDOWS: Final = 8
_PRIOR_EFFECT: Final = 1.5
#: Fewer windows than this say nothing about how they vary.
_LEAST_WINDOWS: Final = 12
_ITERATIONS: Final = 30
#: Beyond this correlation of neighbours a step is too short to tell drift from difference.
_MOST_ALIKE: Final = 0.9
#: An exponent that no quantile needs: what would take it is no bound.
_NO_BOUND: Final = 50.0

Vector = tuple[float, ...]


@dataclass(frozen=True)
class Estimate:
    """A number measured of one version: a value, its variance were requests independent, its influences."""

    value: float
    variance: float
    influences: tuple[float, ...]
    #: Of what: requests, candidates, outcomes.
    samples: float


def rate(successes: Sequence[float], trials: Sequence[float]) -> Estimate:
    """Return the share of successes, both by window."""
    n = math.fsum(trials)
    p = math.fsum(successes) / n
    influences = tuple((s - p * t) / n for s, t in zip(successes, trials, strict=True))
    return Estimate(p, p * (1 - p) / n, influences, n)


def design_effect(candidate: Estimate, stable: Estimate) -> float:
    """Return by how much the variance of the difference exceeds that of independent requests; 1 at least.

    Windows are also joined by twos, fours and eights, and the largest effect counts: what is alike for
    minutes shows only there.
    """
    variance = candidate.variance + stable.variance
    if variance <= 0:
        return _PRIOR_EFFECT
    moves = [c - s for c, s in zip(candidate.influences, stable.influences, strict=True)]
    return _largest([(move / math.sqrt(variance),) for move in moves])


@dataclass(frozen=True)
class Drift:
    """A design effect of what lasts for minutes, and of how many independent looks at it that tells."""

    effect: float
    freedom: float

    def widened(self, critical: float) -> float:
        """Return the effect times `critical`, a squared normal quantile, as Student's t would have it.

        The part of the variance that windows showed is known no better than their number allows, the part of
        independent requests exactly: Satterthwaite 1946 for the degrees of freedom, Wallace 1959 for t.
        """
        if self.freedom <= 0:
            return math.inf
        if self.effect <= 1:
            return critical
        freedom = self.freedom * (self.effect / (self.effect - 1)) ** 2
        exponent = critical / freedom * ((8 * freedom + 3) / (8 * freedom + 1)) ** 2
        return self.effect * freedom * math.expm1(exponent) if exponent < _NO_BOUND else math.inf


def drift(candidate: Estimate, stable: Estimate) -> Drift:
    """Return the design effect where windows that follow each other are alike: a pod is slow for minutes.

    Few long runs cannot be seen by joining windows. So what varies beyond independent requests is taken for
    an autoregression of order one (Andrews & Monahan 1992), with the upper 95 % bound of its coefficient,
    whose estimate is too low (corrected after Kendall 1954). Too few windows bound nothing.
    """
    effect = design_effect(candidate, stable)
    variance = candidate.variance + stable.variance
    windows = len(candidate.influences)
    if variance <= 0 or windows < _LEAST_WINDOWS:
        return Drift(effect, 0.0)
    moves = [c - s for c, s in zip(candidate.influences, stable.influences, strict=True)]
    squares = math.fsum(move * move for move in moves)
    lagged = math.fsum(a * b for a, b in pairwise(moves)) / squares if squares > 0 else 0.0
    alike = max(0.0, (windows * lagged + 1) / (windows - 3)) + 1.645 / math.sqrt(windows)
    alike = min(_MOST_ALIKE, alike)
    excess = max(0.0, squares / variance * windows / (windows - 1) - 1)
    lasting = 1 + excess * (1 + alike) / (1 - alike)
    freedom = (windows - 1) * (1 - alike**2) / (1 + alike**2)
    return Drift(max(effect, lasting), max(1.0, freedom))


def design_effect_of_vectors(moves: Sequence[Vector], variances: Sequence[float]) -> float:
    """Return the design effect of a vector: the largest over all directions, so that no direction is wronged.

    Rao & Scott (1981) divide a χ² statistic by a mean design effect; the largest eigenvalue bounds it for
    any, which matters here: users who score high shift whole histograms, always in the same direction.

    Args:
        moves: influences on the difference, [windows, dimensions].
        variances: of each dimension, were requests independent, [dimensions].
    """
    used = [d for d, variance in enumerate(variances) if variance > 0]
    return _largest([tuple(move[d] / math.sqrt(variances[d]) for d in used) for move in moves])


def _largest(moves: Sequence[Vector]) -> float:
    effect = max(1.0, _shrunk(moves))
    joined = _join(moves)
    while len(joined) >= _LEAST_WINDOWS:
        effect = max(effect, _shrunk(joined))
        joined = _join(joined)
    return effect


def _shrunk(moves: Sequence[Vector]) -> float:
    """Return the largest variance over directions, drawn towards the prior as windows are few."""
    windows = len(moves)
    # One degree of freedom went into the estimate itself.
    measured = _largest_eigenvalue(moves) * windows / (windows - 1) if windows > 1 else 0.0
    weight = windows / (windows + _PRIOR_WINDOWS)
    return weight * measured + (1 - weight) * max(measured, _PRIOR_EFFECT)


def _join(moves: Sequence[Vector]) -> list[Vector]:
    """Return the moves of windows twice as long; an odd one goes to the last."""
    joined = [_add(a, b) for a, b in zip(moves[::2], moves[1::2], strict=False)]
    if len(moves) % 2 and joined:
        joined[-1] = _add(joined[-1], moves[-1])
    return joined


def _add(a: Vector, b: Vector) -> Vector:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _largest_eigenvalue(moves: Sequence[Vector]) -> float:
    """Return that of `movesᵀ·moves`, by power iteration; a plain sum of squares in one dimension."""
    dimensions = len(moves[0]) if moves else 0
    if dimensions == 0:
        return 0.0
    if dimensions == 1:
        return math.fsum(move[0] ** 2 for move in moves)
    matrix = [[math.fsum(m[i] * m[j] for m in moves) for j in range(dimensions)] for i in range(dimensions)]
    # Starts from the heaviest row: never orthogonal to the answer unless all is 0.
    vector = max(matrix, key=lambda row: math.fsum(x * x for x in row))
    length = 0.0
    for _ in range(_ITERATIONS):
        length = math.hypot(*vector)
        if length == 0:
            return 0.0
        unit = [x / length for x in vector]
        vector = [math.fsum(a * b for a, b in zip(row, unit, strict=True)) for row in matrix]
    return math.hypot(*vector)

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
from typing import Final

#: Before there are many windows, they are taken as though as many more had been seen with this effect.
_PRIOR_WINDOWS: Final = 8
_PRIOR_EFFECT: Final = 1.5
#: Fewer windows than this say nothing about how they vary.
_LEAST_WINDOWS: Final = 12
_ITERATIONS: Final = 30

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

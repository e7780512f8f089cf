"""Isotonic calibration: old distances read as new ones, by how likely such a pair belongs together."""

from __future__ import annotations

from typing import Final

import numpy as np

from fathom.backfill.arrays import Bools, Floats

#: Distances of the curve that is kept.
_STEPS: Final = 256


def steps(old: Floats, new: Floats, together: Bools) -> Floats:
    """Return float32 [2, m], ascending in both rows: an old distance and the new one that means as much.

    Each space's chance that a pair belongs together is fitted as a falling function of its distance (isotonic
    regression, Zadrozny & Elkan, KDD 2002); a distance of the old space compares to the distance of the new
    one at which the chance is the same.

    Args:
        old: cosine distances of pairs in the old space, float32 [m].
        new: of the same pairs in the new space, float32 [m].
        together: whether both of a pair belong together, [m].
    """
    at, chances = _chance(old, together)
    new_at, new_chances = _chance(new, together)
    # np.interp wants its argument ascending: chances fall, so both are turned round. Where a chance is flat
    # several distances mean the same, and a hair of slope keeps their order.
    slope = np.linspace(0, 1e-6, len(new_at))
    found = np.interp(-chances, -new_chances + slope, new_at)
    # All distances there can be: what lies beyond the pairs that were seen compares as the outermost of them.
    grid = np.linspace(0, 2, _STEPS)
    values = np.maximum.accumulate(np.interp(grid, at, found))
    # Strictly rising, or items of different distance would tie.
    values = values + np.linspace(0, 1e-4, _STEPS)
    return np.stack([grid, values]).astype(np.float32)


def _chance(distances: Floats, together: Bools) -> tuple[Floats, Floats]:
    from scipy.optimize import isotonic_regression

    order = np.argsort(distances, kind="stable")
    fitted = isotonic_regression(together[order].astype(np.float64), increasing=False).x
    return distances[order], fitted.astype(np.float32)

"""Transforms between two spaces that one decomposition gives."""

from __future__ import annotations

from typing import Final

import numpy as np

from fathom.backfill.arrays import Floats
from fathom.backfill.transform import Layer, Transform

#: Of the mean squared length of a column, added to the diagonal: few pairs must not make large weights.
_RIDGE: Final = 1e-2


def least_squares(given: Floats, wanted: Floats) -> Floats:
    """Return W, float32 [d_wanted, d_given]: min ‖given Wᵀ − wanted‖² + λ‖W‖² (ridge regression)."""
    x, y = given.astype(np.float64), wanted.astype(np.float64)
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] += _RIDGE * np.trace(gram) / len(gram)
    return np.ascontiguousarray(np.linalg.solve(gram, x.T @ y).T, dtype=np.float32)


def procrustes(new: Floats, old: Floats) -> Transform:
    """Return the rotation (with projection, where widths differ) nearest to new → old (Schönemann, 1966)."""
    left, _, right = np.linalg.svd(new.astype(np.float64).T @ old.astype(np.float64), full_matrices=False)
    return Transform((), np.ascontiguousarray((left @ right).T, dtype=np.float32))


def low_rank_affine(new: Floats, old: Floats, rank: int) -> Transform:
    """Return new → old as U V x + b of `rank` (reduced-rank regression; low-rank affine of 2509.23471).

    The rank is the spaces' width where that is less.
    """
    centre_new, centre_old = new.mean(axis=0), old.mean(axis=0)
    weight = least_squares(new - centre_new, old - centre_old).astype(np.float64)
    # The directions of the fitted values, strongest first.
    fitted = (new - centre_new) @ weight.T
    _, _, directions = np.linalg.svd(fitted, full_matrices=False)
    kept = directions[:rank]
    inner = kept @ weight
    bias = centre_old - kept.T @ (inner @ centre_new)
    return Transform(
        (
            Layer(_single(inner), np.zeros(len(kept), np.float32), relu=False),
            Layer(_single(kept.T), _single(bias), relu=False),
        )
    )


def _single(given: np.ndarray) -> Floats:
    return np.ascontiguousarray(given, dtype=np.float32)

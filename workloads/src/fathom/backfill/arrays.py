"""Vectors as they come in: checked once, of unit length from then on."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fathom.errors import InvalidInputError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
#: Shorter than this, a vector has no direction that means anything.
_SHORTEST: Final = 1e-12
#: A vector whose length differs from 1 by less has been normalised.
_AS_GOOD: Final = 1e-5


def vectors(name: str, given: NDArray[np.floating], *, width: int | None = None) -> Floats:
    """Return `given` as float32 [n, width] of unit length.

    Raises:
        InvalidInputError: it is no table of finite numbers, has another width, or holds a zero vector.
    """
    if given.ndim != 2 or not given.shape[1]:
        raise InvalidInputError(
            "InvalidVectors", f"{name}: shape {given.shape}, but [items, width] is needed"
        )
    if width is not None and given.shape[1] != width:
        raise InvalidInputError(
            "InvalidVectors",
            f"{name}: vectors of width {given.shape[1]}, but {width} is needed; they come from another model",
        )
    bad = np.flatnonzero(~np.isfinite(given).all(axis=1))
    if len(bad):
        raise InvalidInputError(
            "InvalidVectors",
            f"{name}: row {bad[0]} holds NaN or infinity ({len(bad)} such rows); embed it again",
        )
    lengths = np.linalg.norm(given.astype(np.float32), axis=1, keepdims=True)
    if len(zero := np.flatnonzero(lengths[:, 0] < _SHORTEST)):
        raise InvalidInputError(
            "InvalidVectors", f"{name}: row {zero[0]} is zero ({len(zero)} such rows); embed it again"
        )
    # Rounding again would make other scores of vectors that are normalised already.
    lengths[np.abs(lengths - 1) < _AS_GOOD] = 1
    return np.ascontiguousarray(given / lengths, dtype=np.float32)


def pairs(old: NDArray[np.floating], new: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Return the same items' vectors in both spaces, float32 [n, d_old] and [n, d_new], of unit length.

    Raises:
        InvalidInputError: they are not as many, or one of them is bad.
    """
    if len(old) != len(new):
        raise InvalidInputError(
            "InvalidVectors",
            f"{len(old)} old vectors and {len(new)} new ones: row i of both must be the same item",
        )
    return vectors("old", old), vectors("new", new)


def unit(given: Floats) -> Floats:
    """Return `given` [n, d] with each row of unit length; a row of zeros stays one."""
    lengths = np.linalg.norm(given, axis=1, keepdims=True)
    return (given / np.maximum(lengths, _SHORTEST)).astype(np.float32)

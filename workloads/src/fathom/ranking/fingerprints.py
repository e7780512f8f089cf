"""64-bit fingerprints of interactions: which part one falls into, and whether a model was trained on it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fathom.ranking.stream.scratch import chunks

Hashes = NDArray[np.uint64]

#: Fingerprints a bundle keeps of its training interactions; exact up to here, a sample beyond.
SAMPLE: Final = 131_072


def of_names(names: Sequence[str]) -> Hashes:
    """Return a fingerprint of each name."""
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(digests, np.uint64)


def mix(*values: NDArray[Any] | int) -> Hashes:
    """Return one fingerprint of each row of 64-bit `values` (splitmix64's finaliser, chained)."""
    state = np.zeros(1, np.uint64)
    for value in values:
        state = state * np.uint64(0x9E3779B97F4A7C15) + np.asarray(value).astype(np.uint64)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return state


def share(hashes: Hashes) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each fingerprint, uniform over fingerprints."""
    return (hashes >> np.uint64(11)).astype(np.float64) / 2.0**53


def sample(hashes: Hashes, chosen: NDArray[np.bool_] | None = None) -> Hashes:
    """Return the smallest `SAMPLE` distinct fingerprints, sorted; of those `chosen` [n] only, if given."""
    found = np.zeros(0, np.uint64)
    for part in chunks(len(hashes)):
        more = hashes[part] if chosen is None else hashes[part][chosen[part]]
        found = np.unique(np.concatenate([found, more]))[:SAMPLE]
    return found


def overlap(hashes: Hashes, sampled: Hashes) -> float:
    """Return the share of `hashes` among those that `sampled` is the `sample` of; estimated if it is full."""
    comparable = hashes[hashes <= sampled[-1]] if len(sampled) == SAMPLE else hashes
    return float(np.isin(comparable, sampled).mean()) if len(comparable) else 0.0

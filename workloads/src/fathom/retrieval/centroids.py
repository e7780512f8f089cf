"""Centroids of an inverted file, by spherical k-means."""

from __future__ import annotations

import math
from typing import Any, Final

from fathom.errors import InvalidInputError
from fathom.retrieval.parts import Floats

#: Vectors to learn a centroid from; faiss takes no more than 256 and warns below 39.
POINTS: Final = 48
_ITERATIONS: Final = 12
_SEED: Final = 0


def lists_for(items: int) -> int:
    """Return how many lists a gallery of `items` has: about as many as there are items in each."""
    return max(1, round(math.sqrt(items)))


def train(sample: Floats, lists: int) -> Floats:
    """Return unit vectors float32 [lists, dim] in the middle of the vectors of `sample` [n, dim].

    Raises:
        InvalidInputError: faiss is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise InvalidInputError(
            "MissingLibrary",
            f"{error}; galleries of this size need it: pip install 'fathom-workloads[retrieve]'",
        ) from error
    library: Any = faiss
    kmeans = library.Kmeans(
        sample.shape[1],
        lists,
        niter=_ITERATIONS,
        spherical=True,
        seed=_SEED,
        min_points_per_centroid=1,
        max_points_per_centroid=256,
    )
    kmeans.train(sample)
    return kmeans.centroids

"""The order in which training meets its rows: random, and still kind to a disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Rows that lie side by side on disk and are read together.
BLOCK: Final = 1 << 14
#: Rows mixed at once; up to here the order is fully random. 256 random blocks in a buffer leave neighbours of
#: the data 1 in 256 of each other's company.
BUFFER: Final = 1 << 22


def shuffled(
    rows: int, generator: np.random.Generator, *, block: int = BLOCK, buffer: int = BUFFER
) -> Iterator[NDArray[np.int64]]:
    """Yield all `rows` in random order, `buffer` of them at a time: random blocks, mixed with each other."""
    if rows <= buffer:
        yield generator.permutation(rows)
        return
    starts = block * generator.permutation(-(-rows // block))
    for some in np.array_split(starts, -(-rows // buffer)):
        places = (some[:, None] + np.arange(block)).ravel()
        yield generator.permutation(places[places < rows])

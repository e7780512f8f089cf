"""Numbers for names that come in batches."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fathom.ranking.stream.scratch import Array, Column, computed


class Names:
    """A column of names: each distinct one is held once, rows are numbers on disk."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._rows = Column(np.int64)

    def append(self, names: pa.Array) -> None:
        """Put `names` (strings, none missing) at the end."""
        encoded = names.dictionary_encode()
        known = self._known
        numbers = np.array(
            [known.setdefault(n, len(known)) for n in encoded.dictionary.to_pylist()], np.int64
        )
        self._rows.append(numbers[encoded.indices.to_numpy(zero_copy_only=False)])

    def sorted(self) -> tuple[list[str], Array]:
        """Return the distinct names in order, and each row's place among them [n]."""
        names, rows = sorted(self._known), self._rows.array()
        rank: NDArray[np.int64] = np.empty(len(names), np.int64)
        rank[np.array([self._known[name] for name in names], np.int64)] = np.arange(len(names))
        return names, computed(len(rows), np.int64, lambda part: rank[rows[part]])

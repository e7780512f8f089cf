"""Some of very many: the `most` items that come first by a value, in one pass and flat memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fathom.report.columns import Hashes


class First:
    """The `most` different items with the smallest values; equal values go by the hash of the id.

    With one value for all it is a uniform sample without replacement (bottom-k, Cohen and Kaplan 2007), which
    does not depend on the order of the rows.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: dict[str, tuple[float, int]] = {}
        self._worst = (float("inf"), 0)

    def offer(self, ids: list[str], hashes: Hashes, values: NDArray[np.float64] | None = None) -> None:
        """Take what comes first of `ids`, which may repeat."""
        by = np.zeros(len(ids)) if values is None else values
        near = np.flatnonzero((by < self._worst[0]) | ((by == self._worst[0]) & (hashes < self._worst[1])))
        new = 0
        for place in near[np.lexsort((hashes[near], by[near]))]:
            rank = (float(by[place]), int(hashes[place]))
            if rank < self._found.get(ids[place], (float("inf"), 0)):
                new += ids[place] not in self._found
                self._found[ids[place]] = rank
            if new >= self._most:
                break
        self._trim()

    def ids(self, below: float = float("inf")) -> list[str]:
        """Return the items whose value is below `below`, first come first."""
        found = (item for item, (value, _) in self._found.items() if value < below)
        return sorted(found, key=lambda item: self._found[item])

    def _trim(self) -> None:
        if len(self._found) < self._most:
            return
        kept = self.ids()[: self._most]
        self._found = {item: self._found[item] for item in kept}
        self._worst = self._found[kept[-1]]

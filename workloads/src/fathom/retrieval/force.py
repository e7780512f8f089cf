"""Which row of each item is in force: pure bookkeeping over ids and versions, without vectors.

Of several rows with one id the one with the highest version counts, among these the new model's, among these
what was added meanwhile. Nothing depends on the order in which parts are seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fathom.retrieval.gallery import Part
from fathom.retrieval.names import Numbers

Mask = NDArray[np.bool_]
_NOWHERE = -1


class Force:
    """For each item, by number, the part that its row in force is from."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._numbers: dict[Part, int] = {}
        self._from: NDArray[np.int32] = np.zeros(0, np.int32)
        # Most catalogues have no versions: then this stays None, which saves a good deal.
        self._versions: NDArray[np.int64] | None = None

    @property
    def items(self) -> int:
        """How many items have a row in force."""
        return int((self._from != _NOWHERE).sum())

    def take(self, part: Part, numbers: Numbers, versions: NDArray[np.int64]) -> None:
        """Consider a part's rows, one for each of `numbers`."""
        self._make_room(int(numbers.max(initial=-1)) + 1)
        before = self._from[numbers]
        absent = before == _NOWHERE
        # A gallery has thousands of parts: only those that had these items are compared.
        holders = np.unique(before[~absent]).tolist()
        weaker = [number for number in holders if _rank(part) > _rank(self._parts[number])]
        stronger = np.isin(before, weaker)
        known = self._known(numbers)
        wins = absent | (versions > known) | ((versions == known) & stronger)
        if wins.any():
            self._from[numbers[wins]] = self._number(part)
            self._remember(numbers[wins], versions[wins])

    def of(self, part: Part, numbers: Numbers) -> Mask:
        """Return for which of `numbers` the row in force is this part's [n]."""
        if part not in self._numbers:
            return np.zeros(len(numbers), np.bool_)
        return self._from[numbers] == self._numbers[part]

    def withdraw(self, parts: Sequence[Part]) -> Numbers:
        """Forget the rows of `parts`; return the items that have no row in force any more."""
        gone = [self._numbers[part] for part in parts if part in self._numbers]
        numbers = np.flatnonzero(np.isin(self._from, gone)) if gone else np.zeros(0, np.int64)
        self._from[numbers] = _NOWHERE
        return numbers

    def _known(self, numbers: Numbers) -> NDArray[np.int64]:
        return np.zeros(len(numbers), np.int64) if self._versions is None else self._versions[numbers]

    def _remember(self, numbers: Numbers, versions: NDArray[np.int64]) -> None:
        if self._versions is None:
            if not versions.any():
                return
            self._versions = np.zeros(len(self._from), np.int64)
        self._versions[numbers] = versions

    def _number(self, part: Part) -> int:
        if part not in self._numbers:
            self._numbers[part] = len(self._parts)
            self._parts.append(part)
        return self._numbers[part]

    def _make_room(self, count: int) -> None:
        missing = count - len(self._from)
        if missing > 0:
            more = max(missing, len(self._from) // 64)
            self._from = np.append(self._from, np.full(more, _NOWHERE, np.int32))
            if self._versions is not None:
                self._versions = np.append(self._versions, np.zeros(more, np.int64))


def _rank(part: Part) -> tuple[bool, bool, str]:
    return part.space == "new", part.chunk is None, part.name

"""Ids of items and the numbers they have in memory: an id costs its bytes and 16 more."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from fathom.captioning.store.hashing import Hashes, hashes, new_seed

pc: Any = pyarrow.compute
Numbers = NDArray[np.int64]
#: Ids kept in a dictionary until they are sorted in among the others.
_TAIL: Final = 32_768


class Names:
    """Numbers from 0, in the order in which ids came. One thread adds; any may `take` numbers it knows."""

    def __init__(self) -> None:
        self._seed = new_seed()
        self._pieces: tuple[list[int], list[pa.StringArray]] = ([], [])
        self._count = 0
        self._hashes: Hashes = np.zeros(0, np.uint64)
        self._numbers: NDArray[np.uint32] = np.zeros(0, np.uint32)
        self._tail: dict[str, int] = {}

    def __len__(self) -> int:
        return self._count

    def take(self, numbers: Iterable[int]) -> list[str]:
        """Return the ids of `numbers`."""
        starts, arrays = self._pieces
        found: list[str] = []
        for number in numbers:
            piece = bisect_right(starts, number) - 1
            found.append(arrays[piece][int(number) - starts[piece]].as_py())
        return found

    def find(self, ids: pa.StringArray) -> Numbers:
        """Return the number of each of `ids`, -1 where there is none [n]."""
        found = np.full(len(ids), -1)
        if len(self._hashes):
            wanted = hashes(ids, self._seed)
            places = np.searchsorted(self._hashes, wanted)
            places[places == len(self._hashes)] = 0
            alike = np.flatnonzero(self._hashes[places] == wanted)
            numbers = self._numbers[places[alike]].astype(np.int64)
            # A hash only says where to look.
            same = _strings(self._pieces[1], numbers).to_numpy(False) == ids.take(pa.array(alike)).to_numpy(
                False
            )
            found[alike[same]] = numbers[same]
        if self._tail:
            for row in np.flatnonzero(found < 0):
                found[row] = self._tail.get(ids[int(row)].as_py(), -1)
        return found

    def add(self, ids: pa.StringArray) -> Numbers:
        """Return the number of each of `ids`, which are different; new ones get the next ones [n]."""
        found = self.find(ids)
        new = np.flatnonzero(found < 0)
        if not len(new):
            return found
        found[new] = np.arange(self._count, self._count + len(new))
        fresh: pa.StringArray = ids.take(pa.array(new))
        starts, arrays = self._pieces
        # Replaced as a whole, since others may be reading.
        self._pieces = ([*starts, self._count], [*arrays, fresh])
        self._tail.update(zip(fresh.to_pylist(), range(self._count, self._count + len(new)), strict=True))
        self._count += len(new)
        if len(self._tail) > _TAIL:
            self.settle()
        return found

    def settle(self) -> None:
        """Sort in what came last; after many `add`s this frees memory."""
        if not self._tail:
            return
        texts, numbers = list(self._tail), np.fromiter(self._tail.values(), np.uint32, len(self._tail))
        new = hashes(pa.array(texts, pa.string()), self._seed)
        joined, order = np.unique(np.concatenate([self._hashes, new]), return_index=True)
        # Of two ids with one hash (3 in 10 million million pairs) the later stays in the dictionary.
        left = np.setdiff1d(np.arange(len(texts)), order - len(self._hashes))
        self._numbers = np.concatenate([self._numbers, numbers])[order]
        self._hashes = joined
        self._tail = {texts[row]: int(numbers[row]) for row in left}
        self._merge_pieces()

    def _merge_pieces(self) -> None:
        """Have fewer, longer arrays: each commit brings a small one."""
        _, arrays = self._pieces
        if len(arrays) > 1:
            merged = pa.concat_arrays(arrays)
            self._pieces = ([0], [merged])


def _strings(arrays: list[pa.StringArray], numbers: Numbers) -> Any:
    if len(arrays) == 1:
        return arrays[0].take(pa.array(numbers))
    starts = np.fromiter(accumulate((len(a) for a in arrays[:-1]), initial=0), np.int64, len(arrays))
    pieces = np.searchsorted(starts, numbers, side="right") - 1
    out: list[Any] = [None] * len(numbers)
    for piece in np.unique(pieces):
        rows = np.flatnonzero(pieces == piece)
        for row, text in zip(rows, arrays[piece].take(pa.array(numbers[rows] - starts[piece])), strict=True):
            out[row] = text.as_py()
    return pa.array(out, pa.string())

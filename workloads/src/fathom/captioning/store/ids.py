"""Which row of a source has which id: 12 bytes a row, whatever the ids look like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from fathom.captioning.sources import SourceReader
from fathom.captioning.store.hashing import Hashes, hashes, new_seed

pc: Any = pyarrow.compute
Rows = NDArray[np.int64]
_NONE: Final = np.array([], np.int64)


class Ids:
    """The ids of all rows of a source, by hash.

    A hash has 64 bits under a seed of our own, so that of 10 million ids two share one with a probability of
    3 in a million. Two rows count as duplicates only if a second hash says so too. Where `rows` confuses two
    ids, the reader that is led astray compares the ids themselves and captions one item anew.
    """

    def __init__(self, reader: SourceReader) -> None:
        """Read all ids once, and once more where some may be there twice."""
        self._reader = reader
        seed = self._seed = new_seed()
        found: list[Hashes] = []
        nulls: list[Rows] = []
        self.total = 0
        for column in _columns(reader):
            if column.null_count:
                nulls.append(self.total + np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)))
            found.append(hashes(column.drop_null(), seed))
            self.total += len(column)
        self.without = np.concatenate(nulls) if nulls else _NONE
        joined = np.concatenate(found) if found else np.array([], np.uint64)
        # Sorting is where memory peaks; what is joined is not needed in pieces as well.
        found.clear()
        self._sorted, self._rows = self._sort(joined)
        self.duplicates = self._duplicates()

    def rows(self, ids: pa.Array) -> Rows:
        """Return the first row of each of `ids` [n], -1 where the source has none."""
        wanted = hashes(ids, self._seed)
        if not len(self._sorted):
            return np.full(len(wanted), -1)
        # Looked for in their own order, they are found many times faster: memory is read from front to back.
        order = np.argsort(wanted)
        places = np.empty(len(wanted), np.int64)
        places[order] = np.searchsorted(self._sorted, wanted[order])
        places[places == len(self._sorted)] = 0
        return np.where(self._sorted[places] == wanted, self._rows[places].astype(np.int64), -1)

    def named(self, rows: Rows) -> Iterator[tuple[Rows, pa.Array]]:
        """Yield the ids of `rows`, which are sorted, a few at a time."""
        start = 0
        for column in _columns(self._reader):
            first, last = np.searchsorted(rows, (start, start + len(column)))
            if last > first:
                yield rows[first:last], column.take(pa.array(rows[first:last] - start))
            start += len(column)

    def _sort(self, found: Hashes) -> tuple[Hashes, NDArray[np.uint32]]:
        """Return the hashes in order, and the row of each; among equal ones, the first row comes first."""
        order = np.argsort(found, kind="stable").astype(np.uint32)
        if not len(self.without):
            return found[order], order
        return found[order], np.delete(np.arange(self.total, dtype=np.uint32), self.without)[order]

    def _duplicates(self) -> Rows:
        """Return the rows, in order, whose id an earlier row has."""
        again = self._sorted[1:] == self._sorted[:-1]
        if not again.any():
            return _NONE
        alike = np.zeros(len(self._sorted), np.bool_)
        alike[1:] |= again
        alike[:-1] |= again
        order = np.argsort(self._rows[alike])
        rows = self._rows[alike][order].astype(np.int64)
        first = self._sorted[alike][order]
        seed = new_seed()
        second = np.concatenate([hashes(ids, seed) for _, ids in self.named(rows)])
        order = np.lexsort((rows, second, first))
        same = (np.diff(first[order]) == 0) & (np.diff(second[order]) == 0)
        return np.sort(rows[order][1:][same])


def _columns(reader: SourceReader) -> Iterator[pa.Array]:
    for batch in reader.ids():
        yield pc.cast(batch.column(0), pa.string())

"""Captions that exist already, found by item, aspect and key; the rows themselves stay where they are."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from itertools import accumulate, chain
from typing import Final

import numpy as np
import pyarrow as pa

from fathom.captioning.store import history, parts
from fathom.captioning.store.hashing import Hashes, identities, identity
from fathom.captioning.store.parts import CaptionRow
from fathom.captioning.store.plan import Slice
from fathom.storage import Location

IDENTITY: Final = ["item_id", "aspect", "key"]
#: Row groups held at once. Items come in the order of the rows they are sorted by, so few are in use.
_CACHED: Final = 96
_THREADS: Final = 8


class Earlier:
    """An index of 24 bytes a row over captions in files."""

    def __init__(self, planned: Sequence[Slice], own: Location, seed: int) -> None:
        """Look at the row groups `planned` for a shard, and at what its pods have written below `own`.

        Raises:
            FileNotFoundError: the plan has been replaced.
        """
        self._seed = seed
        with ThreadPoolExecutor(_THREADS) as pool:
            looked = pool.map(self._planned, planned)
            written = pool.map(self._written, (e.path for e in history.entries(own, "captions")))
            found = list(chain(looked, chain.from_iterable(written)))
        self._slices = [slice_ for slice_, _ in found]
        self._starts = list(accumulate((len(hashes) for _, hashes in found), initial=0))
        hashes = np.concatenate([h for _, h in found]) if found else np.empty((0, 2), np.uint64)
        self._order = np.argsort(hashes[:, 0])
        self._first, self._second = hashes[self._order, 0], hashes[self._order, 1]
        self._group = lru_cache(_CACHED)(_read)

    def __len__(self) -> int:
        return len(self._order)

    def find(self, item_id: str, aspect: str, key: str) -> CaptionRow | None:
        """Return the caption that an item has under `key` already."""
        first, second = identity(item_id, aspect, key, self._seed)
        place = int(np.searchsorted(self._first, np.uint64(first)))
        while place < len(self._order) and int(self._first[place]) == first:
            if int(self._second[place]) == second:
                row = self._row(int(self._order[place]))
                if row is not None and (row.item_id, row.aspect, row.key) == (item_id, aspect, key):
                    return row
            place += 1
        return None

    def _row(self, position: int) -> CaptionRow | None:
        group = bisect.bisect_right(self._starts, position) - 1
        rows = self._group(self._slices[group])
        if rows is None:
            return None
        return CaptionRow(**rows.slice(position - self._starts[group], 1).to_pylist()[0])

    def _planned(self, slice_: Slice) -> tuple[Slice, Hashes]:
        with parts.reading(slice_.path) as file:
            return slice_, identities(parts.group(file, slice_.group, IDENTITY), self._seed)

    def _written(self, path: Location) -> list[tuple[Slice, Hashes]]:
        with suppress(FileNotFoundError), parts.reading(path) as file:
            return [
                (Slice(path, group), identities(parts.group(file, group, IDENTITY), self._seed))
                for group in range(file.num_row_groups)
            ]
        return []


def _read(slice_: Slice) -> pa.Table | None:
    """Return the captions of a row group; None if another pod has merged its file away since."""
    with suppress(FileNotFoundError), parts.reading(slice_.path) as file:
        return parts.group(file, slice_.group, parts.CAPTIONS.names)
    return None


def rows(planned: Sequence[Slice], own: Location) -> Iterator[pa.RecordBatch]:
    """Yield the captions of the row groups `planned`, then all that is below `own`; some come twice.

    Raises:
        FileNotFoundError: the plan has been replaced.
    """
    for slice_ in planned:
        with parts.reading(slice_.path) as file:
            yield from parts.group(file, slice_.group, parts.CAPTIONS.names).to_batches()
    yield from history.rows(own, "captions", parts.CAPTIONS.names)

"""Arrays on the local disk: as many rows as there are, in as much memory as the kernel has to spare.

Pages of a mapped file can be dropped at any time; a process that only maps needs no memory of its own for its
data, whatever their size. Below `$TMPDIR`, which must be a disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
#: Rows handled at once: what is held for them is some tens of megabytes.
CHUNK: Final = 1 << 20


class Column:
    """Grows at its end; then is an array on disk, which nobody else sees and which goes when we do."""

    def __init__(self, kind: DTypeLike) -> None:
        self._kind = np.dtype(kind)
        self._file = tempfile.TemporaryFile(prefix="fathom-")  # noqa: SIM115  the array outlives any block
        self._rows = 0

    def append(self, values: Array) -> None:
        """Put `values` at the end."""
        self._file.write(np.ascontiguousarray(values, self._kind).data)
        self._rows += len(values)

    def array(self) -> Array:
        """Return all values [n]; nothing can be appended any more."""
        self._file.flush()
        found = _mapped(self._file, self._kind, self._rows)
        self._file.close()
        return found


def empty(rows: int, kind: DTypeLike) -> Array:
    """Return an array [rows] of zeros on disk."""
    with tempfile.TemporaryFile(prefix="fathom-") as file:
        file.truncate(rows * np.dtype(kind).itemsize)
        return _mapped(file, np.dtype(kind), rows)


def _mapped(file: Any, kind: np.dtype[Any], rows: int) -> Array:
    if not rows:
        return np.zeros(0, kind)
    # A plain view: what is computed of it is an array in memory, and says so.
    return np.memmap(file, kind, "r+", shape=(rows,)).view(np.ndarray)


def chunks(rows: int) -> Iterator[slice]:
    """Yield slices that together are all `rows`."""
    yield from (slice(start, min(start + CHUNK, rows)) for start in range(0, rows, CHUNK))


def computed(rows: int, kind: DTypeLike, compute: Callable[[slice], Array]) -> Array:
    """Return an array [rows] on disk of what `compute` gives for each chunk."""
    found = empty(rows, kind)
    for part in chunks(rows):
        found[part] = compute(part)
    return found


def where(mask: Callable[[slice], Array], rows: int) -> Array:
    """Return the rows for which `mask` of their chunk is true, in order."""
    found = Column(np.int64)
    for part in chunks(rows):
        found.append(part.start + np.flatnonzero(mask(part)))
    return found.array()


def counts(places: Array, size: int, chosen: Callable[[slice], Array] | None = None) -> NDArray[np.int64]:
    """Return how often each of 0 … size - 1 is in `places` [n]; of `chosen` rows only, if given."""
    found = np.zeros(size, np.int64)
    for part in chunks(len(places)):
        values = places[part] if chosen is None else places[part][chosen(part)]
        found += np.bincount(values, minlength=size)
    return found


def grouped(places: Array, sizes: NDArray[np.int64]) -> Array:
    """Return the rows [n] ordered by their place, those of one place in their order; `sizes` counts each.

    A counting sort: one pass over `places`, however many there are.
    """
    order = empty(len(places), np.int64)
    following = np.cumsum(sizes) - sizes
    for part in chunks(len(places)):
        local = np.argsort(places[part], kind="stable")
        sorted_places = places[part][local]
        rank = np.arange(len(local)) - np.searchsorted(sorted_places, sorted_places)
        order[following[sorted_places] + rank] = part.start + local
        following += np.bincount(sorted_places, minlength=len(sizes))
    return order

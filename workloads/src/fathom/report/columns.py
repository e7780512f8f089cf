"""Columns of a stream as the report's passes need them: as text, as numbers, as hashes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from fathom.storage import Location

#: Its functions are made when it is imported, unseen by type checkers.
pc: Any = pyarrow.compute

#: Rows held at once.
BATCH_ROWS: Final = 8192
#: What is chosen by chance is chosen by this: the same rows give the same report.
_SEED: Final = 20_260_131

Hashes = NDArray[np.uint64]
Whole = NDArray[np.int64]


def texts(column: pa.Array) -> list[str]:
    """Return a column as text: null as "", bytes that are no UTF-8 as U+FFFD."""
    try:
        found = column.to_pylist()
    except UnicodeDecodeError:
        found = [v and v.decode(errors="replace") for v in column.cast(pa.binary()).to_pylist()]
    return [value or "" for value in found]


def numbers(column: pa.Array) -> NDArray[np.float64]:
    """Return a column as numbers, null as 0."""
    return np.asarray(pc.fill_null(column, 0).to_numpy(zero_copy_only=False), np.float64)


def hashes(values: list[str]) -> Hashes:
    """Return 64 bits of a seeded hash of each text."""
    digest = xxhash.xxh3_64_intdigest
    found = (digest(value.encode(errors="replace"), _SEED) for value in values)
    return np.fromiter(found, np.uint64, len(values))


def parquet(path: Location, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file below a local or a remote root."""
    # Buffered ahead, Arrow holds a whole file's columns: one file has the tokens of all items.
    with path.open("rb") as opened, pq.ParquetFile(opened, pre_buffer=False) as file:
        yield from file.iter_batches(batch_size=BATCH_ROWS, columns=columns)


def among(batch: pa.RecordBatch, item_ids: pa.Array) -> pa.RecordBatch:
    """Return the rows of `batch` whose item is one of `item_ids`."""
    return batch.filter(pc.is_in(batch["item_id"], value_set=item_ids))

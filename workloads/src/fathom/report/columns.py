"""Columns of a stream as the report's passes need them: as text, as numbers, as hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

#: Rows held at once.
BATCH_ROWS: Final = 8192
#: What is chosen by chance is chosen by this: the same rows give the same report.
_SEED: Final = b"fathom.report"

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
    digests = b"".join(
        hashlib.blake2b(value.encode(errors="replace"), digest_size=8, key=_SEED).digest() for value in values
    )
    return np.frombuffer(digests, np.uint64)


def parquet(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file below a local or a remote root."""
    with path.open("rb") as opened, pq.ParquetFile(opened) as file:
        yield from file.iter_batches(batch_size=BATCH_ROWS, columns=columns)


def among(batch: pa.RecordBatch, item_ids: pa.Array) -> pa.RecordBatch:
    """Return the rows of `batch` whose item is one of `item_ids`."""
    return batch.filter(pc.is_in(batch["item_id"], value_set=item_ids))

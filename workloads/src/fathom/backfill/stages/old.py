"""The old model's embeddings: those that are there, or made now where there are none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fathom import storage
from fathom.backfill.stages.folders import Floats
from fathom.captioning.items import as_ids
from fathom.errors import InvalidInputError
from fathom.storage import Location
from fathom_api.backfill_tasks import BackfillTask

#: Column with the vectors.
COLUMN: Final = "embedding"
_ROWS: Final = 16_384


def digest_of(uri: str) -> str:
    """Return the digest of a model that is known by its name alone: it is not opened."""
    return f"sha256:{hashlib.sha256(uri.encode()).hexdigest()}"


def known_ids(task: BackfillTask) -> frozenset[str] | None:
    """Return the ids that the old embeddings know, None where they have yet to be made.

    Raises:
        InvalidInputError: they cannot be read, or a column is missing.
    """
    if task.from_.embeddings is None:
        return None
    found: set[str] = set()
    for path in _paths(task.from_.embeddings):
        with path.open("rb") as file, _opened(path, file) as table:
            _need(path, table, task.gallery.id_column)
            for batch in table.iter_batches(_ROWS, columns=[task.gallery.id_column]):
                found.update(i for i in as_ids(batch.column(0)).to_pylist() if i is not None)
    return frozenset(found)


def read(task: BackfillTask, uri: str) -> Iterator[tuple[list[str], Floats]]:
    """Yield ids and vectors of the old embeddings at `uri`, float32 [n, d].

    Raises:
        InvalidInputError: they cannot be read, a column is missing, or vectors have different lengths.
    """
    id_column = task.gallery.id_column
    for path in _paths(uri):
        with path.open("rb") as file, _opened(path, file) as table:
            _need(path, table, id_column)
            for batch in table.iter_batches(_ROWS, columns=[id_column, COLUMN]):
                rows = pa.Table.from_batches([batch]).filter(batch[id_column].is_valid())
                if rows.num_rows:
                    ids = as_ids(rows[id_column].combine_chunks()).to_pylist()
                    yield ids, _vectors(path, rows[COLUMN].combine_chunks())


def _vectors(path: Location, column: Any) -> Floats:
    if column.null_count:
        raise InvalidInputError("NoVector", f"{path}: an item has no {COLUMN}; leave it out or embed it")
    flat = column.flatten().to_numpy(zero_copy_only=False)
    width, rest = divmod(len(flat), len(column))
    lengths = {len(column[0].as_py())} if len(column) else {0}
    even = rest == 0 and (
        pa.types.is_fixed_size_list(column.type)
        or np.all(np.diff(column.offsets.to_numpy()) == next(iter(lengths)))
    )
    if not even:
        raise InvalidInputError(
            "WrongShape", f"{path}: vectors in {COLUMN!r} differ in length; they are not of one model"
        )
    return flat.reshape(len(column), width).astype(np.float32)


def _paths(uri: str) -> list[Location]:
    root = storage.existing(uri)
    if not root.is_dir():
        return [root]
    found = [entry.path for entry in storage.files(root) if entry.name.endswith(".parquet")]
    if not found:
        raise InvalidInputError("NoEmbeddings", f"{uri}: holds no Parquet files; correct from.embeddings")
    return found


def _opened(path: Location, file: Any) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except pa.ArrowInvalid as error:
        raise InvalidInputError("UnreadableTable", f"{path}: not readable as Parquet: {error}") from error


def _need(path: Location, table: pq.ParquetFile, id_column: str) -> None:
    names = table.schema_arrow.names
    for name in (id_column, COLUMN):
        if name not in names:
            raise InvalidInputError(
                "MissingColumn", f"{path}: no column {name!r}, only {', '.join(names)}; add it"
            )
    kind = table.schema_arrow.field(COLUMN).type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise InvalidInputError(
            "InvalidColumn", f"{path}: column {COLUMN!r} holds {kind}; write lists of float32"
        )

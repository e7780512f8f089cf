"""Reading Parquet and CSV tables, and saying clearly what is wrong with them."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds

from fathom.errors import InvalidInputError
from fathom.storage import existing_local


def read(uri: str, columns: Sequence[str]) -> pa.Table:
    """Return `columns` of the table at `uri`: a Parquet or CSV file, or a folder of Parquet files.

    Raises:
        InvalidInputError: there is no such table or column, or it cannot be read.
    """
    dataset, wanted = _open(uri, columns)
    with _readable(uri):
        return dataset.to_table(columns=wanted)


def stream(uri: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield `columns` of the table at `uri` in batches, in the order of files and rows; none if it is empty.

    Raises:
        InvalidInputError: there is no such table or column, or it cannot be read.
    """
    dataset, wanted = _open(uri, columns)
    with _readable(uri):
        # Few batches ahead: reading is faster than what is done with them, and they would pile up in memory.
        yield from dataset.to_batches(columns=wanted, batch_readahead=2, fragment_readahead=1)


def columns(uri: str) -> list[str]:
    """Return the names of the columns of the table at `uri`.

    Raises:
        InvalidInputError: there is no such table, or it cannot be read.
    """
    return _open(uri, [])[0].schema.names


def _open(uri: str, columns: Sequence[str]) -> tuple[ds.Dataset, list[str]]:
    wanted = list(dict.fromkeys(columns))
    with _readable(uri):
        dataset = _dataset(existing_local(uri))
    missing = [c for c in wanted if c not in dataset.schema.names]
    if missing:
        raise InvalidInputError(
            "MissingColumn",
            f"{uri}: no column {_names(missing)}; it has {_names(dataset.schema.names)}",
        )
    return dataset, wanted


@contextmanager
def _readable(uri: str) -> Generator[None]:
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise InvalidInputError("UnreadableTable", f"{uri}: cannot be read: {error}") from error


def array(table: pa.Table, name: str) -> pa.Array:
    """Return the column `name` in one piece."""
    column: Any = table[name]
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _names(columns: Sequence[str]) -> str:
    return ", ".join(map(repr, columns)) or "none"


def _dataset(path: Path) -> ds.Dataset:
    if path.suffix == ".csv":
        return ds.dataset(path, format="csv")
    if path.suffix == ".tsv":
        delimiter = pyarrow.csv.ParseOptions(delimiter="\t")
        return ds.dataset(path, format=ds.CsvFileFormat(parse_options=delimiter))
    if path.suffix == ".parquet" or path.is_dir():
        return ds.dataset(path, format="parquet")
    raise InvalidInputError(
        "UnknownFormat",
        f"{path}: unknown format; use .parquet, .csv, .tsv or a folder of Parquet",
    )

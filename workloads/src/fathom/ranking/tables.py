"""Reading Parquet and CSV tables, and saying clearly what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from fathom.errors import InvalidInputError
from fathom.storage import existing_local


def read(uri: str, columns: Sequence[str]) -> pa.Table:
    """Return `columns` of the table at `uri`: a Parquet or CSV file, or a folder of Parquet files.

    Raises:
        InvalidInputError: there is no such table or column, or it cannot be read.
    """
    path = existing_local(uri)
    wanted = list(dict.fromkeys(columns))
    try:
        table = _table(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidInputError("UnreadableTable", f"{uri}: cannot be read: {error}") from error
    missing = [c for c in wanted if c not in table.column_names]
    if missing:
        raise InvalidInputError(
            "MissingColumn",
            f"{uri}: no column {_names(missing)}; it has {_names(table.column_names)}",
        )
    return table.select(wanted)


def array(table: pa.Table, name: str) -> pa.Array:
    """Return the column `name` in one piece."""
    column: Any = table[name]
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _names(columns: Sequence[str]) -> str:
    return ", ".join(map(repr, columns)) or "none"


def _table(path: Path) -> pa.Table:
    if path.suffix == ".csv":
        return pyarrow.csv.read_csv(path)
    if path.suffix == ".tsv":
        return pyarrow.csv.read_csv(path, parse_options=pyarrow.csv.ParseOptions(delimiter="\t"))
    if path.suffix == ".parquet" or path.is_dir():
        return pq.read_table(path)
    raise InvalidInputError(
        "UnknownFormat",
        f"{path}: unknown format; use .parquet, .csv, .tsv or a folder of Parquet",
    )

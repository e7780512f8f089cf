"""`fathom dataset`: files of a public data set to tables and a task that `fathom train` takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from fathom.datasets.formats import FORMATS, Format
from fathom.errors import InvalidInputError
from fathom_api.tasks import TrainTask

pc: Any = pyarrow.compute
TASK: Final = "train.json"
_KEYS: Final = ("user_id", "item_id")
#: The one user, and the one item, of a set that has neither.
_EVERYBODY: Final = "-"
#: Its rows by number, where a time would tell them apart.
_ROW: Final = "row"


def convert(name: str, source: Path, target: Path) -> TrainTask:
    """Write `interactions.parquet`, `items.parquet`, `users.parquet` and `train.json` of the set `name`.

    Rows pass in batches; only what is known of items and users is held in memory.

    Raises:
        InvalidInputError: there is no such set, or a file or column of it is missing.
    """
    if name not in FORMATS:
        raise InvalidInputError("UnknownDataset", f"no data set {name!r}; choose from {', '.join(FORMATS)}")
    known = FORMATS[name]
    target.mkdir(parents=True, exist_ok=True)
    described = _interactions(known, source, target / "interactions.parquet")
    tables = {side: _described(known, side, source) for side in known.tables}
    if described is not None:
        tables["items"] = _joined(described, tables.get("items"))
    for side, table in tables.items():
        pq.write_table(table, target / f"{side}.parquet")
    task = _task(known, target, tables)
    (target / TASK).write_text(json.dumps(task.document(), indent=2) + "\n")
    return task


def _interactions(known: Format, source: Path, path: Path) -> pa.Table | None:
    """Write the interactions, with the part each was published in, and return what they say of items."""
    writer: pq.ParquetWriter | None = None
    seen: pa.Table | None = None
    count = 0
    for part, file in known.parts.items():
        for batch in _batches(known, source / file, {**known.columns, **known.item}):
            rows = batch.select(list(known.columns))
            if known.anonymous:
                rows = _numbered(rows, count)
                count += len(batch)
            if known.all_positive:
                rows = rows.append_column("label", pa.array([1] * len(batch), pa.int8()))
            rows = rows.append_column("part", pa.array([part] * len(batch)))
            rows = rows.set_column(rows.column_names.index("label"), "label", _label(known, rows["label"]))
            writer = writer or pq.ParquetWriter(path, rows.schema)
            writer.write_table(rows.cast(writer.schema))
            if known.item:
                of_items = batch.select(["item_id", *known.item])
                seen = _first(of_items if seen is None else pa.concat_tables([seen, of_items]))
    if writer is None:
        raise InvalidInputError("NoRows", f"{source}: {', '.join(known.parts.values())} hold no rows")
    writer.close()
    return seen


def _numbered(rows: pa.Table, first: int) -> pa.Table:
    """Return `rows` as those of one user and one item, with a number that tells them apart."""
    for key in _KEYS:
        rows = rows.append_column(key, pa.array([_EVERYBODY] * len(rows)))
    return rows.append_column(_ROW, pa.array(range(first, first + len(rows)), pa.int64()))


def _label(known: Format, column: pa.ChunkedArray) -> pa.ChunkedArray:
    numbers = column.cast(pa.float64())
    if known.like is not None:
        numbers = pc.greater_equal(numbers, known.like)
    return numbers.cast(pa.int8())


def _first(table: pa.Table) -> pa.Table:
    """Return the first row of each item."""
    firsts = table.append_column("@row", pa.array(range(len(table)))).group_by("item_id")
    rows = firsts.aggregate([("@row", "min")])["@row_min"]
    return table.take(rows)


def _described(known: Format, side: str, source: Path) -> pa.Table:
    file, columns = known.tables[side]
    return pa.concat_tables(list(_batches(known, source / file, columns)))


def _joined(described: pa.Table, table: pa.Table | None) -> pa.Table:
    """Return what the interactions say of items beside what their own table says, if there is one."""
    if table is None:
        return described
    places = pc.index_in(table["item_id"], value_set=described["item_id"])
    joined: pa.Table = table
    for name in described.column_names[1:]:
        joined = joined.append_column(name, described[name].take(places))
    return joined


def _batches(known: Format, path: Path, columns: Mapping[str, str]) -> Iterator[pa.Table]:
    """Yield the rows of a file, `columns` by their new names; ids are strings."""
    if not path.is_file():
        raise InvalidInputError(
            "MissingFile", f"{path}: not there; it belongs to {known.title}, unpack that first"
        )
    dataset = ds.dataset(path, format=_kind(known, path))
    theirs = {name.partition(":")[0] if known.typed else name: name for name in dataset.schema.names}
    if missing := [name for name in columns.values() if name not in theirs]:
        raise InvalidInputError(
            "MissingColumn", f"{path}: no column {', '.join(missing)}; it has {', '.join(theirs)}"
        )
    wanted = {ours: ds.field(theirs[name]) for ours, name in columns.items()}
    for batch in dataset.to_batches(columns=wanted):
        table = pa.Table.from_batches([batch])
        for key in _KEYS:
            if key in table.column_names:
                at = table.column_names.index(key)
                table = table.set_column(at, key, table[key].cast(pa.string()))
        yield table


def _kind(known: Format, path: Path) -> Any:
    if path.suffix == ".parquet":
        return "parquet"
    if known.multiline:
        return ds.CsvFileFormat(parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True))
    if not known.typed:
        return "csv"
    # RecBole's files have no quoting: a title may hold a quotation mark.
    return ds.CsvFileFormat(parse_options=pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False))


def _split(known: Format) -> dict[str, str]:
    """Return the split the set was published with; a random one if there is none."""
    if "test" in known.parts:
        return {"strategy": "Given", "splitColumn": "part"}
    return {"strategy": "Random"}


def _time_column(known: Format) -> str | None:
    if known.anonymous:
        return _ROW
    return "timestamp" if "timestamp" in known.columns else None


def _task(known: Format, target: Path, tables: Mapping[str, pa.Table]) -> TrainTask:
    return TrainTask.model_validate(
        {
            "data": {
                "interactions": {"uri": str(target / "interactions.parquet")},
                **{side: {"uri": str(target / f"{side}.parquet")} for side in tables},
                "timeColumn": _time_column(known),
                "split": _split(known),
            },
            "features": dict(known.features),
            "output": str(target / "ranker"),
        }
    )

"""Parquet."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

import pyarrow as pa
import pyarrow.parquet as pq

from fathom.captioning.items import Record, as_ids, texts
from fathom.captioning.sources import columns
from fathom.captioning.sources.files import Note
from fathom.captioning.sources.index import Mark
from fathom.errors import InvalidInputError
from fathom.storage import Location
from fathom_api.tasks import AnySource

_ID_ROWS: Final = 65_536
#: What a batch of rows with their media may take, by the row group's own mean.
_BATCH_BYTES: Final = 16 * 2**20
_BATCH_ROWS: Final = 1024
#: The same, where media are in the table: many small rows may be one large picture, kept once.
_MEDIA_ROWS: Final = 64
_BUFFER: Final = 1 << 20


class Parquet:
    """Only row groups in range are read, of them only the columns named, a few rows at a time."""

    counted_at_once: ClassVar = 32

    def __init__(self, source: AnySource) -> None:
        self._source = source

    def check(self, path: Location) -> None:
        """Check columns and their types."""
        with _opened(path) as file:
            self._check(path, file)

    def count(self, path: Location) -> int:
        """Return what the footer says."""
        with _opened(path) as file:
            return file.metadata.num_rows

    def ids(self, path: Location, note: Note) -> Iterator[pa.Array]:
        """Yield the ids, reading no other column."""
        del note  # Row groups are found by the footer.
        with _opened(path) as file:
            self._check(path, file)
            for batch in file.iter_batches(_ID_ROWS, columns=[self._source.id_column]):
                yield as_ids(_column(batch, self._source.id_column))

    def records(self, path: Location, start: int, stop: int | None, mark: Mark) -> Iterator[Record]:
        """Yield rows [start, stop); rows before `start` in its row group are decoded and dropped."""
        del mark
        with _opened(path) as file:
            self._check(path, file)
            first = 0
            for number in range(file.metadata.num_row_groups):
                rows = file.metadata.row_group(number).num_rows
                end = rows if stop is None else min(stop - first, rows)
                begin = max(start - first, 0)
                if begin < end:
                    yield from self._group(file, number, begin, end)
                first += rows

    def _group(self, file: pq.ParquetFile, number: int, begin: int, end: int) -> Iterator[Record]:
        place = 0
        media = file.schema_arrow.field(self._source.media_column).type
        rows = _batch_rows(file.metadata.row_group(number), _BATCH_ROWS if _is_text(media) else _MEDIA_ROWS)
        for batch in file.iter_batches(rows, row_groups=[number], columns=columns.wanted(self._source)):
            low, high = max(begin - place, 0), min(end - place, batch.num_rows)
            place += batch.num_rows
            if low < high:
                yield from self._records(batch.slice(low, high - low))
            if place >= end:
                return

    def _records(self, batch: pa.RecordBatch) -> Iterator[Record]:
        source = self._source
        ids = as_ids(_column(batch, source.id_column)).to_pylist()
        media = _values(_column(batch, source.media_column))
        found = {name: _values(_column(batch, name)) for name in source.text_columns}
        for row, item_id in enumerate(ids):
            own = {name: values[row] for name, values in found.items()}
            yield Record(item_id, media[row], texts(own, own, source.max_text_length))

    def _check(self, path: Location, file: pq.ParquetFile) -> None:
        schema = file.schema_arrow
        columns.need(path, self._source, schema.names)
        kind = schema.field(self._source.id_column).type
        if pa.types.is_nested(kind):
            raise InvalidInputError(
                "InvalidColumn",
                f"{path}: column {self._source.id_column!r} holds {kind}, no id; use text or numbers",
            )
        kind = schema.field(self._source.media_column).type
        if not _may_be_media(kind):
            raise InvalidInputError(
                "InvalidColumn",
                f"{path}: column {self._source.media_column!r} holds {kind}; media are bytes, a path or URI, "
                "or a struct of bytes and path",
            )


def _may_be_media(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _may_be_media(kind.value_type)
    if pa.types.is_struct(kind):
        return bool({"bytes", "path"} & {kind.field(place).name for place in range(kind.num_fields)})
    return (
        pa.types.is_null(kind)
        or _is_text(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    return batch.column(batch.schema.get_field_index(name))


def _values(column: pa.Array) -> list[Any]:
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        return [_value(scalar) for scalar in column]


def _value(scalar: Any) -> Any:
    """Return a scalar's value; of text that is not Unicode, the bytes written out."""
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        buffer = getattr(scalar, "as_buffer", bytes)()
        return bytes(buffer).decode(errors="backslashreplace") or None


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _batch_rows(group: Any, most: int) -> int:
    mean = group.total_byte_size // max(group.num_rows, 1)
    return max(1, min(most, _BATCH_BYTES // max(mean, 1)))


@contextmanager
def _opened(path: Location) -> Generator[pq.ParquetFile]:
    try:
        # Unbuffered, a row group's whole column would be read before its first row is there.
        with path.open("rb") as raw, pq.ParquetFile(raw, buffer_size=_BUFFER, pre_buffer=False) as file:
            yield file
    except pa.ArrowInvalid as error:
        raise InvalidInputError("UnreadableTable", f"{path}: not readable as Parquet: {error}") from error
    except OSError as error:
        # What Arrow finds wrong with a page is an OSError too, but not of the system.
        if error.errno is not None or type(error) is not OSError:
            raise
        raise InvalidInputError("UnreadableTable", f"{path}: damaged Parquet: {error}") from error

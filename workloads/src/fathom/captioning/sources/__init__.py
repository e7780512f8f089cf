"""Sources: the items of a table or a folder, read as a stream."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa

from fathom import storage
from fathom.captioning import tables
from fathom.captioning.items import Item, as_id
from fathom.errors import InvalidInputError
from fathom_api.tasks import AnySource


class SourceReader(Protocol):
    """The items of a source in a fixed order."""

    fingerprint: str

    def ids(self) -> Iterator[pa.RecordBatch]:
        """Yield the ids of all rows, column `item_id`, null where a row has none."""
        ...

    def items(self, start: int, stop: int) -> Iterator[Item]:
        """Yield the items of the rows [start, stop)."""
        ...


class _Table:
    def __init__(self, source: AnySource) -> None:
        self._source = source
        self._path = storage.existing_local(source.uri)
        found = (
            storage.files(self._path)
            if self._path.is_dir()
            else [storage.Entry(self._path.name, self._path, 0, storage.version(self._path))]
        )
        self.fingerprint = hashlib.sha256(
            "\n".join(f"{entry.name}\0{entry.version}" for entry in found).encode()
        ).hexdigest()

    def ids(self) -> Iterator[pa.RecordBatch]:
        rows = self._rows([self._source.id_column])
        while batch := [as_id(identity) for (identity,) in itertools.islice(rows, 65_536)]:
            yield pa.record_batch({"item_id": pa.array(batch, pa.string())})

    def items(self, start: int, stop: int) -> Iterator[Item]:
        rows = self._rows([self._source.id_column, self._source.media_column])
        for number, (identity, media) in enumerate(itertools.islice(rows, start, stop), start):
            yield Item(number, as_id(identity), media)

    def _rows(self, columns: list[str]) -> Iterator[tuple[object, ...]]:
        if tables.is_image_folder(self._path):
            for name, file in tables.folder(self._path):
                yield (name, str(file.relative_to(self._path)))[: len(columns)]
            return
        for row in tables.rows(self._path, columns, [self._source.id_column, self._source.media_column]):
            yield tuple(row[name] for name in columns)


def open_source(source: AnySource) -> SourceReader:
    """Return a reader of `source`.

    Raises:
        InvalidInputError: the source is missing or not readable, or lacks a column.
    """
    reader = _Table(source)
    if next(reader.ids(), None) is None:
        raise InvalidInputError("NoItems", f"{source.uri}: no items; check the URI and the file's content")
    return reader

"""CSV, and TSV, with a header."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar, Final

import pyarrow as pa

from fathom.captioning.items import Record, as_id
from fathom.captioning.sources import columns, lines
from fathom.captioning.sources.files import Note
from fathom.captioning.sources.index import Mark
from fathom.errors import InvalidInputError
from fathom.storage import Location
from fathom_api.tasks import AnySource

_BATCH: Final = 8192


class Csv:
    """Values as text; an empty one is none. Rows too short lack the rest, rows too long are cut."""

    counted_at_once: ClassVar = 1

    def __init__(self, source: AnySource) -> None:
        self._source = source

    def check(self, path: Location) -> None:
        """Check the header."""
        with lines.opened(path) as file:
            self._reader(path, file)

    def count(self, path: Location) -> int:
        """Parse the file: a line end inside of quotes ends no row."""
        with lines.opened(path) as file:
            return sum(1 for _ in self._reader(path, file).rows(0))

    def ids(self, path: Location, note: Note) -> Iterator[pa.Array]:
        """Yield the ids."""
        found: list[str | None] = []
        with lines.opened(path) as file:
            reader = self._reader(path, file)
            place = reader.header.index(self._source.id_column)
            for row, (offset, values) in enumerate(reader.rows(0)):
                note(row, offset)
                found.append(as_id(values[place] if place < len(values) else None))
                if len(found) == _BATCH:
                    yield pa.array(found, pa.string())
                    found = []
        if found:
            yield pa.array(found, pa.string())

    def records(self, path: Location, start: int, stop: int | None, mark: Mark) -> Iterator[Record]:
        """Yield rows [start, stop); rows between the mark and `start` are parsed."""
        with lines.opened(path) as file:
            reader = self._reader(path, file)
            for row, (_, values) in enumerate(reader.rows(mark.offset), mark.row):
                if stop is not None and row >= stop:
                    return
                if row >= start:
                    pairs = zip(reader.header, values, strict=False)
                    yield columns.record(self._source, {name: value or None for name, value in pairs})

    def _reader(self, path: Location, file: BinaryIO) -> _Reader:
        reader = _Reader(path, file)
        columns.need(path, self._source, reader.header)
        return reader


class _Reader:
    """Rows of an open file and where each begins."""

    def __init__(self, path: Location, file: BinaryIO) -> None:
        csv.field_size_limit(lines.MAX_LINE)
        self._path = path
        self._file = file
        self._delimiter = "\t" if path.name.lower().endswith(".tsv") else ","
        self._line = 0
        try:
            self.header = next((values for _, values in self._parsed("strict")), list[str]())
        except UnicodeDecodeError as error:
            raise InvalidInputError(
                "UnreadableTable", f"{path}: the header is not UTF-8 ({error}); convert the file"
            ) from error
        self.header[:1] = [name.removeprefix("\ufeff") for name in self.header[:1]]

    def rows(self, offset: int) -> Iterator[tuple[int, list[str]]]:
        """Yield byte and values of each row from byte `offset` on; 0 stands for the first row."""
        if offset:
            self._file.seek(offset)
        return self._parsed("backslashreplace")

    def _parsed(self, errors: str) -> Iterator[tuple[int, list[Any]]]:
        reader = csv.reader(self._lines(errors), delimiter=self._delimiter)
        offset = self._file.tell()
        try:
            for values in reader:
                if values:
                    yield offset, values
                offset = self._file.tell()
        except csv.Error as error:
            raise InvalidInputError("UnreadableTable", f"{self._path}, line {self._line}: {error}") from error

    def _lines(self, errors: str) -> Iterator[str]:
        while (line := lines.next_line(self._file)) != b"":
            self._line += 1
            if line is None:
                raise csv.Error(f"a line of more than {lines.MAX_LINE:,} bytes")
            yield line.decode("utf-8", errors)

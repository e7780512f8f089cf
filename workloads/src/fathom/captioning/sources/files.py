"""A source of one or more files of one format, their rows one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Protocol

import pyarrow as pa

from fathom.captioning.items import Item, Record
from fathom.captioning.sources.index import STRIDE, FileIndex, Index, Mark
from fathom.errors import InvalidInputError
from fathom.storage import Entry, Location
from fathom_api.tasks import AnySource

SCHEMA = pa.schema([pa.field("item_id", pa.string())])
#: Tells where the row that comes next begins.
Note = Callable[[int, int], None]


class Format(Protocol):
    """How files of one format are read."""

    #: Files whose rows are counted at once: many where counting reads a footer, one where it reads all.
    counted_at_once: ClassVar[int]

    def __init__(self, source: AnySource) -> None: ...

    def check(self, path: Location) -> None:
        """Raise InvalidInputError where a column is missing, as far as the file's beginning tells."""
        ...

    def count(self, path: Location) -> int:
        """Return how many rows the file has."""
        ...

    def ids(self, path: Location, note: Note) -> Iterator[pa.Array]:
        """Yield the ids of all rows, and tell `note` row and byte of some of them."""
        ...

    def records(self, path: Location, start: int, stop: int | None, mark: Mark) -> Iterator[Record]:
        """Yield rows [start, stop) of the file; `mark` is at or before `start`."""
        ...


class Files:
    """Reads `entries` of one format, in order."""

    def __init__(self, entries: list[Entry], kind: Format, index: Index | None, *, uri: str) -> None:
        """Take an `index` made of the same files; one of others is refused.

        Raises:
            InvalidInputError: the index is of other files: they have changed since it was made.
        """
        self.fingerprint = fingerprint(entries)
        if index is not None and index.fingerprint != self.fingerprint:
            raise InvalidInputError(
                "SourceChanged", f"{uri}: its files changed after the plan was made; begin a new run"
            )
        self.index = index
        self._entries = entries
        self._kind = kind
        self._uri = uri
        self._counted: list[FileIndex] = list(index.files) if index else []

    def ids(self) -> Iterator[pa.RecordBatch]:
        """Yield the ids of all rows (see `SourceReader`)."""
        files: list[FileIndex] = []
        for entry in self._entries:
            marks: list[Mark] = []
            rows = 0
            for array in self._kind.ids(entry.path, _noting(marks)):
                rows += len(array)
                yield pa.record_batch([array], schema=SCHEMA)
            files.append(FileIndex(rows=rows, marks=marks))
        self.index = Index(fingerprint=self.fingerprint, files=files)
        self._counted = list(files)

    def items(self, start: int, stop: int) -> Iterator[Item]:
        """Yield rows [start, stop) (see `SourceReader`)."""
        first = 0
        for number, entry in enumerate(self._entries):
            if first >= stop:
                return
            known = self._known(number)
            end = stop - first if known is None else min(stop - first, known.rows)
            begin = max(start - first, 0)
            mark = Mark() if known is None else known.before(begin)
            if begin < end:
                for row, record in enumerate(self._kind.records(entry.path, begin, end, mark), first + begin):
                    yield Item(row, record.id, record.media, record.texts)
            if known is not None:
                first += known.rows

    def _known(self, number: int) -> FileIndex | None:
        """Return what is known of a file; the last one is not counted for it."""
        while len(self._counted) <= number < len(self._entries) - 1:
            ahead = self._entries[len(self._counted) :][: self._kind.counted_at_once]
            with ThreadPoolExecutor(self._kind.counted_at_once) as pool:
                counts = pool.map(self._kind.count, (entry.path for entry in ahead))
                self._counted += [FileIndex(rows=rows) for rows in counts]
        return self._counted[number] if number < len(self._counted) else None


def fingerprint(entries: Iterable[Entry]) -> str:
    """Return `sha256:` over names and versions of `entries`."""
    total = hashlib.sha256()
    for entry in entries:
        total.update(f"{entry.name}\0{entry.version}\n".encode(errors="surrogateescape"))
    return f"sha256:{total.hexdigest()}"


def _noting(marks: list[Mark]) -> Note:
    def note(row: int, offset: int) -> None:
        if row % STRIDE == 0:
            marks.append(Mark(row=row, offset=offset))

    return note

"""Sources: where items come from, read as a stream, from any row on.

`open_source` finds out what lies at a source's URI and returns its reader. Rows are numbered in one order:
files by name, rows as the file has them. What it costs to begin at row `start`:

| source | without an index | with the index of a full pass over `ids()` |
| --- | --- | --- |
| Parquet | footers of the files before, rows before in the row group | one footer, the same rows |
| CSV | the bytes before are parsed | at most 1,000 rows before are parsed |
| JSONL | the bytes before are read for their line ends | at most 1,000 lines before |
| WebDataset | the headers of the members before | at most 1,000 samples' headers before |
| folder of media | one listing | one listing |
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

import pyarrow as pa
from upath import UPath

from fathom import storage
from fathom.captioning.items import Item
from fathom.captioning.sources.csv import Csv
from fathom.captioning.sources.files import Files, Format
from fathom.captioning.sources.folder import SUFFIXES, Folder
from fathom.captioning.sources.index import Index
from fathom.captioning.sources.jsonl import Jsonl
from fathom.captioning.sources.parquet import Parquet
from fathom.captioning.sources.webdataset import WebDataset
from fathom.errors import InvalidInputError
from fathom.storage import Entry, Location
from fathom_api.tasks import AnySource

_FORMATS: Final[dict[str, type[Format]]] = {
    ".parquet": Parquet,
    ".csv": Csv,
    ".tsv": Csv,
    ".jsonl": Jsonl,
    ".ndjson": Jsonl,
    ".tar": WebDataset,
}


class SourceReader(Protocol):
    """The items of a source."""

    @property
    def fingerprint(self) -> str:
        """`sha256:` over names, sizes and ETags or times of change of its files."""
        ...

    @property
    def index(self) -> Index | None:
        """Where rows begin, for `open_source` of another process; None before `ids()` has come to its end."""
        ...

    def ids(self) -> Iterator[pa.RecordBatch]:
        """Yield all rows in order: column `item_id`, string, null where a row has none. Reads no media.

        Raises:
            InvalidInputError: a file is damaged or lacks a column.
        """
        ...

    def items(self, start: int, stop: int) -> Iterator[Item]:
        """Yield rows [start, stop), or fewer where the source ends; a few are held at a time.

        Raises:
            InvalidInputError: a file is damaged or lacks a column.
        """
        ...


def open_source(source: AnySource, index: Index | None = None) -> SourceReader:
    """Return the reader of `source`; an `index` of the same files spares it the way to row `start`.

    Raises:
        InvalidInputError: nothing is there, its format is unknown, or the first file lacks a column.
    """
    path = storage.existing(source.uri)
    if not path.is_dir():
        entry = Entry(path.name, path, 0, storage.version(path))
        return _opened(source, [entry], _format(source, path), index)
    if isinstance(path, UPath) and path.protocol.startswith("http"):
        raise InvalidInputError(
            "UnknownFormat", f"{source.uri}: folders of a web server cannot be listed; name one file"
        )
    return _folder(source, path, index)


def _folder(source: AnySource, path: Location, index: Index | None) -> SourceReader:
    found = storage.files(path)
    media = [entry for entry in found if _suffix(entry.name) in SUFFIXES[source.media_type]]
    tables = [entry for entry in found if _suffix(entry.name) in _FORMATS]
    # What lies deeper beside media may be about them, and is not what is meant.
    chosen = [entry for entry in tables if "/" not in entry.name] or ([] if media else tables)
    # Names like _SUCCESS and _metadata are notes of other tools.
    chosen = [entry for entry in chosen if not entry.path.name.startswith("_")]
    if not chosen and not media:
        raise InvalidInputError("NoItems", f"{source.uri}: no items; {_known(source)}")
    if not chosen:
        return Folder(source, media)
    suffixes = sorted({_suffix(entry.name) for entry in chosen})
    if len(suffixes) > 1:
        raise InvalidInputError(
            "AmbiguousSource",
            f"{source.uri}: holds {' and '.join(suffixes)} files; name one of them, or keep one kind",
        )
    return _opened(source, chosen, _FORMATS[suffixes[0]](source), index)


def _opened(source: AnySource, entries: list[Entry], kind: Format, index: Index | None) -> Files:
    kind.check(entries[0].path)
    return Files(entries, kind, index, uri=source.uri)


def _format(source: AnySource, path: Location) -> Format:
    suffix = _suffix(path.name)
    if suffix not in _FORMATS:
        raise InvalidInputError("UnknownFormat", f"{source.uri}: unknown format {suffix!r}; {_known(source)}")
    return _FORMATS[suffix](source)


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""


def _known(source: AnySource) -> str:
    media = ", ".join(sorted(SUFFIXES[source.media_type]))
    return f"use {', '.join(_FORMATS)}, a folder of one of them, or a folder of media ({media})"

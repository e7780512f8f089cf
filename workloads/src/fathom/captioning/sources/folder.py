"""A folder of media files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

import pyarrow as pa

from fathom.captioning.items import Item, as_id
from fathom.captioning.sources.files import SCHEMA, fingerprint
from fathom.captioning.sources.index import FileIndex, Index
from fathom.errors import InvalidInputError
from fathom.storage import Entry
from fathom_api.tasks import AnySource

SUFFIXES: Final[dict[str, frozenset[str]]] = {
    "Image": frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}),
    "Video": frozenset(
        {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".ogv", ".gif", ".webp"}
    ),
}
_BATCH: Final = 8192


class Folder:
    """Each file is an item; its path without suffix is the id."""

    def __init__(self, source: AnySource, entries: list[Entry]) -> None:
        """Take the files, sorted.

        Raises:
            InvalidInputError: columns with texts are asked for.
        """
        if source.text_columns:
            raise InvalidInputError(
                "MissingColumn",
                f"{source.uri}: a folder of media has no column {source.text_columns[0]!r}; name a table",
            )
        self.fingerprint = fingerprint(entries)
        self.index = Index(fingerprint=self.fingerprint, files=[FileIndex(rows=len(entries))])
        self._names = [entry.name for entry in entries]

    def ids(self) -> Iterator[pa.RecordBatch]:
        """Yield the ids of all files."""
        for start in range(0, len(self._names), _BATCH):
            ids = [_id(name) for name in self._names[start : start + _BATCH]]
            yield pa.record_batch([pa.array(ids, pa.string())], schema=SCHEMA)

    def items(self, start: int, stop: int) -> Iterator[Item]:
        """Yield files [start, stop)."""
        for row, name in enumerate(self._names[start:stop], start):
            yield Item(row, _id(name), name, {})


def _id(name: str) -> str | None:
    # A name that is not UTF-8 comes with surrogates in the place of its bytes.
    return as_id(PurePosixPath(name).with_suffix("").as_posix())

"""The gallery's items in their source: ids, columns, and what is embedded of them, in any order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from fathom.captioning import media
from fathom.captioning.items import Item
from fathom.captioning.media.unusable import UnusableMediaError
from fathom.captioning.sources import SourceReader, open_source
from fathom.errors import InvalidInputError
from fathom_api.backfill_tasks import AnyGallery
from fathom_api.tasks import AnySource

#: Rows that are not wanted are read rather than skipped where two that are lie this near.
_NEAR: Final = 64


@dataclass(frozen=True)
class Seen:
    """One item: what is embedded of it, a picture or a text, and the digest of that; or why there is none."""

    id: str
    row: int
    content: Image | str | None = None
    sha256: str | None = None
    reason: str | None = None
    message: str | None = None


class Items(Protocol):
    """The items of a gallery. A row is where its source has an item."""

    def ids(self) -> tuple[list[str], list[int]]:
        """Return the ids of all items, each once, and their rows.

        Raises:
            InvalidInputError: there are none.
        """
        ...

    def contents(self, ids: Sequence[str], rows: Sequence[int]) -> Iterator[Seen]:
        """Yield these items with what is embedded of them, in any order."""
        ...

    def digests(self, ids: Sequence[str], rows: Sequence[int]) -> Iterator[Seen]:
        """Yield these items with the digests of what is embedded of them, perhaps without it."""
        ...

    def column(self, name: str) -> dict[str, str]:
        """Return what the items have in a column, as text; items without a value are left out.

        Raises:
            InvalidInputError: there is no such column.
        """
        ...


def open_items(gallery: AnyGallery) -> Items:
    """Return the items of a gallery.

    Raises:
        InvalidInputError: nothing is there, its format is unknown, or it lacks a column.
    """
    if gallery.captions is None:
        return MediaItems(gallery)
    from fathom.backfill.stages.captions import CaptionItems

    return CaptionItems(gallery.captions)


class MediaItems:
    """Items with pictures, in a table or a folder."""

    def __init__(self, gallery: AnyGallery) -> None:
        """Open the source.

        Raises:
            InvalidInputError: nothing is there, its format is unknown, or it lacks a column.
        """
        self._gallery = gallery
        self._source = source(gallery)
        self._reader = open_source(self._source)

    def ids(self) -> tuple[list[str], list[int]]:
        """Return the ids of all items and their rows; rows without an id are left out.

        Raises:
            InvalidInputError: there are none.
        """
        rows: dict[str, int] = {}
        row = 0
        for batch in self._reader.ids():
            for item_id in batch["item_id"].to_pylist():
                if item_id is not None:
                    rows.setdefault(item_id, row)
                row += 1
        if not rows:
            raise InvalidInputError("NoItems", f"{self._gallery.where}: no items; check the URI and idColumn")
        index = self._reader.index
        self._reader = open_source(self._source, index) if index else self._reader
        return list(rows), list(rows.values())

    def contents(self, ids: Sequence[str], rows: Sequence[int]) -> Iterator[Seen]:
        """Yield the items of `rows`, in the order of the source, with their pictures decoded."""
        for item in _picked(self._reader, rows):
            if item.id is not None:
                yield _seen(self._source, item.id, item.row, item.media)

    def digests(self, ids: Sequence[str], rows: Sequence[int]) -> Iterator[Seen]:
        """Yield the items of `rows` with the digests of their pictures, which are not decoded."""
        for item in _picked(self._reader, rows):
            if item.id is None:
                continue
            try:
                yield Seen(item.id, item.row, sha256=media.read(item.media, self._source).sha256)
            except UnusableMediaError as error:
                yield Seen(item.id, item.row, reason=error.reason, message=str(error))

    def column(self, name: str) -> dict[str, str]:
        """Return what the items have in a column, as text; items without a value are left out.

        Raises:
            InvalidInputError: there is no such column.
        """
        reader = open_source(source(self._gallery, text_columns=[name]))
        return {
            item.id: item.texts[name]
            for item in reader.items(0, 2**62)
            if item.id is not None and name in item.texts
        }


def source(gallery: AnyGallery, **more: object) -> AnySource:
    """Return the gallery as the sources of captioning know it."""
    fields = ("uri", "id_column", "media_column", "allowed_origins")
    return AnySource.model_validate({name: getattr(gallery, name) for name in fields} | more)


def numbers(values: Iterable[str | None], column: str) -> NDArray[np.float64]:
    """Return a column as numbers, moments as seconds since 1970; NaN where there is none.

    Raises:
        InvalidInputError: a value is neither.
    """
    return np.array([_number(value, column) for value in values], np.float64)


def _number(value: str | None, column: str) -> float:
    if value is None:
        return math.nan
    try:
        return float(value)
    except ValueError:
        pass
    try:
        moment = np.datetime64(value.strip().replace(" ", "T").removesuffix("Z"), "ms")
        return float(moment.astype(np.int64)) / 1000
    except ValueError as error:
        raise InvalidInputError(
            "InvalidOrder", f"column {column}: {value[:100]!r} is neither a number nor a time; name another"
        ) from error


def _picked(reader: SourceReader, rows: Sequence[int]) -> Iterator[Item]:
    """Yield the items of `rows`, in the order of the source; what lies between is read and dropped."""
    wanted = sorted(set(rows))
    begin = 0
    for at in range(1, len(wanted) + 1):
        if at < len(wanted) and wanted[at] - wanted[at - 1] <= _NEAR:
            continue
        run = set(wanted[begin:at])
        for item in reader.items(wanted[begin], wanted[at - 1] + 1):
            if item.row in run:
                yield item
        begin = at


def _seen(from_: AnySource, item_id: str, row: int, value: object) -> Seen:
    try:
        found = media.read(value, from_)
        return Seen(item_id, row, media.decode(found, from_).frames[0], found.sha256)
    except UnusableMediaError as error:
        return Seen(item_id, row, reason=error.reason, message=str(error)[:500])

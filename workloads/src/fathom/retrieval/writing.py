"""Writing galleries: importing what is there, moving items, rolling back, cutting over."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

from fathom.errors import InvalidInputError
from fathom.retrieval import gallery, parts
from fathom.retrieval.gallery import INFO, Gallery, GalleryInfo, Part, View, chunk_part, save_view
from fathom.retrieval.parts import Rows, Space
from fathom.storage import Location, appearing, files, resolve

pc: Any = pyarrow.compute
#: Rows of an imported part.
PART_ROWS: Final = 16_384
_MODULUS: Final = 1 << 256


class Import:
    """A gallery being made of embeddings that are there. Not for several threads or processes."""

    def __init__(self, uri: str, old: Space, new: Space, clock: Callable[[], float] = time.time) -> None:
        """Begin; what an interrupted import left is taken away.

        Raises:
            InvalidInputError: there is a gallery already, or both spaces are of one model.
        """
        if old.model == new.model:
            raise gallery.same_model(old.model)
        self._folder = resolve(uri)
        if (self._folder / INFO).is_file():
            raise InvalidInputError(
                "Exists", f"{uri}: there is a gallery already; move its items on, or name another folder"
            )
        for entry in files(self._folder / "old"):
            entry.path.unlink()
        self._old, self._new, self._clock = old, new, clock
        self._ids: list[pa.StringArray] = []
        self._chunks = 0

    def add(self, rows: Rows, model: str) -> None:
        """Write `rows`, which `model` made, in parts of PART_ROWS.

        Raises:
            MixedModelsError: another model made them than the gallery's old one.
            InvalidInputError: they are not what they should be.
        """
        good = parts.checked(rows, self._old, model, str(self._folder / "old"))
        for start in range(0, len(good), PART_ROWS):
            stop = min(start + PART_ROWS, len(good))
            piece = Rows(good.ids[start:stop], good.vectors[start:stop], good.versions[start:stop])
            parts.write(_path(self._folder, chunk_part("old", self._chunks)), piece, "old", model)
            self._ids.append(piece.ids)
            self._chunks += 1

    def seal(self) -> Gallery:
        """Finish: from here on it can be searched and its items moved.

        Raises:
            InvalidInputError: there are no items, or one is there twice.
        """
        ids = pa.chunked_array(self._ids, pa.string())
        if not len(ids):
            raise InvalidInputError("NoItems", f"{self._folder}: no items; nothing to search or to move")
        counts = pc.value_counts(ids)
        twice = counts.filter(pc.greater(counts.field("counts"), 1))
        if len(twice):
            raise InvalidInputError(
                "Duplicate", f"{self._folder}: item {twice[0]['values']} is there twice; keep one of them"
            )
        info = GalleryInfo(
            created=datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds"),
            items=len(ids),
            ids=ids_digest(ids),
            old=self._old,
            new=self._new,
        )
        with appearing(self._folder / INFO) as path:
            path.write_text(info.model_dump_json(by_alias=True, indent=2))
        return Gallery(self._folder, info)


def commit(found: Gallery, chunk: int, rows: Rows, model: str) -> Part:
    """Move items: write chunk `chunk` of the order, whose items `model` has embedded, into the new space.

    Chunks may come in any order and from several pods. One that is there stays as it is, so that whoever does
    the same work again changes nothing. One without rows says that it was tried and none of its items could
    be embedded; these stay in the old space.

    Raises:
        MixedModelsError: another model made the vectors than the gallery's new one.
        InvalidInputError: they are not what they should be.
    """
    part = chunk_part("new", chunk)
    if not found.path(part).is_file():
        _write(found, part, rows, model)
    return part


def add(found: Gallery, rows: Rows, model: str, *, clock: Callable[[], float] = time.time) -> Part:
    """Write items that were added to the catalogue, or changed and so have a higher version, into the new
    space.

    They stay there whatever is rolled back: the old model has never seen them as they are.

    Raises:
        MixedModelsError: another model made the vectors than the gallery's new one.
        InvalidInputError: they are not what they should be.
    """
    # Two writers at one instant must not replace each other's part.
    name = f"added-{int(clock() * 1000):013d}-{secrets.token_hex(4)}.parquet"
    part = Part("new", name)
    _write(found, part, rows, model)
    return part


def roll_back(found: Gallery, chunks: int) -> View:
    """Have only chunks below `chunks` in force: the items of the others are searched under the old model
    again.

    Raises:
        InvalidInputError: the old vectors are gone.
    """
    return _change(found, chunks)


def roll_forward(found: Gallery) -> View:
    """Have all chunks in force that are there or will be.

    Raises:
        InvalidInputError: the view cannot be understood.
    """
    return _change(found, None)


def drop_old(found: Gallery) -> View:
    """Drop the old vectors, which no item needs any more. Again, if it was interrupted.

    Raises:
        InvalidInputError: items have not moved, or their moves are rolled back.
    """
    standing = found.standing()
    if not standing.view.old_dropped:
        missing = _not_moved(found)
        if missing:
            raise InvalidInputError(
                "NotMoved",
                f"{found.folder}: {len(missing)} items are not in the new space in force, {missing[0]} "
                "among them; "
                "move or roll forward first: without the old vectors they would be lost",
            )
        save_view(found.folder, View(old_dropped=True))
    for part in found.parts("old"):
        found.path(part).unlink(missing_ok=True)
    return found.view()


def ids_digest(ids: pa.ChunkedArray) -> str:
    """Return one digest of ids in whatever order: the sum of their SHA-256 (AdHash, Bellare 1997)."""
    total = 0
    for chunk in ids.chunks:
        for text in chunk.to_pylist():
            total += int.from_bytes(hashlib.sha256(text.encode()).digest())
    return f"sha256:{total % _MODULUS:064x}"


def _change(found: Gallery, chunks: int | None) -> View:
    if found.view().old_dropped:
        raise InvalidInputError(
            "OldDropped",
            f"{found.folder}: the old vectors were dropped after the cut-over; nothing to go back to",
        )
    view = View(chunks=chunks)
    save_view(found.folder, view)
    return view


def _write(found: Gallery, part: Part, rows: Rows, model: str) -> None:
    path = found.path(part)
    parts.write(path, parts.checked(rows, found.info.new, model, str(path)), "new", model)


def _not_moved(found: Gallery) -> list[str]:
    """Return the ids of the old space that no part in force of the new one has."""
    moved: set[str] = set()
    for part in found.standing().parts:
        if part.space == "new":
            moved.update(found.read(part).ids.to_pylist())
    return [i for part in found.parts("old") for i in found.read(part).ids.to_pylist() if i not in moved]


def _path(folder: Location, part: Part) -> Location:
    return folder / part.space / part.name

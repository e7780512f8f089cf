"""Galleries on disk: items with vectors of an old model, and the parts that bring a new model's.

    gallery.json                  what it is: both models, how many items; written last, never changed
    old/part-00000000.parquet     all items under the old model
    new/part-00000012.parquet     the twelfth chunk of the order in which items move
    new/added-….parquet           items that were added or changed meanwhile
    view.json                     how many chunks are in force, and whether the old vectors are still there

Parts appear whole, one by one, and are never changed. What is in force follows from which are there
(`Standing`): of several rows with one id the one with the highest version, among these the new model's. So an
item leaves the old space in the instant that a part with it appears in the new one, whoever wrote it and in
whatever order, and is seen once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from fathom.errors import InvalidInputError
from fathom.retrieval import parts
from fathom.retrieval.errors import MixedModelsError
from fathom.retrieval.parts import Rows, Space, SpaceName
from fathom.storage import Location, appearing, existing, files
from fathom_api.meta import StatusModel

INFO: Final = "gallery.json"
VIEW: Final = "view.json"
SPACES: Final[tuple[SpaceName, SpaceName]] = ("old", "new")
_CHUNK: Final = re.compile(r"^part-(\d{8})\.parquet$")
_ADDED: Final = re.compile(r"^added-[0-9a-z-]+\.parquet$")


class GalleryInfo(StatusModel):
    """What a gallery is."""

    kind: Literal["Gallery"] = "Gallery"
    format: Literal[1] = Field(default=1, description="Layout; another number is another layout.")
    created: str = Field(description="When it was sealed, ISO 8601 in UTC.")
    items: int = Field(ge=1, description="Items under the old model.")
    ids: str = Field(description="`sha256:` over their ids, in whatever order.")
    old: Space
    new: Space

    def space(self, name: SpaceName) -> Space:
        """Return a space by name."""
        return self.old if name == "old" else self.new


class View(StatusModel):
    """Which parts are in force."""

    chunks: int | None = Field(
        default=None, ge=0, description="Chunks with lower numbers are in force; null for all that are there."
    )
    old_dropped: bool = Field(default=False, description="The old vectors are gone: every item has moved.")


@dataclass(frozen=True, order=True)
class Part:
    """A part by name: a chunk of the order has a number, what was added meanwhile has none."""

    space: SpaceName
    name: str
    chunk: int | None = None


@dataclass(frozen=True)
class Standing:
    """What is in force at one look: the view and the parts it admits."""

    view: View
    parts: frozenset[Part]


class Gallery:
    """A sealed gallery, read."""

    def __init__(self, folder: Location, info: GalleryInfo) -> None:
        """Take the folder and what it says of itself; `open_gallery` finds these."""
        self.folder = folder
        self.info = info

    def standing(self) -> Standing:
        """Return what is in force now.

        Raises:
            InvalidInputError: the view cannot be understood.
        """
        # The view first: parts that appear after it are admitted or not by the next look.
        view = self.view()
        found = {part for name in SPACES for part in self.parts(name) if _admits(view, part)}
        return Standing(view, frozenset(found))

    def view(self) -> View:
        """Return the view; without a file all parts are in force.

        Raises:
            InvalidInputError: it cannot be understood.
        """
        path = self.folder / VIEW
        try:
            return View.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return View()
        except ValidationError as error:
            raise InvalidInputError(
                "InvalidView", f"{path}: not a view of a gallery: {error}; remove it"
            ) from error

    def parts(self, space: SpaceName) -> list[Part]:
        """Return the parts of a space that are on disk, in force or not, by name."""
        names = (entry.name for entry in files(self.folder / space))
        return sorted(part for part in (_part(space, name) for name in names) if part is not None)

    def read(self, part: Part) -> Rows:
        """Return the rows of a part.

        Raises:
            MixedModelsError: it is of another model than its space.
            InvalidInputError: it is damaged.
        """
        return parts.read(self.path(part), self.info.space(part.space))

    def ids(self, part: Part) -> tuple[pa.StringArray, NDArray[np.int64]]:
        """Return ids and versions of a part, unchecked; its vectors are not read.

        Raises:
            InvalidInputError: it is no part of a gallery.
        """
        return parts.ids(self.path(part))

    def rows(self, part: Part) -> int:
        """Return how many rows a part has."""
        return parts.info(self.path(part)).rows

    def path(self, part: Part) -> Location:
        """Return where a part is."""
        return self.folder / part.space / part.name


def open_gallery(uri: str) -> Gallery:
    """Return the gallery at `uri`.

    Raises:
        InvalidInputError: there is none, it was never sealed, or it cannot be understood.
    """
    return in_folder(existing(uri))


def in_folder(folder: Location) -> Gallery:
    """Return the gallery in `folder`.

    Raises:
        InvalidInputError: it was never sealed, or it cannot be understood.
    """
    path = folder / INFO
    try:
        info = GalleryInfo.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise InvalidInputError(
            "Unfinished", f"{folder}: no {INFO}; it is no gallery, or was never finished: import it again"
        ) from error
    except ValidationError as error:
        raise InvalidInputError("InvalidGallery", f"{path}: not understood: {error}") from error
    if info.old.model == info.new.model:
        raise same_model(info.old.model)
    return Gallery(folder, info)


def save_view(folder: Location, view: View) -> None:
    """Put `view` in force."""
    with appearing(folder / VIEW) as path:
        path.write_text(view.model_dump_json(by_alias=True))


def chunk_part(space: SpaceName, number: int) -> Part:
    """Return the part of chunk `number`."""
    return Part(space, f"part-{number:08d}.parquet", number)


def same_model(model: str) -> MixedModelsError:
    """Return why a gallery of one model twice is none."""
    return MixedModelsError(f"both spaces are of model {model}: there is nothing to move; name another model")


def _part(space: SpaceName, name: str) -> Part | None:
    if (found := _CHUNK.match(name)) is not None:
        return chunk_part(space, int(found[1]))
    return Part(space, name) if space == "new" and _ADDED.match(name) else None


def _admits(view: View, part: Part) -> bool:
    if part.space == "old":
        return not view.old_dropped
    return view.chunks is None or part.chunk is None or part.chunk < view.chunks

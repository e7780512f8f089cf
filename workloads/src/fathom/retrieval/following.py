"""Bringing a gallery on disk into the index: at the start, and as parts are committed and rolled back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from fathom.errors import InvalidInputError
from fathom.retrieval.force import Force, Mask
from fathom.retrieval.gallery import Gallery, Part, Standing
from fathom.retrieval.index import Batch
from fathom.retrieval.names import Names, Numbers
from fathom.retrieval.parts import Floats, Rows, SpaceName
from fathom.retrieval.writing import ids_digest

_log = logging.getLogger("fathom")
#: How often a gallery is looked at again whose old vectors are dropped while it is being loaded.
_ATTEMPTS: Final = 3
_NOTHING: Final[Numbers] = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Look:
    """What one look at the gallery brought: parts that came and went, and what could not be read."""

    came: int = 0
    went: int = 0
    failed: int = 0


class Target(Protocol):
    """What follows a gallery: the index in memory, or a database."""

    names: Names

    def load(self, space: SpaceName, read: Callable[[], Iterator[Batch]]) -> None:
        """Have what `read` yields in `space`."""
        ...

    def put(self, space: SpaceName, ids: pa.StringArray, vectors: Floats) -> None:
        """Have items in `space` with these vectors, and nowhere else."""
        ...

    def sizes(self) -> dict[SpaceName, int]:
        """Return how many items each space has."""
        ...


class Following:
    """An index that follows a gallery. For one thread."""

    def __init__(self, gallery: Gallery, index: Target, old_vector: Callable[[Floats], Floats]) -> None:
        """Take both; `old_vector` is done to old vectors. New ones are searched as they are stored."""
        self._gallery, self._index, self._old_vector = gallery, index, old_vector
        self._force = Force()
        self._followed: frozenset[Part] = frozenset()
        # Items whose part was withdrawn and that are still found where it had them.
        self._left = _NOTHING

    @property
    def progress(self) -> float:
        """β: the share of items that are searched under the new model."""
        sizes = self._index.sizes()
        return sizes["new"] / max(1, sizes["old"] + sizes["new"])

    def load(self) -> None:
        """Fill the index.

        Raises:
            InvalidInputError: a part is damaged or of another model, or items are missing.
        """
        for attempt in range(_ATTEMPTS):
            standing = self._gallery.standing()
            try:
                self._load(standing)
            except FileNotFoundError:
                if attempt + 1 == _ATTEMPTS:
                    raise
                continue
            self._followed = standing.parts
            return

    def look(self) -> Look:
        """Bring into the index what has changed on disk. A part that cannot be read is tried again at the
        next look.

        Raises:
            InvalidInputError: the view cannot be understood.
        """
        standing = self._gallery.standing()
        came, went = standing.parts - self._followed, self._followed - standing.parts
        failed = 0
        for part in sorted(came):
            try:
                self._take(part)
            except (InvalidInputError, OSError) as error:
                failed += 1
                came -= {part}
                _log.error("%s is not searched: %s", self._gallery.path(part), error)
        followed = (self._followed | came) - went
        self._left = np.union1d(self._left, self._force.withdraw([p for p in went if p.space == "new"]))
        # After what came: an item that a withdrawn part had may be in one of these.
        self._put_back(sorted(followed))
        self._followed = followed
        return Look(len(came), len(went), failed)

    def _load(self, standing: Standing) -> None:
        old_ids: list[pa.StringArray] = []
        self._force = Force()
        for part in sorted(standing.parts, key=lambda p: (p.space == "new", p.name)):
            ids, versions = self._gallery.ids(part)
            if part.space == "old":
                old_ids.append(ids)
            self._force.take(part, self._index.names.add(ids), versions)
        self._check(standing, old_ids)
        self._index.names.settle()
        for space in ("old", "new"):
            chosen = sorted(part for part in standing.parts if part.space == space)
            self._index.load(space, lambda chosen=chosen: self._batches(chosen))

    def _check(self, standing: Standing, old_ids: list[pa.StringArray]) -> None:
        """Check that no item is missing.

        Raises:
            InvalidInputError: some are.
        """
        info = self._gallery.info
        if self._force.items < info.items:
            raise InvalidInputError(
                "Damaged",
                f"{self._gallery.folder}: {self._force.items} items of {info.items}; parts are missing, "
                "restore them",
            )
        if not standing.view.old_dropped and ids_digest(pa.chunked_array(old_ids, pa.string())) != info.ids:
            raise InvalidInputError(
                "Damaged",
                f"{self._gallery.folder}: the old space has other items than were imported; restore its "
                "parts",
            )

    def _batches(self, chosen: list[Part]) -> Iterator[Batch]:
        """Yield the rows in force of some parts."""
        for part in chosen:
            rows = self._read(part)
            numbers = self._index.names.find(rows.ids)
            mine = self._force.of(part, numbers)
            yield numbers[mine], rows.vectors[mine]

    def _take(self, part: Part) -> None:
        rows = self._read(part)
        numbers = self._index.names.add(rows.ids)
        self._force.take(part, numbers, rows.versions)
        # Not only what came into force just now: the index may have failed to take it at the last look.
        self._put(part.space, rows.take(self._force.of(part, numbers)))

    def _put_back(self, followed: list[Part]) -> None:
        """Put items whose part was withdrawn where they were before; until then they are found where they
        are. If a part cannot be read, the next look does it.
        """
        if not len(self._left):
            return
        having: list[tuple[Part, Numbers, Mask]] = []
        for part in followed:
            ids, versions = self._gallery.ids(part)
            numbers = self._index.names.find(ids)
            ours = np.isin(numbers, self._left)
            if ours.any():
                self._force.take(part, numbers[ours], versions[ours])
                having.append((part, numbers, ours))
        for part, numbers, ours in having:
            mine = ours & self._force.of(part, numbers)
            if mine.any():
                self._put(part.space, self._read(part).take(mine))
        self._left = _NOTHING

    def _put(self, space: SpaceName, rows: Rows) -> None:
        if len(rows):
            self._index.put(space, rows.ids, rows.vectors)

    def _read(self, part: Part) -> Rows:
        rows = self._gallery.read(part)
        if part.space == "new":
            return rows
        return Rows(rows.ids, self._old_vector(rows.vectors), rows.versions)

"""Sealed views, as readers find them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from fathom import manifest
from fathom.captioning.store import parts
from fathom.errors import InvalidInputError
from fathom.storage import Location


def shard_name(index: int) -> str:
    """Return the name of the folder of a shard, in history and in views."""
    return f"shard-{index:05d}"


@dataclass(frozen=True)
class SealedView:
    """The captions and errors of one shard of one plan, by its manifest."""

    folder: Location
    errors_folder: Location
    manifest: manifest.Manifest

    def captions(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield the captions, one for each item and aspect."""
        for name in self.manifest.files:
            yield from parts.batches(self.folder / name, columns)

    def errors(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield the errors."""
        if name := self.manifest.made_from["errors_file"]:
            yield from parts.batches(self.errors_folder / name, columns)

    def holds(self, made_from: dict[str, str]) -> bool:
        """Return whether this was made from the same, and is whole."""
        if not made_from.items() <= self.manifest.made_from.items():
            return False
        try:
            manifest.verify(self.folder)
        except InvalidInputError:
            return False
        name = self.manifest.made_from["errors_file"]
        return not name or (self.errors_folder / name).is_file()


def sealed(output: Location, plan: str, index: int) -> SealedView | None:
    """Return the view of shard `index` by the plan of that name, or None where it is not finished."""
    folder = output / "captions" / plan / shard_name(index)
    found = manifest.read(folder)
    return None if found is None else SealedView(folder, output / "errors" / plan / shard_name(index), found)

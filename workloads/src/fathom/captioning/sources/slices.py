"""Media that lie inside of a larger file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from upath import UPath

from fathom.storage import Location


@dataclass(frozen=True, slots=True)
class Slice:
    """`size` bytes of the file at `path` from byte `offset` on, not read yet."""

    path: Location
    offset: int
    size: int

    def read(self) -> bytes:
        """Return the bytes: one request, where the file is in a bucket."""
        if isinstance(self.path, UPath):
            if not self.size:
                return b""
            end = self.offset + self.size
            return cast(bytes, self.path.fs.cat_file(self.path.path, start=self.offset, end=end))
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)

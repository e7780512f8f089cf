"""An index of a source: how many rows each file has, and at which byte some of them begin."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from pydantic import Field

from fathom.storage import Location, appearing
from fathom_api.meta import StatusModel

#: Rows between two marks.
STRIDE: Final = 1000


class Mark(StatusModel):
    """A row of a file and the byte at which it begins."""

    row: int = Field(default=0, description="Row in its file, from 0.")
    offset: int = Field(default=0, description="Byte in its file.")


class FileIndex(StatusModel):
    """One file."""

    rows: int = Field(description="Rows in all.")
    marks: list[Mark] = Field(default_factory=list[Mark], description="Every 1,000th row, in order.")

    def before(self, row: int) -> Mark:
        """Return the last mark at or before `row`; the file's beginning where there is none."""
        place = bisect_right(self.marks, row, key=lambda mark: mark.row)
        return self.marks[place - 1] if place else Mark()


class Index(StatusModel):
    """All files of a source, in its order."""

    fingerprint: str = Field(description="Of the source that it is an index of.")
    files: list[FileIndex] = Field(description="In the source's order.")

    @property
    def rows(self) -> int:
        """How many rows the source has."""
        return sum(file.rows for file in self.files)

    def save(self, path: Location) -> None:
        """Write it to `path`, JSON."""
        with appearing(path) as temporary:
            temporary.write_text(self.model_dump_json(by_alias=True))


def load(path: Location) -> Index:
    """Return the index at `path`.

    Raises:
        FileNotFoundError: there is none.
        pydantic.ValidationError: it is none.
    """
    return Index.model_validate_json(path.read_bytes())

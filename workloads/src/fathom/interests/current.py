"""Which table rankers guide by: one small file, replaced as a whole.

A table never changes; this file names one. Rolling back is naming the one before.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field, ValidationError

from fathom.errors import InvalidInputError
from fathom.storage import Location, appearing
from fathom_api.interests import Explore
from fathom_api.meta import StatusModel

NAME: Final = "current.json"


class Current(StatusModel):
    """What is served."""

    table: str = Field(description="Folder of the table, a path or URI.")
    digest: str = Field(description="`sha256:` of it, its version.")
    explore: Explore = Field(default_factory=Explore, description="How much of it users see.")


def write(folder: Location, current: Current) -> None:
    """Have rankers that watch `folder` guide by `current`."""
    with appearing(folder / NAME) as path:
        path.write_text(current.model_dump_json(by_alias=True, indent=1))


def read(folder: Location) -> Current | None:
    """Return what `folder` says, None as long as it says nothing.

    Raises:
        InvalidInputError: it cannot be understood.
        OSError: it cannot be read now.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        return Current.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidInputError("InvalidCurrent", f"{path}: names no table: {error}") from error

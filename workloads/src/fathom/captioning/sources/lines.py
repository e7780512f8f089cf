"""Lines of a file as bytes, none of them longer than memory allows."""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import contextmanager
from typing import BinaryIO, Final, cast

from upath import UPath

from fathom.storage import Location

#: A picture in base64 fits.
MAX_LINE: Final = 96 * 2**20
BUFFER: Final = 1 << 20


@contextmanager
def opened(path: Location) -> Generator[BinaryIO]:
    """Yield the file at `path`, buffered for reading in order."""
    with path.open("rb") as file:
        if isinstance(path, UPath):
            # fsspec's own readline is written in Python, byte for byte.
            yield cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, file), BUFFER))
        else:
            yield cast(BinaryIO, file)


def next_line(file: BinaryIO, limit: int = MAX_LINE) -> bytes | None:
    """Return the next line, empty at the end; None for one longer than `limit`, which is passed over."""
    line = file.readline(limit)
    if len(line) < limit or line.endswith(b"\n"):
        return line
    while line and not line.endswith(b"\n"):
        line = file.readline(BUFFER)
    return None

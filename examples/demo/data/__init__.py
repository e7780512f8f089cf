"""The demo's data: MovieLens with posters where a folder with posters is named, else Tux Paint's stamps."""

from __future__ import annotations

import os
from pathlib import Path

from demo.data import movielens, stamps
from demo.data.tables import DataError, Dataset, Description, Tables, cached

__all__ = ["DataError", "Dataset", "Description", "Tables", "prepare"]

#: Counted up when the tables change, so that old ones in the cache are not used.
_VERSION = 1
#: Items, users and pairs of the small data set for tests.
_SMALL = (400, 400, 600)


def cache() -> Path:
    """Return the folder that Fathom keeps what it downloads and makes in."""
    return Path(os.environ.get("FATHOM_CACHE") or Path.home() / ".cache" / "fathom")


def prepare(source: Path | None = None, *, small: bool = False) -> Dataset:
    """Return the data set, from the cache if it was made before.

    Args:
        source: a folder with `movielens-posters/`, or None for Tux Paint's stamps with simulated people.
        small: a part of it, for tests.

    Raises:
        DataError: the data cannot be had; the message says what to do.
    """
    name = "movielens" if source else "stamps"
    size = "-small" if small else ""
    folder = cache() / "data" / f"{name}{size}-{_VERSION}"

    def make() -> tuple[Tables, Description]:
        tables, about = movielens.make(source) if source else stamps.make()
        return (tables.smaller(*_SMALL) if small else tables), about

    return cached(folder, make)

"""What every data set of the demo looks like: four tables and a description, made once and kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_DESCRIPTION = "description.json"


class DataError(Exception):
    """The data cannot be had; the message says what to do."""


@dataclass(frozen=True)
class Description:
    """What the data are, in words for people."""

    name: str
    title: str
    items_are: str
    simulated: bool
    about_interactions: str
    about_captions: str
    terms: str


@dataclass(frozen=True)
class Tables:
    """The tables.

    items: item_id, image (bytes), title, year, genres. users: user_id, age_group, occupation.
    interactions: user_id, item_id, liked (0, 1), timestamp (s). pairs: image, caption; none of `items`.
    """

    items: pa.Table
    users: pa.Table
    interactions: pa.Table
    pairs: pa.Table

    def smaller(self, items: int, users: int, pairs: int) -> Tables:
        """Return a few items, users and pairs, and the interactions among them, for quick tests."""
        some_items, some_users = _some(self.items, items), _some(self.users, users)
        among = self.interactions.join(some_items.select(["item_id"]), "item_id", join_type="left semi")
        among = among.join(some_users.select(["user_id"]), "user_id", join_type="left semi")
        return Tables(some_items, some_users, among.sort_by("timestamp"), _some(self.pairs, pairs))


@dataclass(frozen=True)
class Dataset:
    """A data set on disk."""

    folder: Path
    about: Description

    @property
    def files(self) -> list[Path]:
        """The Parquet files, in the order of their names."""
        return sorted(self.folder.glob("*.parquet"))

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Return a table: items, users, interactions or pairs."""
        return pq.read_table(self.folder / f"{name}.parquet", columns=columns)


def _some(table: pa.Table, rows: int) -> pa.Table:
    """Return about so many rows from all over the table, which may be sorted by kind."""
    return table.take(pa.array(range(0, table.num_rows, max(1, table.num_rows // rows)))).slice(0, rows)


def cached(folder: Path, make: Callable[[], tuple[Tables, Description]]) -> Dataset:
    """Return the data set in `folder`, made first if it is not there whole."""
    if not (folder / _DESCRIPTION).is_file():
        _write(folder, *make())
    return Dataset(folder, Description(**json.loads((folder / _DESCRIPTION).read_text())))


def _write(folder: Path, tables: Tables, about: Description) -> None:
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name in ("items", "users", "interactions", "pairs"):
        table: pa.Table = getattr(tables, name)
        if table.num_rows == 0:
            raise DataError(f"{about.name}: no {name}; delete {folder.parent} and try again")
        pq.write_table(table, unfinished / f"{name}.parquet", compression="zstd")
    (unfinished / _DESCRIPTION).write_text(json.dumps(asdict(about), indent=2))
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)

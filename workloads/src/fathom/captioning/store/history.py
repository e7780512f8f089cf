"""History: every caption and every failure there ever was, in files that are only ever added.

`history/PLAN/shard-00000/captions-*.parquet` and `errors-*.parquet` beside it. A file's name is its writer's
alone, so that no two writers can be in each other's way. Files are merged, never changed: the merged file is
there before the first of those that it replaces goes. Whoever is killed in between leaves rows twice, which
no reader minds; nobody can leave them nowhere.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Literal

import pyarrow as pa

from fathom import storage
from fathom.captioning.store import parts
from fathom.captioning.store.parts import CaptionRow, ErrorRow
from fathom.storage import Location

Kind = Literal["captions", "errors"]
FOLDER: Final = "history"
SCHEMAS: Final[dict[Kind, pa.Schema]] = {"captions": parts.CAPTIONS, "errors": parts.ERRORS}
#: Small parts are merged into one when they have so many rows together.
PART_ROWS: Final = 1024
#: Files below this size are packed together once there are `PACK_FILES` of them.
SMALL_BYTES: Final = 8 << 20
PACK_BYTES: Final = 128 << 20
PACK_FILES: Final = 64
_PACKED: Final = "packed"


def new_token() -> str:
    """Return a part of a file's name that no other process has."""
    return secrets.token_hex(6)


class Log:
    """Rows of one kind that this process adds to history."""

    def __init__(self, folder: Location, kind: Kind, token: str) -> None:
        self._folder = folder
        self._kind: Kind = kind
        self._token = token
        self._number = 0
        self._rows: list[CaptionRow | ErrorRow] = []
        self._small: list[tuple[Location, pa.Table]] = []

    @property
    def waiting(self) -> int:
        """How many rows would be lost if we were killed now."""
        return len(self._rows)

    def add(self, row: CaptionRow | ErrorRow) -> None:
        """Keep `row` until the next commit."""
        self._rows.append(row)

    def commit(self) -> None:
        """Write the rows that wait as a file; merge small files when there is enough in them."""
        if not self._rows:
            return
        fresh = parts.table(self._rows, SCHEMAS[self._kind])
        together = [*(rows for _, rows in self._small), fresh]
        enough = sum(rows.num_rows for rows in together) >= PART_ROWS
        path = self._folder / f"{self._kind}-{self._token}-{self._number:06d}.parquet"
        parts.write(path, pa.concat_tables(together) if enough else fresh)
        self._number += 1
        self._rows = []
        replaced, self._small = (self._small, []) if enough else ([], [*self._small, (path, fresh)])
        for file, _ in replaced:
            file.unlink(missing_ok=True)


def entries(folder: Location, kind: Kind) -> Iterator[storage.Entry]:
    """Yield the files of one kind below `folder`, and then those that have come meanwhile.

    A file may be gone when it is opened, merged into another: that one comes later. So a reader who passes
    over what is gone sees every row at least once.
    """
    seen: set[str] = set()
    while fresh := [e for e in storage.files(folder) if _is(e, kind) and e.name not in seen]:
        seen.update(entry.name for entry in fresh)
        yield from fresh


def rows(folder: Location, kind: Kind, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield every row of one kind below `folder` at least once."""
    for entry in entries(folder, kind):
        with suppress(FileNotFoundError):
            yield from parts.batches(entry.path, columns, rows=65_536)


def pack(root: Location, keep: str) -> None:
    """Merge the small files below `root` into larger ones; those of the plan `keep` are still added to."""
    for kind in SCHEMAS:
        found = [e for e in storage.files(root) if _is(e, kind) and e.size < SMALL_BYTES]
        small = [e for e in found if not e.name.startswith((f"{keep}/", f"{_PACKED}/"))]
        if len(small) < PACK_FILES:
            continue
        small += [e for e in found if e.name.startswith(f"{_PACKED}/")]
        token = new_token()
        for number, together in enumerate(_packs(small)):
            _merge(root / _PACKED / f"{kind}-{token}-{number:06d}.parquet", together, kind)


def _packs(found: list[storage.Entry]) -> Iterator[list[storage.Entry]]:
    together: list[storage.Entry] = []
    size = 0
    for entry in found:
        together.append(entry)
        size += entry.size
        if size >= PACK_BYTES:
            yield together
            together, size = [], 0
    if together:
        yield together


def _merge(path: Location, found: list[storage.Entry], kind: Kind) -> None:
    with parts.writing(path, SCHEMAS[kind]) as out:
        groups = parts.Groups(out)
        copied = [entry for entry in found if _copy(entry.path, groups, kind)]
        groups.flush()
    for entry in copied:
        entry.path.unlink(missing_ok=True)


def _copy(path: Location, groups: parts.Groups, kind: Kind) -> bool:
    """Return whether all of the file at `path` has been copied; it may be gone, merged by another."""
    try:
        for batch in parts.batches(path, SCHEMAS[kind].names):
            groups.write(batch)
    except FileNotFoundError:
        return False
    return True


def _is(entry: storage.Entry, kind: Kind) -> bool:
    return entry.name.rpartition("/")[2].startswith(f"{kind}-") and entry.name.endswith(".parquet")

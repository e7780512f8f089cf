"""Making a plan: the source is read once, history once, and every shard finds its own.

Earlier captions are joined with the source in chunks: each chunk is sorted by the row of its item and written
as a file of small row groups. A shard takes a contiguous range of rows, so that of each file it needs few row
groups, and of most files none. Memory: 12 bytes a row of the source, and one chunk.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa

from fathom import manifest, storage
from fathom.captioning.sources import SourceReader
from fathom.captioning.store import history, parts
from fathom.captioning.store.history import SCHEMAS, Kind
from fathom.captioning.store.ids import Ids
from fathom.captioning.store.parts import ErrorRow
from fathom.captioning.store.plan import FOLDER, KIND, SKIPPED, SLICES, Deal, Maker, Plan, read, write_table
from fathom.errors import InvalidInputError
from fathom.storage import Location

#: Earlier captions that are sorted in memory at once, and rows of one row group: what a shard reads at least.
CHUNK_ROWS: Final = 1 << 17
GROUP_ROWS: Final = 2048


def make(output: Location, reader: SourceReader, deal: Deal, maker: Maker) -> Plan:
    """Return the plan for `deal`, of the rows of `reader`; it is made unless it is there.

    Raises:
        InvalidInputError: the source has no items, or a file of history is damaged.
    """
    before = read(output)
    if before is not None and before.deal == deal:
        return before
    ids = Ids(reader)
    if not ids.total:
        raise InvalidInputError("NoItems", "the source has no items; check its URI and what is there")
    _write_errors(output, deal.name, ids)
    written = _Written(output / FOLDER, history.new_token())
    written.add("skipped", pa.table({"row": _unusable(ids)}, SKIPPED))
    for kind in SCHEMAS:
        _join(output, ids, kind, written)
    written.add("slices", pa.Table.from_pylist(written.slices, SLICES))
    made_from = {
        "name": deal.name,
        "source": deal.source,
        "shards": str(deal.shards),
        "run": str(deal.run),
        "maker": maker,
        "previous": _previous(output, before),
        "token": written.token,
        "index": written.add_index(reader),
    }
    counts = {"total": ids.total, "duplicates": len(ids.duplicates), "no_id": len(ids.without)}
    counts |= written.counts
    manifest.write(written.folder, KIND, counts=counts, made_from=made_from, only=written.names)
    made = cast(Plan, read(output))
    _tidy(output, made, written.names)
    return made


@dataclass
class _Written:
    """Files of the plan so far; their names have a token, so that two planners do not meet."""

    folder: Location
    token: str
    names: set[str] = field(default_factory=set[str])
    slices: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    counts: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, name: str, rows: pa.Table) -> None:
        """Write a small table."""
        write_table(self._path(name), rows)

    def add_chunk(self, kind: Kind, rows: pa.Table) -> None:
        """Write rows of one kind, sorted by `row`, and take note of what each row group holds."""
        path = self._path(f"{kind}-{len(self.names):05d}")
        with parts.writing(path, rows.schema, compression="lz4") as out:
            out.write_table(rows, row_group_size=GROUP_ROWS)
        of = rows["row"].to_numpy()
        for group, first in enumerate(range(0, len(of), GROUP_ROWS)):
            ends = {"first": int(of[first]), "last": int(of[first : first + GROUP_ROWS][-1])}
            self.slices.append({"kind": kind, "file": path.name, "group": group, **ends})
        self.counts[kind] = self.counts.get(kind, 0) + len(of)

    def add_index(self, reader: SourceReader) -> str:
        """Write where the source's rows begin; return the name of the file, "" if there is none."""
        if reader.index is None:
            return ""
        path = self.folder / f"index-{self.token}.json"
        reader.index.save(path)
        self.names.add(path.name)
        return path.name

    def _path(self, name: str) -> Location:
        path = self.folder / f"{name}-{self.token}.parquet"
        self.names.add(path.name)
        return path


def _join(output: Location, ids: Ids, kind: Kind, written: _Written) -> None:
    """Find the items of earlier rows in the source."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in _placed(output, ids, kind):
        waiting.append(batch)
        count += batch.num_rows
        if count >= CHUNK_ROWS:
            written.add_chunk(kind, _sorted(waiting))
            waiting, count = [], 0
    if waiting:
        written.add_chunk(kind, _sorted(waiting))


def _placed(output: Location, ids: Ids, kind: Kind) -> Iterator[pa.RecordBatch]:
    """Yield the rows of history whose items the source has, with the `row` of the item."""
    for batch in history.rows(output / history.FOLDER, kind, SCHEMAS[kind].names):
        rows = ids.rows(batch["item_id"])
        found = batch.append_column("row", pa.array(rows)).filter(pa.array(rows >= 0))
        if found.num_rows:
            yield found


def _sorted(batches: list[pa.RecordBatch]) -> pa.Table:
    rows = pa.Table.from_batches(batches)
    place = rows["row"].to_numpy()
    if (place[1:] >= place[:-1]).all():
        return rows
    return rows.take(pa.array(np.argsort(place, kind="stable")))


def _unusable(ids: Ids) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.sort(np.concatenate([ids.without, ids.duplicates]))


def _write_errors(output: Location, name: str, ids: Ids) -> None:
    """Write a row for each row of the source that no shard will take."""
    unusable = _unusable(ids)
    if not len(unusable):
        return
    now = time.time()
    with parts.writing(output / "errors" / name / "plan.parquet", parts.ERRORS) as out:
        for rows, found in ids.named(unusable):
            errors = [_error(r, i, now) for r, i in zip(rows.tolist(), found.to_pylist(), strict=True)]
            out.write_table(parts.table(errors, parts.ERRORS))


def _error(row: int, item_id: str | None, now: float) -> ErrorRow:
    if item_id is None:
        return ErrorRow("", "", "NoId", f"row {row} has no id", None, None, now)
    return ErrorRow(item_id, "", "DuplicateId", f"row {row} has the id of an earlier row", None, None, now)


def _previous(output: Location, before: Plan | None) -> str:
    """Return the plan by which something was captioned last."""
    if before is None:
        return ""
    sealed = {
        e.name.split("/")[0] for e in storage.files(output / "captions") if e.path.name == manifest.NAME
    }
    return before.name if before.name in sealed else before.previous


def _tidy(output: Location, plan: Plan, names: set[str]) -> None:
    """Remove what no one reads any more: other plans' files, and views older than the last; pack history."""
    for entry in storage.files(plan.folder):
        if entry.name not in names and entry.name != manifest.NAME:
            _remove(entry.path)
    for view in ("captions", "errors"):
        for entry in storage.files(output / view):
            if entry.name.split("/")[0] not in (plan.name, plan.previous):
                _remove(entry.path)
    _sweep(output / history.FOLDER, keep=plan.name)
    history.pack(output / history.FOLDER, keep=plan.name)


def _sweep(folder: Location, keep: str) -> None:
    """Remove what writers that were killed had not finished; a bucket keeps nothing unfinished."""
    if isinstance(folder, Path):
        for file in folder.glob("*/*/.*.parquet.*"):
            if file.relative_to(folder).parts[0] != keep:
                file.unlink(missing_ok=True)


def _remove(path: Location) -> None:
    path.unlink(missing_ok=True)
    if isinstance(path, Path):
        # Other processes may be writing there, or it is not empty: then it stays.
        with suppress(OSError):
            path.parent.rmdir()
            path.parent.parent.rmdir()

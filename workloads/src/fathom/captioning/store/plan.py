"""The plan of a run: which rows each shard takes, and where to find what is captioned already."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from fathom import manifest
from fathom.captioning.sources import SourceReader
from fathom.captioning.sources.index import Index, load
from fathom.captioning.store import parts
from fathom.captioning.store.history import Kind
from fathom.errors import InvalidInputError
from fathom.storage import Location
from fathom_api.tasks import AnySource

FOLDER: Final = "plan"
KIND: Final = "Plan"
Maker = Literal["plan", "caption"]
#: Rows that no shard takes, and which row groups of which file are for which rows of the source.
SKIPPED: Final = pa.schema([pa.field("row", pa.int64(), nullable=False)])
SLICES: Final = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("group", pa.int32(), nullable=False),
        pa.field("first", pa.int64(), nullable=False),
        pa.field("last", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Slice:
    """A row group of a file that holds rows for a shard, and for its neighbours perhaps."""

    path: Location
    group: int


@dataclass(frozen=True)
class Deal:
    """What a plan is made for: these rows, dealt into so many shards, in this run."""

    source: str
    shards: int
    run: int

    @classmethod
    def of(cls, source: AnySource, reader: SourceReader, shards: int, run: int) -> Deal:
        """Return the deal for the rows that `source` has now: its files, and what of them makes a row."""
        text = f"{reader.fingerprint}\n{source.id_column}\n{source.media_type}"
        return cls(hashlib.sha256(text.encode()).hexdigest(), shards, run)

    @property
    def name(self) -> str:
        """Return the name of the plan: folders of what is made by it are called so."""
        text = f"{self.source}\n{self.shards}\n{self.run}"
        return f"run-{self.run:05d}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Plan:
    """A plan that is made: `total` rows of a source dealt into contiguous ranges.

    `previous` is the plan by which this output was captioned before, "" if it never was.
    """

    folder: Location
    deal: Deal
    total: int
    previous: str
    maker: str
    token: str
    index_file: str

    @property
    def name(self) -> str:
        """Return the plan's name."""
        return self.deal.name

    def rows(self, shard: int) -> tuple[int, int]:
        """Return the rows [start, stop) of `shard`; shards differ by one row at most."""
        return self.total * shard // self.deal.shards, self.total * (shard + 1) // self.deal.shards

    def skipped(self, shard: int) -> frozenset[int]:
        """Return the rows of `shard` that have no id or an earlier row's."""
        start, stop = self.rows(shard)
        chosen = [("row", ">=", start), ("row", "<", stop)]
        return frozenset(self._read("skipped", SKIPPED, chosen)["row"].to_pylist())

    def slices(self, shard: int, kind: Kind) -> list[Slice]:
        """Return where the captions, or the errors, of earlier runs for the items of `shard` are."""
        start, stop = self.rows(shard)
        chosen = [("kind", "==", kind), ("first", "<", stop), ("last", ">=", start)]
        found = self._read("slices", SLICES, chosen).to_pylist()
        return [Slice(self.folder / row["file"], row["group"]) for row in found]

    def index(self) -> Index | None:
        """Return where the rows of the source begin, if finding out takes long."""
        return load(self.folder / self.index_file) if self.index_file else None

    def _read(self, name: str, schema: pa.Schema, chosen: list[tuple[str, str, Any]]) -> pa.Table:
        with (self.folder / f"{name}-{self.token}.parquet").open("rb") as data:
            return pq.read_table(data, schema=schema, filters=chosen)


def read(output: Location) -> Plan | None:
    """Return the plan below `output`, or None where none was finished."""
    folder = output / FOLDER
    found = manifest.read(folder)
    if found is None:
        return None
    made_from = found.made_from
    deal = Deal(made_from["source"], int(made_from["shards"]), int(made_from["run"]))
    total = found.counts["total"]
    others = (made_from[name] for name in ("previous", "maker", "token", "index"))
    return Plan(folder, deal, total, *others)


def check(plan: Plan | None, deal: Deal, output: Location) -> Plan:
    """Return `plan`, which must be for `deal`.

    Raises:
        InvalidInputError: there is none, or it is for another source, other shards or another run.
    """
    if plan is None:
        raise InvalidInputError("NoPlan", f"{output / FOLDER}: there is no plan; run `fathom plan` first")
    if plan.deal == deal:
        return plan
    planned = plan.deal
    differences = [
        f"{name} {ours}, planned was {theirs}"
        for name, ours, theirs in (
            ("run", deal.run, planned.run),
            ("shards", deal.shards, planned.shards),
            ("a source with the fingerprint", deal.source[:12], planned.source[:12]),
        )
        if ours != theirs
    ]
    raise InvalidInputError(
        "StalePlan",
        f"{output / FOLDER}: the task has {'; '.join(differences)}; run `fathom plan` with the same source, "
        "shards and run as the task, and begin again",
    )


def write_table(path: Location, rows: pa.Table) -> None:
    """Write a table of the plan."""
    with parts.writing(path, rows.schema) as out:
        out.write_table(rows, row_group_size=1 << 16)

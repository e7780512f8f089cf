"""Where the stages of a backfill find what the others left, below the task's `output`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fathom import storage
from fathom.errors import InvalidInputError
from fathom.retrieval.gallery import Gallery, in_folder
from fathom.storage import Location, appearing
from fathom_api.backfill_tasks import COMPATIBILITY, GALLERY, REPORT, BackfillTask

Floats = NDArray[np.float32]
#: A part is at most a percent of the gallery, so that every percent can be probed, and at most so many items.
MOST_IN_CHUNK: Final = 256
_ORDER: Final = pa.schema(
    [pa.field("item_id", pa.string(), nullable=False), pa.field("row", pa.int64(), nullable=False)]
)
_DONE: Final = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("media_sha256", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("message", pa.string()),
    ]
)


@dataclass(frozen=True)
class Order:
    """The items in the order in which they move, dealt into chunks.

    Attributes:
        ids: of the items [n].
        rows: where they are in the source [n].
    """

    ids: list[str]
    rows: list[int]

    @property
    def size(self) -> int:
        """Return how many items a chunk has; the last has what is left."""
        return max(1, min(MOST_IN_CHUNK, -(-len(self.ids) // 100)))

    @property
    def chunks(self) -> int:
        """Return how many chunks there are."""
        return -(-len(self.ids) // self.size)

    def limit(self, percent: int) -> int:
        """Return how many chunks hold `percent` of the items, rounded up."""
        return -(-self.chunks * percent // 100)

    def chunk(self, number: int) -> tuple[list[str], list[int]]:
        """Return ids and rows of a chunk."""
        part = slice(number * self.size, (number + 1) * self.size)
        return self.ids[part], self.rows[part]


@dataclass(frozen=True)
class Pairs:
    """Items that both models have embedded: ids [n], vectors [n, d_old] and [n, d_new]."""

    ids: list[str]
    rows: list[int]
    old: Floats
    new: Floats


@dataclass(frozen=True)
class Done:
    """What became of one item of a chunk: the digest of its picture or text, or why it has no vector."""

    item_id: str
    media_sha256: str | None = None
    reason: str | None = None
    message: str | None = None


class Folders:
    """The folder of one backfill."""

    def __init__(self, task: BackfillTask) -> None:
        """Take the task's output."""
        self.root = storage.resolve(task.output)
        self.uri = task.output.rstrip("/")

    @property
    def gallery_uri(self) -> str:
        """Return where the gallery is."""
        return f"{self.uri}/{GALLERY}"

    @property
    def compatibility(self) -> Location:
        """Return where what makes both models comparable is."""
        return self.root / COMPATIBILITY

    @property
    def report(self) -> Location:
        """Return where the report goes."""
        return self.root / REPORT

    def gallery(self) -> Gallery:
        """Return the gallery.

        Raises:
            InvalidInputError: it is not finished.
        """
        return in_folder(self.root / GALLERY)

    def save_pairs(self, pairs: Pairs) -> None:
        """Write the pairs, whole."""
        columns = {
            "item_id": pa.array(pairs.ids, pa.string()),
            "row": pa.array(pairs.rows, pa.int64()),
            "old": _lists(pairs.old),
            "new": _lists(pairs.new),
        }
        _write(self.root / "work" / "pairs.parquet", pa.table(columns))

    def pairs(self) -> Pairs | None:
        """Return the pairs, None where there are none yet."""
        table = _read(self.root / "work" / "pairs.parquet")
        if table is None:
            return None
        ids, rows = table["item_id"].to_pylist(), table["row"].to_pylist()
        return Pairs(ids, rows, _matrix(table["old"]), _matrix(table["new"]))

    def save_order(self, order: Order) -> None:
        """Write the order, whole."""
        table = pa.table([pa.array(order.ids, pa.string()), pa.array(order.rows, pa.int64())], schema=_ORDER)
        _write(self.root / "work" / "order.parquet", table)

    def has_order(self) -> bool:
        """Return whether the items are ordered."""
        return (self.root / "work" / "order.parquet").is_file()

    def order(self) -> Order:
        """Return the order.

        Raises:
            InvalidInputError: there is none.
        """
        table = _read(self.root / "work" / "order.parquet")
        if table is None:
            raise InvalidInputError(
                "NoOrder", f"{self.uri}: the items have no order yet; run `fathom backfill fit` first"
            )
        return Order(table["item_id"].to_pylist(), table["row"].to_pylist())

    def save_done(self, name: str, items: Sequence[Done]) -> None:
        """Note that a chunk is done, and what became of its items."""
        rows = [asdict(item) for item in items]
        _write(self._done / f"{name}.parquet", pa.Table.from_pylist(rows, schema=_DONE))

    def done(self, name: str) -> list[Done] | None:
        """Return what became of a chunk's items, None where it is not done."""
        table = _read(self._done / f"{name}.parquet")
        return None if table is None else [Done(**row) for row in table.to_pylist()]

    def all_done(self) -> list[Done]:
        """Return what became of all items so far; of an item that changed, the latest word last."""
        names = sorted(entry.name for entry in storage.files(self._done))
        return [item for name in names for item in self.done(name.removesuffix(".parquet")) or []]

    def chunks_done(self) -> frozenset[int]:
        """Return the numbers of the chunks that are done."""
        names = (entry.name.removesuffix(".parquet") for entry in storage.files(self._done))
        return frozenset(int(name) for name in names if name.isdecimal())

    def save_curve(self, curve: dict[int, dict[str, float]]) -> None:
        """Write what the probes found, by percent."""
        with appearing(self.root / "work" / "probes.json") as path:
            path.write_text(json.dumps({str(percent): curve[percent] for percent in sorted(curve)}))

    def curve(self) -> dict[int, dict[str, float]]:
        """Return what the probes found, by percent."""
        path = self.root / "work" / "probes.json"
        try:
            found: dict[str, dict[str, float]] = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        return {int(percent): point for percent, point in found.items()}

    @property
    def _done(self) -> Location:
        return self.root / "work" / "done"


def chunk_name(number: int) -> str:
    """Return the name of a chunk's note."""
    return f"{number:08d}"


def _lists(vectors: Floats) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def _matrix(column: Any) -> Floats:
    array = column.combine_chunks()
    flat: Floats = array.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(array), -1)


def _write(path: Location, table: pa.Table) -> None:
    with appearing(path) as temporary:
        pq.write_table(table, temporary)


def _read(path: Location) -> pa.Table | None:
    try:
        with path.open("rb") as file:
            return pq.read_table(file)
    except FileNotFoundError:
        return None

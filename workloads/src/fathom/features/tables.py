"""What featurising leaves: the tokens of each item, the vocabulary, and how well they cover the items."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from fathom.captioning.items import shard_hash
from fathom.features.tokenisers import Entry
from fathom.storage import appearing
from fathom_api.meta import StatusModel

#: Items that are sorted in memory at once.
BUCKET_ROWS: Final = 1 << 20
FEATURES: Final = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("tokens", pa.list_(pa.field("element", pa.int32(), nullable=False)), nullable=False),
    ]
)
VOCABULARY: Final = pa.schema(
    [
        pa.field("id", pa.int32(), nullable=False),
        pa.field("token", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
    ]
)


class TopToken(StatusModel):
    """A frequent token."""

    id: int = Field(description="Its id.")
    token: str = Field(description="What it stands for.")
    count: int = Field(description="Captions it occurs in.")


class Coverage(StatusModel):
    """How well the tokens cover the items (`coverage.json`)."""

    tokenizer: dict[str, str] = Field(description="The strategy, and all that decides what it makes.")
    vocabulary_size: int = Field(description="Ids there may be, padding and unknown included.")
    tokens_in_use: int = Field(description="Ids that occur in a caption.")
    items: int = Field(description="Items with a caption.")
    items_with_tokens: int = Field(description="Items with at least one token.")
    coverage: float = Field(description="Share of the items with at least one token.")
    tokens_per_item: float = Field(description="Mean number of tokens of an item.")
    unknown_share: float = Field(description="Share of the captions' terms that have no id.")
    top_tokens: list[TopToken] = Field(description="The most frequent.")


class Writer:
    """Collects items in any order; the table that comes of it is the same whatever order they came in."""

    def __init__(self, buckets: Sequence[pq.ParquetWriter]) -> None:
        self._buckets = buckets

    def write(self, item_ids: list[str], tokens: list[list[int]]) -> None:
        """Add items."""
        table = pa.table(
            {"item_id": item_ids, "tokens": pa.array(tokens, FEATURES.field("tokens").type)}, FEATURES
        )
        if len(self._buckets) == 1:
            self._buckets[0].write_table(table)
            return
        place = np.array([shard_hash(i) % len(self._buckets) for i in item_ids])
        for number, bucket in enumerate(self._buckets):
            if (mine := table.filter(pa.array(place == number))).num_rows:
                bucket.write_table(mine)


@contextmanager
def features(path: Path, items: int, bucket_rows: int = BUCKET_ROWS) -> Generator[Writer]:
    """Yield a writer for `items` items; on success the sorted table appears at `path`.

    Items are spooled to buckets by a hash of their ids and each bucket is sorted alone: memory stays flat.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".spool-", dir=path.parent) as spool:
        files = [Path(spool, str(number)) for number in range(-(-items // bucket_rows))]
        with ExitStack() as writers:
            yield Writer([writers.enter_context(pq.ParquetWriter(file, FEATURES)) for file in files])
        with appearing(path) as temporary, pq.ParquetWriter(temporary, FEATURES, compression="zstd") as out:
            for file in files:
                out.write_table(pq.read_table(file, schema=FEATURES).sort_by("item_id"))


def write_vocabulary(path: Path, entries: Iterable[Entry]) -> None:
    """Write `entries` in the order given."""
    rows = [(e.id, e.token, e.count) for e in entries]
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    arrays = [pa.array(c, f.type) for c, f in zip(columns, VOCABULARY, strict=True)]
    with appearing(path) as temporary:
        pq.write_table(pa.Table.from_arrays(arrays, schema=VOCABULARY), temporary, compression="zstd")

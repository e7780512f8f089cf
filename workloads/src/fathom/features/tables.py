"""The table of items and their tokens."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fathom.features.sequences import spooling
from fathom.storage import Location, appearing

#: Items that are sorted in memory at once.
BUCKET_ROWS: Final = 1 << 18
NAME: Final = "features.parquet"
#: Each token's weight, 0 … 1, where captions were sampled; all are 1 where the column is not there.
WEIGHTS: Final = pa.field(
    "weights", pa.list_(pa.field("element", pa.float32(), nullable=False)), nullable=False
)
FEATURES: Final = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("tokens", pa.list_(pa.field("element", pa.int32(), nullable=False)), nullable=False),
    ]
)


class Writer:
    """Collects items in any order; the table that comes of it is the same whatever order they came in."""

    def __init__(self, buckets: Sequence[pa.ipc.RecordBatchFileWriter], schema: pa.Schema) -> None:
        self._buckets = buckets
        self._schema = schema

    def write(self, item_ids: pa.Array, *columns: pa.Array) -> None:
        """Add items: ids (string), tokens (list of int32) and, if asked for, weights (list of float32)."""
        cast = [c.cast(field.type) for c, field in zip([item_ids, *columns], self._schema, strict=True)]
        batch = pa.record_batch(cast, schema=self._schema)
        if len(self._buckets) == 1:
            self._buckets[0].write_batch(batch)
            return
        hashes = map(zlib.crc32, item_ids.cast(pa.binary()).to_pylist())
        place = np.fromiter(hashes, np.int64, len(item_ids)) % len(self._buckets)
        for number, bucket in enumerate(self._buckets):
            if (mine := batch.filter(pa.array(place == number))).num_rows:
                bucket.write_batch(mine)


@contextmanager
def features(
    path: Location, items: int, bucket_rows: int = BUCKET_ROWS, *, weights: bool = False
) -> Generator[Writer]:
    """Yield a writer for `items` items, with or without `weights`; on success the table appears at `path`.

    Items are spooled to buckets by a hash of their ids and each bucket is sorted alone: memory stays flat.
    """
    schema = FEATURES.append(WEIGHTS) if weights else FEATURES
    with spooling() as spool:
        files = [spool / str(number) for number in range(max(-(-items // bucket_rows), 1))]
        with ExitStack() as writers:
            yield Writer([writers.enter_context(pa.ipc.new_file(str(f), schema)) for f in files], schema)
        # No two ids are the same, and tokens are small numbers: dictionaries would only cost time.
        written: dict[str, Any] = {"compression": "zstd", "use_dictionary": False}
        with appearing(path) as temporary, pq.ParquetWriter(temporary, schema, **written) as out:
            for file in files:
                with pa.memory_map(str(file)) as mapped:
                    out.write_table(pa.ipc.open_file(mapped).read_all().sort_by("item_id"))

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
FEATURES: Final = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("tokens", pa.list_(pa.field("element", pa.int32(), nullable=False)), nullable=False),
    ]
)


class Writer:
    """Collects items in any order; the table that comes of it is the same whatever order they came in."""

    def __init__(self, buckets: Sequence[pa.ipc.RecordBatchFileWriter]) -> None:
        self._buckets = buckets

    def write(self, item_ids: pa.Array, tokens: pa.Array) -> None:
        """Add items: ids (string) and tokens (list of int32)."""
        batch = pa.record_batch([item_ids, tokens.cast(FEATURES.field("tokens").type)], schema=FEATURES)
        if len(self._buckets) == 1:
            self._buckets[0].write_batch(batch)
            return
        hashes = map(zlib.crc32, item_ids.cast(pa.binary()).to_pylist())
        place = np.fromiter(hashes, np.int64, len(item_ids)) % len(self._buckets)
        for number, bucket in enumerate(self._buckets):
            if (mine := batch.filter(pa.array(place == number))).num_rows:
                bucket.write_batch(mine)


@contextmanager
def features(path: Location, items: int, bucket_rows: int = BUCKET_ROWS) -> Generator[Writer]:
    """Yield a writer for `items` items; on success the table appears at `path`.

    Items are spooled to buckets by a hash of their ids and each bucket is sorted alone: memory stays flat.
    """
    with spooling() as spool:
        files = [spool / str(number) for number in range(max(-(-items // bucket_rows), 1))]
        with ExitStack() as writers:
            yield Writer([writers.enter_context(pa.ipc.new_file(str(file), FEATURES)) for file in files])
        # No two ids are the same, and tokens are small numbers: dictionaries would only cost time.
        written: dict[str, Any] = {"compression": "zstd", "use_dictionary": False}
        with appearing(path) as temporary, pq.ParquetWriter(temporary, FEATURES, **written) as out:
            for file in files:
                with pa.memory_map(str(file)) as mapped:
                    out.write_table(pa.ipc.open_file(mapped).read_all().sort_by("item_id"))

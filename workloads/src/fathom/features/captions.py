"""The captions of a CaptionJob: one row an item, the newest, read as a stream."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fathom import manifest, storage
from fathom.captioning.items import shard_hash
from fathom.captioning.parts import shard_folder
from fathom.errors import InvalidInputError
from fathom_api.captioning import ASPECT

#: Rows held at once.
BATCH_ROWS: Final = 8192
_COLUMNS: Final = ["item_id", "caption"]


@dataclass(frozen=True)
class Batch:
    """Some items and their captions."""

    item_ids: list[str]
    captions: list[str]


@dataclass(frozen=True)
class Part:
    """A part file: of which shard, and the how-manieth that shard wrote."""

    path: Path
    shard: int
    number: int


class Captions:
    """The captions of `shards` finished shards below a folder, the newest row of each item.

    A shard appends part files, so the row in the later part is newer; a row in the folder of the shard that
    its item belongs to is newer than one that an earlier number of shards left elsewhere. Folders of shards
    that are no more are not read: what is still wanted of them, the captioner has taken over.
    """

    def __init__(self, root: Path, shards: int) -> None:
        """Check the shards below `root` and look at the ids of all rows (32 bytes are held for each).

        Raises:
            InvalidInputError: a shard is unfinished or damaged, or there is no caption.
        """
        self._seals = [_finished(shard_folder(root, shard), shard, shards) for shard in range(shards)]
        self._parts = [
            Part(shard_folder(root, shard) / name, shard, int(Path(name).stem.removeprefix("part-")))
            for shard, seal in enumerate(self._seals)
            for name in seal.files
        ]
        self._newest = _newest(self._parts, shards)
        if not self.count:
            raise InvalidInputError("NoCaptions", f"{root}: no captions; see errors/ beside it for why")

    @property
    def count(self) -> int:
        """How many items have a caption."""
        return int(self._newest.sum())

    def digest(self) -> str:
        """Return a digest of all captions."""
        return storage.digest_bytes("\n".join(seal.digest for seal in self._seals).encode())

    @property
    def aspects(self) -> list[str]:
        """What was asked about each item."""
        return [ASPECT]

    def previous(self) -> Iterator[pa.RecordBatch]:
        """Yield item_id, aspect and caption of the run before; none is kept."""
        yield from ()

    def batches(self, aspect: str) -> Iterator[Batch]:
        """Yield every item once, in no particular order."""
        start = 0
        for part in self._parts:
            for rows in _read(part.path, _COLUMNS):
                kept = rows.filter(pa.array(self._newest[start : start + rows.num_rows]))
                start += rows.num_rows
                yield Batch(kept["item_id"].to_pylist(), [text or "" for text in kept["caption"].to_pylist()])


def _finished(folder: Path, shard: int, shards: int) -> manifest.Manifest:
    """Return the manifest of a shard that was finished when there were as many shards as now."""
    found = manifest.read(folder)
    if found is None or found.made_from.get("shards", str(shards)) != str(shards):
        raise InvalidInputError(
            "Unfinished",
            f"{folder}: shard {shard} of {shards} was never finished; run `fathom caption --shard {shard}`",
        )
    return manifest.verify(folder)


def _newest(files: list[Part], shards: int) -> NDArray[np.bool_]:
    """Return for every row of `files`, in order, whether it is its item's newest."""
    digests: list[bytes] = []
    ranks: list[int] = []
    for part in files:
        for rows in _read(part.path, ["item_id"]):
            for item_id in rows["item_id"].to_pylist():
                digests.append(hashlib.blake2b(item_id.encode(), digest_size=16).digest())
                own = shard_hash(item_id) % shards == part.shard
                ranks.append((int(own) << 62) | (part.number << 31) | part.shard)
    keys = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)
    order = np.lexsort((np.arange(len(ranks)), np.asarray(ranks, np.int64), keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    last = np.ones(len(order), np.bool_)
    last[:-1] = (ordered[1:] != ordered[:-1]).any(axis=1)
    newest = np.zeros(len(order), np.bool_)
    newest[order[last]] = True
    return newest


def _read(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path) as file:
            missing = [name for name in columns if name not in file.schema_arrow.names]
            if missing:
                raise InvalidInputError("MissingColumn", f"{path}: no column {missing[0]!r}; caption again")
            yield from file.iter_batches(batch_size=BATCH_ROWS, columns=columns)
    except pa.ArrowInvalid as error:
        raise InvalidInputError(
            "Damaged", f"{path}: not readable as Parquet ({error}); caption again"
        ) from error

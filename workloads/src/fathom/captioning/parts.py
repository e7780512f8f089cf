"""Captions and errors on disk: small Parquet files that appear whole, one folder a shard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from fathom.storage import appearing

CAPTIONS: Final = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("media_sha256", pa.string(), nullable=False),
        pa.field("model_digest", pa.string(), nullable=False),
        pa.field("prompt_digest", pa.string(), nullable=False),
        pa.field("tokens", pa.int32(), nullable=False),
        pa.field("milliseconds", pa.float64(), nullable=False),
    ]
)
ERRORS: Final = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        pa.field("media_sha256", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class CaptionRow:
    """One caption; `key` says what it was made from (see `captioner.Keys`)."""

    item_id: str
    caption: str
    key: str
    media_sha256: str
    model_digest: str
    prompt_digest: str
    tokens: int
    milliseconds: float


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One item that could not be captioned, and why."""

    item_id: str
    reason: str
    message: str
    media_sha256: str | None = None


def shard_folder(root: Path, shard: int) -> Path:
    """Return the folder of `shard` below `root`, which is `captions/` or `errors/`."""
    return root / f"shard-{shard:05d}"


def parts(folder: Path) -> list[Path]:
    """Return the part files of one shard, oldest first."""
    return sorted(folder.glob("part-*.parquet"))


def append(folder: Path, rows: Iterable[CaptionRow | ErrorRow], schema: pa.Schema) -> Path:
    """Write `rows` as the shard's next part file and return it."""
    existing = parts(folder)
    number = int(existing[-1].stem.removeprefix("part-")) + 1 if existing else 0
    path = folder / f"part-{number:08d}.parquet"
    write(path, rows, schema)
    return path


def write(path: Path, rows: Iterable[CaptionRow | ErrorRow], schema: pa.Schema) -> None:
    """Write `rows` to `path`, which appears whole."""
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=schema)
    with appearing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_captions(files: Iterable[Path]) -> Iterator[CaptionRow]:
    """Yield the captions in `files`; a file that another shard has just merged away is passed over."""
    for file in files:
        try:
            table = pq.read_table(file, schema=CAPTIONS)
        except FileNotFoundError:
            continue
        for row in table.to_pylist():
            yield CaptionRow(**row)


def shard_folders(root: Path) -> dict[int, Path]:
    """Return the folders of all shards below `root`, of this or an earlier number of shards, by index."""
    found = {int(m[1]): p for p in root.glob("shard-*") if (m := re.fullmatch(r"shard-(\d+)", p.name))}
    return dict(sorted(found.items()))

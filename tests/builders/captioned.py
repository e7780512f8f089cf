"""A run of captions on disk, as the report reads it: captions, errors, the run before, tokens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CAPTIONS = {
    **dict.fromkeys(["item_id", "aspect", "caption", "key", "media_sha256", "model_digest"], pa.string()),
    **{"prompt_digest": pa.string(), "tokens": pa.int32(), "milliseconds": pa.float64()},
    **{"finish": pa.string(), "made_at": pa.float64()},
}
ERRORS = {
    **dict.fromkeys(["item_id", "aspect", "reason", "message", "media_sha256", "key"], pa.string()),
    "made_at": pa.float64(),
}
PREVIOUS = dict.fromkeys(["item_id", "aspect", "caption"], pa.string())
BATCH = 4096


def caption(item_id: str, text: str, **changes: Any) -> dict[str, Any]:
    """Return a row of captions."""
    row = {
        "item_id": item_id,
        "aspect": "caption",
        "caption": text,
        "key": f"key of {item_id}",
        "media_sha256": "00",
        "model_digest": "sha256:model",
        "prompt_digest": "sha256:prompt",
        "tokens": len(text.split()) + 2,
        "milliseconds": 40.0,
        "finish": "Stop",
        "made_at": 1_700_000_000.0,
    }
    return row | changes


def error(item_id: str, reason: str, message: str = "it is broken", aspect: str = "") -> dict[str, Any]:
    """Return a row of errors."""
    return {
        "item_id": item_id,
        "aspect": aspect,
        "reason": reason,
        "message": message,
        "media_sha256": None,
        "key": None,
        "made_at": 1_700_000_000.0,
    }


@dataclass(frozen=True)
class Files:
    """Reads what `write` wrote, batch by batch."""

    folder: Path
    count: int
    aspects: list[str]

    def rows(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        yield from self._read("captions.parquet", columns)

    def errors(self) -> Iterator[pa.RecordBatch]:
        yield from self._read("errors.parquet", None)

    def previous(self) -> Iterator[pa.RecordBatch]:
        yield from self._read("previous.parquet", None)

    def _read(self, name: str, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(self.folder / name, pre_buffer=False) as file:
            yield from file.iter_batches(batch_size=BATCH, columns=columns)


def write(
    folder: Path,
    captions: Sequence[Mapping[str, Any]],
    errors: Sequence[Mapping[str, Any]] = (),
    previous: Sequence[Mapping[str, Any]] = (),
) -> Files:
    """Write a run and return what reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {"captions": (captions, CAPTIONS), "errors": (errors, ERRORS), "previous": (previous, PREVIOUS)}
    for name, (rows, types) in tables.items():
        columns = {column: pa.array([row[column] for row in rows], kind) for column, kind in types.items()}
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    aspects = list(dict.fromkeys(row["aspect"] for row in captions))
    return Files(folder, len({row["item_id"] for row in captions}), aspects)


def write_features(root: Path, tokens: Mapping[str, Sequence[str]], aspect: str = "caption") -> None:
    """Write the features of one aspect: the tokens of each item, the vocabulary, the coverage."""
    folder = root / "features" / aspect
    folder.mkdir(parents=True, exist_ok=True)
    counts = Counter(token for found in tokens.values() for token in found)
    ids = {token: place for place, token in enumerate(counts, start=3)}
    items = sorted(tokens)
    lists = pa.array([[ids[t] for t in tokens[i]] for i in items], pa.list_(pa.int32()))
    pq.write_table(
        pa.table({"item_id": pa.array(items, pa.string()), "tokens": lists}), folder / "features.parquet"
    )
    named = {"id": pa.array(ids.values(), pa.int32()), "token": pa.array(ids, pa.string())}
    named["count"] = pa.array([counts[token] for token in ids], pa.int64())
    pq.write_table(pa.table(named), folder / "vocabulary.parquet")
    total = sum(counts.values())
    coverage = {
        "vocabularySize": len(ids) + 3,
        "tokensInUse": len(ids),
        "coverage": sum(bool(t) for t in tokens.values()) / max(1, len(tokens)),
        "tokensPerItem": total / max(1, len(tokens)),
        "unknownShare": 0.125,
        "topTokens": [{"id": ids[t], "token": t, "count": n} for t, n in counts.most_common(50)],
    }
    (folder / "coverage.json").write_text(json.dumps(coverage))


@dataclass(frozen=True)
class Pictured:
    """A row of a source, its media decoded already or an exception."""

    row: int
    id: str | None
    media: Any
    texts: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Clip:
    """Frames and their times."""

    frames: tuple[Image.Image, ...]
    times: tuple[float, ...] = ()


class Shelf:
    """A source that is a list."""

    def __init__(self, rows: Sequence[Pictured]) -> None:
        self.rows = rows
        self.asked: list[tuple[int, int]] = []

    def ids(self) -> Iterator[pa.RecordBatch]:
        column = pa.array([row.id for row in self.rows], pa.string())
        for start in range(0, len(self.rows), 100):
            yield pa.record_batch({"item_id": column.slice(start, 100)})

    def items(self, start: int, stop: int) -> Iterator[Pictured]:
        self.asked.append((start, stop))
        yield from self.rows[start:stop]


def decode(media: Any) -> Clip:
    """Return what a `Pictured` holds, or raise it."""
    if isinstance(media, Exception):
        raise media
    return media if isinstance(media, Clip) else Clip((media,))

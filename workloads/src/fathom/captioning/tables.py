"""Rows of a Parquet, CSV or JSONL file, or of a folder of images, read as a stream of a few at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from fathom.errors import InvalidInputError

#: Rows of Parquet held at once; they may carry pictures.
BATCH_ROWS: Final = 64
Row = dict[str, Any]
IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


def rows(path: Path, columns: list[str], required: list[str]) -> Iterator[Row]:
    """Yield the rows of the table at `path` with `columns` only, in the file's order; values may be None.

    Columns that are `required` must exist, read or not. A folder is its Parquet files, in order.

    Raises:
        InvalidInputError: the format is unknown, the file is damaged, or a column is missing.
    """
    if path.is_dir():
        return (row for file in sorted(path.glob("*.parquet")) for row in _parquet(file, columns, required))
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidInputError(
            "UnknownFormat",
            f"{path}: unknown format {path.suffix!r}; use {', '.join(_READERS)} or a folder of images",
        )
    return reader(path, columns, required)


def is_image_folder(path: Path) -> bool:
    """Return whether `path` is a folder whose items are its image files."""
    return path.is_dir() and not any(path.glob("*.parquet"))


def folder(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield id and file of each image below `path`, sorted; an id is the file's path without suffix."""
    for file in sorted(path.rglob("*")):
        if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file():
            yield file.relative_to(path).with_suffix("").as_posix(), file


def _parquet(path: Path, columns: list[str], required: list[str]) -> Iterator[Row]:
    try:
        with pq.ParquetFile(path) as file:
            _need(path, required, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
                yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise InvalidInputError("UnreadableTable", f"{path}: not readable as Parquet: {error}") from error


def _csv(path: Path, columns: list[str], required: list[str]) -> Iterator[Row]:
    # Encoded pictures are longer than the module's default limit for a field.
    csv.field_size_limit(1 << 30)
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        try:
            _need(path, required, list(reader.fieldnames or []))
            for row in reader:
                yield {name: row[name] or None for name in columns}
        except (csv.Error, UnicodeDecodeError) as error:
            raise InvalidInputError("UnreadableTable", f"{path}, line {reader.line_num}: {error}") from error


def _jsonl(path: Path, columns: list[str], required: list[str]) -> Iterator[Row]:
    seen: dict[str, None] = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                row = _parse(path, number, line)
                seen |= dict.fromkeys(row)
                yield {name: row.get(name) for name in columns}
    # A line may leave out what it has no value for, so only the last one tells.
    _need(path, required, list(seen))


def _parse(path: Path, number: int, line: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InvalidInputError("UnreadableTable", f"{path}, line {number}: {error}") from error
    if not isinstance(row, dict):
        raise InvalidInputError("UnreadableTable", f"{path}, line {number}: not a JSON object")
    return row


def _need(path: Path, required: list[str], existing: list[str]) -> None:
    for name in required:
        if name not in existing:
            raise InvalidInputError(
                "MissingColumn",
                f"{path}: no column {name!r}; it has {', '.join(map(repr, existing)) or 'none'}",
            )


_READERS: Final[dict[str, Callable[[Path, list[str], list[str]], Iterator[Row]]]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
}

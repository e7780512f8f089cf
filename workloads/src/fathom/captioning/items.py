"""The items of a source, dealt into shards by a hash of their ids."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fathom import storage
from fathom.captioning import tables
from fathom.errors import InvalidInputError
from fathom_api.captioning import Source


@dataclass(frozen=True)
class Item:
    """One row of the source: its place, its id (None where it has none) and what its media column holds."""

    row: int
    id: str | None
    media: Any
    duplicate: bool = False
    texts: Mapping[str, str] = field(default_factory=dict[str, str])


def items(source: Source, shard: int, shards: int) -> Iterator[Item]:
    """Yield the items of `shard` in the source's order; a second one of the same id is marked as duplicate.

    The same id is always in the same shard, wherever its row is; rows without id are dealt by their place.

    Raises:
        InvalidInputError: the source is missing or not readable, or lacks a column.
    """
    seen: set[bytes] = set()
    for number, (identity, media) in enumerate(_rows(source, [source.id_column, source.media_column])):
        item_id = as_id(identity)
        if (number if item_id is None else shard_hash(item_id)) % shards != shard:
            continue
        digest = hashlib.blake2b((item_id or "").encode(), digest_size=12).digest()
        yield Item(number, item_id, media, duplicate=item_id is not None and digest in seen)
        seen.add(digest)


def count(source: Source, shard: int, shards: int) -> int:
    """Return how many rows `shard` has, after checking that all columns exist.

    Raises:
        InvalidInputError: the source is missing, empty or not readable, or lacks a column.
    """
    rows = own = 0
    for number, (identity,) in enumerate(_rows(source, [source.id_column])):
        item_id = as_id(identity)
        rows += 1
        own += (number if item_id is None else shard_hash(item_id)) % shards == shard
    if not rows:
        raise InvalidInputError("NoItems", f"{source.uri}: no items; check the URI and the file's content")
    return own


def shard_hash(item_id: str) -> int:
    """Return a number that is the same for the same id on every machine and in every run."""
    return int.from_bytes(hashlib.blake2b(item_id.encode(), digest_size=8).digest())


def as_id(value: Any) -> str | None:
    """Return `value` as an id: 12, 12.0 (how pandas writes a column with gaps) and "12" are the same."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.strip() or None


def _rows(source: Source, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    path = storage.existing(source.uri)
    if tables.is_image_folder(path):
        yield from ((name, str(file.relative_to(path)))[: len(columns)] for name, file in tables.folder(path))
        return
    for row in tables.rows(path, columns, [source.id_column, source.media_column]):
        yield tuple(row[name] for name in columns)

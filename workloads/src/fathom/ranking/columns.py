"""Users and items as arrays that the model takes, and those arrays as Arrow tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fathom.ranking.schema import PADDING, UNKNOWN, FeatureField, categorical, lists, numeric

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Columns:
    """Features of n users or items, ready for the model.

    Attributes:
        ids: [n, C] ids of the C categorical features.
        lists: for each list feature, [n, L] ids, padded with 0 on the right.
        numeric: [n, K] standardised numbers.
    """

    ids: Ints
    lists: tuple[Ints, ...]
    numeric: Floats

    def take(self, rows: NDArray[np.integer[Any]]) -> Columns:
        """Return the features of `rows`."""
        return Columns(self.ids[rows], tuple(values[rows] for values in self.lists), self.numeric[rows])


@dataclass(frozen=True)
class Entities:
    """Users or items by name. Row r of `columns` is `names[r - 1]`; row 0 is one nothing is known of."""

    names: list[str]
    columns: Columns

    def rows(self) -> dict[str, int]:
        """Return the row of each name."""
        return {name: row for row, name in enumerate(self.names, start=1)}


def nobody(fields: list[FeatureField]) -> Columns:
    """Return the one row of a user or item of whom nothing is known."""
    return Columns(
        np.full((1, len(categorical(fields))), UNKNOWN, np.int32),
        tuple(np.full((1, 1), PADDING, np.int32) for _ in lists(fields)),
        np.zeros((1, len(numeric(fields))), np.float32),
    )


def stack(first: Columns, second: Columns) -> Columns:
    """Return the rows of `first`, then those of `second`."""
    return Columns(
        np.concatenate([first.ids, second.ids]),
        tuple(_stack_padded(a, b) for a, b in zip(first.lists, second.lists, strict=True)),
        np.concatenate([first.numeric, second.numeric]),
    )


def _stack_padded(first: Ints, second: Ints) -> Ints:
    width = max(first.shape[1], second.shape[1])
    return np.concatenate([np.pad(m, ((0, 0), (0, width - m.shape[1]))) for m in (first, second)])


def padded(values: Ints, lengths: NDArray[np.int64], limit: int) -> Ints:
    """Return lists laid end to end in `values` as rows [n, L], cut at `limit` and padded with 0."""
    width = int(min(max(lengths.max(initial=0), 1), limit))
    starts = np.cumsum(lengths) - lengths
    at = starts[:, None] + np.arange(width)
    inside = np.arange(width) < lengths[:, None]
    found = np.concatenate([values, [0]])[np.where(inside, at, len(values))]
    return found.astype(np.int32)


def to_table(key: str, entities: Entities, fields: list[FeatureField]) -> pa.Table:
    """Return `entities` as a table: `key`, then a column for each feature."""
    columns, rest = entities.columns, slice(1, None)
    arrays: dict[str, pa.Array] = {key: pa.array(entities.names, pa.string())}
    arrays |= {f.name: pa.array(columns.ids[rest, i]) for i, f in enumerate(categorical(fields))}
    arrays |= {f.name: _to_lists(columns.lists[i][rest]) for i, f in enumerate(lists(fields))}
    arrays |= {f.name: pa.array(columns.numeric[rest, i]) for i, f in enumerate(numeric(fields))}
    return pa.table({key: arrays[key]} | {f.name: arrays[f.name] for f in fields})


def from_table(key: str, table: pa.Table, fields: list[FeatureField]) -> Entities:
    """Return the entities that `to_table` made `table` of."""
    n = table.num_rows
    ids = [table[f.name].to_numpy() for f in categorical(fields)]
    numbers = [table[f.name].to_numpy() for f in numeric(fields)]
    known = Columns(
        np.stack(ids, axis=1).astype(np.int32) if ids else np.zeros((n, 0), np.int32),
        tuple(_from_lists(table[f.name]) for f in lists(fields)),
        np.stack(numbers, axis=1).astype(np.float32) if numbers else np.zeros((n, 0), np.float32),
    )
    return Entities(table[key].to_pylist(), stack(nobody(fields), known))


def _to_lists(rows: Ints) -> pa.Array:
    lengths = (rows != PADDING).sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows[rows != PADDING]))


def _from_lists(column: pa.ChunkedArray) -> Ints:
    array = column.combine_chunks()
    lengths = array.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    values = array.flatten().to_numpy(zero_copy_only=False).astype(np.int32)
    return padded(values, lengths, max(int(lengths.max(initial=0)), 1))

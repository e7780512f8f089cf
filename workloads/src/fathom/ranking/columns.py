"""Users and items as arrays that the model takes, and those arrays as Arrow tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fathom.ranking.schema import (
    PADDING,
    UNKNOWN,
    FeatureField,
    categorical,
    lists,
    numeric,
    weights_name,
)

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Number = TypeVar("Number", np.int32, np.float32)


@dataclass(frozen=True)
class Columns:
    """Features of n users or items, ready for the model.

    Attributes:
        ids: [n, C] ids of the C categorical features.
        lists: for each list feature, [n, L] ids, padded with 0 on the right.
        numeric: [n, K] standardised numbers.
        weights: for each list feature, [n, L] weights of its ids in (0, 1], 0 where padded; None: all are 1.
    """

    ids: Ints
    lists: tuple[Ints, ...]
    numeric: Floats
    weights: tuple[Floats | None, ...] = ()

    def __post_init__(self) -> None:
        if not self.weights:
            object.__setattr__(self, "weights", (None,) * len(self.lists))

    def take(self, rows: NDArray[np.integer[Any]]) -> Columns:
        """Return the features of `rows`."""
        weights = tuple(w if w is None else w[rows] for w in self.weights)
        return Columns(self.ids[rows], tuple(v[rows] for v in self.lists), self.numeric[rows], weights)


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
        tuple(_stack_weights(first, second, i) for i in range(len(first.lists))),
    )


def _stack_padded(first: NDArray[Number], second: NDArray[Number]) -> NDArray[Number]:
    width = max(first.shape[1], second.shape[1])
    return np.concatenate([np.pad(m, ((0, 0), (0, width - m.shape[1]))) for m in (first, second)])


def _stack_weights(first: Columns, second: Columns, at: int) -> Floats | None:
    if first.weights[at] is None and second.weights[at] is None:
        return None
    return _stack_padded(weights_or_ones(first, at), weights_or_ones(second, at))


def weights_or_ones(columns: Columns, at: int) -> Floats:
    """Return the weights [n, L] of list feature `at`, 0 where padded."""
    given = columns.weights[at]
    return (columns.lists[at] != PADDING).astype(np.float32) if given is None else given


def padded(values: NDArray[Number], lengths: NDArray[np.int64], limit: int) -> NDArray[Number]:
    """Return lists laid end to end in `values` as rows [n, L], cut at `limit` and padded with 0."""
    width = int(min(max(lengths.max(initial=0), 1), limit))
    starts = np.cumsum(lengths) - lengths
    at = starts[:, None] + np.arange(width)
    inside = np.arange(width) < lengths[:, None]
    return np.concatenate([values, np.zeros(1, values.dtype)])[np.where(inside, at, len(values))]


def to_table(key: str, entities: Entities, fields: list[FeatureField]) -> pa.Table:
    """Return `entities` as a table: `key`, a column for each feature, and those of weights that there are."""
    columns, rest = entities.columns, slice(1, None)
    arrays: dict[str, pa.Array] = {key: pa.array(entities.names, pa.string())}
    arrays |= {f.name: pa.array(columns.ids[rest, i]) for i, f in enumerate(categorical(fields))}
    arrays |= {f.name: _to_lists(columns.lists[i][rest]) for i, f in enumerate(lists(fields))}
    arrays |= {f.name: pa.array(columns.numeric[rest, i]) for i, f in enumerate(numeric(fields))}
    table = pa.table({key: arrays[key]} | {f.name: arrays[f.name] for f in fields})
    for i, field in enumerate(lists(fields)):
        if (weights := columns.weights[i]) is not None:
            of_lists = _to_lists(columns.lists[i][rest], weights[rest])
            table = table.append_column(weights_name(field.name), of_lists)
    return table


def from_table(key: str, table: pa.Table, fields: list[FeatureField]) -> Entities:
    """Return the entities that `to_table` made `table` of."""
    n = table.num_rows
    ids = [table[f.name].to_numpy() for f in categorical(fields)]
    numbers = [table[f.name].to_numpy() for f in numeric(fields)]
    known = Columns(
        np.stack(ids, axis=1).astype(np.int32) if ids else np.zeros((n, 0), np.int32),
        tuple(_from_lists(table[f.name], np.int32) for f in lists(fields)),
        np.stack(numbers, axis=1).astype(np.float32) if numbers else np.zeros((n, 0), np.float32),
        tuple(_weights_from(table, f) for f in lists(fields)),
    )
    return Entities(table[key].to_pylist(), stack(nobody(fields), known))


def _to_lists(rows: Ints, values: Ints | Floats | None = None) -> pa.Array:
    """Return `values` (the ids in `rows`) as lists, where `rows` are not padded."""
    there = rows != PADDING
    offsets = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array((rows if values is None else values)[there]))


def _weights_from(table: pa.Table, field: FeatureField) -> Floats | None:
    name = weights_name(field.name)
    return _from_lists(table[name], np.float32) if name in table.column_names else None


def _from_lists(column: pa.ChunkedArray, kind: type[Number]) -> NDArray[Number]:
    array = column.combine_chunks()
    lengths = array.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    values = array.flatten().to_numpy(zero_copy_only=False).astype(kind)
    return padded(values, lengths, max(int(lengths.max(initial=0)), 1))

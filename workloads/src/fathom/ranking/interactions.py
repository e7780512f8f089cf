"""Interactions: who met which item when, and whether they liked it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from fathom.errors import InvalidInputError
from fathom.ranking import fingerprints, tables
from fathom.ranking.encode import texts
from fathom_api.recmodel import Data

pc: Any = pyarrow.compute
#: Share of the rows that may be unusable; they are left out and counted.
BAD_ROWS: Final = 0.01


@dataclass(frozen=True)
class Interactions:
    """n usable interactions.

    Attributes:
        users: distinct ids, sorted; items likewise.
        user: [n] place in `users`; item likewise.
        label: [n] 0 or 1.
        time: [n], or None without a time column.
        hashes: [n] fingerprints of user, item and time.
        unusable: rows left out, by why.
        tasks: [n, T] labels of further tasks, 0, 1 or NaN where there is none.
    """

    users: list[str]
    items: list[str]
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    label: NDArray[np.float32]
    time: NDArray[np.float64] | None
    hashes: fingerprints.Hashes
    unusable: dict[str, int]
    tasks: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.label)


def read(data: Data, tasks: Sequence[str] = ()) -> Interactions:
    """Return the interactions of `data`, with the labels of further `tasks`.

    Raises:
        InvalidInputError: a column is missing, or more than 1 % of the rows cannot be used.
    """
    uri, time_column = data.interactions.uri, data.time_column
    names = [data.user_column, data.item_column, data.label] + ([time_column] if time_column else [])
    table = tables.read(uri, [*names, *tasks])
    user, item = (_ids(tables.array(table, name)) for name in names[:2])
    label = _numbers(uri, data.label, tables.array(table, data.label))
    time = _numbers(uri, time_column, tables.array(table, time_column)) if time_column else None
    bad = {
        f"no {data.user_column}": pc.is_null(user).to_numpy(zero_copy_only=False),
        f"no {data.item_column}": pc.is_null(item).to_numpy(zero_copy_only=False),
        f"{data.label} neither 0 nor 1": ~np.isin(label, (0.0, 1.0)),
    } | ({f"no usable {time_column}": ~np.isfinite(time)} if time is not None else {})
    keep = _usable(uri, bad)
    kept_time = time[keep] if time is not None else None
    unusable = {why: int(rows.sum()) for why, rows in bad.items() if rows.any()}
    mask = pa.array(keep)
    found = _build(user.filter(mask), item.filter(mask), label[keep].astype(np.float32), kept_time, unusable)
    further = [_further(uri, name, tables.array(table, name))[keep] for name in tasks]
    return replace(found, tasks=np.stack(further, axis=1)) if further else found


def _further(uri: str, name: str, column: pa.Array) -> NDArray[np.float32]:
    """Return the label of a further task: 0, 1, or NaN."""
    values = _numbers(uri, name, column)
    if strange := int((~np.isnan(values) & ~np.isin(values, (0.0, 1.0))).sum()):
        raise InvalidInputError(
            "BadLabel",
            f"{uri}: {strange:,} rows have a {name} that is neither 0 nor 1 nor missing; correct the data, "
            "or name another column in training.tasks",
        )
    return values.astype(np.float32)


def _usable(uri: str, bad: dict[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
    unusable = np.any(list(bad.values()), axis=0)
    if not len(unusable):
        raise InvalidInputError("NoRows", f"{uri}: no rows")
    if unusable.mean() > BAD_ROWS:
        counts = ", ".join(f"{rows.sum():,} with {why}" for why, rows in bad.items() if rows.any())
        raise InvalidInputError(
            "BadRows",
            f"{uri}: {unusable.sum():,} of {len(unusable):,} rows cannot be used, more than {BAD_ROWS:.0%}: "
            f"{counts}; correct the data, or name other columns",
        )
    return ~unusable


def _build(
    user: pa.Array,
    item: pa.Array,
    label: NDArray[np.float32],
    time: NDArray[np.float64] | None,
    unusable: dict[str, int],
) -> Interactions:
    users, user_at = _places(user)
    items, item_at = _places(item)
    clock = (np.zeros(len(label)) if time is None else time).view(np.uint64)
    hashes = fingerprints.mix(
        fingerprints.of_names(users)[user_at], fingerprints.of_names(items)[item_at], clock
    )
    return Interactions(users, items, user_at, item_at, label, time, hashes, unusable)


def _ids(column: pa.Array) -> pa.Array:
    values = texts(column)
    return pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)


def _places(column: pa.Array) -> tuple[list[str], NDArray[np.int64]]:
    encoded = column.dictionary_encode()
    names = np.array(encoded.dictionary.to_pylist(), object)
    order = np.argsort(names)
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    return names[order].tolist(), rank[encoded.indices.to_numpy()]


def _numbers(uri: str, name: str, column: pa.Array) -> NDArray[np.float64]:
    """Return a column of numbers, booleans or times as numbers, NaN where there is none."""
    try:
        if pa.types.is_temporal(column.type):
            column = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        numbers = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
        return numbers.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidInputError(
            "NotNumeric", f"{uri}: column {name!r} is neither numeric nor a time ({error}); convert it"
        ) from error

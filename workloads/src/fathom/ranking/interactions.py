"""Interactions: who met which item when, and whether they liked it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from fathom.errors import InvalidInputError
from fathom.ranking import fingerprints, tables
from fathom.ranking.context import Context, Named, Reading
from fathom.ranking.encode import texts
from fathom.ranking.stream.bad_rows import BadRows
from fathom.ranking.stream.names import Names
from fathom.ranking.stream.scratch import Array, Column, computed
from fathom_api.recmodel import Data

pc: Any = pyarrow.compute
#: What an interaction is for, in the words of the data.
PARTS: Final = ("train", "validation", "test")


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
        samples: the first few of them, by why.
        tasks: [n, T] labels of further tasks, 0, 1 or NaN where there is none; None where T is 0.
        given: [n] places in `PARTS` that the data themselves name; None without such a column.
        context: further columns of them.
    """

    users: list[str]
    items: list[str]
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    label: NDArray[np.float32]
    time: NDArray[np.float64] | None
    hashes: fingerprints.Hashes
    unusable: dict[str, int]
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    tasks: NDArray[np.float32] | None = None
    given: NDArray[np.int8] | None = None
    context: Context = field(default_factory=Context)

    def __len__(self) -> int:
        return len(self.label)


def read(data: Data, tasks: Sequence[str] = (), context: Iterable[Named] = ()) -> Interactions:
    """Return the interactions of `data`, with the labels of further `tasks` and the columns of `context`.

    In memory are their distinct ids and values, the rows are on disk.

    Raises:
        InvalidInputError: a column is missing, or more rows than `data.max_bad_rows` cannot be used.
    """
    uri, time_column, split_column = data.interactions.uri, data.time_column, data.split.split_column
    columns = [data.user_column, data.item_column, data.label] + [c for c in (time_column, split_column) if c]
    users, items, bad = Names(), Names(), BadRows()
    labels, times, further = Column(np.float32), Column(np.float64), Column(np.float32)
    given, around = Column(np.int8), Reading(context)
    for batch in tables.stream(uri, [*columns, *tasks, *around.columns]):
        user, item = _ids(batch.column(data.user_column)), _ids(batch.column(data.item_column))
        label = _numbers(uri, data.label, batch.column(data.label))
        time = _numbers(uri, time_column, batch.column(time_column)) if time_column else np.zeros(len(label))
        part = _parts(batch.column(split_column)) if split_column else np.zeros(len(label), np.int8)
        keep = bad.sift(
            batch,
            {
                f"no {data.user_column}": pc.is_null(user).to_numpy(zero_copy_only=False),
                f"no {data.item_column}": pc.is_null(item).to_numpy(zero_copy_only=False),
                f"{data.label} neither 0 nor 1": ~np.isin(label, (0.0, 1.0)),
                f"no usable {time_column}": ~np.isfinite(time),
                f"{split_column} none of {', '.join(PARTS)}": part < 0,
            },
        )
        users.append(user.filter(pa.array(keep)))
        items.append(item.filter(pa.array(keep)))
        labels.append(label[keep])
        times.append(time[keep])
        given.append(part[keep])
        around.append(batch, keep)
        if tasks:
            others = [_further(uri, name, batch.column(name))[keep] for name in tasks]
            further.append(np.stack(others, axis=1).ravel())
    bad.check(uri, data.max_bad_rows)
    known = times.array() if time_column else None
    found = _build(users.sorted(), items.sorted(), labels.array(), known, bad)
    return replace(
        found,
        tasks=further.array().reshape(-1, len(tasks)) if tasks else None,
        given=given.array() if split_column else None,
        context=around.done(),
    )


def _parts(column: pa.Array) -> NDArray[np.int8]:
    """Return the place of each value in `PARTS`, -1 of any other."""
    places = pc.index_in(texts(column), value_set=pa.array(PARTS))
    return places.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int8)


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


def _build(
    users: tuple[list[str], Array],
    items: tuple[list[str], Array],
    label: Array,
    time: Array | None,
    bad: BadRows,
) -> Interactions:
    (user_names, user), (item_names, item) = users, items
    of_users, of_items = fingerprints.of_names(user_names), fingerprints.of_names(item_names)

    def mixed(part: slice) -> Array:
        clock = 0 if time is None else time[part].view(np.uint64)
        return fingerprints.mix(of_users[user[part]], of_items[item[part]], clock)

    hashes = computed(len(label), np.uint64, mixed)
    return Interactions(user_names, item_names, user, item, label, time, hashes, bad.counts, bad.samples)


def _ids(column: pa.Array) -> pa.Array:
    values = _whole(column) if pa.types.is_floating(column.type) else texts(column)
    return pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)


def _whole(column: pa.Array) -> pa.Array:
    """Return numbers as strings, 7.0 as 7 whatever else its batch holds; NaN is missing."""
    column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
    whole = pc.equal(column, pc.floor(column))
    return pc.if_else(whole, pc.floor(column).cast(pa.int64()).cast(pa.string()), column.cast(pa.string()))


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

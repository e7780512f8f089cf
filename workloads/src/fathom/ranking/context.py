"""What is known of an interaction itself: hour, device, place on the page.

It is the same for all candidates of a request, so it is on the user's side: the last of the user's features,
told with a request where others are looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fathom.ranking import encode
from fathom.ranking.encode import Vocabulary, pc
from fathom.ranking.schema import UNKNOWN, FeatureField, categorical, numeric
from fathom.ranking.stream.names import Names
from fathom.ranking.stream.scratch import Array, Column, chunks, counts
from fathom_api.recmodel import Feature

#: A value that is missing, among the names of a column.
_MISSING: Final = ""
#: Anything that names a column and what it holds.
Named = Feature | FeatureField


@dataclass(frozen=True)
class Context:
    """Columns of n interactions, as read; a column may be read in both ways.

    Attributes:
        values: distinct values, sorted, and each row's place among them [n], by column.
        numbers: [n] by column, NaN where there is none.
    """

    values: Mapping[str, tuple[list[str], Array]] = field(default_factory=dict[str, tuple[list[str], Array]])
    numbers: Mapping[str, Array] = field(default_factory=dict[str, Array])


class Encoded(NamedTuple):
    """The context of n interactions, ready for the model: ids [n, C] and standardised numbers [n, K]."""

    ids: Array
    numeric: Array

    @property
    def told(self) -> tuple[Array | None, Array | None]:
        """Both; None of what has no columns."""
        return self.ids if self.ids.shape[1] else None, self.numeric if self.numeric.shape[1] else None


class Reading:
    """Takes the columns of `features` from batch after batch; memory holds their distinct values."""

    def __init__(self, features: Iterable[Named]) -> None:
        every = list(features)
        self._values = {name(f): Names() for f in every if f.type == "Categorical"}
        self._numbers = {name(f): Column(np.float32) for f in every if f.type == "Numeric"}

    @property
    def columns(self) -> list[str]:
        """The columns it takes."""
        return [*self._values, *self._numbers]

    def append(self, batch: pa.RecordBatch, keep: NDArray[np.bool_]) -> None:
        """Take the rows of `batch` to `keep`.

        Raises:
            InvalidInputError: a column that must be numbers is not.
        """
        kept = pa.array(keep)
        for column, names in self._values.items():
            names.append(pc.fill_null(encode.texts(batch.column(column).filter(kept)), _MISSING))
        for column, numbers in self._numbers.items():
            numbers.append(encode.numbers_of(batch.column(column).filter(kept), column))

    def done(self) -> Context:
        """Return all that was taken."""
        return Context(
            {column: names.sorted() for column, names in self._values.items()},
            {column: numbers.array() for column, numbers in self._numbers.items()},
        )


def name(feature: Named) -> str:
    """Return the column of `feature`."""
    return feature.column if isinstance(feature, Feature) else feature.name


def learn(
    read: Context, features: Sequence[Feature], train: Callable[[slice], Array]
) -> tuple[list[FeatureField], dict[str, Vocabulary]]:
    """Return the features and their vocabularies, learned from the rows that `train` says of each chunk."""
    fields: list[FeatureField] = []
    known: dict[str, Vocabulary] = {}
    for feature in features:
        made = FeatureField(name=feature.column, type=feature.type)
        if feature.type == "Numeric":
            mean, deviation = _spread(read.numbers[feature.column], train)
            made = made.model_copy(update={"mean": mean, "deviation": deviation})
        else:
            values, places = read.values[feature.column]
            seen = pa.array(values, pa.string()).filter(pa.array(counts(places, len(values), train) > 0))
            known[made.name] = encode.vocabulary(seen.filter(pc.not_equal(seen, _MISSING)))
            made = encode.with_vocabulary(made, known[made.name])
        fields.append(made)
    return fields, known


def encoded(
    read: Context,
    fields: list[FeatureField],
    known: Mapping[str, Vocabulary],
    rows: int,
    at: Array | None = None,
) -> Encoded:
    """Return the context features `fields` of `rows` interactions, on disk; a column not read is unknown.

    Args:
        read: the columns.
        fields: of the model.
        known: ids by value, by column.
        rows: how many interactions there are in all.
        at: rows to return, in their order; all if None.
    """
    ids, numbers = Column(np.int32), Column(np.float32)
    tables = {
        f.name: encode.ids_of(pa.array(read.values[f.name][0], pa.string()), known[f.name])
        for f in categorical(fields)
        if f.name in read.values
    }
    wanted = rows if at is None else len(at)
    for part in chunks(wanted):
        own = part if at is None else at[part]
        size = part.stop - part.start
        some = [
            tables[f.name][read.values[f.name][1][own]] if f.name in tables else np.full(size, UNKNOWN)
            for f in categorical(fields)
        ]
        ids.append(np.stack(some, axis=1).ravel() if some else np.zeros(0))
        found = [_standardised(read, f, own, size) for f in numeric(fields)]
        numbers.append(np.stack(found, axis=1).ravel() if found else np.zeros(0))
    return Encoded(
        ids.array().reshape(wanted, len(categorical(fields))),
        numbers.array().reshape(wanted, len(numeric(fields))),
    )


def _standardised(read: Context, of: FeatureField, own: slice | Array, size: int) -> Array:
    if of.name not in read.numbers:
        return np.zeros(size, np.float32)
    return encode.standardised(read.numbers[of.name][own], of)


def _spread(values: Array, train: Callable[[slice], Array]) -> tuple[float, float]:
    """Return mean and standard deviation of the training rows that have a number; 0 and 1 without any."""
    count, total, squares = 0, 0.0, 0.0
    for part in chunks(len(values)):
        own = values[part][train(part)].astype(np.float64)
        own = own[np.isfinite(own)]
        count, total, squares = count + len(own), total + own.sum(), squares + (own**2).sum()
    if not count:
        return 0.0, 1.0
    mean = total / count
    variance = max(squares / count - mean**2, 0.0)
    # Of a constant, rounding leaves something that is no spread.
    return float(mean), float(variance**0.5) if variance > 1e-12 * max(mean**2, 1.0) else 1.0

"""Columns of tables to ids and numbers; the same code for training data and for one request's features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from fathom.errors import InvalidInputError
from fathom.ranking.columns import Columns, Floats, Ints, padded
from fathom.ranking.schema import (
    FIRST,
    MAX_LIST,
    MAX_TOKENS,
    UNKNOWN,
    FeatureField,
    categorical,
    lists,
    numeric,
    weights_name,
)
from fathom.storage import digest_bytes
from fathom_api.recmodel import Feature

#: pyarrow makes its compute functions at run time, where no type checker sees them.
pc: Any = pyarrow.compute
#: Ids by value; of one feature.
Vocabulary = dict[str, int]
Rows = NDArray[np.int64]


def texts(column: pa.Array) -> pa.Array:
    """Return `column` as strings: 7, 7.0 (an integer column that had gaps) and "7" are all the value 7."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        whole = pc.all(pc.equal(column, pc.floor(column))).as_py()
        column = column.cast(pa.int64()) if whole else column
    return column.cast(pa.string())


def values_of(column: pa.Array, separator: str) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return the values of all rows' lists, end to end, and how many each row has.

    A row is a list, or a string cut at `separator`; a missing row is an empty list.
    """
    if not pa.types.is_list(column.type) and not pa.types.is_large_list(column.type):
        column = pc.split_pattern(texts(column), separator)
    column = pc.if_else(pc.is_null(column), pa.scalar([], column.type), column)
    flat, parents = texts(column.flatten()), pc.list_parent_indices(column)
    kept = pc.and_(pc.is_valid(flat), pc.not_equal(flat, ""))
    counts = np.bincount(parents.filter(kept).to_numpy(), minlength=len(column))
    return flat.filter(kept), counts.astype(np.int64)


def numbers_of(column: pa.Array, name: str) -> Floats:
    """Return `column` as numbers, NaN where there is none.

    Raises:
        InvalidInputError: it holds something else.
    """
    try:
        values = column.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidInputError(
            "NotNumeric", f"column {name} is not numeric ({error}); make it a number, or its type Categorical"
        ) from error
    return np.where(np.isfinite(values), values, np.nan).astype(np.float32)


def vocabulary(values: pa.Array) -> Vocabulary:
    """Return an id for each distinct value: from 2, in the order of the values."""
    distinct = sorted(v for v in pc.unique(values).to_pylist() if v is not None)
    return {value: number for number, value in enumerate(distinct, start=FIRST)}


def vocabulary_digest(known: Vocabulary) -> str:
    """Return the digest of the values in the order of their ids."""
    return digest_bytes("\0".join(known).encode())


def ids_of(values: pa.Array, known: Vocabulary) -> Ints:
    """Return the id of each value; 1 of missing and unknown ones."""
    encoded = values.dictionary_encode()
    by_code = np.array([known.get(v, UNKNOWN) for v in encoded.dictionary.to_pylist()] + [UNKNOWN], np.int32)
    codes = encoded.indices.fill_null(len(by_code) - 1).to_numpy(zero_copy_only=False)
    return by_code[codes]


def fit(
    feature: Feature, column: pa.Array, impressions: NDArray[np.int64]
) -> tuple[FeatureField, Vocabulary | None]:
    """Learn a feature from the rows that training interactions have.

    Args:
        feature: what the column is.
        column: [n] its values, for all users or items.
        impressions: [n] training interactions of each; rows with none teach nothing.
    """
    seen = pa.array(impressions > 0)
    field = FeatureField(name=feature.column, type=feature.type, separator=feature.separator)
    if feature.type == "Numeric":
        return _fit_number(field, numbers_of(column, feature.column), impressions), None
    seen_column = column.filter(seen)
    values = (
        texts(seen_column) if feature.type == "Categorical" else values_of(seen_column, field.separator)[0]
    )
    return with_vocabulary(field, known := vocabulary(values)), known


def with_vocabulary(field: FeatureField, known: Vocabulary) -> FeatureField:
    """Return `field` with the size and digest of its vocabulary."""
    return field.model_copy(
        update={"size": FIRST + len(known), "vocabulary_digest": vocabulary_digest(known)}
    )


def _fit_number(field: FeatureField, values: Floats, impressions: NDArray[np.int64]) -> FeatureField:
    weight = np.where(np.isnan(values), 0, impressions)
    if not weight.any():
        return field
    mean = float(np.average(np.nan_to_num(values), weights=weight))
    variance = float(np.average((np.nan_to_num(values) - mean) ** 2, weights=weight))
    return field.model_copy(
        update={"mean": mean, "deviation": max(variance, 1e-12) ** 0.5 if variance else 1.0}
    )


def encode(
    fields: list[FeatureField],
    vocabularies: Mapping[str, Vocabulary],
    columns: Mapping[str, pa.Array],
    rows: int,
) -> Columns:
    """Return the features of `rows` users or items.

    Args:
        fields: the features of their side.
        vocabularies: of the categorical features, by name.
        columns: values by the feature's name; a feature without a column is unknown. Weights of tokens by
            `weights_name`; without, all are 1.
        rows: how many there are.
    """
    ids = [_ids(f, vocabularies, columns, rows) for f in categorical(fields)]
    numbers = [_standardised(f, columns, rows) for f in numeric(fields)]
    return Columns(
        np.stack(ids, axis=1) if ids else np.zeros((rows, 0), np.int32),
        tuple(_lists(f, vocabularies, columns, rows) for f in lists(fields)),
        np.stack(numbers, axis=1) if numbers else np.zeros((rows, 0), np.float32),
        tuple(_weights(f, columns) for f in lists(fields)),
    )


def _weights(field: FeatureField, columns: Mapping[str, pa.Array]) -> Floats | None:
    if not field.weighs or (column := columns.get(weights_name(field.name))) is None:
        return None
    lengths, values = _lengths(column), column.flatten().to_numpy(zero_copy_only=False)
    return None if (values == 1).all() else padded(values.astype(np.float32), lengths, MAX_TOKENS)


def _ids(
    field: FeatureField, known: Mapping[str, Vocabulary], columns: Mapping[str, pa.Array], rows: int
) -> Ints:
    if field.name not in columns:
        return np.full(rows, UNKNOWN, np.int32)
    return ids_of(texts(columns[field.name]), known[field.name])


def _standardised(field: FeatureField, columns: Mapping[str, pa.Array], rows: int) -> Floats:
    if field.name not in columns:
        return np.zeros(rows, np.float32)
    return standardised(numbers_of(columns[field.name], field.name), field)


def standardised(values: Floats, field: FeatureField) -> Floats:
    """Return numbers [n] as the model takes them: by training's mean and deviation, 0 where there is none."""
    return np.nan_to_num((values - field.mean) / field.deviation).astype(np.float32)


def _lists(
    field: FeatureField, known: Mapping[str, Vocabulary], columns: Mapping[str, pa.Array], rows: int
) -> Ints:
    if field.name not in columns:
        return np.zeros((rows, 1), np.int32)
    if field.type == "Tokens":
        return token_rows(columns[field.name])
    values, lengths = values_of(columns[field.name], field.separator)
    return padded(ids_of(values, known[field.name]), lengths, MAX_LIST)


def token_rows(column: Any) -> Ints:
    """Return token lists [n] (list<int32>) as padded rows [n, L]; a missing list is empty."""
    values = column.flatten().to_numpy(zero_copy_only=False).astype(np.int32)
    return padded(values, _lengths(column), MAX_TOKENS)


def _lengths(column: Any) -> Rows:
    return pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)

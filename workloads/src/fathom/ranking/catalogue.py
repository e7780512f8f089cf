"""Users and items: everyone the data name, with their columns."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from fathom.ranking import encode, tables
from fathom.ranking.columns import Entities, nobody, stack
from fathom.ranking.encode import Vocabulary
from fathom.ranking.schema import ID, FeatureField
from fathom_api.recmodel import Feature, Table

pc: Any = pyarrow.compute
_log = logging.getLogger("fathom")


@dataclass(frozen=True)
class Catalogue:
    """Users or items, sorted by name, each with a value in every column."""

    names: list[str]
    columns: dict[str, pa.Array]

    def places(self, names: Iterable[str]) -> NDArray[np.int64]:
        """Return where each of `names` is in `self.names`."""
        found = pc.index_in(pa.array(names, pa.string()), value_set=pa.array(self.names, pa.string()))
        return found.to_numpy(zero_copy_only=False).astype(np.int64)


def read(table: Table | None, key: str, features: list[Feature], others: Iterable[str]) -> Catalogue:
    """Return everyone in the `key` column of `table` or among `others`, with the columns of `features`.

    Who is not in the table has missing values; of rows with the same key the first counts.

    Raises:
        InvalidInputError: a column is missing, or there are features but no table.
    """
    if table is None:
        return Catalogue(sorted(set(others)), {})
    rows = tables.read(table.uri, [key, *(f.column for f in features)])
    keys = encode.texts(tables.array(rows, key))
    names = sorted({*others, *(k for k in keys.to_pylist() if k)})
    if repeated := len(keys) - pc.count_distinct(keys, mode="all").as_py():
        _log.warning("%s: %d rows repeat a %s; the first of each counts", table.uri, repeated, key)
    places = pc.index_in(pa.array(names, pa.string()), value_set=keys)
    return Catalogue(names, {f.column: tables.array(rows, f.column).take(places) for f in features})


def learn(
    catalogue: Catalogue, features: list[Feature], impressions: NDArray[np.int64]
) -> tuple[list[FeatureField], dict[str, Vocabulary]]:
    """Return the features of one side and their vocabularies, learned from those with `impressions` [n]."""
    known = encode.vocabulary(pa.array(catalogue.names, pa.string()).filter(pa.array(impressions > 0)))
    fields = [encode.with_vocabulary(FeatureField(name=ID, type="Categorical"), known)]
    vocabularies = {ID: known}
    for feature in features:
        field, values = encode.fit(feature, catalogue.columns[feature.column], impressions)
        fields.append(field)
        vocabularies |= {field.name: values} if values is not None else {}
    return fields, vocabularies


def entities(
    catalogue: Catalogue,
    fields: list[FeatureField],
    vocabularies: Mapping[str, Vocabulary],
    tokens: Mapping[str, pa.Array],
) -> Entities:
    """Return the model-ready features of all in `catalogue`; `tokens` are its token features."""
    own = pa.array(catalogue.names, pa.string())
    columns = {**catalogue.columns, **tokens, ID: own}
    known = encode.encode(fields, vocabularies, columns, len(catalogue.names))
    return Entities(catalogue.names, stack(nobody(fields), known))

"""Items ready to be ranked: one row of numbers for each, and how to make such rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fathom.errors import InvalidInputError
from fathom.features.vocabulary import FIRST as FIRST_TOKEN
from fathom.ranking.columns import Columns
from fathom.ranking.encode import Vocabulary, encode, ids_of, texts
from fathom.ranking.folded import Folded
from fathom.ranking.layers import ColumnTensors, from_columns
from fathom.ranking.model import Ranker
from fathom.ranking.names import Names
from fathom.ranking.schema import FIRST, ID, UNKNOWN, FeatureField, Schema, lists, weights_name

#: Items whose vectors are made at once: memory beyond the table itself does not grow with the catalogue.
CHUNK = 1 << 14


@dataclass(frozen=True)
class Items:
    """Items in rows; row 0 is one of which nothing is known.

    Attributes:
        names: of rows 1 to N.
        rows: [N + 1, W] embeddings, side by side, then numbers.
        parts: [N + 1, P] what the folded ranker keeps of each; None where that is made anew for each request.
    """

    names: Names
    rows: Tensor
    parts: Tensor | None

    def extended(self, names: pa.Array, rows: Tensor, folded: Folded) -> Items:
        """Return these items and then others, `names` [n] and their `rows` [n, W]."""
        everybody = pa.concat_arrays([self.names.array, names.cast(pa.large_string())])
        parts = None if self.parts is None else torch.cat([self.parts, folded.items(rows)])
        return Items(Names(everybody), torch.cat([self.rows, rows]), parts)


def table(names: pa.Array, columns: Columns, model: Ranker, folded: Folded, budget: int) -> Items:
    """Return the items of `columns` [N + 1]; their parts are kept if they take at most `budget` bytes."""
    count = len(columns.ids)
    kept = 0 < folded.parts * count * 4 <= budget
    rows = torch.empty(0)
    parts = torch.empty(count, folded.parts) if kept else None
    for start in range(0, count, CHUNK):
        some = _rows(model, columns.take(np.arange(start, min(count, start + CHUNK))))
        if not start:
            rows = torch.empty(count, some.shape[1])
        rows[start : start + len(some)] = some
        if parts is not None:
            parts[start : start + len(some)] = folded.items(some)
    return Items(Names(names), rows, parts)


class Newcomers:
    """Makes rows of items that the bundle does not know, from their features."""

    def __init__(
        self, model: Ranker, schema: Schema, known: Mapping[str, Vocabulary], columns: Columns
    ) -> None:
        """Take the bundle's model, its vocabularies of items by feature, and its items' columns.

        `model` loses the embeddings of the items' own ids, which nobody asks for again.
        """
        self.fields = schema.item
        self._known = {name: {} if name == ID else values for name, values in known.items()}
        self._trained = {
            field.name: np.unique(values)
            for field, values in zip(lists(schema.item), columns.lists, strict=True)
            if field.type == "Tokens"
        }
        self._model = model
        forget_ids(model, schema)

    def rows(self, columns: Mapping[str, pa.Array], count: int) -> Tensor:
        """Return rows [count, W] of items with these features; those not given are unknown.

        Tokens are ids of the CaptionJob's vocabulary.

        Raises:
            InvalidInputError: a column does not hold what its feature is.
        """
        given = dict(columns)
        for name in self._trained:
            given |= self._translated(name, columns)
        found = encode(self.fields, self._known, given, count)
        with torch.inference_mode():
            return _rows(self._model, found)

    def _translated(self, name: str, columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        """Return tokens and their weights, if there are any, as the model's."""
        if name not in columns:
            return {}
        if name not in self._known:
            raise InvalidInputError(
                "NoTokens", f"the bundle does not say what the tokens of {name} are; train it again"
            )
        weights = weights_name(name)
        tokens, weighed = known_tokens(
            self._known[name], self._trained[name], columns[name], columns.get(weights)
        )
        return {name: tokens} if weighed is None else {name: tokens, weights: weighed}


def known_tokens(
    known: Vocabulary, trained: NDArray[np.int32], tokens: pa.Array, weights: pa.Array | None = None
) -> tuple[pa.Array, pa.Array | None]:
    """Return lists of a CaptionJob's `tokens` [n] as lists of the model's ids, and their `weights` beside.

    Ids of no word (missing, unknown) mean the same to both. Tokens that no item the model learned from has
    are left out, as in training: their embeddings mean nothing.
    """
    flat = tokens.flatten()
    numbers = flat.to_numpy(zero_copy_only=False).astype(np.int64)
    special = numbers < FIRST_TOKEN
    ids = np.where(special, numbers, ids_of(texts(flat), known))
    kept = np.isin(ids, trained) & (ids > 0) & (special | (ids != UNKNOWN))
    parents = np.repeat(np.arange(len(tokens)), tokens.value_lengths().fill_null(0).to_numpy())
    counts = np.bincount(parents[kept], minlength=len(tokens))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    found = pa.ListArray.from_arrays(offsets, pa.array(ids[kept].astype(np.int32)))
    if weights is None:
        return found, None
    beside = weights.flatten().to_numpy(zero_copy_only=False).astype(np.float32)[kept]
    return found, pa.ListArray.from_arrays(offsets, pa.array(beside))


def columns_of(fields: Sequence[FeatureField], described: Sequence[Mapping[str, Any]]) -> dict[str, pa.Array]:
    """Return the features of items `described` one by one, as columns."""
    kinds: dict[str, pa.DataType | None] = {"Numeric": pa.float64(), "Tokens": pa.list_(pa.int32())}
    named = {field.name: kinds.get(field.type) for field in fields if field.name != ID}
    given = {name for one in described for name in one}
    return {
        name: pa.array([_value(one.get(name)) for one in described], kind or _text_kind(described, name))
        for name, kind in named.items()
        if name in given
    }


def _text_kind(described: Sequence[Mapping[str, Any]], name: str) -> pa.DataType:
    several = any(isinstance(one.get(name), list) for one in described)
    return pa.list_(pa.string()) if several else pa.string()


def _value(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def forget_ids(model: Ranker, schema: Schema) -> None:
    """Leave of the embeddings of the items' own ids those of padding and of the unknown."""
    if not schema.item or schema.item[0].name != ID:
        return
    sparse, size = model.item_sparse, schema.item[0].size
    weight = sparse.table.weight
    kept = torch.cat([weight[:FIRST], weight[size:]]).clone()
    sparse.table = nn.Embedding.from_pretrained(kept)
    offsets = sparse.get_buffer("offsets")
    sparse.register_buffer("offsets", (offsets - size + FIRST).clamp(min=0), persistent=False)


def tensors(columns: Columns) -> ColumnTensors:
    """Return `columns` as tensors that share their memory."""
    return from_columns(columns)


def _rows(model: Ranker, columns: Columns) -> Tensor:
    given = tensors(columns)
    pooled = model.item_sparse.pool(given.lists, len(given.ids), given.weights)
    return torch.cat([model.item_side(given.ids, pooled).flatten(1), given.numeric], dim=1)

"""Users ready to be scored for: one row of numbers for each, and how to make one of what a request tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from fathom.errors import InvalidInputError
from fathom.ranking.bundle import BundleInfo, Parts
from fathom.ranking.columns import Columns
from fathom.ranking.encode import encode
from fathom.ranking.items import CHUNK, Items, tensors
from fathom.ranking.model import Ranker
from fathom.ranking.names import Names
from fathom.ranking.requests import ScoreRequest
from fathom.ranking.schema import ID, categorical, lists, numeric


class UserRows:
    """Makes a user's row [1, W], vectors and then numbers, for each request.

    Rows of the users that the bundle knows are made beforehand if they take at most `budget` bytes: they are
    the same in all requests that tell neither history nor features. Row 0 is a user nothing is known of.
    """

    def __init__(self, info: BundleInfo, parts: Parts, model: Ranker, items: Items, budget: int) -> None:
        """Take the bundle's users; call it in inference mode."""
        layout = model.interaction.layout
        self._model, self._fields = model, info.features.user
        self._vectors, self._dim = layout.item * layout.dim, layout.dim
        self._attended = info.features.attended if model.interaction.attends else 0
        self.names = Names(pa.array(parts.users.names, pa.string()))
        self._columns = parts.users.columns
        self._known = {**parts.vocabularies["user"], ID: {}}
        self._size = info.features.history
        # What is attended to has a fixed place, so that users of short histories can be scored beside others.
        self._histories = self._padded(_histories(parts.histories, items.names, self._size))
        self._rows = self._table(items, budget)

    def row(self, request: ScoreRequest, items: Items) -> tuple[Tensor, bool]:
        """Return the row [1, W] of who asks, and whether the bundle knows them.

        Raises:
            InvalidInputError: a feature is none of the model's, or no number where it must be one.
        """
        row = 0 if request.user_id is None else self.names.row(request.user_id)
        if self._rows is not None and request.history is None and not request.features:
            return self._rows[row : row + 1], row > 0
        columns = self._columns.take(np.array([row]))
        if request.features:
            columns = self._overridden(columns, request.features)
        history = self._histories[row : row + 1]
        if request.history is not None:
            history = self._padded(items.names.rows(request.history[: self._size])[None])
        return self._made(columns, history, items), row > 0

    def history(self, request: ScoreRequest, items: Items) -> list[str]:
        """Return the ids of items that who asks has liked, latest first: as told, or as far as is known."""
        if request.history is not None:
            return request.history
        rows = self._histories[0 if request.user_id is None else self.names.row(request.user_id)]
        return items.names.take(rows[rows > 0])

    def _table(self, items: Items, budget: int) -> Tensor | None:
        count = len(self._histories)
        rows = self._made(self._columns.take(np.array([0])), self._histories[:1], items)
        if rows.nbytes * count > budget:
            return None
        table = torch.empty(count, rows.shape[1])
        for start in range(0, count, CHUNK):
            some = np.arange(start, min(count, start + CHUNK))
            table[start : start + len(some)] = self._made(
                self._columns.take(some), self._histories[some], items
            )
        return table

    def _made(self, columns: Columns, history: NDArray[np.integer[Any]], items: Items) -> Tensor:
        """Return rows [n, W] of users with these features and `history` [n, H], rows of `items`."""
        distinct, places = np.unique(np.append(0, history), return_inverse=True)
        vectors = items.rows[torch.from_numpy(distinct), : self._vectors].unflatten(1, (-1, self._dim))
        user, liked = tensors(columns), torch.from_numpy(places[1:].reshape(history.shape))
        return torch.cat([self._model.user_side(user, liked, vectors).flatten(1), user.numeric], dim=1)

    def _padded(self, history: NDArray[Any]) -> NDArray[Any]:
        missing = max(1, self._attended) - history.shape[1]
        return np.pad(history, ((0, 0), (0, max(0, missing))))

    def _overridden(self, stored: Columns, features: dict[str, Any]) -> Columns:
        """Return the user's features with those of the request in place of the stored ones."""
        known = {f.name for f in self._fields} - {ID}
        if strange := sorted(set(features) - known):
            raise InvalidInputError(
                "UnknownFeature",
                f"the model has no user feature {strange[0]}; it has {', '.join(sorted(known)) or 'none'}",
            )
        columns = {name: pa.array([value]) for name, value in features.items() if value is not None}
        given = encode(self._fields, self._known, columns, 1)
        asked = [[f.name in features for f in some(self._fields)] for some in (categorical, lists, numeric)]
        return Columns(
            np.where(asked[0], given.ids, stored.ids).astype(np.int32),
            tuple(g if a else s for a, g, s in zip(asked[1], given.lists, stored.lists, strict=True)),
            np.where(asked[2], given.numeric, stored.numeric).astype(np.float32),
            tuple(g if a else s for a, g, s in zip(asked[1], given.weights, stored.weights, strict=True)),
        )


def _histories(histories: list[list[str]], names: Names, size: int) -> NDArray[np.int32]:
    """Return the rows of the items in each user's history, [U + 1, H], 0 where there is none."""
    kept = [history[:size] for history in histories]
    longest = max((len(history) for history in kept), default=0)
    rows = np.zeros((len(kept) + 1, longest), np.int32)
    lengths = np.array([0, *(len(history) for history in kept)])
    rows[np.arange(longest) < lengths[:, None]] = names.rows([name for history in kept for name in history])
    return rows

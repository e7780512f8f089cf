"""Scoring candidates for one user from a bundle: the user once a request, the items once a version."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from fathom.errors import InvalidInputError
from fathom.ranking import bundle
from fathom.ranking.bundle import BundleInfo, Parts
from fathom.ranking.columns import Columns
from fathom.ranking.encode import encode
from fathom.ranking.layers import ColumnTensors, from_columns
from fathom.ranking.model import Ranker
from fathom.ranking.schema import ID, categorical, lists, numeric


@dataclass(frozen=True)
class ScoreRequest:
    """Who asks, and about what.

    Attributes:
        user_id: the user; one that the bundle does not know is scored by the rest.
        history: ids of items liked, latest first, instead of what the bundle knows.
        features: the user's features by column, instead of what the bundle knows.
        candidates: ids of items to score; None means all of `Bundle.item_ids`.
    """

    user_id: str | None = None
    history: list[str] | None = None
    features: dict[str, Any] = field(default_factory=dict[str, Any])
    candidates: list[str] | None = None


class Bundle:
    """A model bundle in memory. `score` is safe to call from several threads."""

    def __init__(self, info: BundleInfo, parts: Parts, model: Ranker, digest: str) -> None:
        self.info = info
        self.digest = digest
        self.item_ids = parts.items.names
        self._parts = parts
        self._model = model
        self._item_rows = parts.items.rows()
        self._user_rows = parts.users.rows()
        items = tensors(parts.items.columns)
        with torch.inference_mode():
            pooled = model.item_sparse.pool(items.lists, len(items.ids), items.weights)
            self._item_fields = model.item_side(items.ids, pooled)
            self._item_numbers = items.numeric

    def score(self, request: ScoreRequest) -> NDArray[np.float32]:
        """Return P(label = 1) of each candidate, in the order of `request.candidates`.

        Items the bundle does not know are scored as an item nothing is known of.

        Raises:
            InvalidInputError: `request.features` names no feature of the model, or one is no number.
        """
        rows = self._candidates(request.candidates)
        with torch.inference_mode():
            user = self._user(request)
            n = len(rows)
            fields = self._model.user_side(user, self._history(request), self._item_fields).expand(n, -1, -1)
            numbers = torch.cat([user.numeric.expand(n, -1), self._item_numbers[rows]], dim=1)
            return self._model.interact(fields, self._item_fields[rows], numbers).sigmoid().numpy()

    def knows_user(self, user_id: str) -> bool:
        """Return whether the bundle has features or a history of the user."""
        return user_id in self._user_rows

    def _candidates(self, names: list[str] | None) -> Tensor:
        if names is None:
            return torch.arange(1, len(self.item_ids) + 1)
        return torch.tensor([self._item_rows.get(name, 0) for name in names], dtype=torch.int64)

    def _history(self, request: ScoreRequest) -> Tensor:
        row = self._user_rows.get(request.user_id or "", 0)
        known = self._parts.histories[row - 1] if row else []
        latest = known if request.history is None else request.history
        rows = [self._item_rows.get(name, 0) for name in latest[: self.info.features.history]]
        return torch.tensor([rows or [0]], dtype=torch.int32)

    def _user(self, request: ScoreRequest) -> ColumnTensors:
        row = self._user_rows.get(request.user_id or "", 0)
        stored = self._parts.users.columns.take(np.array([row]))
        return tensors(self._overridden(stored, request.features) if request.features else stored)

    def _overridden(self, stored: Columns, features: dict[str, Any]) -> Columns:
        """Return the user's features with those of the request in place of the stored ones."""
        known = {f.name for f in self.info.features.user} - {ID}
        if strange := sorted(set(features) - known):
            raise InvalidInputError(
                "UnknownFeature",
                f"the model has no user feature {strange[0]}; it has {', '.join(sorted(known)) or 'none'}",
            )
        columns = {name: pa.array([value]) for name, value in features.items() if value is not None}
        fields = self.info.features.user
        given = encode(fields, self._parts.vocabularies["user"], columns, 1)
        asked = [[f.name in features for f in some(fields)] for some in (categorical, lists, numeric)]
        return Columns(
            np.where(asked[0], given.ids, stored.ids).astype(np.int32),
            tuple(g if a else s for a, g, s in zip(asked[1], given.lists, stored.lists, strict=True)),
            np.where(asked[2], given.numeric, stored.numeric).astype(np.float32),
        )


def load(folder: Path) -> Bundle:
    """Return the bundle in `folder`.

    Raises:
        InvalidInputError: it is unfinished, damaged, or of another format.
    """
    info, parts, digest = bundle.read(folder)
    return Bundle(info, parts, bundle.ranker(folder, info, parts.weights), digest)


def tensors(columns: Columns) -> ColumnTensors:
    """Return `columns` as tensors that share their memory."""
    return from_columns(columns)

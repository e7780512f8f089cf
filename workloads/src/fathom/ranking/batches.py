"""Pairs of users and items as batches for the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fathom.ranking.layers import ColumnTensors
from fathom.ranking.model import Batch, Ranker
from fathom.ranking.schema import PADDING, UNKNOWN

#: Pairs scored at once; large enough for the arithmetic to dominate, small enough for any memory.
CHUNK = 8192


class Tables(NamedTuple):
    """What is known of users and items, by row; row 0 is one nothing is known of.

    Attributes:
        users: features; items likewise.
        liked: [p] items' rows, by user and time; histories are windows of it.
    """

    users: ColumnTensors
    items: ColumnTensors
    liked: Tensor


class Pairs(NamedTuple):
    """n interactions: rows of user and item, window of `Tables.liked`, label; all [n].

    `tasks` [n, T] are the labels of further tasks, NaN where there is none; None where T is 0. `context_ids`
    [n, C] and `context_numeric` [n, K] stand for the last of the user's features; None where there are none.
    """

    user: Tensor
    item: Tensor
    start: Tensor
    end: Tensor
    label: Tensor
    tasks: Tensor | None = None
    context_ids: Tensor | None = None
    context_numeric: Tensor | None = None


def batch(tables: Tables, pairs: Pairs, at: Tensor, history: int, hidden: Tensor | None = None) -> Batch:
    """Return the pairs `at` [b] as a batch.

    Args:
        tables: features by row.
        pairs: all interactions.
        at: which of them.
        history: latest liked items that count, H.
        hidden: [b] whether to hide the item's id, as if it were new.
    """
    users, items = pairs.user[at], pairs.item[at]
    windows = _history(tables.liked, pairs.start[at], pairs.end[at], history)
    distinct, at_items, at_liked = _distinct(items, windows, wanted=bool(tables.items.lists or history))
    user = ColumnTensors(
        _told(tables.users.ids[users], pairs.context_ids, at),
        [values[users] for values in tables.users.lists],
        _told(tables.users.numeric[users], pairs.context_numeric, at),
        _at(tables.users.weights, users),
    )
    item = ColumnTensors(
        _hide(tables.items.ids[items], hidden),
        [values[distinct] for values in tables.items.lists],
        tables.items.numeric[items],
        _at(tables.items.weights, distinct),
    )
    return Batch(user, item, at_items, at_liked, len(distinct), tables.items.ids[distinct])


def _distinct(items: Tensor, windows: Tensor, *, wanted: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return the distinct items [U], row 0 first, and the places among them of `items` and of `windows`.

    Where nothing is `wanted` of them, that is row 0 alone: to find them is a sort in every step.
    """
    if not wanted:
        return items.new_zeros(1), torch.zeros_like(items), windows
    every = torch.cat([items.new_zeros(1), items, windows.flatten()])
    distinct, place = torch.unique(every, return_inverse=True)
    place = place.to(torch.int32)
    return distinct, place[1 : 1 + len(items)], place[1 + len(items) :].view(windows.shape)


def _told(looked_up: Tensor, context: Tensor | None, at: Tensor) -> Tensor:
    """Return `looked_up` [b, F], its last columns replaced by the rows `at` of `context` [n, C]."""
    if context is None:
        return looked_up
    return torch.cat([looked_up[:, : looked_up.shape[1] - context.shape[1]], context[at]], dim=1)


def _at(weights: Sequence[Tensor | None], rows: Tensor) -> list[Tensor | None]:
    return [w if w is None else w[rows] for w in weights]


def _history(liked: Tensor, start: Tensor, end: Tensor, size: int) -> Tensor:
    """Return the latest `size` of each window, latest first, padded with 0: [b, size]."""
    if not size or not len(liked):
        return start.new_zeros(len(start), size)
    at = end[:, None] - 1 - torch.arange(size, device=end.device)
    return torch.where(at >= start[:, None], liked[at.clamp(min=0)], PADDING)


def _hide(ids: Tensor, hidden: Tensor | None) -> Tensor:
    if hidden is None:
        return ids
    # The id is the first categorical feature of its side.
    return torch.cat([ids[:, :1].masked_fill(hidden[:, None], UNKNOWN), ids[:, 1:]], dim=1)


def predict(
    model: Ranker, tables: Tables, pairs: Pairs, history: int, rows: Tensor | None = None
) -> NDArray[np.float64]:
    """Return P(label = 1) [n] of `pairs`, or of n `rows` of them."""
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        rows = torch.arange(len(pairs.label), device=pairs.label.device) if rows is None else rows
        logits = [model(batch(tables, pairs, at, history)) for at in rows.split(CHUNK)]
    model.train(was_training)
    return torch.cat(logits).double().sigmoid().cpu().numpy()

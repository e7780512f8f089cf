"""How often training meets each embedding."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from fathom.ranking.batches import Pairs, Tables
from fathom.ranking.layers import Bag, ColumnTensors, SparseArch, held
from fathom.ranking.model import Ranker
from fathom.ranking.schema import PADDING
from fathom.ranking.stream.scratch import CHUNK


class Used(NamedTuple):
    """A table of embeddings and how interactions use each of its R rows, or of those that lie here.

    Attributes:
        table: [R, D].
        met: [R] how often they meet it.
        share: [R] the mean share of a list that it then is: 1 where the list is summed, 1/L of a mean over L.
    """

    table: Tensor
    met: Tensor
    share: Tensor


def of_both_sides(ranker: Ranker, tables: Tables, pairs: Pairs) -> list[Used]:
    """Return how `pairs` use the embeddings of users, then those of items."""
    return [
        *occurrences(ranker.user_sparse, tables.users, pairs.user, pairs.context_ids),
        *occurrences(ranker.item_sparse, tables.items, pairs.item),
    ]


def occurrences(
    side: SparseArch, columns: ColumnTensors, rows: Tensor, context: Tensor | None = None
) -> list[Used]:
    """Return how the interactions' `rows` [n] use each table of one side, and `context` [n, C] its first.

    `context` stands for the last columns of the ids.
    """
    shown = torch.bincount(rows, minlength=len(columns.ids)).double()
    offsets = side.get_buffer("offsets")
    looked_up = len(offsets) - (0 if context is None else context.shape[1])
    ids = (columns.ids + offsets)[:, :looked_up]
    table, share = side.table, torch.ones_like(shown)
    met, shares = _uses(ids, shown, share, table.num_embeddings)
    if context is not None:
        for part in context.split(CHUNK):
            met.add_(torch.bincount((part + offsets[looked_up:]).flatten(), minlength=len(met)))
    here = slice(held(table).start, held(table).stop)
    used = [Used(table.weight, met[here], shares[here])]
    for bag, values in zip(side.bags, columns.lists, strict=True):
        lengths = (values != PADDING).sum(dim=1).clamp(min=1).double()
        share = lengths.reciprocal() if averages(bag) else torch.ones_like(shown)
        weight = bag.get_parameter("weight")
        used.append(Used(weight, *_uses(values, shown, share, len(weight))))
    return used


def averages(bag: nn.Module) -> bool:
    """Return whether `bag` divides by the length of the list: Attention does by its softmax."""
    return isinstance(bag, Bag) and bag.pooling in {"Mean", "Attention"}


def _uses(ids: Tensor, shown: Tensor, share: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Return how often each of `rows` is met, and its mean share of a list, both [rows]."""
    flat, width = ids.flatten(), ids.shape[1]
    count = torch.bincount(flat, shown.repeat_interleave(width), minlength=rows)
    shares = torch.bincount(flat, (shown * share).repeat_interleave(width), minlength=rows)
    # What training never meets has no share; nor a gradient, so any number would do.
    return count, torch.where(count > 0, shares / count.clamp(min=1), 1.0)

"""L2 on embeddings by how often training meets them."""

from __future__ import annotations

import torch
from torch import Tensor

from fathom.ranking.batches import Pairs, Tables
from fathom.ranking.layers import ColumnTensors, SparseArch
from fathom.ranking.model import Ranker


class FrequencyPenalty:
    """The gradient of λ/2 Σ ‖e‖² / √count over the embeddings that a step learns from.

    An optimiser's weight decay pulls at every embedding in every step, also where the step says nothing of
    it; a rare one is then pulled to zero far more often than it learns, and Adam, which divides by the size
    of the gradient, makes that pull as strong as learning. Here an embedding is pulled when it learns, and
    harder against its evidence the less there is: it grows with count, this with √count.
    """

    def __init__(self, ranker: Ranker, tables: Tables, pairs: Pairs, strength: float) -> None:
        counts = [
            *occurrences(ranker.user_sparse, tables.users, pairs.user),
            *occurrences(ranker.item_sparse, tables.items, pairs.item),
        ]
        self._factors = [
            (embeddings, (strength / count.clamp(min=1).sqrt()).to(embeddings.dtype).unsqueeze(1))
            for embeddings, count in counts
        ]

    @torch.no_grad()
    def add_gradients(self) -> None:
        """Add to the gradients of the rows that have one, dense or sparse."""
        for embeddings, factor in self._factors:
            gradient = embeddings.grad
            if gradient is None:
                continue
            if gradient.is_sparse:
                gradient = gradient.coalesce()
                rows = gradient.indices()[0]
                gradient.values().add_(embeddings[rows] * factor[rows])
                embeddings.grad = gradient
            else:
                touched = gradient.any(dim=1, keepdim=True)
                gradient.addcmul_(embeddings, factor * touched)


def embedding_tables(ranker: Ranker) -> list[Tensor]:
    """Return the embeddings of both sides."""
    return [table for side in (ranker.user_sparse, ranker.item_sparse) for table in tables_of(side)]


def tables_of(side: SparseArch) -> list[Tensor]:
    """Return the embeddings of a side: of its categorical features, then of each list feature."""
    return [side.table.weight, *(bag.get_parameter("weight") for bag in side.bags)]


def occurrences(side: SparseArch, columns: ColumnTensors, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return each table of embeddings with how often the interactions' `rows` [n] have each of its rows."""
    shown = torch.bincount(rows, minlength=len(columns.ids)).double()
    values = [columns.ids + side.get_buffer("offsets"), *columns.lists]
    return [
        (table, torch.bincount(ids.flatten(), shown.repeat_interleave(ids.shape[1]), minlength=len(table)))
        for table, ids in zip(tables_of(side), values, strict=True)
    ]

"""L2 on embeddings by how often training meets them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fathom.ranking.batches import Pairs, Tables
from fathom.ranking.layers import Bag, ColumnTensors, SparseArch
from fathom.ranking.model import Ranker
from fathom.ranking.optimiser import touched
from fathom.ranking.schema import PADDING


class FrequencyPenalty:
    """The gradient of λ/2 Σ ‖e‖² / √count over the embeddings that a step learns from.

    An optimiser's weight decay pulls at every embedding in every step, also where the step says nothing of
    it; a rare one is then pulled to zero far more often than it learns, and Adam, which divides by the size
    of the gradient, makes that pull as strong as learning. Here an embedding is pulled when it learns, and
    harder against its evidence the less there is: it grows with count, this with √count.

    Of a list's mean, an embedding is 1/L: it must be L times as long as in a sum to say the same, and learns
    a gradient 1/L as large. Pulled as in a sum it would never get there; so it is pulled 1/L² as hard.
    """

    def __init__(self, ranker: Ranker, tables: Tables, pairs: Pairs, strength: float) -> None:
        counts = [
            *occurrences(ranker.user_sparse, tables.users, pairs.user),
            *occurrences(ranker.item_sparse, tables.items, pairs.item),
        ]
        self._factors = [
            (table, (strength * share.square() / count.clamp(min=1).sqrt()).to(table.dtype).unsqueeze(1))
            for table, count, share in counts
        ]

    @torch.no_grad()
    def add_gradients(self) -> None:
        """Add to the gradients of the rows that have one, dense or sparse."""
        for embeddings, factor in self._factors:
            gradient = embeddings.grad
            if gradient is None:
                continue
            if gradient.is_sparse:
                rows, values = touched(gradient)
                values.addcmul_(embeddings[rows], factor[rows])
                embeddings.grad = torch.sparse_coo_tensor(
                    rows.unsqueeze(0), values, gradient.shape, is_coalesced=True, check_invariants=False
                )
            else:
                learning = gradient.any(dim=1, keepdim=True)
                gradient.addcmul_(embeddings, factor * learning)


def embedding_tables(ranker: Ranker) -> list[Tensor]:
    """Return the embeddings of both sides."""
    return [table for side in (ranker.user_sparse, ranker.item_sparse) for table in tables_of(side)]


def tables_of(side: SparseArch) -> list[Tensor]:
    """Return the embeddings of a side: of its categorical features, then of each list feature."""
    return [side.table.weight, *(bag.get_parameter("weight") for bag in side.bags)]


def occurrences(
    side: SparseArch, columns: ColumnTensors, rows: Tensor
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return for each table of embeddings how the interactions' `rows` [n] use each of its rows.

    That is: the table, how often (count), and the mean share of a list that it then is: 1 where the list is
    summed, 1/L of a mean over L.
    """
    shown = torch.bincount(rows, minlength=len(columns.ids)).double()
    ids = columns.ids + side.get_buffer("offsets")
    used = [_used(side.table.weight, ids, shown, torch.ones_like(shown))]
    for bag, values in zip(side.bags, columns.lists, strict=True):
        lengths = (values != PADDING).sum(dim=1).clamp(min=1).double()
        share = lengths.reciprocal() if averages(bag) else torch.ones_like(shown)
        used.append(_used(bag.get_parameter("weight"), values, shown, share))
    return used


def averages(bag: nn.Module) -> bool:
    """Return whether `bag` divides by the length of the list: Attention does by its softmax."""
    return isinstance(bag, Bag) and bag.pooling in {"Mean", "Attention"}


def _used(table: Tensor, ids: Tensor, shown: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    flat, width, rows = ids.flatten(), ids.shape[1], len(table)
    count = torch.bincount(flat, shown.repeat_interleave(width), minlength=rows)
    shares = torch.bincount(flat, (shown * share).repeat_interleave(width), minlength=rows)
    # What training never meets has no share; nor a gradient, so any number would do.
    return table, count, torch.where(count > 0, shares / count.clamp(min=1), 1.0)

"""The rankers: DCN V2 and DLRM over the embeddings of a user and an item."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fathom.ranking.layers import MLP, ColumnTensors, CrossNet, PairwiseDots, SparseArch, profile
from fathom.ranking.schema import Schema, categorical, lists, numeric
from fathom_api.recmodel import RankerModel


class Batch(NamedTuple):
    """n pairs of a user and an item.

    Attributes:
        user: features of the n users.
        item: ids and numbers of the n items; the lists are of U distinct items, the unknown one first,
            because an item's lists are pooled once however often it is a candidate or in a history.
        item_at: [n] place of each item among the U.
        history: [n, H] places among the U of what each user liked, latest first; 0 none.
        distinct: U.
    """

    user: ColumnTensors
    item: ColumnTensors
    item_at: Tensor
    history: Tensor
    distinct: int


class DCNv2(nn.Module):
    """Cross network beside an MLP (DCN V2, arXiv 2008.13535, figure 1b): σ(wᵀ [x_cross; x_deep] + b)."""

    def __init__(self, fields: int, numbers: int, config: RankerModel) -> None:
        super().__init__()
        width = fields * config.embedding_dim + numbers
        self.cross = CrossNet(width, config.cross_layers)
        self.deep = MLP(width, config.hidden_units, config.dropout)
        self.over = nn.Linear(width + config.hidden_units[-1], 1)

    def forward(self, fields: Tensor, numbers: Tensor) -> Tensor:
        """Return logits [n] of `fields` [n, F, D] and `numbers` [n, K]."""
        x = torch.cat([fields.flatten(1), numbers], dim=1)
        return self.over(torch.cat([self.cross(x), self.deep(x)], dim=1)).squeeze(1)


class DLRM(nn.Module):
    """Bottom MLP, pairwise dots, top MLP (DLRM, arXiv 1906.00091, figure 1).

    The bottom MLP also takes a constant 1: its output then exists without numbers too, and its dots with the
    other vectors are their first-order terms.
    """

    def __init__(self, fields: int, numbers: int, config: RankerModel) -> None:
        super().__init__()
        dim = config.embedding_dim
        self.dense = nn.Sequential(
            MLP(numbers + 1, [config.hidden_units[-1]]), nn.Linear(config.hidden_units[-1], dim)
        )
        self.interaction = PairwiseDots(fields + 1)
        self.deep = MLP(dim + (fields + 1) * fields // 2, config.hidden_units, config.dropout)
        self.over = nn.Linear(config.hidden_units[-1], 1)

    def forward(self, fields: Tensor, numbers: Tensor) -> Tensor:
        """Return logits [n] of `fields` [n, F, D] and `numbers` [n, K]."""
        dense = self.dense(torch.cat([numbers, numbers.new_ones(len(numbers), 1)], dim=1))
        dots = self.interaction(torch.cat([dense.unsqueeze(1), fields], dim=1))
        return self.over(self.deep(torch.cat([dense, dots], dim=1))).squeeze(1)


class Ranker(nn.Module):
    """P(label = 1 | user, item): embeddings of both sides, then DCN V2 or DLRM.

    `user_side` and `item_side` are apart so that a server does the user once a request, items once a version.
    """

    def __init__(self, schema: Schema, config: RankerModel) -> None:
        super().__init__()
        self.user_sparse = SparseArch(schema.user, config.embedding_dim)
        self.item_sparse = SparseArch(schema.item, config.embedding_dim)
        self.profiles = [(at, field.history, field.half_life) for at, field in schema.profiles]
        sides = [*schema.user, *schema.item]
        fields = len(categorical(sides)) + len(lists(sides)) + len(self.profiles)
        over = {"DCNv2": DCNv2, "DLRM": DLRM}[config.architecture]
        self.interaction = over(fields, len(numeric(sides)), config)

    def start_at(self, rate: float) -> None:
        """Make the model predict `rate` at first: learning then need not begin with that."""
        with torch.no_grad():
            self.interaction.over.bias.fill_(math.log(rate / (1 - rate)))

    def user_side(self, user: ColumnTensors, history: Tensor, pooled: Tensor) -> Tensor:
        """Return the users' vectors [n, F, D]; `history` [n, H] names rows of `pooled` [U, J, D]."""
        profiles = [profile(history[:, :size], pooled[:, at], half) for at, size, half in self.profiles]
        rows = len(user.ids)
        own = [self.user_sparse.embed(user.ids), self.user_sparse.pool(user.lists, rows, user.weights)]
        return torch.cat([*own, *(p.unsqueeze(1) for p in profiles)], dim=1)

    def item_side(self, ids: Tensor, pooled: Tensor) -> Tensor:
        """Return the items' vectors [n, F, D] from `ids` [n, C] and their `pooled` lists [n, J, D]."""
        return torch.cat([self.item_sparse.embed(ids), pooled], dim=1)

    def interact(self, user: Tensor, item: Tensor, numbers: Tensor) -> Tensor:
        """Return logits [n] of both sides' vectors [n, F, D] and `numbers` [n, K], the user's first."""
        return self.interaction(torch.cat([user, item], dim=1), numbers)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits [n]."""
        pooled = self.item_sparse.pool(batch.item.lists, batch.distinct, batch.item.weights)
        user = self.user_side(batch.user, batch.history, pooled)
        item = self.item_side(batch.item.ids, pooled[batch.item_at])
        return self.interact(user, item, torch.cat([batch.user.numeric, batch.item.numeric], dim=1))

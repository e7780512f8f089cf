"""The ranker: embeddings of a user and an item, then one of the architectures."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fathom.ranking.architectures import Layout, make
from fathom.ranking.layers import ColumnTensors, MakeTable, SparseArch, profile, whole_table
from fathom.ranking.schema import PADDING, Schema, categorical, lists, numeric
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
        distinct_ids: [U, C] ids of the U items, none of them hidden: what is attended to is known.
    """

    user: ColumnTensors
    item: ColumnTensors
    item_at: Tensor
    history: Tensor
    distinct: int
    distinct_ids: Tensor


class Ranker(nn.Module):
    """P(label = 1 | user, item): embeddings of both sides, then an architecture.

    `user_side` and `item_side` are apart so that a server does the user once a request, items once a version.
    """

    def __init__(self, schema: Schema, config: RankerModel, table: MakeTable = whole_table) -> None:
        super().__init__()
        self.user_sparse = SparseArch(schema.user, config.embedding_dim, table)
        self.item_sparse = SparseArch(schema.item, config.embedding_dim, table)
        self.item_lists = len(lists(schema.item))
        self.profiles = [(at, field.history, field.half_life) for at, field in schema.profiles]
        self.attended = schema.attended
        layout = Layout(
            user=len(categorical(schema.user)) + len(lists(schema.user)) + len(self.profiles),
            item=len(categorical(schema.item)) + self.item_lists,
            user_numbers=len(numeric(schema.user)),
            item_numbers=len(numeric(schema.item)),
            dim=config.embedding_dim,
        )
        self.interaction = make(layout, config)
        self.heads = nn.ModuleList(nn.Linear(self.interaction.width, 1) for _ in schema.tasks)

    def start_at(self, *rates: float) -> None:
        """Make the model predict each task's rate at first, the main one's first: so much is learned then."""
        with torch.no_grad():
            for head, rate in zip((self.interaction.over, *self.heads), rates, strict=False):
                head.get_parameter("bias").fill_(math.log(rate / (1 - rate)))

    def user_side(self, user: ColumnTensors, history: Tensor, items: Tensor) -> Tensor:
        """Return the users' vectors [n, Fᵤ, D].

        An architecture that attends to the history gets it behind them, [n, Fᵤ + H Fᵢ, D]: each item's
        vectors, zeros where there is none.

        Args:
            user: features of n users.
            history: [n, H] rows of `items`, latest first; 0 none.
            items: [U, Fᵢ, D] vectors of items, as from `item_side`. The pooled lists [U, J, D] alone will do
                where nothing attends to the history.
        """
        rows, lists_at = len(user.ids), items.shape[1] - self.item_lists
        vectors = [
            self.user_sparse.embed(user.ids),
            self.user_sparse.pool(user.lists, rows, user.weights),
            *(
                profile(history[:, :size], items[:, lists_at + at], half).unsqueeze(1)
                for at, size, half in self.profiles
            ),
        ]
        if self.interaction.attends:
            latest = history[:, : self.attended]
            liked = items[latest] * (latest != PADDING)[:, :, None, None]
            vectors.append(liked.flatten(1, 2))
        return torch.cat(vectors, dim=1)

    def item_side(self, ids: Tensor, pooled: Tensor) -> Tensor:
        """Return the items' vectors [n, Fᵢ, D] from `ids` [n, C] and their `pooled` lists [n, J, D]."""
        return torch.cat([self.item_sparse.embed(ids), pooled], dim=1)

    def interact(self, user: Tensor, item: Tensor, numbers: Tensor) -> Tensor:
        """Return logits [n] of both sides' vectors and `numbers` [n, K], the user's first."""
        return self.interaction(user, item, numbers)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits [n]."""
        return self.interact(*self._sides(batch))

    def all_tasks(self, batch: Batch) -> Tensor:
        """Return logits [n, 1 + T] of the main task and the T others."""
        shared = self.interaction.represent(*self._sides(batch))
        return torch.cat([head(shared) for head in (self.interaction.over, *self.heads)], dim=1)

    def _sides(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        pooled = self.item_sparse.pool(batch.item.lists, batch.distinct, batch.item.weights)
        known = self.item_side(batch.distinct_ids, pooled) if self.interaction.attends else pooled
        user = self.user_side(batch.user, batch.history, known)
        item = self.item_side(batch.item.ids, pooled[batch.item_at])
        return user, item, torch.cat([batch.user.numeric, batch.item.numeric], dim=1)

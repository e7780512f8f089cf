"""Two towers (YouTube, RecSys 2019, doi 10.1145/3298689.3346996): a retriever that can also rank."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fathom.ranking.architectures.base import Architecture, Layout
from fathom.ranking.layers import MLP
from fathom_api.learning import RankerModel


class TwoTower(Architecture):
    """⟨tower(user), tower(item)⟩ + b: the sides meet in the dot only, so items can be indexed."""

    def __init__(self, layout: Layout, config: RankerModel) -> None:
        super().__init__(layout, config)
        self._vector_width = config.hidden_units[-1]
        self.user_tower = tower(layout.user * layout.dim + layout.user_numbers, config)
        self.item_tower = tower(layout.item * layout.dim + layout.item_numbers, config)
        self.over = DotHead()

    @property
    def width(self) -> int:
        """Width W of a pair's representation."""
        return self._vector_width

    def user_vector(self, user: Tensor, numbers: Tensor) -> Tensor:
        """Return the users' vectors [n, W] from their own vectors [n, Fᵤ, D] and numbers."""
        return self.user_tower(torch.cat([user.flatten(1), numbers], dim=1))

    def item_vector(self, item: Tensor, numbers: Tensor) -> Tensor:
        """Return the items' vectors [n, W] from their own vectors [n, Fᵢ, D] and numbers."""
        return self.item_tower(torch.cat([item.flatten(1), numbers], dim=1))

    def represent(self, user: Tensor, item: Tensor, numbers: Tensor) -> Tensor:
        """Return the products [n, W] whose sum is the dot."""
        split = self.layout.user_numbers
        return self.user_vector(user, numbers[:, :split]) * self.item_vector(item, numbers[:, split:])


def tower(width: int, config: RankerModel) -> nn.Module:
    """Return an MLP whose last layer is linear: a dot of vectors that are never negative can say no "no"."""
    hidden = config.hidden_units[:-1]
    inner = hidden[-1] if hidden else width
    return nn.Sequential(MLP(width, hidden, config.dropout), nn.Linear(inner, config.hidden_units[-1]))


class DotHead(nn.Module):
    """The sum and a constant: [n, W] → [n, 1]. With more between the towers, no index could search."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, products: Tensor) -> Tensor:
        """Return the logits [n, 1]."""
        return products.sum(dim=1, keepdim=True) + self.bias

"""FinalMLP (arXiv 2304.00902): two MLPs that see features differently, fused bilinearly."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fathom.ranking.architectures.base import Architecture, Layout, flat
from fathom.ranking.layers import MLP
from fathom_api.learning import RankerModel


class FinalMLP(Architecture):
    """Two streams, each over features gated by one side: the user's, the item's."""

    def __init__(self, layout: Layout, config: RankerModel) -> None:
        super().__init__(layout, config)
        self._stream_width = config.hidden_units[-1]
        self.user_gate = FeatureGate(layout.user * layout.dim + layout.user_numbers, layout.width)
        self.item_gate = FeatureGate(layout.item * layout.dim + layout.item_numbers, layout.width)
        self.first = MLP(layout.width, config.hidden_units, config.dropout)
        self.second = MLP(layout.width, config.hidden_units, config.dropout)
        self.over = BilinearFusion(self._stream_width, config.fusion_heads or 1)

    @property
    def width(self) -> int:
        """Width W of a pair's representation."""
        return 2 * self._stream_width

    def represent(self, user: Tensor, item: Tensor, numbers: Tensor) -> Tensor:
        """Return both streams' outputs [o₁; o₂] [n, W]."""
        x, split = flat(user, item, numbers), self.layout.user_numbers
        by_user = self.user_gate(torch.cat([user.flatten(1), numbers[:, :split]], dim=1))
        by_item = self.item_gate(torch.cat([item.flatten(1), numbers[:, split:]], dim=1))
        return torch.cat([self.first(x * by_user), self.second(x * by_item)], dim=1)


class FeatureGate(nn.Module):
    """2 σ(MLP(x)): how much of each feature a stream sees; 1 on average at first."""

    def __init__(self, width: int, features: int, hidden: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, features))

    def forward(self, x: Tensor) -> Tensor:
        """Return the gates [n, features] of `x` [n, width]."""
        return 2 * self.layers(x).sigmoid()


class BilinearFusion(nn.Module):
    """Σ_j b + w₁ᵀ o₁ⱼ + w₂ᵀ o₂ⱼ + o₁ⱼᵀ Wⱼ o₂ⱼ over k pieces of both outputs.

    One linear map over all pieces is the sum of the pieces' own.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        piece = width // heads
        self.linear = nn.Linear(2 * width, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(1))
        self.weight = nn.Parameter(torch.randn(heads, piece, piece) / math.sqrt(piece))

    def forward(self, streams: Tensor) -> Tensor:
        """Return the logits [n, 1] of `streams` [n, 2 width]."""
        first, second = (half.unflatten(1, (self.heads, -1)) for half in streams.chunk(2, dim=1))
        bilinear = (torch.einsum("nki,kij->nkj", first, self.weight) * second).sum(dim=(1, 2))
        return self.linear(streams) + bilinear.unsqueeze(1) + self.bias

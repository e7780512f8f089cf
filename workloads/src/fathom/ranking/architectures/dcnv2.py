"""DCN V2 (arXiv 2008.13535): a cross network beside an MLP."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fathom.ranking.architectures.base import Architecture, Layout, flat
from fathom.ranking.layers import MLP, CrossNet
from fathom_api.learning import RankerModel


class DCNv2(Architecture):
    """σ(wᵀ [x_cross; x_deep] + b), the parallel structure of figure 1b."""

    def __init__(self, layout: Layout, config: RankerModel) -> None:
        super().__init__(layout, config)
        self._deep_width = config.hidden_units[-1]
        self.cross = CrossNet(layout.width, config.cross_layers, config.cross_rank, config.cross_experts)
        self.deep = MLP(layout.width, config.hidden_units, config.dropout)
        self.over = nn.Linear(self.width, 1)

    @property
    def width(self) -> int:
        """Width W of a pair's representation."""
        return self.layout.width + self._deep_width

    def represent(self, user: Tensor, item: Tensor, numbers: Tensor) -> Tensor:
        """Return [x_cross; x_deep] [n, W]."""
        x = flat(user, item, numbers)
        return torch.cat([self.cross(x), self.deep(x)], dim=1)

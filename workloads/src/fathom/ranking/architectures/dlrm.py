"""DLRM (arXiv 1906.00091): bottom MLP, pairwise dots, top MLP."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fathom.ranking.architectures.base import Architecture, Layout
from fathom.ranking.layers import MLP, PairwiseDots
from fathom_api.learning import RankerModel


class DLRM(Architecture):
    """Figure 1 of the paper.

    The bottom MLP also takes a constant 1: its output then exists without numbers too, and its dots with the
    other vectors are their first-order terms.
    """

    def __init__(self, layout: Layout, config: RankerModel) -> None:
        super().__init__(layout, config)
        self._deep_width = config.hidden_units[-1]
        vectors = layout.fields + 1
        self.dense = nn.Sequential(
            MLP(layout.numbers + 1, [self._deep_width]), nn.Linear(self._deep_width, layout.dim)
        )
        self.interaction = PairwiseDots(vectors)
        self.deep = MLP(layout.dim + vectors * (vectors - 1) // 2, config.hidden_units, config.dropout)
        self.over = nn.Linear(self.width, 1)

    @property
    def width(self) -> int:
        """Width W of a pair's representation."""
        return self._deep_width

    def represent(self, user: Tensor, item: Tensor, numbers: Tensor) -> Tensor:
        """Return the output [n, W] of the top MLP's hidden layers."""
        dense = self.dense(torch.cat([numbers, torch.ones_like(user[:, 0, :1])], dim=1))
        dots = self.interaction(torch.cat([dense.unsqueeze(1), user, item], dim=1))
        return self.deep(torch.cat([dense, dots], dim=1))

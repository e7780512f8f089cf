"""DeepFM (arXiv 1703.04247): a factorisation machine and an MLP over the same embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fathom.ranking.architectures.base import Architecture, Layout, flat
from fathom.ranking.layers import MLP
from fathom_api.learning import RankerModel


class DeepFM(Architecture):
    """σ(y_FM + y_DNN), equation 1.

    First-order weights are linear in the embeddings, not tables of their own: one table serves FM and MLP,
    as the paper has it for the second order. A number is its value times an embedding of its own.
    """

    def __init__(self, layout: Layout, config: RankerModel) -> None:
        super().__init__(layout, config)
        self._deep_width = config.hidden_units[-1]
        self.number = nn.Parameter(torch.randn(layout.numbers, layout.dim) * 0.1)
        self.deep = MLP(layout.width, config.hidden_units, config.dropout)
        self.over = SumHead(self.width)

    @property
    def width(self) -> int:
        """Width W of a pair's representation."""
        return 1 + self.layout.width + self._deep_width

    def represent(self, user: Tensor, item: Tensor, numbers: Tensor) -> Tensor:
        """Return [second order; first order; deep] [n, W]."""
        x = flat(user, item, numbers)
        vectors = torch.cat([user, item, numbers.unsqueeze(2) * self.number], dim=1)
        return torch.cat([pairwise(vectors), x, self.deep(x)], dim=1)


class SumHead(nn.Linear):
    """The second order as it is, plus a linear map of the rest: [n, W] → [n, 1]."""

    def __init__(self, width: int) -> None:
        super().__init__(width - 1, 1)

    def forward(self, input: Tensor) -> Tensor:
        """Return the logits [n, 1]."""
        return input[:, :1] + super().forward(input[:, 1:])


def pairwise(vectors: Tensor) -> Tensor:
    """Return Σ_{i<j} ⟨v_i, v_j⟩ [n, 1] of `vectors` [n, F, D] in O(F D): ½ Σ_d ((Σ_i v)² - Σ_i v²)."""
    square_of_sum = vectors.sum(dim=1).square()
    return 0.5 * (square_of_sum - vectors.square().sum(dim=1)).sum(dim=1, keepdim=True)

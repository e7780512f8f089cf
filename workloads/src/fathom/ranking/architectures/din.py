"""DIN (arXiv 1706.06978): what the user liked, weighted by how it bears on the candidate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fathom.ranking.architectures.base import Architecture, Layout, flat
from fathom.ranking.layers import MLP
from fathom_api.learning import RankerModel


class DIN(Architecture):
    """An MLP over the features and v_U = Σ_h a(h, candidate) h, figure 2 and equation 3.

    Items of the history are as rich as candidates: ids, features, pooled caption tokens.
    """

    attends = True

    def __init__(self, layout: Layout, config: RankerModel) -> None:
        super().__init__(layout, config)
        self._deep_width = config.hidden_units[-1]
        item = layout.item * layout.dim
        self.attention = LocalActivation(item)
        self.deep = MLP(layout.width + item, config.hidden_units, config.dropout)
        self.over = nn.Linear(self.width, 1)

    @property
    def width(self) -> int:
        """Width W of a pair's representation."""
        return self._deep_width

    def represent(self, user: Tensor, item: Tensor, numbers: Tensor) -> Tensor:
        """Return the output [n, W] of the MLP's hidden layers."""
        own, history = user[:, : self.layout.user], user[:, self.layout.user :]
        # The count is said, for -1 cannot be told where there is nothing.
        items = history.shape[1] // self.layout.item
        liked = history.unflatten(1, (items, self.layout.item)).flatten(2)
        interest = self.attention(item.flatten(1), liked)
        return self.deep(torch.cat([flat(own, item, numbers), interest], dim=1))


class LocalActivation(nn.Module):
    """The activation unit: weights of the history by an MLP of [h, c, h - c, h ⊙ c], not normalised.

    A row of zeros is no item (`Ranker.user_side` fills short histories so) and adds nothing whatever its
    weight.
    """

    def __init__(self, width: int, hidden: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4 * width, hidden), nn.PReLU(), nn.Linear(hidden, 1))

    def forward(self, candidate: Tensor, history: Tensor) -> Tensor:
        """Return the interest [n, V] of `history` [n, H, V] in `candidate` [n, V]."""
        c = candidate.unsqueeze(1).expand_as(history)
        weights = self.layers(torch.cat([history, c, history - c, history * c], dim=2))
        return (weights * history).sum(dim=1)

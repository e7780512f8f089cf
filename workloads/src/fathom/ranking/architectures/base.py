"""What all architectures share: vectors of both sides in, one logit for each task out."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fathom_api.learning import RankerModel


class Layout(NamedTuple):
    """What an architecture is given.

    Attributes:
        user: vectors of a user, Fᵤ, those of the history not counted.
        item: vectors of an item, Fᵢ.
        user_numbers: numbers of a user; item_numbers likewise.
        dim: width of a vector, D.
    """

    user: int
    item: int
    user_numbers: int
    item_numbers: int
    dim: int

    @property
    def fields(self) -> int:
        """Vectors of both sides."""
        return self.user + self.item

    @property
    def numbers(self) -> int:
        """Numbers of both sides."""
        return self.user_numbers + self.item_numbers

    @property
    def width(self) -> int:
        """Width of all vectors and numbers side by side."""
        return self.fields * self.dim + self.numbers


class Architecture(nn.Module):
    """The shared bottom, and the head of the main task.

    Further tasks have linear heads over the same representation (`Ranker.heads`).
    """

    #: Whether `represent` also takes what the user liked: each item's Fᵢ vectors, behind the user's own.
    attends: bool = False
    #: The head: [n, W] → [n, 1], with a constant `bias` [1].
    over: nn.Module

    def __init__(self, layout: Layout, config: RankerModel) -> None:
        super().__init__()
        self.layout = layout

    @property
    @abstractmethod
    def width(self) -> int:
        """Width W of a pair's representation."""

    @abstractmethod
    def represent(self, user: Tensor, item: Tensor, numbers: Tensor) -> Tensor:
        """Return the representations [n, W] of n pairs.

        Args:
            user: [n, Fᵤ, D], or [n, Fᵤ + H Fᵢ, D] if the architecture attends to H items of the history.
            item: [n, Fᵢ, D].
            numbers: [n, K], the user's first.
        """

    def forward(self, user: Tensor, item: Tensor, numbers: Tensor) -> Tensor:
        """Return the logits [n] of the main task."""
        return self.over(self.represent(user, item, numbers)).squeeze(1)


def flat(user: Tensor, item: Tensor, numbers: Tensor) -> Tensor:
    """Return vectors and numbers side by side: [n, (Fᵤ + Fᵢ) D + K]."""
    return torch.cat([user.flatten(1), item.flatten(1), numbers], dim=1)

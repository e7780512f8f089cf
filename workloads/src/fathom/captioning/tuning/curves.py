"""What a training measured: by epoch, and in steps between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import Field

from fathom_api.meta import StatusModel

#: As many as a plot can show.
MAX_POINTS: Final = 300


class Epoch(StatusModel):
    """What an epoch ended with."""

    epoch: int = Field(description="Its number, from 1.")
    loss: float = Field(description="Mean training loss, nats a token.")
    validation_loss: float | None = Field(default=None, description="Loss on held-out pairs, nats a token.")
    learning_rate: float = Field(description="Learning rate of its last step.")


class Point(StatusModel):
    """A few steps within an epoch."""

    step: int = Field(description="The last of them, from 1.")
    epoch: float = Field(description="Epochs done by then.")
    loss: float = Field(description="Mean loss of these steps, nats a token.")
    learning_rate: float = Field(description="Learning rate of the last of them.")


def best(curve: Sequence[Epoch]) -> Epoch:
    """Return the epoch with the lowest loss on held-out pairs, the first of equals; without any, the last."""
    measured = [epoch for epoch in curve if epoch.validation_loss is not None]
    return min(measured, key=lambda e: e.validation_loss or 0.0) if measured else curve[-1]


def is_over(curve: Sequence[Epoch], epochs: int, patience: int | None) -> bool:
    """Return whether all `epochs` are done, or `patience` of them went by without a lower validation loss."""
    if len(curve) >= epochs:
        return True
    return patience is not None and bool(curve) and len(curve) - best(curve).epoch >= patience


@dataclass
class Mean:
    """A mean of losses, each weighted by its tokens."""

    total: float = 0.0
    tokens: int = 0

    def add(self, loss: float, tokens: int) -> None:
        """Count a loss that is itself a mean over `tokens`."""
        self.total += loss * tokens
        self.tokens += tokens

    @property
    def value(self) -> float:
        """Return the mean, 0 of nothing."""
        return self.total / self.tokens if self.tokens else 0.0


@dataclass
class Place:
    """How far a training is: all that must be known to go on as if it had never stopped."""

    curve: list[Epoch] = field(default_factory=list[Epoch])
    points: list[Point] = field(default_factory=list[Point])
    #: Steps done in the epoch after the last one of `curve`.
    steps: int = 0
    epoch_loss: Mean = field(default_factory=Mean)
    point_loss: Mean = field(default_factory=Mean)

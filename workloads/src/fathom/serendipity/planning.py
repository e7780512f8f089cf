"""What a planner is, whatever stands behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fathom.errors import InvalidInputError
from fathom.serendipity.answers import Answer

#: Two ids of clusters in the order in which a user met them.
Pair = tuple[int, int]


class Planner(Protocol):
    """Says where pairs of clusters lead."""

    @property
    def digest(self) -> str:
        """Digest of all that its answers depend on, the pair aside."""
        ...

    def plan(self, pairs: Sequence[Pair]) -> list[list[Answer]]:
        """Return what it says about each pair of cluster ids, the likeliest first."""
        ...


@dataclass(frozen=True)
class Decoding:
    """How answers are drawn.

    Attributes:
        samples: answers a pair gets, by beam search over the names.
        constrained: whether only names can be said; without it, the share of names is a measure of training.
        batch: pairs asked at once.
    """

    samples: int = 10
    constrained: bool = True
    batch: int = 64

    def __post_init__(self) -> None:
        if self.samples < 1 or self.batch < 1:
            raise InvalidInputError(
                "BadDecoding",
                f"samples and batch must be 1 or more, they are {self.samples} and {self.batch}",
            )

"""Positive engagements: who liked what, in order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fathom.errors import InvalidInputError
from fathom.ranking.interactions import Interactions

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Events:
    """n positive engagements, sorted by user, then time.

    Attributes:
        users: distinct ids; items likewise.
        user: [n] place in `users`; item likewise.
        time: [n] seconds, or whatever the data count in.
        satisfied: [n] 0, 1, or NaN where nothing is known; None where nobody was asked.
    """

    users: list[str]
    items: list[str]
    user: Ints
    item: Ints
    time: NDArray[np.float64]
    satisfied: Floats | None = None

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def of(cls, found: Interactions) -> Self:
        """Return the positive ones of `found`.

        Raises:
            InvalidInputError: they have no time, without which nothing comes next.
        """
        if found.time is None:
            raise InvalidInputError(
                "NoTime",
                "interests follow each other in time and the interactions have none: set data.timeColumn",
            )
        liked = found.label > 0
        order = _in_order(found.user[liked], found.item[liked], found.time[liked])
        rows = np.flatnonzero(liked)[order]
        satisfied = None if found.tasks is None else found.tasks[rows, 0]
        return cls(found.users, found.items, found.user[rows], found.item[rows], found.time[rows], satisfied)

    @classmethod
    def sorted(
        cls,
        users: Sequence[str],
        items: Sequence[str],
        user: Ints,
        item: Ints,
        time: NDArray[np.float64],
        *,
        satisfied: Floats | None = None,
    ) -> Self:
        """Return the events in order; of equal times, in order of the items, whatever the order of rows."""
        order = _in_order(user, item, time)
        said = None if satisfied is None else satisfied[order]
        return cls(list(users), list(items), user[order], item[order], time[order], said)

    def where(self, keep: NDArray[np.bool_]) -> Events:
        """Return the events that `keep` [n] marks, of the same users and items."""
        satisfied = None if self.satisfied is None else self.satisfied[keep]
        return Events(self.users, self.items, self.user[keep], self.item[keep], self.time[keep], satisfied)

    def before(self, share: float) -> NDArray[np.bool_]:
        """Return [n] whether an event is among the first `share` of its user's."""
        counts = np.bincount(self.user, minlength=len(self.users))
        starts = np.cumsum(counts) - counts
        place = np.arange(len(self)) - starts[self.user]
        return place < np.floor(share * counts)[self.user]


def _in_order(user: Ints, item: Ints, time: NDArray[np.float64]) -> Ints:
    return np.lexsort((item, time, user))

"""Guided ranking: a user's clusters → where to lead → which items → a few slots of the answer, with why.

No model is asked: targets are looked up. All of it is numpy on arrays of the table's size.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fathom.errors import InvalidInputError
from fathom.serendipity.events import Ints
from fathom.serendipity.table import NONE, Table


@dataclass(frozen=True)
class Explore:
    """How much of an answer leads users to interests they have not met.

    Attributes:
        share: of an answer's slots, 0 to 1; a rest below one slot is rounded to the nearest number of slots.
        max_per_user: most guided items a user is shown, those shown before included; no limit if None.
        recent: a user's latest clusters that are looked up, in pairs.
        targets: clusters a user is led to in one answer.
    """

    share: float = 0.1
    max_per_user: int | None = 3
    recent: int = 5
    targets: int = 3

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise InvalidInputError("BadShare", f"explore.share must be 0 to 1, it is {self.share}")
        if (self.max_per_user is not None and self.max_per_user < 0) or self.recent < 1 or self.targets < 1:
            raise InvalidInputError(
                "BadExplore",
                "explore.maxPerUser must be 0 or more, recent and targets 1 or more; they are "
                f"{self.max_per_user}, {self.recent} and {self.targets}",
            )

    def slots(self, size: int, shown: int = 0) -> int:
        """Return how many of `size` slots are for guided items, `shown` having been used before."""
        wanted = math.floor(self.share * size + 0.5)
        return wanted if self.max_per_user is None else min(wanted, max(self.max_per_user - shown, 0))


@dataclass(frozen=True)
class Target:
    """A cluster to lead a user to.

    Attributes:
        cluster: place among the table's ids.
        weight: in 0 to 1, all targets of a user sum to 1 before they are cut.
        because: the pair of the user's clusters that says so most; the same twice if one is known.
    """

    cluster: int
    weight: float
    because: tuple[int, int]


@dataclass(frozen=True)
class Slot:
    """A slot of an answer: an item's place in the table's items or the caller's, and why it is there.

    `target` is None for what the ranker put there itself.
    """

    item: int
    target: Target | None = None


class Guide:
    """Looks up, restricts and mixes for one table. Safe for use by several threads."""

    def __init__(self, table: Table, explore: Explore | None = None) -> None:
        self.table, self.explore = table, explore or Explore()
        order = np.argsort(table.own, kind="stable")
        starts = np.searchsorted(table.own[order], np.arange(len(table.ids) + 1))
        self._members = [order[a:b] for a, b in itertools.pairwise(starts)]
        self._place = {item: n for n, item in enumerate(table.items)}

    def clusters(self, items: Sequence[str]) -> Ints:
        """Return the different clusters of a user's `items`, the latest of which come last; latest last.

        Items that no cluster holds are passed over.
        """
        found = [int(self.table.own[p]) for i in items if (p := self._place.get(i)) is not None]
        return np.array(list(dict.fromkeys(reversed(found)))[::-1], np.int64)

    def targets(self, met: Ints, weights: NDArray[np.floating] | None = None) -> list[Target]:
        """Return where to lead a user who has met the clusters `met`, the latest last; the best first.

        All ordered pairs of the `recent` latest are looked up, each weighted by the product of its clusters'
        `weights` [len(met)], alike if None. Targets the user has met are left out.

        Without history, or where all clusters are met, there is none: the ranker's own answer stands. With
        one cluster its place on the table's diagonal is looked up.
        """
        if not len(met):
            return []
        recent = met[-self.explore.recent :]
        weight = np.ones(len(recent)) if weights is None else np.asarray(weights, float)[-len(recent) :]
        if len(recent) == 1:
            first = second = np.zeros(1, np.int64)
        else:
            first, second = np.nonzero(~np.eye(len(recent), dtype=bool))
        found, scores = self.table.lookup(recent[first], recent[second])
        weighted = scores * (weight[first] * weight[second])[:, None]
        weighted[found == NONE] = 0
        total = np.bincount(np.where(found == NONE, 0, found).ravel(), weighted.ravel(), len(self.table.ids))
        total[met] = 0
        if (whole := total.sum()) <= 0:
            return []
        best = np.argsort(-total, kind="stable")[: self.explore.targets]
        made: list[Target] = []
        for cluster in best[total[best] > 0].tolist():
            said = np.where(found == cluster, weighted, 0).max(axis=1)
            pair = int(np.argmax(said))
            because = int(recent[first[pair]]), int(recent[second[pair]])
            made.append(Target(cluster, float(total[cluster] / whole), because))
        return made

    def candidates(self, targets: Sequence[Target]) -> Ints:
        """Return the places in the table's items of all items of `targets`."""
        members = [self._members[target.cluster] for target in targets]
        return np.concatenate(members) if members else np.empty(0, np.int64)

    def guided(
        self, targets: Sequence[Target], scores: NDArray[np.floating], most: int, seen: Ints | None = None
    ) -> list[Slot]:
        """Return up to `most` items of `targets`: the best-scored of each target in turn, the best one first.

        Args:
            targets: as `targets` returns them.
            scores: [n] the ranker's score of each of the table's items; -inf of one it would not show.
            most: items wanted.
            seen: places of items that the user has had.
        """
        had = set() if seen is None else set(seen.tolist())
        queues: list[list[int]] = []
        for target in targets:
            own = self._members[target.cluster]
            take = min(len(own), most + len(had))
            near = own[np.argpartition(-scores[own], take - 1)[:take]] if take else own
            near = near[np.isfinite(scores[near])]
            ordered = near[np.argsort(-scores[near], kind="stable")].tolist()
            queues.append([i for i in ordered if i not in had][:most])
        slots: list[Slot] = []
        for turn in range(most):
            for target, queue in zip(targets, queues, strict=True):
                if turn < len(queue) and len(slots) < most:
                    slots.append(Slot(queue[turn], target))
        return slots

    def why(self, target: Target) -> str:
        """Return the reason in words: because you liked A and B → C."""
        names = [self.table.names[c] for c in dict.fromkeys(target.because)]
        return f"because you liked {' and '.join(names)} → {self.table.names[target.cluster]}"


def mix(ranked: Sequence[int], guided: Sequence[Slot], size: int, most: int) -> list[Slot]:
    """Return `size` slots: the ranker's items in order, with up to `most` of `guided` spread among them.

    A guided item takes the last slot of its stretch of the answer, so the first slots stay the ranker's; an
    item that the ranker put there itself is not shown twice.
    """
    chosen = list(guided[: min(most, size)])
    taken = {slot.item for slot in chosen}
    places = {math.ceil((n + 1) * size / len(chosen)) - 1: slot for n, slot in enumerate(chosen)}
    own = iter([item for item in ranked if item not in taken])
    answer: list[Slot] = []
    for place in range(size):
        if place in places:
            answer.append(places[place])
        elif (item := next(own, None)) is not None:
            answer.append(Slot(item))
    return answer

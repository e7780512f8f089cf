"""Guided ranking: a user's clusters → where to lead → which items → a few slots of the answer, with why.

No model is asked: targets are looked up. All of it is numpy on arrays of the table's size.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fathom.errors import InvalidInputError
from fathom.serendipity.events import Ints
from fathom.serendipity.table import NONE, Table

#: Clusters that the table may say for each one that is led to: the ranker has a say in which.
POOL: Final = 5


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
        """Return where a user who has met the clusters `met`, the latest last, may be led; the best first.

        All ordered pairs of the `recent` latest are looked up, each weighted by the product of its clusters'
        `weights` [len(met)], alike if None. Targets the user has met are left out. They are more than
        `explore.targets`, for the ranker to choose among: see `chosen`.

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
        best = np.argsort(-total, kind="stable")[: POOL * self.explore.targets]
        best = best[total[best] > 0]
        said = np.where(found == best[:, None, None], weighted, 0).max(axis=2).argmax(axis=1)
        shares, ones, others = total[best] / whole, recent[first[said]], recent[second[said]]
        columns = best.tolist(), shares.tolist(), ones.tolist(), others.tolist()
        return [Target(c, share, (a, b)) for c, share, a, b in zip(*columns, strict=True)]

    def candidates(self, targets: Sequence[Target]) -> Ints:
        """Return the places in the table's items of all items of `targets`."""
        members = [self._members[target.cluster] for target in targets]
        return np.concatenate(members) if members else np.empty(0, np.int64)

    def chosen(self, targets: Sequence[Target], scores: NDArray[np.floating]) -> list[Target]:
        """Return the `explore.targets` best of `targets` by weight × the square of their best item's score.

        Where a planner leads says nothing of what there is to show; where the ranker sees nothing for this
        user the next interest is as good. The ranker knows the whole history, a table two clusters at a time:
        hence the square (chosen on validation data, docs/design). `scores` as `guided` takes them.
        """
        return [target for target, _, _ in self._chosen(targets, scores, None)]

    def _chosen(
        self, targets: Sequence[Target], scores: NDArray[np.floating], seen: Ints | None
    ) -> list[tuple[Target, Ints, NDArray[np.floating]]]:
        """Return the chosen targets, their members and how these score, -inf if `seen`."""
        targets = [target for target in targets if len(self._members[target.cluster])]
        if not targets:
            return []
        members = self.candidates(targets)
        own = scores[members]
        if seen is not None:
            # Few or none: targets are clusters that the user has not met, as far as anybody knows.
            had = seen[np.isin(self.table.own[seen], [target.cluster for target in targets])]
            own[np.isin(members, had)] = -np.inf
        ends = np.cumsum([len(self._members[target.cluster]) for target in targets])
        starts = np.concatenate([[0], ends[:-1]])
        best = np.maximum.reduceat(own, starts)
        worth = np.array([target.weight for target in targets]) * np.maximum(best, 0) ** 2
        worth[~np.isfinite(best)] = -1
        order = np.argsort(-worth, kind="stable")[: self.explore.targets]
        return [
            (targets[n], members[starts[n] : ends[n]], own[starts[n] : ends[n]])
            for n in order.tolist()
            if worth[n] >= 0
        ]

    def guided(
        self, targets: Sequence[Target], scores: NDArray[np.floating], most: int, seen: Ints | None = None
    ) -> list[Slot]:
        """Return up to `most` items of those `chosen` of `targets`: the best of each in turn.

        Args:
            targets: as `targets` returns them.
            scores: [n] the ranker's score of each of the table's items, a probability; -inf of one it would
                not show. Read for the items of `targets` only.
            most: items wanted.
            seen: places of items that the user has had.
        """
        queues: list[tuple[Target, list[int]]] = []
        for target, members, own in self._chosen(targets, scores, seen):
            take = min(len(members), most)
            near = np.argpartition(-own, take - 1)[:take]
            near = near[np.isfinite(own[near])]
            queues.append((target, members[near[np.argsort(-own[near], kind="stable")]].tolist()))
        slots: list[Slot] = []
        for turn in range(most):
            for target, queue in queues:
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

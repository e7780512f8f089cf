"""Guided answers: some slots go to items of interests that the user has not met, each with why.

No model beside the ranker is asked: a table says where to lead a user, and the scores that the ranker gives
anyway say which items there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fathom.ranking.names import Names
from fathom.serendipity.guide import Explore, Guide, Slot, Target, mix
from fathom.serendipity.table import Table
from fathom_api.interests import Explore as ExploreSpec
from fathom_api.types import share

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Why:
    """Why an item is in an answer though the user has not met anything like it.

    Attributes:
        reason: in words.
        interest: the cluster that the user is led to.
        because: the user's own clusters that lead there.
    """

    reason: str
    interest: str
    because: list[str]


@dataclass(frozen=True)
class Mixed:
    """An answer's slots: places [k] among what was scored, and of each why it is there if guided."""

    places: Ints
    why: list[Why | None]


@dataclass(frozen=True)
class _Fit:
    """The table's items among the ranker's.

    Attributes:
        names: the ranker's items that this was worked out for.
        back: [n] place of each of the table's items among all the ranker's, -1 where it knows none.
        place: [rows + 1] place in the table of each row, -1 where it has none.
    """

    names: Names
    back: Ints
    place: Ints


class Guiding:
    """One table, beside the items of one ranker. Safe for use by several threads."""

    def __init__(self, table: Table, explore: ExploreSpec) -> None:
        """Take the table and how much of it users shall see."""
        self.guide = Guide(table, explored(explore))
        self._fit: _Fit | None = None

    @property
    def version(self) -> str:
        """The table's digest."""
        return self.guide.table.version

    def mixed(
        self,
        scores: NDArray[np.float32],
        names: Names,
        history: Sequence[str],
        k: int,
        *,
        candidates: Sequence[str] | None = None,
        shown: int = 0,
    ) -> Mixed | None:
        """Return `k` slots, some of them guided; None where there is nowhere to lead this user to.

        Args:
            scores: [n] of all items of `names`, or of `candidates`.
            names: the ranker's items.
            history: ids of items that the user liked, the latest first.
            k: slots wanted.
            candidates: the only items that may be shown; None for all.
            shown: guided items that the user was shown before.
        """
        most = self.guide.explore.slots(min(k, len(scores)), shown)
        liked = list(reversed(history))
        targets = self.guide.targets(self.guide.clusters(liked)) if most else []
        if not targets:
            return None
        fit = self._fitted(names)
        members = self.guide.candidates(targets)
        rows = None if candidates is None else names.rows(candidates)
        own, back = _own_scores(fit, members, scores, rows)
        had = fit.place[names.rows(liked)]
        slots = self.guide.guided(targets, own, most, had[had >= 0])
        if not slots:
            return None
        ranked = best(scores, k + len(slots)).tolist()
        given = [Slot(int(back[slot.item]), slot.target) for slot in slots]
        answer = mix(ranked, given, min(k, len(scores)), most)
        places = np.array([slot.item for slot in answer], np.int64)
        return Mixed(places, [self._why(slot.target) for slot in answer])

    def _why(self, target: Target | None) -> Why | None:
        if target is None:
            return None
        names = self.guide.table.names
        because = [names[cluster] for cluster in dict.fromkeys(target.because)]
        return Why(self.guide.why(target), names[target.cluster], because)

    def _fitted(self, names: Names) -> _Fit:
        fit = self._fit
        if fit is None or fit.names is not names:
            rows = names.rows(self.guide.table.items).astype(np.int64)
            place = np.full(len(names) + 1, -1, np.int64)
            place[rows] = np.arange(len(rows))
            place[0] = -1
            self._fit = fit = _Fit(names, rows - 1, place)
        return fit


def explored(spec: ExploreSpec) -> Explore:
    """Return how much users shall see, as the guide takes it."""
    return Explore(share(spec.share), spec.max_per_user, spec.recent, spec.targets)


def best(scores: NDArray[np.float32], k: int) -> Ints:
    """Return where the `k` highest are, highest first, of equals the first first."""
    if k >= len(scores):
        return np.argsort(-scores, kind="stable")
    bound = np.partition(scores, len(scores) - k)[len(scores) - k]
    among = np.flatnonzero(scores >= bound)
    return among[np.argsort(-scores[among], kind="stable")[:k]]


def _own_scores(
    fit: _Fit, members: Ints, scores: NDArray[np.float32], rows: Ints | None
) -> tuple[NDArray[np.float32], Ints]:
    """Return the score of each of the table's items, -inf of what may not be shown, and where in `scores`.

    Both are right for `members` [m] only, the items of the targets: looking at all would cost a large
    catalogue more than all the rest. `rows` [len(scores)] are those of the candidates; None for all items.
    """
    own = np.empty(len(fit.back), np.float32)
    if rows is None:
        at = fit.back[members]
        own[members] = np.where(at >= 0, scores[at], -np.inf)
        return own, fit.back
    own[members] = -np.inf
    back = np.zeros(len(fit.back), np.int64)
    place = fit.place[rows]
    at = np.flatnonzero(place >= 0)
    own[place[at]], back[place[at]] = scores[at], at
    return own, back

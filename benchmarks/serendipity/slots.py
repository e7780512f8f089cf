"""Ten slots of an answer: a plain ranker, the same with slots for guided items, and with MMR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.serendipity.judging import Figures
from benchmarks.serendipity.world import Stage
from fathom.serendipity import baselines, guide, metrics, vectors
from fathom.serendipity.guide import Explore, Guide
from fathom.serendipity.table import Table

SIZE: Final = 10
SHARES: Final = (0.1, 0.2, 0.3, 0.5)
TRADES: Final = (0.9, 0.7, 0.5)
PENALTY: Final = 300.0


@dataclass(frozen=True)
class Judged:
    """Figures of each user, NaN where nothing is liked later."""

    ndcg: Figures
    serendipity: Figures
    by_popularity: Figures
    unexpectedness: Figures
    diversity: Figures
    coverage: float


class Answers:
    """What users of `found` are shown. The plain ranker is EASE over items (Steck 2019)."""

    def __init__(self, found: Stage, penalty: float = PENALTY) -> None:
        self._found = found
        known = found.known
        matrix = np.zeros((len(known.users), len(known.items)))
        matrix[known.user, known.item] = 1
        self._scores = matrix @ baselines.ease_weights(matrix, penalty)
        self._scores[matrix > 0] = -np.inf
        self._seen = [np.flatnonzero(row) for row in matrix]
        self._counts = matrix.sum(axis=0).astype(np.int64)
        self._vectors = vectors.co_engagement(known)
        self._own = found.clusters.of(known.items)

    def plain(self) -> list[np.ndarray]:
        """Return the ranker's own lists."""
        return [np.argsort(-row, kind="stable")[:SIZE] for row in self._scores]

    def mmr(self, trade: float) -> list[np.ndarray]:
        """Return the ranker's lists made more various."""
        return [baselines.mmr(row, self._vectors, SIZE, trade) for row in self._scores]

    def guided(self, table: Table, share: float, recent: int) -> list[np.ndarray]:
        """Return lists with a `share` of their slots for items of clusters the table leads to."""
        leading = Guide(table, Explore(share=share, max_per_user=None, recent=recent, targets=3))
        mine = self._mine(table)
        lists: list[np.ndarray] = []
        for user, ranked in enumerate(self.plain()):
            targets = leading.targets(self._found.journeys.of(user))
            slots = leading.guided(targets, self._scores[user][mine], leading.explore.slots(SIZE))
            own = [guide.Slot(int(mine[slot.item]), slot.target) for slot in slots]
            # A rest of the ranking stands by for items that the guide has taken from it.
            rest = np.argsort(-self._scores[user], kind="stable")[: 2 * SIZE].tolist()
            lists.append(np.array([s.item for s in guide.mix(rest, own, SIZE, len(own))] or ranked))
        return lists

    def led(self, table: Table, recent: int, most: int) -> list[np.ndarray]:
        """Return the clusters that each user is led to: the table's, weighed by the ranker."""
        leading = Guide(table, Explore(max_per_user=None, recent=recent, targets=most))
        mine = self._mine(table)
        lists: list[np.ndarray] = []
        for user, scores in enumerate(self._scores):
            targets = leading.targets(self._found.journeys.of(user))
            lists.append(np.array([t.cluster for t in leading.chosen(targets, scores[mine])], np.int64))
        return lists

    def _mine(self, table: Table) -> np.ndarray:
        """Return the place of each of the table's items: it knows clustered items only, in its own order."""
        place = {item: n for n, item in enumerate(self._found.known.items)}
        return np.array([place[item] for item in table.items])

    def judge(self, lists: list[np.ndarray]) -> Judged:
        """Return the figures of `lists`, one a user."""
        rows: list[tuple[float, ...]] = []
        ranks = metrics.popularity_ranks(self._counts)
        for user, shown in enumerate(lists):
            liked = self._found.later[user]
            if not len(liked):
                rows.append((np.nan,) * 5)
                continue
            past = self._found.journeys.of(user)
            rows.append(
                (
                    metrics.ndcg_at(shown, liked, SIZE),
                    metrics.cluster_serendipity_at(shown, self._own, past, liked, SIZE),
                    metrics.rectools_serendipity_at(shown, liked, ranks, SIZE),
                    metrics.unexpectedness(shown, self._seen[user], self._vectors),
                    metrics.intra_list_diversity(shown, self._vectors),
                )
            )
        columns = [np.array(column) for column in zip(*rows, strict=True)]
        return Judged(*columns, metrics.coverage(lists, len(self._own)))

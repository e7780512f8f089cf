"""Interest clusters, journeys and planners for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fathom.serendipity.answers import Answer
from fathom.serendipity.clusters import Cluster, Clusters
from fathom.serendipity.events import Events
from fathom.serendipity.planning import Pair

NAMES = ("crime drama", "space opera", "slow cooking", "mountain bikes", "jazz piano", "old castles")


def tree(count: int = 6, each: int = 3, first_id: int = 0) -> Clusters:
    """Return `count` clusters of `each` items on one level, with ids from `first_id`."""
    ids = [first_id + n for n in range(count)]
    items = [f"item-{n}-{m}" for n in ids for m in range(each)]
    finest = [
        Cluster(
            id=n,
            name=NAMES[n] if n < len(NAMES) else f"interest {n}",
            keywords=(NAMES[n] if n < len(NAMES) else f"interest {n}").split(),
            size=each,
            parent=None,
            representatives=items[place * each : (place + 1) * each],
        )
        for place, n in enumerate(ids)
    ]
    path = np.repeat(ids, each).reshape(-1, 1).astype(np.int64)
    return Clusters(items, path, [finest], np.eye(count, dtype=np.float32), [first_id + count], [0.0])


def journeys_of(clusters: Clusters, *paths: Sequence[int]) -> Events:
    """Return events of one user for each of `paths`, places of clusters in the order of their meeting.

    Users follow each other in time.
    """
    first = [int(np.flatnonzero(clusters.own == place)[0]) for place in range(len(clusters.ids))]
    rows = [(u, first[c], 100.0 * u + n) for u, path in enumerate(paths) for n, c in enumerate(path)]
    user, item, time = (np.array(column) for column in zip(*rows, strict=True))
    return Events.sorted(
        [f"user-{n}" for n in range(len(paths))], clusters.items, user, item, time.astype(float)
    )


class ScriptedPlanner:
    """Answers as `says` does for each pair; notes what it was asked."""

    def __init__(self, says: Callable[[Pair], list[Answer]], digest: str = "scripted") -> None:
        self.digest = digest
        self.asked: list[Pair] = []
        self._says = says

    def plan(self, pairs: Sequence[Pair]) -> list[list[Answer]]:
        self.asked += pairs
        return [self._says(pair) for pair in pairs]


def onward(clusters: Clusters) -> Callable[[Pair], list[Answer]]:
    """Return what names the next cluster after both of a pair, by id, round about."""
    ids = clusters.ids.tolist()
    names = {cluster.id: cluster.name for cluster in clusters.finest}

    def says(pair: Pair) -> list[Answer]:
        start = ids.index(pair[1])
        around = [ids[(start + n) % len(ids)] for n in range(1, len(ids))]
        return [Answer(names[next(i for i in around if i not in pair)], 0.75)]

    return says

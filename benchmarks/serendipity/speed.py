"""How fast the table is looked up, and what guiding adds to a request.

`python -m benchmarks.serendipity.speed`. Times are of the thread: other work on the machine does not count.
"""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from fathom.serendipity.clusters import Cluster, Clusters
from fathom.serendipity.guide import Explore, Guide, mix
from fathom.serendipity.table import Table

CLUSTERS: Final = 300
ITEMS: Final = 10_000
TARGETS: Final = 20
LOOKUPS: Final = 1_000_000
REQUESTS: Final = 2000


def main() -> None:
    """Measure and print."""
    chance = np.random.default_rng(0)
    table = _table(chance)
    first, second = chance.integers(CLUSTERS, size=(2, LOOKUPS))
    table.lookup(first[:1000], second[:1000])
    begun = time.thread_time()
    for at in range(0, LOOKUPS, 10_000):
        table.lookup(first[at : at + 10_000], second[at : at + 10_000])
    rate = LOOKUPS / (time.thread_time() - begun)
    print(f"{CLUSTERS} clusters, {TARGETS} targets a pair: {rate / 1e6:.1f} million lookups/s on one core")
    taken = sorted(_requests(table, chance))
    p50, p99 = (1000 * taken[int(share * len(taken))] for share in (0.5, 0.99))
    print(f"guiding a request over {ITEMS:,} items: p50 {p50:.3f} ms, p99 {p99:.3f} ms")


def _requests(table: Table, chance: np.random.Generator) -> list[float]:
    guide = Guide(table, Explore(share=0.1))
    taken: list[float] = []
    for _ in range(REQUESTS):
        items = [table.items[n] for n in chance.integers(ITEMS, size=50)]
        scores = chance.random(ITEMS, np.float32)
        ranked = np.argsort(-scores)[:20].tolist()
        begun = time.thread_time()
        targets = guide.targets(guide.clusters(items))
        slots = guide.guided(targets, scores, guide.explore.slots(10))
        answer = mix(ranked, slots, 10, len(slots))
        reasons = [guide.why(slot.target) for slot in answer if slot.target]
        taken.append(time.thread_time() - begun)
        assert len(answer) == 10
        assert len(reasons) == len(slots)
    return taken


def _table(chance: np.random.Generator) -> Table:
    items = [f"item-{n}" for n in range(ITEMS)]
    own = chance.integers(CLUSTERS, size=ITEMS)
    finest = [
        Cluster(id=n, name=f"interest {n}", keywords=[], size=1, parent=None, representatives=[])
        for n in range(CLUSTERS)
    ]
    centres = np.zeros((CLUSTERS, 1), np.float32)
    known = Clusters(items, own.reshape(-1, 1), [finest], centres, [CLUSTERS], [0.0])
    shape = (CLUSTERS, CLUSTERS, TARGETS)
    targets = chance.integers(CLUSTERS, size=shape)
    scores = np.sort(chance.random(shape, np.float32), axis=2)[:, :, ::-1]
    names = [cluster.name for cluster in finest]
    return Table(known.ids, names, items, known.own, targets.astype(np.int32), scores.copy())


if __name__ == "__main__":
    main()

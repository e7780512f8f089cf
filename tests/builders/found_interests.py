"""What a report of interests is made of, small, with words that strangers chose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fathom.report.interests import Found
from fathom.serendipity.bulk import Planned
from fathom.serendipity.clusters import Cluster, Clusters
from fathom.serendipity.gates import Measured
from fathom.serendipity.table import Table, build
from fathom.serendipity.transitions import Lessons, Report, Transitions
from fathom_api.progress import Verdict


def found_interests(names: Sequence[str], *, summary: str = "", said: str = "no name") -> Found:
    """Return four items of each of the interests `names`, where interest n and n + 1 lead to n + 2."""
    count = len(names)
    items = [f"i{n}" for n in range(4 * count)]
    own = np.repeat(np.arange(count), 4)
    finest = [
        Cluster(
            id=n,
            name=name,
            keywords=name.split(),
            size=4,
            parent=n % 2,
            representatives=items[4 * n : 4 * n + 4],
            summary=summary,
        )
        for n, name in enumerate(names)
    ]
    above = [
        Cluster(id=n, name=f"half {n}", keywords=[], size=2 * count, parent=None, representatives=[])
        for n in (0, 1)
    ]
    centres = np.random.default_rng(0).normal(size=(count, 5)).astype(np.float32)
    clusters = Clusters(
        items, np.stack([own % 2, own], axis=1), [above, finest], centres, [2, count], [0, 0.25]
    )
    first = np.arange(count)
    second, target = (first + 1) % count, (first + 2) % count
    table: Table = build(clusters, first, second, target, np.ones(count))
    late = Transitions(first, first, second, target, np.arange(count, dtype=float), np.ones(count, np.int64))
    report = Report(
        users=count, transitions=2 * count, pairs=count, distinct=count, kept=count, validation=count,
        targets=count, clusters=count, gini_before=0.2, gini_after=0.1, most_frequent=[],
    )  # fmt: skip
    planned = Planned(
        count * (count - 1), 0, first, second, target, np.ones(count), 2 * count, {"NotAName": count},
        [(0, 1, said, "NotAName")],
    )  # fmt: skip
    measured = Measured(0.95, 0.5, 1.0, 0.0, 1.0, 0.3)
    verdicts = [
        Verdict(gate="ExactMatch", value=0.95, bound=0.9, verdict="Pass", message="95 % are names"),
        Verdict(gate="Pairs", value=0.3, bound=0.95, verdict="Fail", message="30 % of pairs lead somewhere"),
    ]
    return Found(clusters, Lessons(late, late, report), table, planned, measured, verdicts)

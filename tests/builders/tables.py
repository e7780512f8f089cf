"""Small tables of interests: items of few clusters, and where each pair of clusters leads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fathom.interests import current
from fathom.serendipity.table import NONE, Table
from fathom_api.interests import Explore

#: Cluster → its name.
NAMES = ("space", "horror", "ponies", "cooking")


def make_table(
    folder: Path, *, items: int = 40, leads: Mapping[tuple[int, int], int] | None = None, most: int = 3
) -> Table:
    """Write a table of items `i0`…, item n of cluster n mod 4, to `folder`.

    `leads` says where pairs of clusters lead; where it is None each pair leads to the least cluster that is
    neither, and a cluster alone (the diagonal) to the next one.
    """
    count = len(NAMES)
    if leads is None:
        pairs = [(a, b) for a in range(count) for b in range(count)]
        leads = {(a, b): (a + 1) % count if a == b else min({*range(count)} - {a, b}) for a, b in pairs}
    targets = np.full((count, count, most), NONE, np.int32)
    scores = np.zeros((count, count, most), np.float32)
    for (first, second), target in leads.items():
        targets[first, second, 0], scores[first, second, 0] = target, 1.0
    ids = np.arange(count, dtype=np.int64)
    own = np.arange(items, dtype=np.int64) % count
    table = Table(ids, list(NAMES), [f"i{n}" for n in range(items)], own, targets, scores)
    table.write(folder, {"made": "by hand"})
    return Table.read(folder)


def publish(folder: Path, table: Path, *, share: str = "20%", **explore: int) -> None:
    """Name the table in the folder `table` in `folder`, as `fathom publish` does."""
    folder.mkdir(exist_ok=True)
    settings = Explore.model_validate({"share": share, **explore})
    digest = Table.read(table).version
    current.write(folder, current.Current(table=str(table), digest=digest, explore=settings))

"""Bulk inference: every ordered pair of clusters is planned once, in shards that can be killed at any time.

On disk, a folder: `shard-00000/part-<token>.parquet`, rows of one batch each, that appear whole. A pair's key
is a digest of all its answers depend on, so a second run plans only what is missing or has changed, whatever
the number of shards was before. Answers are checked before they are written; what is rejected is kept apart,
for people to see.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fathom.captioning.store import parts
from fathom.errors import InvalidInputError
from fathom.serendipity import table
from fathom.serendipity.answers import Accepted, Answer, Checker, Reason
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.events import Ints
from fathom.serendipity.planning import Pair, Planner
from fathom.serendipity.table import Table
from fathom.storage import Location, files

SCHEMA: Final = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("first", pa.int32(), nullable=False),
        pa.field("second", pa.int32(), nullable=False),
        pa.field("targets", pa.list_(pa.int32()), nullable=False),
        pa.field("scores", pa.list_(pa.float32()), nullable=False),
        pa.field("rejected", pa.list_(pa.string()), nullable=False),
        pa.field("reasons", pa.list_(pa.string()), nullable=False),
    ]
)
#: Pairs whose answers are written at once: what a kill may cost.
BATCH: Final = 256


@dataclass(frozen=True)
class Counts:
    """How far a shard is: pairs in all, planned now, and planned by an earlier run."""

    total: int
    planned: int
    reused: int


def all_pairs(clusters: Clusters) -> list[Pair]:
    """Return all ordered pairs of different ids of the finest level: k (k - 1)."""
    ids = clusters.ids.tolist()
    return [(first, second) for first in ids for second in ids if first != second]


def keys(
    planner: Planner, clusters: Clusters, pairs: Sequence[Pair], banned: Sequence[str] = ()
) -> list[str]:
    """Return the key of each of `pairs`: of planner, names, list of what nobody is led to, and the pair."""
    names = sorted((cluster.id, cluster.name) for cluster in clusters.finest)
    common = hashlib.sha256(repr((planner.digest, names, sorted(banned))).encode()).digest()
    return [hashlib.sha256(common + f"{a},{b}".encode()).hexdigest()[:32] for a, b in pairs]


def run(  # noqa: PLR0917 (what a shard is)
    folder: Location,
    planner: Planner,
    clusters: Clusters,
    shard: int = 0,
    shards: int = 1,
    banned: Sequence[str] = (),
    told: Callable[[Counts], None] = lambda _: None,
) -> Counts:
    """Plan the pairs of `shard` of `shards` that are not planned yet.

    Raises:
        InvalidInputError: there is no such shard, or a file of an earlier run is damaged.
    """
    if not 0 <= shard < shards:
        raise InvalidInputError("NoSuchShard", f"shard {shard} of {shards}: shards are 0 to {shards - 1}")
    pairs = all_pairs(clusters)
    wanted = list(zip(keys(planner, clusters, pairs, banned), pairs, strict=True))[shard::shards]
    done = {key for batch in _batches(folder, ["key"]) for key in batch["key"].to_pylist()}
    left = [(key, pair) for key, pair in wanted if key not in done]
    counts = Counts(len(wanted), 0, len(wanted) - len(left))
    told(counts)
    checker = Checker(clusters, banned)
    for at in range(0, len(left), BATCH):
        some = left[at : at + BATCH]
        said = planner.plan([pair for _, pair in some])
        rows = [_row(checker, key, pair, own) for (key, pair), own in zip(some, said, strict=True)]
        path = folder / f"shard-{shard:05d}" / f"part-{uuid.uuid4().hex}.parquet"
        parts.write(path, pa.Table.from_pylist(rows, schema=SCHEMA))
        counts = Counts(counts.total, counts.planned + len(some), counts.reused)
        told(counts)
    return counts


@dataclass(frozen=True)
class Planned:
    """What has been planned for all pairs.

    Attributes:
        pairs: ordered pairs there are.
        missing: those that are not planned yet.
        first, second, target: [m] places of clusters; one row an accepted answer.
        score: [m] of the answer.
        answers: answers in all.
        rejected: how many were rejected, by why.
        samples: some of them: ids of the pair, what was said, why it is not used.
    """

    pairs: int
    missing: int
    first: Ints
    second: Ints
    target: Ints
    score: NDArray[Any]
    answers: int
    rejected: dict[Reason, int]
    samples: list[tuple[int, int, str, Reason]]

    def only(self, rows: Ints) -> Planned:
        """Return the same with the accepted answers at these places alone."""
        return replace(
            self,
            first=self.first[rows],
            second=self.second[rows],
            target=self.target[rows],
            score=self.score[rows],
        )

    def table(self, clusters: Clusters) -> Table:
        """Return the table of it.

        Raises:
            InvalidInputError: pairs are missing: run the shards to their end first.
        """
        if self.missing:
            raise InvalidInputError(
                "Unplanned", f"{self.missing:,} of {self.pairs:,} pairs are not planned yet; run all shards"
            )
        return table.build(clusters, self.first, self.second, self.target, self.score)


def collect(
    folder: Location, planner: Planner, clusters: Clusters, banned: Sequence[str] = (), samples: int = 200
) -> Planned:
    """Return what all shards have planned; a pair that two pods planned at once counts once.

    Answers are checked once more: what lies on disk may have been written by anybody.
    """
    pairs = all_pairs(clusters)
    wanted = dict(zip(keys(planner, clusters, pairs, banned), pairs, strict=True))
    names = {cluster.id: cluster.name for cluster in clusters.finest}
    checker, total = Checker(clusters, banned), 0
    rows: list[tuple[int, int, int, float]] = []
    rejected: dict[Reason, int] = {}
    shown: list[tuple[int, int, str, Reason]] = []
    for batch in _batches(folder, SCHEMA.names):
        for row in batch.to_pylist():
            pair = wanted.pop(row["key"], None)
            if pair is None:
                continue
            total += len(row["targets"]) + len(row["rejected"])
            for target, score in zip(row["targets"], row["scores"], strict=True):
                if isinstance(checker.check(names.get(target, ""), *pair), Accepted) and np.isfinite(score):
                    rows.append((*pair, target, max(score, 0.0)))
            for text, reason in zip(row["rejected"], row["reasons"], strict=True):
                rejected[reason] = rejected.get(reason, 0) + 1
                if len(shown) < samples:
                    shown.append((*pair, text, reason))
    first, second, target = (
        np.searchsorted(clusters.ids, np.array([row[n] for row in rows], np.int64)) for n in range(3)
    )
    score = np.array([row[3] for row in rows], np.float64)
    return Planned(len(pairs), len(wanted), first, second, target, score, total, rejected, shown)


def _row(checker: Checker, key: str, pair: Pair, said: Sequence[Answer]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "key": key,
        "first": pair[0],
        "second": pair[1],
        "targets": [],
        "scores": [],
        "rejected": [],
        "reasons": [],
    }
    for answer in said:
        found = checker.check(answer.text, *pair)
        if isinstance(found, Accepted):
            row["targets"].append(found.target)
            row["scores"].append(answer.score)
        else:
            row["rejected"].append(found.shown)
            row["reasons"].append(found.reason)
    return row


def _batches(folder: Location, columns: list[str]) -> Iterator[pa.Table]:
    for entry in files(folder) if folder.exists() else []:
        if entry.name.endswith(".parquet"):
            try:
                with entry.path.open("rb") as data:
                    yield pq.read_table(data, columns=columns)
            except pa.ArrowInvalid as error:
                raise InvalidInputError(
                    "Damaged", f"{entry.path}: not readable as Parquet ({error}); remove it and run again"
                ) from error

"""The table that is served: for every ordered pair of clusters, the clusters to lead to, with scores.

On disk, a folder: `targets.npy` and `scores.npy`, mapped into memory as they are, `table.parquet` with the
same for people and other programs, `items.parquet` (item_id, cluster) and `interests.json` (names), sealed by
a manifest whose digest is the table's version.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fathom import manifest
from fathom.captioning.store import parts
from fathom.errors import InvalidInputError
from fathom.serendipity.events import Floats, Ints
from fathom.storage import Location, appearing

if TYPE_CHECKING:
    # A server reads tables, and has no scikit-learn.
    from fathom.serendipity.clusters import Clusters

KIND: Final = "InterestTable"
TARGETS, SCORES, TABLE = "targets.npy", "scores.npy", "table.parquet"
ITEMS, INTERESTS = "items.parquet", "interests.json"
#: No target: a pair has fewer than others.
NONE: Final = -1
#: Targets kept of a pair.
MOST: Final = 20


@dataclass(frozen=True)
class Table:
    """Where each ordered pair of k clusters leads. Clusters are places among `ids`.

    A user of whom one cluster is known is on the diagonal: where pairs with that cluster lead in the mean.

    Attributes:
        ids: [k] ids of the clusters, sorted.
        names: k names.
        items: n ids of items.
        own: [n] cluster of each item.
        targets: [k, k, most] clusters by falling score, `NONE` where there are no more.
        scores: [k, k, most] in 0 to 1, 0 where there is no target.
        version: digest, empty until it is written.
    """

    ids: Ints
    names: list[str]
    items: list[str]
    own: Ints
    targets: NDArray[np.int32]
    scores: Floats
    version: str = ""

    def lookup(self, first: Ints, second: Ints) -> tuple[NDArray[np.int32], Floats]:
        """Return targets and scores, [m, most] each, of m pairs of places; 1 M pairs/s and more on a core."""
        row = first * len(self.ids) + second
        most = self.targets.shape[2]
        return (
            np.take(self.targets.reshape(-1, most), row, axis=0),
            np.take(self.scores.reshape(-1, most), row, axis=0),
        )

    @property
    def pairs(self) -> int:
        """Pairs that lead anywhere, those of one cluster with itself aside."""
        leads = self.targets[:, :, 0] != NONE
        return int(leads.sum() - np.diagonal(leads).sum())

    def write(self, folder: Location, made_from: dict[str, str]) -> manifest.Manifest:
        """Write it to `folder`; a reader finds all of it or no manifest."""
        for name, array in ((TARGETS, self.targets), (SCORES, self.scores)):
            with appearing(folder / name) as path, path.open("wb") as out:
                np.save(out, array, allow_pickle=False)
        parts.write(folder / TABLE, self._rows())
        own = pa.array(self.ids[self.own].astype(np.int32))
        parts.write(folder / ITEMS, pa.table({"item_id": pa.array(self.items, pa.string()), "cluster": own}))
        with appearing(folder / INTERESTS) as path:
            told = [{"id": i, "name": n} for i, n in zip(self.ids.tolist(), self.names, strict=True)]
            path.write_text(json.dumps(told, indent=1, ensure_ascii=False))
        counts = {"clusters": len(self.ids), "pairs": self.pairs, "items": len(self.items)}
        only = {TARGETS, SCORES, TABLE, ITEMS, INTERESTS}
        return manifest.write(folder, KIND, counts=counts, made_from=made_from, only=only)

    @classmethod
    def read(cls, folder: Location) -> Self:
        """Return the table in `folder`, mapped into memory where it is on this machine.

        Raises:
            InvalidInputError: it is unfinished, damaged, or no table.
        """
        found = manifest.verify(folder)
        if found.kind != KIND:
            raise InvalidInputError("NotATable", f"{folder}: holds {found.kind}, not {KIND}")
        told = json.loads((folder / INTERESTS).read_text())
        ids = np.array([row["id"] for row in told], np.int64)
        with (folder / ITEMS).open("rb") as data:
            items = pq.read_table(data)
        return cls(
            ids,
            [row["name"] for row in told],
            items["item_id"].to_pylist(),
            np.searchsorted(ids, items["cluster"].to_numpy()),
            _array(folder / TARGETS),
            _array(folder / SCORES),
            found.digest,
        )

    def _rows(self) -> pa.Table:
        first, second = np.nonzero(self.targets[:, :, 0] != NONE)
        targets, scores = self.lookup(first, second)
        kept = targets != NONE
        offsets = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int32)
        ids = self.ids.astype(np.int32)
        return pa.table(
            {
                "first": pa.array(ids[first]),
                "second": pa.array(ids[second]),
                "targets": pa.ListArray.from_arrays(pa.array(offsets), pa.array(ids[targets[kept]])),
                "scores": pa.ListArray.from_arrays(pa.array(offsets), pa.array(scores[kept])),
            }
        )


def build(  # noqa: PLR0917 (columns)
    clusters: Clusters,
    first: Ints,
    second: Ints,
    target: Ints,
    score: Sequence[float] | Floats,
    most: int = MOST,
) -> Table:
    """Return the table of rows (first, second, target: places of clusters; score): what a planner said.

    Scores of the same row add up, a pair's are divided by their sum. A target that is one of its pair is no
    way out and refused here too, whatever was checked before.

    Raises:
        InvalidInputError: a row leads from a cluster to itself, or a score is no number of 0 or more.
    """
    scores = np.asarray(score, np.float64)
    if ((target == first) | (target == second)).any():
        raise InvalidInputError("SelfRepeat", "a planned target is one of the pair it is for; plan again")
    if not (np.isfinite(scores).all() and (scores >= 0).all()):
        raise InvalidInputError("BadScore", "a planned target's score is no number of 0 or more; plan again")
    targets, kept = _best(len(clusters.ids), first, second, target, scores, most)
    names = [cluster.name for cluster in clusters.finest]
    return Table(clusters.ids, names, clusters.items, clusters.own, targets, kept)


def _best(  # noqa: PLR0917 (columns)
    count: int, first: Ints, second: Ints, target: Ints, scores: NDArray[np.float64], most: int
) -> tuple[NDArray[np.int32], Floats]:
    """Return targets and scores [k, k, most]; one first cluster's scores [k, k] at a time are in memory."""
    most = min(most, count)
    targets, kept = np.full((count, count, most), NONE, np.int32), np.zeros((count, count, most), np.float32)
    order = np.argsort(first, kind="stable")
    ends = np.searchsorted(first[order], np.arange(count + 1))
    alone = np.zeros((count, count))
    for own in range(count):
        rows = order[ends[own] : ends[own + 1]]
        dense = np.zeros((count, count))
        np.add.at(dense, (second[rows], target[rows]), scores[rows])
        dense = _summing_to_one(dense)
        alone[own] += dense.sum(axis=0)
        alone += dense
        targets[own], kept[own] = _ordered(dense, most)
    np.fill_diagonal(alone, 0)
    diagonal = np.arange(count)
    targets[diagonal, diagonal], kept[diagonal, diagonal] = _ordered(_summing_to_one(alone), most)
    return targets, kept


def _summing_to_one(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    sums = scores.sum(axis=1, keepdims=True)
    return np.divide(scores, sums, out=np.zeros_like(scores), where=sums > 0)


def _ordered(scores: NDArray[np.float64], most: int) -> tuple[NDArray[np.int32], Floats]:
    """Return the best `most` places and scores of each row of `scores`."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :most]
    found = np.take_along_axis(scores, order, axis=1)
    return np.where(found > 0, order, NONE).astype(np.int32), found.astype(np.float32)


def churn(before: Table, after: Table, top: int = 5) -> float:
    """Return 1 - the mean Jaccard index of the `top` targets, over pairs that lead somewhere in either table.

    Clusters that one of the tables does not have count as different. 0 is no change.
    """
    both = np.intersect1d(before.ids, after.ids)
    if not len(both):
        return 1.0
    old, new = (_top_ids(table, both, top) for table in (before, after))
    common = (old[:, :, None] == new[:, None, :]) & (old[:, :, None] != NONE)
    shared = common.any(axis=2).sum(axis=1)
    union = (old != NONE).sum(axis=1) + (new != NONE).sum(axis=1) - shared
    leads = union > 0
    return float(1 - (shared[leads] / union[leads]).mean()) if leads.any() else 0.0


def _top_ids(table: Table, ids: Ints, top: int) -> Ints:
    """Return the ids [pairs, top] of the first targets of all pairs of different clusters of `ids`."""
    place = np.searchsorted(table.ids, ids)
    first, second = (grid.ravel() for grid in np.meshgrid(place, place, indexing="ij"))
    different = first != second
    targets = table.lookup(first[different], second[different])[0][:, :top]
    return np.where(targets == NONE, NONE, table.ids[targets])


def _array(path: Location) -> NDArray[Any]:
    if isinstance(path, Path):
        # Mapped all the same: numpy's own class for it does some work in every operation.
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    with path.open("rb") as data:
        return np.load(data, allow_pickle=False)

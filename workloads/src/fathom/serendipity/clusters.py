"""Interest clusters: a tree over the items, with names, and ids that outlive a rebuild.

On disk, a folder: `clusters.parquet` (item_id, path: id of its cluster on each level, from coarse to fine),
`centres.parquet` (cluster, vector: mean of the finest level's items) and `names.json`, sealed by a manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from fathom import manifest
from fathom.captioning.store import parts
from fathom.errors import InvalidInputError
from fathom.serendipity import balanced, matching, naming
from fathom.serendipity.balanced import Shape
from fathom.serendipity.events import Floats, Ints
from fathom.storage import Location, appearing
from fathom_api.meta import StatusModel

KIND: Final = "Clusters"
TABLE, CENTRES, NAMES = "clusters.parquet", "centres.parquet", "names.json"
#: Items nearest to a cluster's centre: what a person or an MLLM is shown of it.
REPRESENTATIVES: Final = 8


class Cluster(StatusModel):
    """One cluster of one level."""

    id: int = Field(ge=0, description="Kept over rebuilds, never given to another cluster of its level.")
    name: str = Field(min_length=1, description="Different from all others of its level.")
    keywords: list[str] = Field(description="Words that set its texts apart, the best first.")
    size: int = Field(ge=1, description="Items.")
    parent: int | None = Field(description="Id of the cluster above; None on the top level.")
    representatives: list[str] = Field(description="Ids of the items nearest to its centre.")
    summary: str = Field(default="", description="What its media show, in a model's words.")


class _Names(StatusModel):
    levels: list[list[Cluster]] = Field(description="Clusters by level, from coarse to fine, sorted by id.")
    free: list[int] = Field(description="Lowest id of each level that was never used.")
    churn: list[float] = Field(description="Share of items that moved since the tree before, by level.")
    unclustered: int = Field(description="Items without a vector, in no cluster.")


@dataclass(frozen=True)
class Clusters:
    """Items in a tree of clusters.

    Attributes:
        items: n ids.
        path: [n, levels] id of each item's cluster, from coarse to fine.
        levels: the clusters of each level, sorted by id.
        centres: [k, width] mean vector of each of the finest level's clusters.
        free: lowest id of each level that was never used.
        churn: share of the items in both trees whose cluster changed, by level; 0 for a first tree.
        unclustered: items without a vector.
    """

    items: list[str]
    path: Ints
    levels: list[list[Cluster]]
    centres: Floats
    free: list[int]
    churn: list[float]
    unclustered: int = 0

    @property
    def finest(self) -> list[Cluster]:
        """The clusters that interests are planned over."""
        return self.levels[-1]

    @cached_property
    def ids(self) -> Ints:
        """Ids [k] of the finest level, sorted."""
        return np.array([cluster.id for cluster in self.finest], np.int64)

    @cached_property
    def own(self) -> Ints:
        """Place [n] in `ids` of each item's cluster."""
        return np.searchsorted(self.ids, self.path[:, -1])

    @cached_property
    def by_name(self) -> dict[str, int]:
        """Ids of the finest level by name."""
        return {cluster.name: cluster.id for cluster in self.finest}

    def of(self, items: Iterable[str]) -> Ints:
        """Return the place in `ids` of the cluster of each of `items`, -1 of one that is in none."""
        place = dict(zip(self.items, self.own.tolist(), strict=True))
        return np.array([place.get(item, -1) for item in items], np.int64)

    def worded(self, names: Mapping[int, str], summaries: Mapping[int, str]) -> Clusters:
        """Return the same with other names and summaries of the finest level, by id, as a model words them.

        Raises:
            InvalidInputError: two clusters would have one name, or one none.
        """
        finest = [
            c.model_copy(
                update={
                    "name": " ".join(names.get(c.id, c.name).split()),
                    "summary": summaries.get(c.id, c.summary),
                }
            )
            for c in self.finest
        ]
        by_name: dict[str, int] = {}
        for cluster in finest:
            if not cluster.name or cluster.name in by_name:
                other = by_name.get(cluster.name)
                raise InvalidInputError(
                    "BadName",
                    f"cluster {cluster.id} would be named {cluster.name!r}"
                    + (f", like cluster {other}" if other is not None else "")
                    + ": names are what a planner answers with, give each cluster one of its own",
                )
            by_name[cluster.name] = cluster.id
        return replace(self, levels=[*self.levels[:-1], finest])

    def write(self, folder: Location, made_from: dict[str, str]) -> manifest.Manifest:
        """Write them to `folder`; what is there is there whole."""
        table = pa.table(
            {
                "item_id": pa.array(self.items, pa.string()),
                "path": pa.array(self.path.astype(np.int32).tolist(), pa.list_(pa.int32())),
            }
        )
        parts.write(folder / TABLE, table)
        vectors = pa.array(self.centres.tolist(), pa.list_(pa.float32()))
        parts.write(
            folder / CENTRES, pa.table({"cluster": pa.array(self.ids, pa.int32()), "vector": vectors})
        )
        told = _Names(levels=self.levels, free=self.free, churn=self.churn, unclustered=self.unclustered)
        with appearing(folder / NAMES) as path:
            path.write_text(told.model_dump_json(by_alias=True, indent=1))
        counts = {"items": len(self.items), "clusters": len(self.finest), "unclustered": self.unclustered}
        return manifest.write(folder, KIND, counts=counts, made_from=made_from, only={TABLE, CENTRES, NAMES})

    @classmethod
    def read(cls, folder: Location) -> Self:
        """Return the clusters in `folder`.

        Raises:
            InvalidInputError: they are unfinished, damaged, or no clusters.
        """
        found = manifest.verify(folder)
        if found.kind != KIND:
            raise InvalidInputError("NotClusters", f"{folder}: holds {found.kind}, not {KIND}")
        try:
            told = _Names.model_validate_json((folder / NAMES).read_bytes())
        except ValidationError as error:
            raise InvalidInputError("Damaged", f"{folder / NAMES}: {error}") from error
        with (folder / TABLE).open("rb") as data:
            table = pq.read_table(data)
        with (folder / CENTRES).open("rb") as data:
            centres = np.array(pq.read_table(data)["vector"].to_pylist(), np.float32)
        path = np.array(table["path"].to_pylist(), np.int64).reshape(len(table), len(told.levels))
        items = table["item_id"].to_pylist()
        return cls(items, path, told.levels, centres, told.free, told.churn, told.unclustered)


def build(  # noqa: PLR0917 (what they are built from)
    items: Sequence[str],
    vectors: Floats,
    texts: Sequence[str],
    shape: Shape,
    before: Clusters | None = None,
    stop: Iterable[str] = (),
) -> Clusters:
    """Return the tree of `items` by their `vectors` [n, width], named by their `texts` (captions).

    Items whose vector is zeros are in no cluster. With the tree `before`, a cluster that continues one of its
    keeps that one's id and name.

    Raises:
        InvalidInputError: there are too few items for so many clusters.
    """
    has = np.flatnonzero(np.any(vectors != 0, axis=1))
    kept, own_texts = [items[i] for i in has.tolist()], [texts[i] for i in has.tolist()]
    grown = balanced.grow(vectors[has], shape)
    path = np.empty_like(grown)
    levels: list[list[Cluster]] = []
    free: list[int] = []
    churn: list[float] = []
    for level in range(grown.shape[1]):
        count = int(grown[:, level].max()) + 1
        matched, old = _matched(kept, grown[:, level], count, before, level)
        path[:, level] = matched.ids[grown[:, level]]
        words = naming.keywords(own_texts, grown[:, level], count, stop=stop)
        taken = {n: old[int(i)] for n, i in enumerate(matched.ids) if matched.continued[n]}
        told = naming.names(words, taken)
        parents = path[:, level - 1] if level else None
        made = [
            Cluster(
                id=int(matched.ids[n]),
                name=told[n],
                keywords=words[n],
                size=len(rows := np.flatnonzero(grown[:, level] == n)),
                parent=int(parents[rows[0]]) if parents is not None else None,
                representatives=[kept[i] for i in rows[_nearest(vectors[has[rows]])]],
            )
            for n in range(count)
        ]
        levels.append(sorted(made, key=lambda c: c.id))
        used = before.free[level] if before and level < len(before.free) else 0
        free.append(max(used, int(matched.ids.max()) + 1))
        churn.append(matched.churn)
    ids = np.array([c.id for c in levels[-1]])
    centres = np.stack([vectors[has[path[:, -1] == i]].mean(axis=0) for i in ids]).astype(np.float32)
    return Clusters(kept, path, levels, centres, free, churn, len(items) - len(kept))


def _matched(
    items: list[str], grown: Ints, count: int, before: Clusters | None, level: int
) -> tuple[matching.Matched, dict[int, str]]:
    """Return the ids of a level's clusters, and the names that ids have already."""
    if before is None or level >= len(before.levels):
        return matching.Matched(np.arange(count), np.zeros(count, bool), 0.0), {}
    place = dict(zip(before.items, before.path[:, level].tolist(), strict=True))
    both = [(place[item], int(own)) for item, own in zip(items, grown, strict=True) if item in place]
    old, new = (
        (np.array(column, np.int64) for column in zip(*both, strict=True))
        if both
        else (np.empty(0, np.int64),) * 2
    )
    names = {cluster.id: cluster.name for cluster in before.levels[level]}
    return matching.match(old, new, count, before.free[level]), names


def _nearest(vectors: Floats) -> Ints:
    """Return the rows of `vectors` nearest to their mean, the nearest first."""
    distances = ((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1)
    return np.argsort(distances, kind="stable")[:REPRESENTATIVES]

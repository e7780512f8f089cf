"""The gallery in memory: two spaces, searched while items move from one to the other.

One thread changes the index, any number search it. A search takes the snapshot there is and sees each item
once: in the space it is in at that instant. Changes come in steps, each a new snapshot that shares with the
last one all lists it does not touch; a step is so small that what is copied for it is a fiftieth of the
vectors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fathom.retrieval import centroids
from fathom.retrieval.lists import Block, Items, Partition, nearest
from fathom.retrieval.merging import Hit, Queries, search_each, unit
from fathom.retrieval.names import Names, Numbers
from fathom.retrieval.parts import SPACES, Floats, Space, SpaceName

#: Up to so many items every vector is compared.
EXACT_MOST: Final = 100_000
#: Rows of a list that is filled as vectors come.
BLOCK_ROWS: Final = 1_024
#: Of the lists, how many a step may touch; fewer than STEP_LEAST are not worth a snapshot.
_STEP_SHARE: Final = 50
_STEP_LEAST: Final = 8
Batch = tuple[Numbers, Floats]


@dataclass(frozen=True)
class Snapshot:
    """Both spaces at one instant: no item is in both."""

    old: Partition
    new: Partition

    def of(self, space: SpaceName) -> Partition:
        """Return the partition of a space."""
        return self.old if space == "old" else self.new


class Index:
    """Vectors of two spaces, by item."""

    def __init__(
        self, spaces: Mapping[SpaceName, Space], items: int, *, exact_most: int = EXACT_MOST, probes: int = 0
    ) -> None:
        """Take what the spaces are, and about how many `items` there will be: beyond `exact_most` lists are
        probed.

        `probes` are the lists looked into in each space; 0 leaves it to the number of lists.
        """
        self.names = Names()
        self._spaces = spaces
        self._lists = centroids.lists_for(items) if items > exact_most else 0
        self._probes = probes or default_probes(self._lists)
        self._snapshot = Snapshot(*(Partition(spaces[side].dim, None, ()) for side in SPACES))
        self._writing = threading.Lock()
        # Where each item is: the space's number, -1 for nowhere, and the list in it.
        self._side: NDArray[np.int8] = np.zeros(0, np.int8)
        self._list: NDArray[np.int32] = np.zeros(0, np.int32)

    def space(self, name: SpaceName) -> Space:
        """Return what a space is of."""
        return self._spaces[name]

    @property
    def snapshot(self) -> Snapshot:
        """What is searched now."""
        return self._snapshot

    def sizes(self) -> dict[SpaceName, int]:
        """Return how many items each space has."""
        snapshot = self._snapshot
        return {"old": snapshot.old.rows, "new": snapshot.new.rows}

    def search(self, queries: Queries, k: int) -> list[list[Hit]]:
        """Return for each query the `k` most similar items of each space, and what equals the last one."""
        snapshot = self._snapshot

        def ask(space: SpaceName, vectors: Floats) -> Iterator[Iterator[Hit]]:
            for vector in vectors:
                items, scores = snapshot.of(space).search(vector, k, self._probes)
                ids = self.names.take(items.tolist())
                yield (Hit(name, score, space) for name, score in zip(ids, scores.tolist(), strict=True))

        return search_each(queries, ask)

    def load(self, space: SpaceName, read: Callable[[], Iterator[Batch]]) -> None:
        """Fill a space with what `read` yields whenever called: items of `names` and their vectors."""
        with self._writing:
            count = sum(len(numbers) for numbers, _ in read())
            middle = self._trained(read, count) if self._lists and count >= self._enough else None
            partition = self._filled(space, read, middle)
            self._snapshot = _with(self._snapshot, {space: partition})

    def put(self, space: SpaceName, ids: pa.StringArray, vectors: Floats) -> None:
        """Have items in `space` with these vectors, and nowhere else. An item is searched the whole time."""
        with self._writing:
            numbers, vectors = self.names.add(ids), unit(vectors)
            self._make_room()
            step = max(_STEP_LEAST, len(self._snapshot.of(space).blocks) // _STEP_SHARE)
            for start in range(0, len(numbers), step):
                part = slice(start, start + step)
                self._step(space, numbers[part].astype(np.int32), vectors[part])
                self._divide(space)

    @property
    def _enough(self) -> int:
        return self._lists * centroids.POINTS

    def _step(self, space: SpaceName, items: Items, vectors: Floats) -> None:
        """Move a few items, in one instant for those who search."""
        partitions: dict[SpaceName, Partition] = {}
        for number, side in enumerate(SPACES):
            leaving = items[self._side[items] == number]
            if len(leaving):
                partitions[side] = _without(self._snapshot.of(side), leaving, self._list[leaving])
        into, places = _with_rows(partitions.get(space, self._snapshot.of(space)), items, vectors)
        self._snapshot = _with(self._snapshot, {**partitions, space: into})
        self._side[items], self._list[items] = SPACES.index(space), places

    def _divide(self, space: SpaceName) -> None:
        """Give a space centroids as soon as it has enough vectors to learn them from."""
        partition = self._snapshot.of(space)
        if not self._lists or partition.centroids is not None or partition.rows < self._enough:
            return

        def read() -> Iterator[Batch]:
            for block in partition.blocks:
                yield block.items[: block.rows].astype(np.int64), block.vectors[: block.rows]

        divided = self._filled(space, read, self._trained(read, partition.rows))
        self._snapshot = _with(self._snapshot, {space: divided})

    def _trained(self, read: Callable[[], Iterator[Batch]], count: int) -> Floats:
        """Return centroids learned from vectors all over what `read` yields."""
        every = max(1, count // self._enough)
        sample = np.concatenate([unit(vectors[::every]) for _, vectors in read()])
        return centroids.train(sample, self._lists)

    def _filled(
        self, space: SpaceName, read: Callable[[], Iterator[Batch]], middle: Floats | None
    ) -> Partition:
        """Return a partition of what `read` yields, each list as large as it must be."""
        self._make_room()
        sizes, placed = self._places(space, read, middle)
        dim = self._spaces[space].dim
        blocks = [Block.empty(dim, size) for size in sizes]
        start = 0
        for numbers, vectors in read():
            places = placed[start : start + len(numbers)]
            start += len(numbers)
            for place, rows in _grouped(places):
                blocks[place] = blocks[place].appended(unit(vectors[rows]), numbers[rows].astype(np.int32))
        return Partition(dim, middle, tuple(blocks))

    def _places(
        self, space: SpaceName, read: Callable[[], Iterator[Batch]], middle: Floats | None
    ) -> tuple[list[int], Items]:
        """Return how many vectors each list will have, and the list of each vector."""
        found: list[Items] = [np.zeros(0, np.int32)]
        seen = 0
        for numbers, vectors in read():
            rows = np.arange(seen, seen + len(numbers))
            seen += len(numbers)
            places = rows // BLOCK_ROWS if middle is None else nearest(unit(vectors), middle)
            found.append(places.astype(np.int32))
            self._side[numbers], self._list[numbers] = SPACES.index(space), found[-1]
        placed = np.concatenate(found)
        lists = -(-seen // BLOCK_ROWS) if middle is None else len(middle)
        return np.bincount(placed, minlength=lists).tolist(), placed

    def _make_room(self) -> None:
        missing = len(self.names) - len(self._side)
        if missing > 0:
            more = max(missing, len(self._side) // 64)
            self._side = np.append(self._side, np.full(more, -1, np.int8))
            self._list = np.append(self._list, np.zeros(more, np.int32))


def default_probes(lists: int) -> int:
    """Return how many of `lists` are looked into: see docs/reference/retriever.md for what that finds."""
    return max(1, lists // 32)


def _with(snapshot: Snapshot, partitions: Mapping[SpaceName, Partition]) -> Snapshot:
    return replace(snapshot, **partitions)


def _without(partition: Partition, items: Items, places: Items) -> Partition:
    blocks = list(partition.blocks)
    for place, rows in _grouped(places):
        blocks[place] = blocks[place].without(items[rows])
    return replace(partition, blocks=tuple(blocks))


def _with_rows(partition: Partition, items: Items, vectors: Floats) -> tuple[Partition, Items]:
    """Return the partition with more rows, and the list that each has come to."""
    blocks = list(partition.blocks)
    if partition.centroids is None:
        if not blocks or blocks[-1].rows + len(items) > BLOCK_ROWS:
            blocks.append(Block.empty(partition.dim))
        places = np.full(len(items), len(blocks) - 1, np.int32)
    else:
        places = partition.assigned(vectors).astype(np.int32)
    for place, rows in _grouped(places):
        blocks[place] = blocks[place].appended(vectors[rows], items[rows])
    return replace(partition, blocks=tuple(blocks)), places


def _grouped(places: NDArray[np.integer]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each place and the rows that have it."""
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    for rows in np.split(order, np.flatnonzero(np.diff(ordered)) + 1) if len(order) else ():
        yield int(places[rows[0]]), rows

"""What searching two spaces costs beside one index of all items, at equal recall, and what it takes of
memory.

`python -m benchmarks.retrieval [--items 1000000] [--dim 256] [--queries 200] [--k 10] [--shares 0.5]`.
Vectors lie in clusters, as embeddings do; the old ones are the new ones turned, with noise. One thread. What
is compared is CPU time a query, which other work on the machine changes less than wall time. Each index looks
into as few lists as it must to reach the recall; recall is that of comparing with everything.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fathom import memory
from fathom.backfill.transform import Layer, Transform
from fathom.retrieval import centroids
from fathom.retrieval.index import Batch, Index
from fathom.retrieval.merging import Queries, search, unit
from fathom.retrieval.parts import Floats, Space

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
ROWS = 16_384
PROBES = (4, 6, 8, 11, 16, 22, 32, 45, 64, 90, 128)
#: Of ψ, in widths of the space, as `fathom.backfill.learned` has it.
HIDDEN = 4
WARM_UP = 20


@dataclass(frozen=True)
class Found:
    """What one setting did: recall, milliseconds a query (CPU; wall, median) and lists looked into."""

    name: str
    probes: int
    recall: float
    cpu: float
    wall: float


class World:
    """Items under two models, on disk: they are in memory only where an index has them."""

    def __init__(self, folder: Path, items: int, dim: int) -> None:
        self.items, self.dim, self._folder = items, dim, folder
        random = np.random.default_rng(0)
        self._centres = random.normal(size=(max(50, items // 200), dim)).astype(np.float32)
        turn, _ = np.linalg.qr(random.normal(size=(dim, dim)))
        self.turn = turn.astype(np.float32)
        for block in self.blocks:
            rows = min(ROWS, items - block * ROWS)
            new = self.near(random, rows)
            noise = random.standard_normal((rows, dim), np.float32)
            new.tofile(folder / f"new-{block}")
            unit(new @ self.turn + 0.5 * noise / np.float32(np.sqrt(dim))).tofile(folder / f"old-{block}")

    def near(self, random: np.random.Generator, count: int) -> Floats:
        centres = self._centres[random.integers(len(self._centres), size=count)]
        return unit(centres + random.standard_normal((count, self.dim), np.float32))

    def new(self, block: int) -> Floats:
        return np.fromfile(self._folder / f"new-{block}", np.float32).reshape(-1, self.dim)

    def old(self, block: int) -> Floats:
        return np.fromfile(self._folder / f"old-{block}", np.float32).reshape(-1, self.dim)

    @property
    def blocks(self) -> range:
        return range(-(-self.items // ROWS))

    def read(self, vectors: Callable[[int], Floats], keep: Callable[[Ints], Bools]) -> Iterator[Batch]:
        for block in self.blocks:
            found = vectors(block)
            numbers = np.arange(block * ROWS, block * ROWS + len(found))
            kept = keep(numbers)
            yield numbers[kept], found[kept]


def psi(world: World) -> Transform:
    """Return a query transform of the size that MetricCompatible learns; here its layers add nothing."""
    hidden = HIDDEN * world.dim
    widths = [world.dim, hidden, hidden, world.dim]
    layers = tuple(
        Layer(np.zeros((out, into), np.float32), np.zeros(out, np.float32), out == hidden)
        for into, out in pairwise(widths)
    )
    return Transform(layers, np.ascontiguousarray(world.turn.T))


def truth(world: World, asked: Queries, shares: list[float], k: int) -> dict[float, Ints]:
    """Return by share moved the best items of both spaces, of all of them, int64 [queries, k]."""
    assert asked.old is not None
    assert asked.new is not None
    count = len(asked.new)
    best = {share: np.full((count, k), -1) for share in shares}
    scores = {share: np.full((count, k), -np.inf, np.float32) for share in shares}
    for block in world.blocks:
        new, old = asked.new @ world.new(block).T, asked.old @ world.old(block).T
        numbers = np.arange(block * ROWS, block * ROWS + new.shape[1])
        for share in shares:
            together = np.hstack([scores[share], np.where(is_moved(numbers, share), new, old)])
            ids = np.hstack([best[share], np.tile(numbers, (count, 1))])
            chosen = np.argpartition(-together, k, axis=1)[:, :k]
            best[share] = np.take_along_axis(ids, chosen, 1)
            scores[share] = np.take_along_axis(together, chosen, 1)
    return best


def recall(found: list[set[int]], right: Ints) -> float:
    return float(
        np.mean([len(one & set(row)) / len(row) for one, row in zip(found, right.tolist(), strict=True)])
    )


def timed(ask: Callable[[int], set[int]], count: int) -> tuple[list[set[int]], float, float]:
    """Return what each query finds, its mean CPU time and its median wall time in milliseconds."""
    for query in range(min(WARM_UP, count)):
        ask(query)
    walls, found = list[float](), list[set[int]]()
    started = time.thread_time()
    for query in range(count):
        begun = time.perf_counter()
        found.append(ask(query))
        walls.append(time.perf_counter() - begun)
    return found, 1000 * (time.thread_time() - started) / count, 1000 * median(walls)


def least(name: str, right: Ints, wanted: float, asking: Callable[[int], Callable[[int], set[int]]]) -> Found:
    """Return the setting that looks into the fewest lists of those that reach the recall, or the last."""
    result = None
    for probes in PROBES:
        found, cpu, wall = timed(asking(probes), len(right))
        result = Found(name, probes, recall(found, right), cpu, wall)
        if result.recall >= wanted:
            break
    assert result is not None
    print(
        f"| {result.name} | {result.probes} | {result.recall:.3f} | {result.cpu:.2f} | {result.wall:.2f} |",
        flush=True,
    )
    return result


def ours(
    world: World, share: float, asked: Queries, right: Ints, args: argparse.Namespace
) -> tuple[Found, Index]:
    """Return what our index does with a share of the items moved."""
    model = Space(model="sha256:" + "0" * 64, dim=world.dim)
    index = Index({"old": model, "new": model}, world.items, exact_most=0)
    for block in world.blocks:
        rows = min(ROWS, world.items - block * ROWS)
        index.names.add(pa.array([f"{block * ROWS + row:09d}" for row in range(rows)]))
    index.names.settle()
    if share < 1:
        index.load("old", lambda: world.read(world.old, lambda numbers: ~is_moved(numbers, share)))
    if share > 0:
        index.load("new", lambda: world.read(world.new, lambda numbers: is_moved(numbers, share)))

    def asking(probes: int) -> Callable[[int], set[int]]:
        index._probes = probes

        def ask(query: int) -> set[int]:
            assert asked.new is not None
            assert asked.old is not None
            old, new = asked.old[query : query + 1], asked.new[query : query + 1]
            both = Queries(old if share < 1 else None, new if share > 0 else None)
            return {int(hit.id) for hit in search(index, both, args.k)[0]}

        return ask

    return least(f"ours, β = {share:g}", right, args.recall, asking), index


def warm_up(world: World) -> None:
    """Have the libraries loaded that any index needs: what they take once is no part of one."""
    model = Space(model="sha256:" + "0" * 64, dim=world.dim)
    index = Index({"old": model, "new": model}, ROWS, exact_most=0)
    index.names.add(pa.array([f"{row:09d}" for row in range(len(world.new(0)))]))
    index.names.settle()
    index.load("new", lambda: world.read(world.new, lambda numbers: numbers < ROWS))


def is_moved(numbers: Ints, share: float) -> Bools:
    """Return which items have moved: any share of them, in no order."""
    return (numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40)).astype(
        np.float64
    ) / 2**24 < share


def one_of_faiss(world: World, asked: Queries, right: Ints, args: argparse.Namespace) -> Found:
    """Return what faiss' IVFFlat does with all items under the new model."""
    lists = centroids.lists_for(world.items)
    quantiser = faiss.IndexFlatIP(world.dim)
    index = faiss.IndexIVFFlat(quantiser, world.dim, lists, faiss.METRIC_INNER_PRODUCT)
    every = max(1, world.items // (lists * centroids.POINTS))
    index.train(np.concatenate([world.new(block)[::every] for block in world.blocks]))
    for block in world.blocks:
        index.add(world.new(block))

    def asking(probes: int) -> Callable[[int], set[int]]:
        index.nprobe = probes
        assert asked.new is not None
        return lambda query: set(index.search(asked.new[query : query + 1], args.k)[1][0].tolist())

    return least("faiss IndexIVFFlat, one space", right, args.recall, asking)


def moving(world: World, index: Index, share: float) -> tuple[int, float]:
    """Return the most memory that moving some items took beyond what was there, and items a CPU second."""
    numbers = np.arange(ROWS)
    chosen = np.flatnonzero(~is_moved(numbers, share))[:4096]
    vectors = world.new(0)[chosen]
    memory.give_back()
    before = memory.used()
    Path("/proc/self/clear_refs").write_text("5")
    started = time.thread_time()
    index.put("new", pa.array([f"{number:09d}" for number in chosen]), vectors)
    took = time.thread_time() - started
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    return peak - before, len(chosen) / took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--recall", type=float, default=0.95)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.25, 0.5, 0.75], help="of items moved")
    args = parser.parse_args()
    faiss.omp_set_num_threads(1)
    with TemporaryDirectory(prefix="fathom-") as folder:
        measure(World(Path(folder), args.items, args.dim), args)


def measure(world: World, args: argparse.Namespace) -> None:
    new = world.near(np.random.default_rng(3), args.queries)
    transform = psi(world)
    asked = Queries(transform(new), new)
    one_copy = 4 * args.items * args.dim
    print(
        f"{args.items:,} items of {args.dim} components, {args.queries} queries, recall@{args.k} ≥ "
        f"{args.recall}"
    )
    print(
        "\n| index | lists looked into | recall | CPU ms a query | wall ms, median |\n| --- | --- | --- | "
        "--- | --- |"
    )
    right = truth(world, asked, [1.0, *args.shares], args.k)
    reference = one_of_faiss(world, asked, right[1.0], args)
    warm_up(world)
    memory.give_back()
    held = dict[float, int]()
    single = None
    for share in (1.0, *args.shares):
        before = memory.used()
        found, index = ours(world, share, asked, right[share], args)
        memory.give_back()
        held[share] = memory.used() - before
        single = single or found
        if share < 1:
            own, others = found.cpu / single.cpu, found.cpu / reference.cpu
            print(f"| …times one of ours {own:.2f}, times faiss {others:.2f} | | | | |", flush=True)
            extra, pace = moving(world, index, share)
            print(
                f"| …moving 4,096 items: {pace:,.0f} a CPU second, {extra / one_copy:.1%} more memory | | | "
                "| |"
            )
        del index
        memory.give_back()
    _, cpu, wall = timed(lambda query: set(map(int, transform(new[query : query + 1])[0, :1])), args.queries)
    print(f"| ψ of a query, not in the above | | | {cpu:.2f} | {wall:.2f} |")
    print("\nMemory, of one copy of the vectors: ", end="")
    print(", ".join(f"{bytes_ / one_copy:.3f} (β = {share:g})" for share, bytes_ in sorted(held.items())))


if __name__ == "__main__":
    main()

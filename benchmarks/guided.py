"""What guided serving adds to a request: `python benchmarks/guided.py` (see docs/evidence/guided.md).

Answers of the same scores with and without a table of interests, in turn; and lookups of random pairs, many
at once. Times are of the thread's CPU: on a machine that does other work too, a wall clock tells of that.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from fathom.ranking.names import Names
from fathom.serendipity.table import NONE, Table
from fathom.serving.guiding import Guiding, best
from fathom_api.interests import Explore

HISTORY = 20


def made(folder: Path, items: int, clusters: int, most: int = 20) -> Table:
    """Return a table in which every pair leads to `most` clusters by chance."""
    draw = np.random.default_rng(0)
    targets = draw.integers(0, clusters, (clusters, clusters, most)).astype(np.int32)
    own = np.arange(clusters)
    targets[targets == own[:, None, None]] = NONE
    targets[targets == own[None, :, None]] = NONE
    scores = np.where(targets == NONE, 0, draw.random(targets.shape)).astype(np.float32)
    names = [f"interest {n}" for n in range(clusters)]
    table = Table(
        np.arange(clusters),
        names,
        [f"i{n}" for n in range(items)],
        draw.integers(0, clusters, items),
        targets,
        scores,
    )
    table.write(folder, {"made": "by chance"})
    return Table.read(folder)


def measured(table: Table, requests: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the seconds [requests] that the best `k` take alone, and guided."""
    draw = np.random.default_rng(1)
    items = len(table.items)
    names = Names(pa.array(table.items))
    guiding = Guiding(table, Explore())
    plain, guided = np.empty(requests), np.empty(requests)
    for n in range(-20, requests):
        scores = draw.random(items, np.float32)
        history = [table.items[i] for i in draw.integers(0, items, HISTORY)]
        start = time.thread_time()
        best(scores, k)
        middle = time.thread_time()
        mixed = guiding.mixed(scores, names, history, k)
        end = time.thread_time()
        if mixed is None:
            raise SystemExit("nothing was guided: the table leads nowhere")
        if n >= 0:
            plain[n], guided[n] = middle - start, end - middle
    return plain, guided


def lookups(table: Table, pairs: int = 1 << 20) -> float:
    """Return lookups a second of one thread."""
    draw = np.random.default_rng(2)
    first, second = draw.integers(0, len(table.ids), (2, pairs))
    seconds = []
    for _ in range(5):
        start = time.thread_time()
        table.lookup(first, second)
        seconds.append(time.thread_time() - start)
    return pairs / min(seconds)


def main() -> None:
    """Print the figures, Markdown."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--requests", type=int, default=2000)
    arguments.add_argument("--k", type=int, default=20)
    arguments.add_argument("--items", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    arguments.add_argument("--clusters", type=int, default=300)
    asked = arguments.parse_args()
    print("| items | alone, p50 ms | guided, p50 ms | added, p50 ms | added, p99 ms |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for items in asked.items:
            table = made(Path(folder, str(items)), items, asked.clusters)
            plain, guided = measured(table, asked.requests, asked.k)
            added = (guided - plain) * 1e3
            told = [
                np.median(plain) * 1e3,
                np.median(guided) * 1e3,
                np.median(added),
                np.quantile(added, 0.99),
            ]
            print(f"| {items:,} | {' | '.join(f'{figure:.3f}' for figure in told)} |")
        print(f"\n{lookups(table) / 1e6:.1f} M lookups/s on one thread, {asked.clusters} clusters.")


if __name__ == "__main__":
    main()

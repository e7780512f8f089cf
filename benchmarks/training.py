r"""How fast rankers train: rows a second and AUC, ours beside FuxiCTR, DeepCTR-Torch and RecBole.

`python -m benchmarks.training --peers VENV/bin/python [--data FOLDER]`, where VENV was made by

    uv venv --python 3.11 VENV
    uv pip install --python VENV/bin/python "torch==2.13.0" "numpy<2" "pandas<2.3" scikit-learn pyyaml tqdm \
        h5py tensorboard scipy colorlog colorama tabulate plotly texttable psutil polars keras-preprocessing \
        "pyarrow<20" "setuptools<81" thop requests ray
    uv pip install --python VENV/bin/python --no-deps fuxictr==2.3.10 recbole==1.2.1 deepctr-torch

Everybody trains DCN V2 (cross network beside an MLP) with its own loop and loader on the same rows:
embeddings of 16, 2 cross layers, MLP 128-64, Adam, no L2, one thread, each in a process of its own, by turns.
What differs is each library's own: first weights, that RecBole embeds numbers, that DeepCTR-Torch adds a
linear part. Time is that of the epochs, without start, reading and testing.

`criteo` is made here: 26 columns of ids (100,000 each, frequencies of a power law) and 13 numbers, labels
drawn from a hidden model of single and paired effects, so that AUC means something. `movielens` is
MovieLens-100K from FOLDER (`ml-100k.inter`, `.item`, `.user`, as the package recbole carries them in
`dataset_example/ml-100k`), label rating ≥ 4.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ranking import rows

TRAINERS = ("fathom", "fuxictr", "deepctr", "recbole")
TABLES, SIZE, NUMBERS = 26, 100_000, 13


def criteo(count: int) -> dict[str, NDArray[Any]]:
    """Return ids [n, 26], numbers [n, 13] and labels [n] of a hidden model."""
    chance = np.random.default_rng(0)
    ids = (SIZE * chance.random((count, TABLES)) ** 4).astype(np.int32)
    numbers = chance.normal(size=(count, NUMBERS)).astype(np.float32)
    effects = chance.normal(scale=0.35, size=(TABLES, SIZE))
    logits = numbers @ chance.normal(scale=0.15, size=NUMBERS) - 1.2
    logits += sum(effects[t, ids[:, t]] for t in range(TABLES))
    for first in range(0, 8, 2):
        pairs = chance.normal(scale=0.5, size=(16, 16))
        logits += pairs[ids[:, first] % 16, ids[:, first + 1] % 16]
    labels = chance.random(count) < 1 / (1 + np.exp(-logits))
    return {
        "ids": ids,
        "numbers": numbers,
        "labels": labels.astype(np.float32),
        "sizes": np.full(TABLES, SIZE),
    }


def movielens(folder: Path) -> dict[str, NDArray[Any]]:
    """Return ids [n, 6] of user, item, age, gender, occupation and year, no numbers, and labels [n]."""
    users = {row["user_id"]: row for row in rows(folder / "ml-100k.user")}
    items = {row["item_id"]: row for row in rows(folder / "ml-100k.item")}
    events = list(rows(folder / "ml-100k.inter"))
    columns = [[event[name] for event in events] for name in ("user_id", "item_id")]
    columns += [[users[e["user_id"]][name] for e in events] for name in ("age", "gender", "occupation")]
    columns += [[items[e["item_id"]]["release_year"] for e in events]]
    coded = [np.unique(column, return_inverse=True) for column in columns]
    order = np.random.default_rng(0).permutation(len(events))
    return {
        "ids": np.stack([codes for _, codes in coded], axis=1)[order].astype(np.int32),
        "numbers": np.zeros((len(events), 0), np.float32),
        "labels": np.array([float(e["rating"]) >= 4 for e in events], np.float32)[order],
        "sizes": np.array([len(names) for names, _ in coded]),
    }


def run(name: str, python: str, folder: Path, options: dict[str, Any]) -> dict[str, float]:
    """Let one trainer train in a process of its own and return its figures."""
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [python, "-m", "benchmarks.trainers", name, str(folder), json.dumps(options)],
        env={**os.environ, **threads},
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{name} failed: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Make the data, let each train, and print a row for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", default=sys.executable, help="Python that has the peers")
    parser.add_argument("--data", type=Path, help="folder of MovieLens-100K; without, criteo alone")
    parser.add_argument("--rows", type=int, default=200_000, help="training rows of criteo")
    parser.add_argument("--trainers", nargs="+", default=list(TRAINERS), choices=TRAINERS)
    parser.add_argument("--rounds", type=int, default=1, help="times each trains; the median counts")
    given = parser.parse_args()
    sets = {"criteo": (criteo(given.rows * 5 // 4), {"epochs": 1, "batch": 1024})}
    if given.data:
        sets["movielens"] = (movielens(given.data), {"epochs": 5, "batch": 1024})
    for name, (arrays, options) in sets.items():
        with tempfile.TemporaryDirectory() as folder:
            np.savez(Path(folder) / "data.npz", **arrays)
            print(f"{name}: {len(arrays['labels']) * 4 // 5:,} training rows, {options}", flush=True)
            show(measure(given, Path(folder), options))


def measure(
    given: argparse.Namespace, folder: Path, options: dict[str, Any]
) -> dict[str, list[dict[str, float]]]:
    """Let each train, by turns."""
    found: dict[str, list[dict[str, float]]] = {trainer: [] for trainer in given.trainers}
    for _ in range(given.rounds):
        for trainer, runs in found.items():
            python = sys.executable if trainer == "fathom" else given.peers
            runs.append(run(trainer, python, folder, options))
    return found


def show(found: dict[str, list[dict[str, float]]]) -> None:
    """Print a row for each trainer: medians of its rounds."""
    for trainer, runs in found.items():
        clock, cpu, auc, mib = (
            float(np.median([r[figure] for r in runs]))
            for figure in ("rows_per_second", "rows_per_cpu_second", "auc", "mib")
        )
        print(f"  {trainer:8} {clock:9,.0f} rows/s {cpu:9,.0f} rows/CPU s, AUC {auc:.4f}, {mib:,.0f} MiB")


if __name__ == "__main__":
    main()

"""A small world of users with tastes, items with captions, and what they liked: enough to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fathom import manifest
from fathom.features.coverage import Tally
from fathom.features.vocabulary import FIRST, Terms, Vocabulary
from fathom_api.tasks import EvaluateTask, TrainTask

COLOURS = ["red", "green", "blue"]
USERS, ITEMS, ROWS = 30, 40, 3000


def make_world(folder: Path, *, rows: int = ROWS, seed: int = 0) -> Path:
    """Write interactions, users, items and caption features: a user likes items of the colour it favours.

    An item's colour is in its caption only, so that captions help.
    """
    chance = np.random.default_rng(seed)
    user, item = chance.integers(USERS, size=rows), chance.integers(ITEMS, size=rows)
    liked = np.where(user % 3 == item % 3, 0.9, 0.2) > chance.random(rows)
    write(
        folder / "interactions.parquet",
        {
            "user_id": user,
            "item_id": item,
            "liked": liked.astype(int),
            "timestamp": np.sort(chance.integers(10_000, size=rows)),
        },
    )
    write(
        folder / "users.parquet",
        {
            "user_id": range(USERS),
            "favourite": [COLOURS[u % 3] for u in range(USERS)],
            "age": range(20, 20 + USERS),
        },
    )
    write(
        folder / "items.parquet",
        {
            "item_id": range(ITEMS),
            "price": [float(i % 7) for i in range(ITEMS)],
            "tags": ["a b", "b c"] * (ITEMS // 2),
        },
    )
    make_features(folder / "features", {str(i): [3 + i % 3, 6 + i % 4] for i in range(ITEMS)})
    return folder


def make_features(
    folder: Path,
    tokens: dict[str, list[int]],
    aspect: str = "caption",
    weights: dict[str, list[float]] | None = None,
) -> None:
    """Write tokens of items as `fathom featurise` would, beside other aspects that are there."""
    columns = {"item_id": list(tokens), "tokens": pa.array(list(tokens.values()), pa.list_(pa.int32()))}
    if weights is not None:
        columns["weights"] = pa.array([weights[item] for item in tokens], pa.list_(pa.float32()))
    write(folder / aspect / "features.parquet", columns)
    report = Tally().coverage({}, Vocabulary.fixed({}, *no_terms(), FIRST))
    (folder / aspect / "coverage.json").write_text(report.model_dump_json(by_alias=True))
    manifest.write(folder, "Features", counts={}, made_from={})


def no_terms() -> tuple[Any, Terms]:
    """Return the ids and the terms of a vocabulary that lists nothing."""
    none = np.empty(0, np.int64)
    return none, Terms([], none)


def write(path: Path, columns: dict[str, Any]) -> str:
    """Write a Parquet table and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), path)
    return str(path)


def train_task(world: Path, output: Path, *, captions: bool = True, **changes: Any) -> TrainTask:
    """Return a task for one arm; `changes` replace fields; `data`, `model` and `training` are merged."""
    document: dict[str, Any] = {
        "data": {
            "interactions": {"uri": str(world / "interactions.parquet")},
            "items": {"uri": str(world / "items.parquet")},
            "users": {"uri": str(world / "users.parquet")},
            "label": "liked",
            "split": {"strategy": "Random"},
        },
        "features": {
            "user": [{"column": "favourite"}, {"column": "age", "type": "Numeric"}],
            "item": [{"column": "price", "type": "Numeric"}, {"column": "tags", "type": "CategoricalList"}],
        },
        "model": {"embeddingDim": 4, "hiddenUnits": [8]},
        "training": {"epochs": 3, "batchSize": 100, "learningRate": 0.03},
        "output": str(output),
    }
    if captions:
        document["features"]["captions"] = [{"captionJob": "catalog", "userHistory": {"maxItems": 5}}]
        document["captionFeatures"] = {"catalog": str(world / "features")}
    for name, value in changes.items():
        merged = name in {"data", "model", "training"}
        document[name] = document[name] | value if merged else value
    return TrainTask.model_validate(document)


def evaluate_task(task: TrainTask, bundles: dict[str, Path], output: Path) -> EvaluateTask:
    """Return the evaluation of `bundles` on the test split of `task`."""
    folders = {arm: str(folder) for arm, folder in bundles.items()}
    return EvaluateTask.model_validate(
        {"data": task.data.document(), "bundles": folders, "output": str(output)}
    )

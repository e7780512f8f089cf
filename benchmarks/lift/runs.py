"""One run: a ranker trained by the product's own trainer in this process, and its scores of the test rows."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from benchmarks.lift import arms
from benchmarks.lift.arms import Known
from demo.data.tables import Dataset
from fathom.ranking import metrics, split
from fathom.ranking.batches import Pairs, Tables, predict
from fathom.ranking.checkpoint import Checkpoints
from fathom.ranking.inputs import Inputs, Job
from fathom.ranking.items import tensors
from fathom.ranking.model import Ranker
from fathom.ranking.prepare import Prepared, prepare
from fathom.ranking.training import Trainer
from fathom_api.learning import Training
from fathom_api.tasks import TrainTask

RESULTS: Final = "results.jsonl"
SCORES: Final = "scores"


@dataclass(frozen=True)
class Setting:
    """What is tuned, for each arm alike, by the validation rows."""

    id_dropout: float
    weight_decay: float = 1e-4


#: 0.15 was worse for every arm, by validation.
SETTINGS: Final = (Setting(0.4), Setting(0.6))


@dataclass(frozen=True)
class Run:
    """What is trained and tested."""

    strategy: str
    draw: int
    arm: str
    seed: int
    setting: Setting

    @property
    def key(self) -> str:
        """Identifies the run."""
        return json.dumps(asdict(self), sort_keys=True)


class Results:
    """Runs that are done, a line each; a run that was interrupted is done again."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RESULTS
        self._scores = folder / SCORES
        self._scores.mkdir(parents=True, exist_ok=True)
        lines = self._path.read_text().splitlines() if self._path.is_file() else []
        self._done: dict[str, dict[str, Any]] = {}
        for line in lines:
            row = json.loads(line)
            self._done[row["key"]] = row

    def get(self, run: Run) -> dict[str, Any] | None:
        """Return the figures of `run` if it is done."""
        return self._done.get(run.key)

    def scores(self, run: Run) -> NDArray[np.float32]:
        """Return the scores of the test rows."""
        return np.load(self._scores / self._done[run.key]["scores"])

    def add(self, run: Run, figures: dict[str, Any], scores: NDArray[np.float64]) -> None:
        """Keep the figures of `run`, and its scores."""
        name = f"{hashlib.sha256(run.key.encode()).hexdigest()[:16]}.npy"
        np.save(self._scores / name, scores.astype(np.float32))
        row = {"key": run.key, **asdict(run), **figures, "scores": name}
        self._done[run.key] = row
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")


@contextmanager
def alone() -> Generator[None]:
    """Be a process group of one, as the trainer expects."""
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=0, world_size=1)
        try:
            yield
        finally:
            dist.destroy_process_group()


def task(folder: Path, found: Dataset, known: Known, run: Run) -> TrainTask:
    """Return the training of `run`; what it reads is written below `folder`."""
    items, captions = arms.write(folder, known, run.arm, run.seed)
    held_out = {"ItemCold": 0.2}.get(run.strategy, 0.1)
    document: dict[str, Any] = {
        "data": {
            "interactions": {"uri": str(found.folder / "interactions.parquet")},
            "users": {"uri": str(found.folder / "users.parquet")},
            "items": {"uri": str(items)},
            "label": "liked",
            "split": {"strategy": run.strategy, "seed": run.draw, "test": held_out, "validation": 0.1},
        },
        "features": arms.features("Weighted"),
        "captionFeatures": captions,
        "model": {"embeddingDim": 8, "hiddenUnits": [64, 32], "crossLayers": 2},
        "training": {
            "seed": run.seed,
            "batchSize": 4096,
            "learningRate": 5e-3,
            # Ids of films that were seen go on learning long after content has stopped.
            "epochs": 15 if run.strategy == "ItemCold" else 25,
            "patience": 3 if run.strategy == "ItemCold" else 5,
            "weightDecay": run.setting.weight_decay,
            "idDropout": run.setting.id_dropout,
        },
        "output": str(folder / "unused"),
    }
    return TrainTask.model_validate(document)


def train(asked: TrainTask) -> tuple[dict[str, Any], NDArray[np.float64], Prepared]:
    """Return the figures, the scores of the test rows, and what it was trained on."""
    began, prepared = time.process_time(), _prepared(asked)
    tables = Tables(
        tensors(prepared.users.columns),
        tensors(prepared.items.columns),
        torch.from_numpy(prepared.item[prepared.histories.at]),
    )
    parts = {name: _pairs(prepared, number) for number, name in enumerate(split.PARTS)}
    job = Job(
        features=prepared.features,
        model=asked.model,
        training=asked.training,
        checkpoints="",
        made_from="lift",
    )
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder))
        inputs = Inputs(tables, parts["train"], parts["validation"])
        trainer = Trainer(job, inputs, torch.device("cpu"), lambda _: None)
        state = trainer.run(checkpoints)
        weights = checkpoints.best(state)
    model = Ranker(prepared.features, asked.model)
    model.load_state_dict(weights)
    scores = predict(model, tables, parts["test"], prepared.features.history)
    figures = {
        "validation_auc": state.curve[state.best - 1]["validation_auc"],
        "epochs": state.epoch,
        "parameters": sum(w.numel() for w in weights.values()),
        **figures_of(parts["test"], scores),
        "seconds": time.process_time() - began,
    }
    return figures, scores, prepared


_latest: list[tuple[str, Prepared]] = []


def _prepared(asked: TrainTask) -> Prepared:
    """Return what to train on; seeds of one arm on one draw share it."""
    document = asked.model_copy(update={"training": Training()})
    key = document.model_dump_json()
    if not _latest or _latest[0][0] != key:
        _latest[:] = [(key, prepare(document))]
    return _latest[0][1]


def figures_of(test: Pairs, scores: NDArray[np.float64]) -> dict[str, float]:
    """Return the metrics of `scores` [n] of the test rows."""
    labels, users = test.label.numpy(), test.user.numpy()
    return {
        "auc": metrics.auc(labels, scores),
        "gauc": metrics.gauc(labels, scores, users),
        "ne": metrics.normalized_entropy(labels, scores),
        "log_loss": metrics.log_loss(labels, scores),
    }


def _pairs(prepared: Prepared, part: int) -> Pairs:
    at = np.flatnonzero(prepared.parts == part)
    columns = (
        prepared.user[at],
        prepared.item[at],
        prepared.histories.start[at],
        prepared.histories.end[at],
        prepared.interactions.label[at],
    )
    return Pairs(*(torch.from_numpy(values) for values in columns))

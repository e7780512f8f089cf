"""The trainers that `benchmarks.training` compares, one a process: `python -m … NAME FOLDER OPTIONS`.

Prints one line of JSON: rows a second (on the clock, and of CPU) of the epochs, and the test AUC. Peers are
imported where they are used, as each process has one of them.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

DIM, CROSS, HIDDEN, RATE = 16, 2, [128, 64], 1e-3
Scores = NDArray[Any]
#: Returns the scores of the test rows, after calling its argument with what does all epochs.
Trainer = Callable[[Any, dict[str, Any], Callable[[Callable[[], Any]], None], Path], Scores]


def names(data: Any) -> tuple[list[str], list[str]]:
    """Return names of the columns of ids and of numbers."""
    return [f"c{i}" for i in range(data["ids"].shape[1])], [f"x{i}" for i in range(data["numbers"].shape[1])]


def fathom(data: Any, options: dict[str, Any], timed: Callable[..., None], folder: Path) -> Scores:
    """Ours: the first half of the columns are the user's, the others the item's."""
    import torch.distributed as dist

    from fathom.ranking import training
    from fathom.ranking.batches import Pairs, Tables, predict
    from fathom.ranking.checkpoint import State
    from fathom.ranking.inputs import Inputs, Job
    from fathom.ranking.layers import ColumnTensors
    from fathom.ranking.schema import FIRST, FeatureField, Schema

    ids, numbers, labels = data["ids"] + FIRST, data["numbers"], data["labels"]
    half, train = ids.shape[1] // 2, data["train"]
    categorical, numeric = names(data)
    fields = [
        FeatureField(name=name, type="Categorical", size=int(size) + FIRST)
        for name, size in zip(categorical, data["sizes"], strict=True)
    ]
    of_user = fields[:half] + [FeatureField(name=name, type="Numeric") for name in numeric]
    rows = torch.arange(len(ids))
    tables = Tables(
        ColumnTensors(torch.from_numpy(ids[:, :half].copy()), [], torch.from_numpy(numbers)),
        ColumnTensors(torch.from_numpy(ids[:, half:].copy()), [], torch.zeros(len(ids), 0)),
        rows[:0],
    )
    nothing = torch.zeros_like(rows)
    columns = (rows, rows, nothing, nothing, torch.from_numpy(labels))
    first, rest = (Pairs(*(c[part] for c in columns)) for part in (slice(0, train), slice(train, None)))
    job = Job.model_validate(
        {
            "features": Schema(user=of_user, item=fields[half:]).model_dump(by_alias=True),
            "model": {"embeddingDim": DIM, "crossLayers": CROSS, "hiddenUnits": HIDDEN},
            "training": {
                "epochs": options["epochs"],
                "batchSize": options["batch"],
                "learningRate": RATE,
                "weightDecay": 0.0,
                # Nobody else hides ids, or pulls at embeddings.
                "idDropout": 0.0,
                "frequencyRegularisation": 0.0,
            },
            "checkpoints": str(folder),
            "madeFrom": "",
        }
    )
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    trainer = training.Trainer(job, Inputs(tables, first, rest), torch.device("cpu"), lambda progress: None)

    def epochs() -> None:
        curve: list[dict[str, float]] = []
        for _ in range(options["epochs"]):
            trainer._epoch(State(made_from="", curve=curve))
            curve = [*curve, {"loss": 0.0, "validation_auc": 0.0}]

    timed(epochs)
    return predict(trainer.model, tables, rest, 0)


def deepctr(data: Any, options: dict[str, Any], timed: Callable[..., None], folder: Path) -> Scores:
    """DeepCTR-Torch's DCN with matrices, and its `fit`."""
    from deepctr_torch.inputs import DenseFeat, SparseFeat
    from deepctr_torch.models import DCN

    categorical, numeric = names(data)
    sparse = [SparseFeat(n, int(s), DIM) for n, s in zip(categorical, data["sizes"], strict=True)]
    columns = [*sparse, *(DenseFeat(n, 1) for n in numeric)]
    model = DCN(
        columns,
        columns,
        cross_num=CROSS,
        cross_parameterization="matrix",
        dnn_hidden_units=HIDDEN,
        l2_reg_linear=0,
        l2_reg_embedding=0,
        l2_reg_cross=0,
    )
    model.compile(torch.optim.Adam(model.parameters(), RATE), "binary_crossentropy")
    inputs = {n: data["ids"][:, i] for i, n in enumerate(categorical)}
    inputs |= {n: data["numbers"][:, i] for i, n in enumerate(numeric)}
    train = data["train"]
    first = {n: v[:train] for n, v in inputs.items()}
    settings = {"batch_size": options["batch"], "epochs": options["epochs"], "verbose": 0}
    timed(lambda: model.fit(first, data["labels"][:train], **settings))
    return model.predict({n: v[train:] for n, v in inputs.items()}, batch_size=8192).ravel()


def fuxictr(data: Any, options: dict[str, Any], timed: Callable[..., None], folder: Path) -> Scores:
    """FuxiCTR's layers put together as its model zoo does, its loader and its `train_epoch`."""
    from fuxictr.features import FeatureMap
    from fuxictr.pytorch.dataloaders import RankDataLoader
    from fuxictr.pytorch.layers import CrossNetV2, FeatureEmbedding, MLP_Block
    from fuxictr.pytorch.models import BaseModel

    class DCNv2(BaseModel):
        def __init__(self, feature_map: Any, **kwargs: Any) -> None:
            super().__init__(feature_map, model_id="DCNv2", gpu=-1, **kwargs)
            width = feature_map.sum_emb_out_dim()
            self.embedding_layer = FeatureEmbedding(feature_map, DIM)
            self.crossnet = CrossNetV2(width, CROSS)
            self.deep = MLP_Block(input_dim=width, hidden_units=HIDDEN, hidden_activations="ReLU")
            self.fc = torch.nn.Linear(width + HIDDEN[-1], 1)
            self.compile("adam", "binary_crossentropy", RATE)
            self.reset_parameters()
            self.model_to_device()

        def forward(self, inputs: Any) -> dict[str, Any]:
            x = self.embedding_layer(self.get_inputs(inputs), flatten_emb=True)
            logits = self.fc(torch.cat([self.crossnet(x), self.deep(x)], dim=-1))
            return {"y_pred": self.output_activation(logits)}

    categorical, numeric = names(data)
    spec: list[dict[str, Any]] = [
        {n: {"source": "", "type": "categorical", "vocab_size": int(s)}}
        for n, s in zip(categorical, data["sizes"], strict=True)
    ]
    spec += [{n: {"source": "", "type": "numeric"}} for n in numeric]
    feature_map = {
        "dataset_id": "data",
        "num_fields": len(spec),
        "total_features": int(data["sizes"].sum()),
        "input_length": len(spec),
        "labels": ["label"],
        "features": spec,
    }
    (folder / "feature_map.json").write_text(json.dumps(feature_map))
    known = FeatureMap("data", str(folder))
    known.load(str(folder / "feature_map.json"), {"embedding_dim": DIM})
    columns = {n: data["ids"][:, i] for i, n in enumerate(categorical)}
    columns |= {n: data["numbers"][:, i] for i, n in enumerate(numeric)} | {"label": data["labels"]}
    train = data["train"]
    np.savez(folder / "train.npz", **{n: v[:train] for n, v in columns.items()})
    np.savez(folder / "test.npz", **{n: v[train:] for n, v in columns.items()})
    model = DCNv2(known, verbose=0, model_root=str(folder), metrics=["AUC"])
    common = {"batch_size": options["batch"], "data_format": "npz", "num_workers": 0}
    loader, _ = RankDataLoader(
        known, stage="train", train_data=str(folder / "train.npz"), shuffle=True, **common
    )
    test = RankDataLoader(known, stage="test", test_data=str(folder / "test.npz"), shuffle=False, **common)
    model._max_gradient_norm = 10.0
    model._eval_steps, model._total_steps, model._batch_index = 10**9, 0, 0
    model._steps_per_epoch, model._stop_training = len(loader), False

    def epochs() -> None:
        for epoch in range(options["epochs"]):
            model._epoch_index = epoch
            model.train()
            model.train_epoch(loader)

    timed(epochs)
    return model.predict(test)


def recbole(data: Any, options: dict[str, Any], timed: Callable[..., None], folder: Path) -> Scores:
    """RecBole's DCNV2, dataset, loader and trainer."""
    import pandas as pd
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.model.context_aware_recommender.dcnv2 import DCNV2
    from recbole.utils import init_seed

    load = torch.load
    torch.load = lambda *a, **k: load(*a, **{"weights_only": False, **k})
    categorical, numeric = names(data)
    frame = pd.DataFrame(data["ids"], columns=[f"{n}:token" for n in categorical])
    for i, n in enumerate(numeric):
        frame[f"{n}:float"] = data["numbers"][:, i]
    frame["label:float"] = data["labels"]
    (folder / "data").mkdir(exist_ok=True)
    # It leaves TensorBoard's files in the current folder.
    os.chdir(folder)
    train = data["train"]
    for part, chosen in {
        "train": slice(0, train),
        "valid": slice(train, train + 100),
        "test": slice(train, None),
    }.items():
        frame.iloc[chosen].to_csv(folder / "data" / f"data.{part}.inter", sep="\t", index=False)
    settings = {
        "data_path": str(folder),
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": [*categorical, *numeric, "label"]},
        "USER_ID_FIELD": categorical[0],
        "ITEM_ID_FIELD": categorical[1],
        "LABEL_FIELD": "label",
        "numerical_features": numeric,
        "normalize_all": False,
        "mixed": False,
        "structure": "parallel",
        "cross_layer_num": CROSS,
        "mlp_hidden_size": HIDDEN,
        "embedding_size": DIM,
        "dropout_prob": 0.0,
        "reg_weight": 0.0,
        "learner": "adam",
        "learning_rate": RATE,
        "epochs": options["epochs"],
        "train_batch_size": options["batch"],
        "eval_batch_size": 8192,
        "eval_step": 0,
        "use_gpu": False,
        "eval_args": {"group_by": None, "order": "RO", "split": {"RS": [0.8, 0.1, 0.1]}, "mode": "labeled"},
        "metrics": ["AUC"],
        "valid_metric": "AUC",
        "train_neg_sample_args": None,
        "show_progress": False,
        "state": "ERROR",
        "checkpoint_dir": str(folder),
    }
    sys.argv = sys.argv[:1]
    config = Config(model="DCNV2", dataset="data", config_dict=settings)
    init_seed(0, True)
    first, _, test = data_preparation(config, create_dataset(config))
    model = DCNV2(config, first.dataset)
    from recbole.trainer import Trainer as Theirs

    trainer = Theirs(config, model)
    timed(lambda: trainer.fit(first, verbose=False, saved=False, show_progress=False))
    model.eval()
    with torch.no_grad():
        batches = [(model.predict(b[0]), b[0]["label"]) for b in test]
    data["labels"] = np.concatenate([data["labels"][:train], *(y.numpy() for _, y in batches)])
    return torch.cat([scores for scores, _ in batches]).numpy()


def main(name: str, folder: Path, options: dict[str, Any]) -> None:
    """Train and print."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with np.load(folder / "data.npz") as file:
        data: dict[str, Any] = dict(file)
    data["train"] = train = len(data["labels"]) * 4 // 5
    spent: list[float] = []

    def timed(epochs: Callable[[], Any]) -> None:
        began, cpu = time.perf_counter(), time.process_time()
        epochs()
        spent.extend([time.perf_counter() - began, time.process_time() - cpu])

    scores = globals()[name](data, options, timed, folder)
    rows = train * options["epochs"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {
        "rows_per_second": rows / spent[0],
        "rows_per_cpu_second": rows / spent[1],
        "auc": auc(data["labels"][train:], scores),
        "mib": peak / 1024,
    }
    print("\n" + json.dumps(figures))


def auc(labels: NDArray[Any], scores: Scores) -> float:
    """Return the area under the ROC curve, ties counted half."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    positives = labels.sum()
    return float(
        (ranks[labels > 0].sum() - positives * (positives + 1) / 2) / positives / (len(labels) - positives)
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))

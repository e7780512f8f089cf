"""What a ranker learns from MovieLens-100K, and what captions could give it at best.

`python -m benchmarks.ranking FOLDER [--split Time] [--seed 0]` trains and evaluates the three arms on the
`ml-100k.inter`, `.item` and `.user` of FOLDER (the Python package recbole carries them in
`dataset_example/ml-100k`), label rating ≥ 4. Instead of captions, items have the words of their genres and
their decade: an oracle, the most that a captioner of posters can hope for. With `--metadata`, genres and
year are features of the item as well, as in a shop that knows its items.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fathom import manifest
from fathom.features import coverage, tables
from fathom.features.coverage import Tally
from fathom.features.vocabulary import FIRST, Terms, Vocabulary
from fathom.ranking.architectures import ARCHITECTURES
from fathom.ranking.command import EVALUATION, evaluate, train
from fathom_api.captioning import ASPECT
from fathom_api.tasks import EvaluateTask, TrainTask

ARMS = ("Captions", "WithoutCaptions", "ShuffledCaptions")


def rows(file: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a RecBole atomic file, its columns without their types."""
    with file.open(encoding="utf-8", newline="") as text:
        reader = csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
        names = [name.partition(":")[0] for name in next(reader)]
        yield from (dict(zip(names, row, strict=True)) for row in reader)


def write_tables(source: Path, target: Path) -> None:
    """Write interactions, users, items and oracle features below `target`."""
    events, items = list(rows(source / "ml-100k.inter")), list(rows(source / "ml-100k.item"))
    for event in events:
        event["liked"] = str(int(float(event["rating"]) >= 4))
    write(target / "interactions.parquet", events, numbers=("liked", "timestamp"))
    write(target / "users.parquet", list(rows(source / "ml-100k.user")))
    write(target / "items.parquet", items)
    write_oracle(target / "oracle", items)


def write_oracle(folder: Path, items: list[dict[str, str]]) -> None:
    """Write the words of the items' genres and their decades as features of captions."""
    words = [[*item["class"].split(), f"{item['release_year'][:3]}0s"] for item in items]
    counts = Counter(word for own in words for word in own)
    terms = Terms(sorted(counts), np.array([counts[word] for word in sorted(counts)], np.int64))
    ids = np.arange(FIRST, FIRST + len(counts))
    known = Vocabulary.fixed({"tokenizer": "oracle"}, ids, terms, FIRST + len(counts))
    numbers = dict(zip(known.tokens, ids.tolist(), strict=True))
    tokens = pa.array([[numbers[word] for word in own] for own in words], pa.list_(pa.int32()))
    aspect = folder / ASPECT
    aspect.mkdir(parents=True)
    rows = pa.table({"item_id": [item["item_id"] for item in items], "tokens": tokens})
    pq.write_table(rows, aspect / tables.NAME)
    report = Tally().coverage(dict(known.meaning), known)
    (aspect / coverage.NAME).write_text(report.model_dump_json(by_alias=True))
    manifest.write(folder, "Features", counts={}, made_from={})


def write(path: Path, records: list[dict[str, str]], numbers: tuple[str, ...] = ()) -> None:
    """Write `records` as Parquet, the columns `numbers` as numbers."""
    table = pa.Table.from_pylist(records)
    for name in numbers:
        column = table[name].cast(pa.float64())
        table = table.set_column(table.column_names.index(name), name, column)
    pq.write_table(table, path)


def train_task(data: Path, arm: str, options: argparse.Namespace) -> TrainTask:
    """Return the task of one arm; all that is not said is a default."""
    item = [{"column": "release_year"}, {"column": "class", "type": "CategoricalList"}]
    document: dict[str, Any] = {
        "arm": arm,
        "data": {
            **{name: {"uri": str(data / f"{name}.parquet")} for name in ("interactions", "items", "users")},
            "label": "liked",
            "split": {"strategy": options.split, "seed": options.seed},
        },
        "features": {
            "user": [{"column": name} for name in ("age", "gender", "occupation")],
            "item": item if options.metadata else [],
            "captions": [{"captionJob": "oracle", "userHistory": {}}],
        },
        "captionFeatures": {"oracle": str(data / "oracle")},
        "model": {"architecture": options.architecture},
        "training": {"seed": options.seed},
        "output": str(data / arm),
    }
    return TrainTask.model_validate(document)


def main() -> None:
    """Train, evaluate and print a row for each arm."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where ml-100k.inter, .item and .user are")
    parser.add_argument("--split", default="Random", choices=["Random", "Time", "ItemCold"])
    parser.add_argument("--architecture", default="DCNv2", choices=list(ARCHITECTURES))
    parser.add_argument("--seed", type=int, default=0, help="of split, weights and batches")
    parser.add_argument("--metadata", action="store_true", help="genres and year are features as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        write_tables(options.folder, data)
        tasks = {arm: train_task(data, arm, options) for arm in ARMS}
        times = {arm: timed(task) for arm, task in tasks.items()}
        bundles = {arm: task.output for arm, task in tasks.items()}
        task = EvaluateTask(data=tasks["Captions"].data, bundles=bundles, output=folder)
        evaluate(task)
        show(json.loads((data / EVALUATION).read_text()), times)


def timed(task: TrainTask) -> str:
    """Train and return how long it took: on the clock, and of CPU."""
    began, cpu = time.monotonic(), cpu_seconds()
    train(task)
    return f"{time.monotonic() - began:.0f} s, CPU {cpu_seconds() - cpu:.0f} s"


def cpu_seconds() -> float:
    """Return the CPU time of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def show(report: dict[str, Any], times: dict[str, str]) -> None:
    """Print the figures of each arm."""
    against = {
        d["against"]: f"{d['auc']:+.4f} ({d['low']:+.4f} … {d['high']:+.4f})" for d in report["differences"]
    }
    print(f"{report['rows']} test interactions of {report['items']} items, {report['users']} users")
    for arm, result in report["arms"].items():
        figures = ", ".join(f"{name} {value:.4f}" for name, value in result["metrics"].items())
        print(f"{arm:17} {figures}; Captions better by {against.get(arm, '-')}; {times[arm]}")


if __name__ == "__main__":
    main()

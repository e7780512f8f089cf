#!/usr/bin/env python
"""Makes the documentation's picture of a ranker's report, in a real browser: docs/images/ranker-report.png.

    PYTHONPATH=tests:examples .venv/bin/python scripts/ranker_report_picture.py

The pictures are Debian's tuxpaint-stamps (GPL-2), their captions the labels that people gave them, and the
people who like them are simulated (`examples/demo/data/simulate.py`). Features, training, evaluation and
report are real: three arms, each trained in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from browser import pictures

from demo.data import stamps
from fathom.features import command as featuring
from fathom.ranking.command import evaluate, train
from fathom.ranking.findings import REPORT
from fathom.storage import digest_bytes
from fathom_api.tasks import EvaluateTask, FeaturiseTask, TrainTask

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "ranker-report.png"
_ARMS = ("Captions", "WithoutCaptions", "ShuffledCaptions")


@dataclass(frozen=True)
class _Labels:
    """The stamps' labels as captions, all in one batch."""

    item_ids: list[str]
    captions: list[str]
    aspects: list[str] = field(default_factory=lambda: ["caption"])

    @property
    def count(self) -> int:
        return len(self.item_ids)

    def digest(self) -> str:
        return digest_bytes("\n".join(self.captions).encode())

    def batches(self, name: str, /) -> Iterator[_Labels]:
        del name
        yield self

    def samples(self, name: str, /) -> Iterator[_Labels]:
        del name
        return iter(())

    def previous(self) -> Iterator[Any]:
        return iter(())


def example(root: Path) -> Path:
    """Train and evaluate three arms on the stamps below `root`, and return where the report is."""
    tables = stamps.make()[0]
    for name in ("items", "users", "interactions"):
        pq.write_table(getattr(tables, name), root / f"{name}.parquet")
    rows = tables.items.to_pylist()
    said = [f"{row['genres'].replace('|', ', ')}: {row['title'].rstrip('.').lower()}" for row in rows]
    job = root / "stamps"
    featuring.write(_featurise_task(job), job, _Labels([row["item_id"] for row in rows], said))
    tasks = [_train_task(root, job, arm) for arm in _ARMS]
    for task in tasks:
        train(task)
    output = root / "stamps-ranker"
    evaluate(
        EvaluateTask.model_validate(
            {
                "data": tasks[0].data.document(),
                "bundles": {task.arm: task.output for task in tasks},
                "captionFeatures": {"stamps": str(job / "features")},
                "source": {"uri": str(root / "items.parquet"), "mediaColumn": "image", "idColumn": "item_id"},
                "output": str(output),
            }
        )
    )
    return output / REPORT


def _featurise_task(job: Path) -> FeaturiseTask:
    job.mkdir()
    return FeaturiseTask.model_validate(
        {
            "output": str(job),
            "model": {"uri": "fathom://tiny", "prompt": "What is it?"},
            "features": {"minCount": 2, "maxNgram": 1, "stopWords": "en"},
        }
    )


def _train_task(root: Path, job: Path, arm: str) -> TrainTask:
    uris = {name: {"uri": str(root / f"{name}.parquet")} for name in ("items", "users", "interactions")}
    return TrainTask.model_validate(
        {
            "arm": arm,
            "data": {**uris, "label": "liked", "split": {"strategy": "Random"}},
            "features": {
                "user": [{"column": "age_group"}, {"column": "occupation"}],
                "captions": [{"captionJob": "stamps", "userHistory": {}}],
            },
            "captionFeatures": {"stamps": str(job / "features")},
            "output": str(root / arm),
        }
    )


if __name__ == "__main__":
    pictures.main(__doc__, PICTURE, example, beside=("evaluation.json", "MODEL_CARD.md"))

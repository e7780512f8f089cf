"""Featurising what the captioner left, run after run."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from builders.catalogues import Writer, numbered

from fathom.errors import InvalidInputError
from fathom.features.command import featurise
from fathom_api.tasks import FeaturiseTask
from fathom_api.tokens import CaptionFeatures


def task(output: Path, shards: int, run: int = 1) -> FeaturiseTask:
    return FeaturiseTask.model_validate(
        {
            "output": str(output),
            "shards": shards,
            "run": run,
            "features": CaptionFeatures(min_count=2).document(),
            "model": {"uri": "fathom://small-llava"},
        }
    )


def items(output: Path) -> set[str]:
    return set(pq.read_table(output / "features/caption/features.parquet")["item_id"].to_pylist())


def test_all_items_of_the_run_have_features_and_there_is_a_report(tmp_path: Path) -> None:
    Writer("m1").run(tmp_path, numbered(12), 2)
    outcome = featurise(task(tmp_path, 2))
    assert items(tmp_path) == set(numbered(12).names)
    assert outcome.progress.done == 12
    assert (tmp_path / "report/index.html").is_file()


def test_the_digest_is_the_same_however_the_items_were_dealt(tmp_path: Path) -> None:
    digests: set[str | None] = set()
    for shards in (1, 3):
        Writer("m1").run(tmp_path / str(shards), numbered(12), shards)
        digests.add(featurise(task(tmp_path / str(shards), shards)).digest)
    assert len(digests) == 1


def test_the_next_run_is_compared_with_the_one_before(tmp_path: Path) -> None:
    Writer("m1").run(tmp_path, numbered(12), 2)
    featurise(task(tmp_path, 2))
    Writer("m2").run(tmp_path, numbered(20), 3, run=2)
    featurise(task(tmp_path, 3, run=2))
    found = json.loads((tmp_path / "features/drift.json").read_text())["aspects"]["caption"]
    assert (found["itemsBefore"], found["itemsAfter"], found["itemsInBoth"]) == (12, 20, 12)
    assert found["changedCaptions"] == 1.0
    assert found["sameVocabulary"]


def test_a_run_that_is_not_finished_is_refused(tmp_path: Path) -> None:
    Writer("m1").run(tmp_path, numbered(12), 2)
    with pytest.raises(InvalidInputError, match="the plan has 2 shards, not 3"):
        featurise(task(tmp_path, 3))
    assert not (tmp_path / "features").exists()

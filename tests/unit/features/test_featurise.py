"""Featurising all aspects of a run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from builders.featured import Captions, numbered

from fathom import manifest
from fathom.features import coverage, tables, vocabulary
from fathom.features.command import write
from fathom_api.progress import Outcome
from fathom_api.tasks import FeaturiseTask
from fathom_api.tokens import CaptionFeatures

CAPTIONS = {"1": "a red car", "2": "a red bus", "3": "A blue car!", "4": "", "5": "zebra"}
MOODS = {"1": "calm", "2": "wild", "3": "calm"}


def task(output: Path, **features: object) -> FeaturiseTask:
    parameters = CaptionFeatures.model_validate({"minCount": 2, "maxNgram": 1, **features})
    return FeaturiseTask.model_validate(
        {"output": str(output), "features": parameters.document(), "model": {"uri": "fathom://small-llava"}}
    )


def featurise(
    output: Path,
    captions: Mapping[str, str] = CAPTIONS,
    before: Mapping[str, str] | None = None,
    **features: object,
) -> Outcome:
    run = Captions({"caption": captions}, {"caption": before or {}})
    return write(task(output, **features), output, run)


def report(output: Path, aspect: str = "caption") -> dict[str, Any]:
    return json.loads((output / "features" / aspect / coverage.NAME).read_text())


def tokens(output: Path, aspect: str = "caption") -> dict[str, list[str]]:
    """Return the tokens of each item, in words."""
    folder = output / "features" / aspect
    names = {row["id"]: row["token"] for row in pq.read_table(folder / "vocabulary.parquet").to_pylist()}
    rows = pq.read_table(folder / "features.parquet").to_pylist()
    return {row["item_id"]: [names.get(i, f"<{i}>") for i in row["tokens"]] for row in rows}


def stamps(output: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in (output / "features").rglob("*")}


def test_every_item_gets_its_tokens(tmp_path: Path) -> None:
    featurise(tmp_path)
    assert tokens(tmp_path) == {
        "1": ["car", "red", "a"],
        "2": ["red", "a"],
        "3": ["car", "a"],
        "4": [],
        "5": ["<1>"],
    }


def test_the_files_have_the_schema_the_ranker_reads(tmp_path: Path) -> None:
    featurise(tmp_path)
    folder = tmp_path / "features/caption"
    assert pq.read_schema(folder / "features.parquet").equals(tables.FEATURES)
    assert pq.read_schema(folder / "vocabulary.parquet").remove_metadata().equals(vocabulary.SCHEMA)


def test_each_aspect_has_a_folder_of_its_own(tmp_path: Path) -> None:
    run = Captions({"caption": CAPTIONS, "mood": MOODS})
    outcome = write(task(tmp_path, minCount=1), tmp_path, run)
    assert tokens(tmp_path, "mood") == {"1": ["calm"], "2": ["wild"], "3": ["calm"]}
    assert set(tokens(tmp_path)) == set(CAPTIONS)
    assert {name.split("/")[0] for name in manifest.verify(tmp_path / "features").files} == {
        "caption",
        "mood",
    }
    assert outcome.progress.metrics == {
        "vocabulary_size": 9 + 5,
        "coverage": (4 + 3) / (5 + 3),
        "tokens_per_item": pytest.approx((10 + 3) / 5),
        "aspect/caption/vocabulary_size": 9,
        "aspect/caption/coverage": 0.8,
        "aspect/caption/tokens_per_item": 2,
        "aspect/mood/vocabulary_size": 5,
        "aspect/mood/coverage": 1,
        "aspect/mood/tokens_per_item": 1,
    }


def test_an_aspect_that_no_item_answered_has_empty_features(tmp_path: Path) -> None:
    write(task(tmp_path), tmp_path, Captions({"caption": CAPTIONS, "mood": {}}))
    assert tokens(tmp_path, "mood") == {}
    assert report(tmp_path, "mood")["coverage"] == 0


def test_an_aspect_that_is_no_longer_asked_about_goes(tmp_path: Path) -> None:
    write(task(tmp_path), tmp_path, Captions({"caption": CAPTIONS, "mood": MOODS}))
    featurise(tmp_path)
    assert [p.name for p in (tmp_path / "features").iterdir() if p.is_dir()] == ["caption"]


def test_the_outcome_says_where_they_are_and_what_they_are(tmp_path: Path) -> None:
    outcome = featurise(tmp_path)
    assert outcome.uri == f"{tmp_path}/features"
    assert outcome.digest == manifest.verify(tmp_path / "features").digest


def test_the_coverage_report_tells_what_is_unknown_and_what_is_frequent(tmp_path: Path) -> None:
    featurise(tmp_path)
    found = report(tmp_path)
    assert (found["items"], found["itemsWithTokens"]) == (5, 3)
    assert found["unknownShare"] == pytest.approx(3 / 10)
    assert found["topTokens"][0] == {"id": 3, "token": "a", "count": 3}


@pytest.mark.parametrize("tokenizer", ["WordNgram", "HashedNgram", "KeyPhrase"])
def test_features_made_from_the_same_are_not_made_again(tmp_path: Path, tokenizer: str) -> None:
    first = featurise(tmp_path, tokenizer=tokenizer)
    before = stamps(tmp_path)
    assert featurise(tmp_path, tokenizer=tokenizer) == first
    assert stamps(tmp_path) == before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"minCount": 1}, id="another document frequency"),
        pytest.param({"maxNgram": 2}, id="longer n-grams"),
        pytest.param({"maxTokensPerItem": 1}, id="fewer tokens an item"),
        pytest.param({"stopWords": "en"}, id="stop words"),
        pytest.param({"tokenizer": "HashedNgram"}, id="another strategy"),
    ],
)
def test_other_parameters_make_other_features(tmp_path: Path, change: Mapping[str, object]) -> None:
    first = featurise(tmp_path)
    assert featurise(tmp_path, **change).digest != first.digest


def test_a_grown_catalogue_keeps_all_ids(tmp_path: Path) -> None:
    featurise(tmp_path)
    known = {t: i for i, t in enumerate(["a", "car", "red"], start=3)}
    featurise(tmp_path, CAPTIONS | {"6": "zebra bus", "7": "zebra bus", "8": "zebra bus"})
    rows = pq.read_table(tmp_path / "features/caption/vocabulary.parquet").to_pylist()
    assert {row["token"]: row["id"] for row in rows} == known | {"bus": 6, "zebra": 7}
    assert [row["since"] for row in rows] == [1, 1, 1, 2, 2]
    assert report(tmp_path)["vocabularyVersion"] == 2


def test_an_item_that_is_gone_leaves_the_features_but_not_the_vocabulary(tmp_path: Path) -> None:
    featurise(tmp_path)
    featurise(tmp_path, {"2": "a red bus"})
    assert tokens(tmp_path) == {"2": ["a", "red"]}
    rows = pq.read_table(tmp_path / "features/caption/vocabulary.parquet").to_pylist()
    assert {row["token"]: row["count"] for row in rows} == {"a": 1, "car": 0, "red": 1}


def test_damaged_features_are_made_again(tmp_path: Path) -> None:
    first = featurise(tmp_path)
    (tmp_path / "features/caption/features.parquet").write_bytes(b"half")
    assert featurise(tmp_path).digest == first.digest
    manifest.verify(tmp_path / "features")


def test_a_run_that_was_interrupted_at_any_file_ends_as_one_that_was_not(tmp_path: Path) -> None:
    grown = CAPTIONS | {"6": "zebra bus"}
    for folder in (tmp_path / "whole", tmp_path / "cut"):
        featurise(folder)
        featurise(folder, grown)
    whole, cut = tmp_path / "whole/features", tmp_path / "cut/features"
    for name in ("drift.json", "caption/coverage.json", "caption/features.parquet"):
        (cut / manifest.NAME).unlink(missing_ok=True)
        (cut / name).unlink(missing_ok=True)
        featurise(tmp_path / "cut", grown)
        for file in ("features.parquet", "vocabulary.parquet", "coverage.json"):
            assert (cut / "caption" / file).read_bytes() == (whole / "caption" / file).read_bytes()


def test_structured_answers_become_values(tmp_path: Path) -> None:
    document = task(tmp_path, minCount=1).document()
    document["model"] = {
        "uri": "fathom://small-llava",
        "prompts": [{"name": "look", "prompt": "?", "jsonSchema": {"type": "object"}}],
    }
    run = Captions({"look": {"1": '{"colour": "Red", "tags": ["old", "fast"]}'}})
    write(FeaturiseTask.model_validate(document), tmp_path, run)
    assert set(tokens(tmp_path, "look")["1"]) == {"colour=red", "tags=old", "tags=fast"}


def test_spooling_to_buckets_loses_nothing(tmp_path: Path) -> None:
    captions = numbered(*(f"w{n}" for n in range(100)))
    import pyarrow as pa

    with tables.features(tmp_path / "features.parquet", len(captions), bucket_rows=7) as writer:
        for start in range(0, 100, 10):
            some = list(range(start, start + 10))
            ids = pa.array([str(n) for n in some])
            writer.write(ids, pa.array([[n, n + 1] for n in some], pa.list_(pa.int32())))
    rows = pq.read_table(tmp_path / "features.parquet").to_pylist()
    assert {row["item_id"]: row["tokens"] for row in rows} == {str(n): [n, n + 1] for n in range(100)}
    assert [p.name for p in tmp_path.iterdir()] == ["features.parquet"]

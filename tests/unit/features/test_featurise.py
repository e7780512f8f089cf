"""Featurising a folder of captions."""

import json
import random
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from builders.catalogues import Catalogue, Writer, captioned

from fathom import manifest
from fathom.captioning import planning
from fathom.errors import InvalidInputError
from fathom.features import tables
from fathom.features.command import featurise
from fathom_api.tasks import FeaturiseTask
from fathom_api.tokens import CaptionFeatures

CAPTIONS = {"1": "a red car", "2": "a red bus", "3": "A blue car!", "4": "", "5": "zebra"}


def task(output: Path, shards: int = 1, **features: object) -> FeaturiseTask:
    parameters = CaptionFeatures.model_validate({"minCount": 2, "maxNgram": 1, **features})
    return FeaturiseTask.model_validate(
        {
            "output": str(output),
            "shards": shards,
            "features": parameters.document(),
            "model": {"uri": "fathom://small-llava"},
        }
    )


def tokens(output: Path) -> dict[str, list[str]]:
    """Return the tokens of each item, in words."""
    names = {e["id"]: e["token"] for e in pq.read_table(output / "features/vocabulary.parquet").to_pylist()}
    rows = pq.read_table(output / "features/features.parquet").to_pylist()
    return {r["item_id"]: [names[i] for i in r["tokens"]] for r in rows}


def test_every_item_gets_its_tokens(tmp_path: Path) -> None:
    captioned(tmp_path, CAPTIONS)
    featurise(task(tmp_path))
    assert tokens(tmp_path) == {
        "1": ["car", "red", "a"],
        "2": ["red", "a"],
        "3": ["car", "a"],
        "4": [],
        "5": [],
    }


def test_the_files_have_the_schema_the_ranker_reads(tmp_path: Path) -> None:
    captioned(tmp_path, CAPTIONS)
    featurise(task(tmp_path))
    assert pq.read_schema(tmp_path / "features/features.parquet").equals(tables.FEATURES)
    assert pq.read_schema(tmp_path / "features/vocabulary.parquet").equals(tables.VOCABULARY)


def test_the_outcome_says_how_well_the_captions_are_covered(tmp_path: Path) -> None:
    captioned(tmp_path, CAPTIONS)
    outcome = featurise(task(tmp_path))
    assert outcome.uri == f"{tmp_path}/features"
    assert outcome.digest == manifest.verify(tmp_path / "features").digest
    assert outcome.progress.metrics == {"vocabulary_size": 5, "coverage": 0.6, "tokens_per_item": 1.4}


def test_the_coverage_report_tells_what_is_unknown_and_what_is_frequent(tmp_path: Path) -> None:
    captioned(tmp_path, CAPTIONS)
    featurise(task(tmp_path))
    report = json.loads((tmp_path / "features/coverage.json").read_text())
    assert report["items"] == 5
    assert report["itemsWithTokens"] == 3
    assert report["unknownShare"] == pytest.approx(3 / 10)
    assert report["topTokens"][0] == {"id": 2, "token": "a", "count": 3}


@pytest.mark.parametrize("tokenizer", ["WordNgram", "HashedNgram"])
def test_the_digest_is_the_same_however_the_items_were_dealt(tmp_path: Path, tokenizer: str) -> None:
    draw = random.Random(0)
    captions = {str(i): " ".join(draw.choices("abcdefgh", k=5)) for i in range(300)}
    digests: set[str | None] = set()
    for shards in (1, 2, 5):
        output = tmp_path / str(shards)
        captioned(output, captions, shards)
        digests.add(featurise(task(output, shards, tokenizer=tokenizer)).digest)
    assert len(digests) == 1


def test_spooling_to_buckets_loses_nothing(tmp_path: Path) -> None:
    wanted = {str(i): [i, i + 1] for i in range(100)}
    with tables.features(tmp_path / "features.parquet", len(wanted), bucket_rows=7) as writer:
        for start in range(0, 100, 10):
            ids = [str(i) for i in range(start, start + 10)]
            writer.write(ids, [wanted[i] for i in ids])
    rows = pq.read_table(tmp_path / "features.parquet").to_pylist()
    assert {r["item_id"]: r["tokens"] for r in rows} == wanted
    assert [p.name for p in tmp_path.iterdir()] == ["features.parquet"]


def stamp(output: Path) -> int:
    return (output / "features/features.parquet").stat().st_mtime_ns


def test_features_made_from_the_same_are_not_made_again(tmp_path: Path) -> None:
    captioned(tmp_path, CAPTIONS)
    first = featurise(task(tmp_path))
    before = stamp(tmp_path)
    second = featurise(task(tmp_path))
    assert second == first
    assert stamp(tmp_path) == before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"minCount": 1}, id="another document frequency"),
        pytest.param({"maxNgram": 2}, id="longer n-grams"),
        pytest.param({"maxTokensPerItem": 1}, id="fewer tokens an item"),
        pytest.param({"tokenizer": "HashedNgram"}, id="another strategy"),
    ],
)
def test_other_parameters_make_other_features(tmp_path: Path, change: Mapping[str, object]) -> None:
    captioned(tmp_path, CAPTIONS)
    first = featurise(task(tmp_path))
    assert featurise(task(tmp_path, **change)).digest != first.digest


def test_a_new_caption_makes_new_features(tmp_path: Path) -> None:
    captioned(tmp_path, CAPTIONS)
    featurise(task(tmp_path))
    captioned(tmp_path, {**CAPTIONS, "6": "a red zebra"})
    featurise(task(tmp_path))
    assert tokens(tmp_path)["6"] == ["zebra", "red", "a"]


def test_damaged_features_are_made_again(tmp_path: Path) -> None:
    captioned(tmp_path, CAPTIONS)
    first = featurise(task(tmp_path))
    (tmp_path / "features/features.parquet").write_bytes(b"half")
    assert featurise(task(tmp_path)).digest == first.digest
    manifest.verify(tmp_path / "features")


def one_of_two(output: Path) -> None:
    source = Catalogue(list(CAPTIONS))
    plan = planning.make(output, source, source.deal(2), "plan")
    Writer(words=CAPTIONS).caption(output, source, plan, 0)


def in_three(output: Path) -> None:
    captioned(output, CAPTIONS, 3)


def damaged(output: Path) -> None:
    captioned(output, CAPTIONS, 2)
    next((output / "captions").rglob("captions-*")).write_bytes(b"half")


@pytest.mark.parametrize(
    ("prepare", "reason", "says"),
    [
        pytest.param(one_of_two, "Unfinished", "fathom caption --shard 1", id="a shard that never began"),
        pytest.param(in_three, "Unfinished", "has 3 shards, not 2", id="shards of another number"),
        pytest.param(damaged, "Damaged", "content differs", id="a damaged file"),
    ],
)
def test_incomplete_captions_are_refused(tmp_path: Path, prepare: object, reason: str, says: str) -> None:
    assert callable(prepare)
    prepare(tmp_path)
    with pytest.raises(InvalidInputError, match=says) as error:
        featurise(task(tmp_path, shards=2))
    assert error.value.reason == reason
    assert not (tmp_path / "features").exists()

"""Featurising a folder of captions."""

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fathom import manifest
from fathom.captioning import parts
from fathom.captioning.items import shard_hash
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


def row(item_id: str, caption: str) -> parts.CaptionRow:
    return parts.CaptionRow(item_id, caption, "key", "media", "model", "prompt", 3, 1.5)


def write(output: Path, shard: int, *files: Mapping[str, str], shards: int | None = None) -> None:
    """Write the parts of one shard and seal it."""
    folder = parts.shard_folder(output / "captions", shard)
    for captions in files:
        parts.append(folder, [row(i, c) for i, c in captions.items()], parts.CAPTIONS)
    folder.mkdir(parents=True, exist_ok=True)
    made_from = {} if shards is None else {"shards": str(shards)}
    manifest.write(folder, "Captions", counts={}, made_from=made_from)


def deal(output: Path, captions: Mapping[str, str], shards: int) -> None:
    """Write `captions` as the captioner deals them."""
    for shard in range(shards):
        write(output, shard, {i: c for i, c in captions.items() if shard_hash(i) % shards == shard})


def tokens(output: Path) -> dict[str, list[str]]:
    """Return the tokens of each item, in words."""
    names = {e["id"]: e["token"] for e in pq.read_table(output / "features/vocabulary.parquet").to_pylist()}
    rows = pq.read_table(output / "features/features.parquet").to_pylist()
    return {r["item_id"]: [names[i] for i in r["tokens"]] for r in rows}


def test_every_item_gets_its_tokens(tmp_path: Path) -> None:
    write(tmp_path, 0, CAPTIONS)
    featurise(task(tmp_path))
    assert tokens(tmp_path) == {
        "1": ["car", "red", "a"],
        "2": ["red", "a"],
        "3": ["car", "a"],
        "4": [],
        "5": [],
    }


def test_the_files_have_the_schema_the_ranker_reads(tmp_path: Path) -> None:
    write(tmp_path, 0, CAPTIONS)
    featurise(task(tmp_path))
    assert pq.read_schema(tmp_path / "features/features.parquet").equals(tables.FEATURES)
    assert pq.read_schema(tmp_path / "features/vocabulary.parquet").equals(tables.VOCABULARY)


def test_the_outcome_says_how_well_the_captions_are_covered(tmp_path: Path) -> None:
    write(tmp_path, 0, CAPTIONS)
    outcome = featurise(task(tmp_path))
    assert outcome.uri == f"{tmp_path}/features"
    assert outcome.digest == manifest.verify(tmp_path / "features").digest
    assert outcome.progress.metrics == {"vocabulary_size": 5, "coverage": 0.6, "tokens_per_item": 1.4}


def test_the_coverage_report_tells_what_is_unknown_and_what_is_frequent(tmp_path: Path) -> None:
    write(tmp_path, 0, CAPTIONS)
    featurise(task(tmp_path))
    report = json.loads((tmp_path / "features/coverage.json").read_text())
    assert report["items"] == 5
    assert report["itemsWithTokens"] == 3
    assert report["unknownShare"] == pytest.approx(3 / 10)
    assert report["topTokens"][0] == {"id": 2, "token": "a", "count": 3}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param([{"1": "old"}, {"1": "new"}], ["new"], id="a later part replaces an earlier one"),
        pytest.param([{"1": "new"}, {"2": "x"}], ["new"], id="a later part without the item does not"),
    ],
)
def test_the_newest_row_of_an_item_wins(
    tmp_path: Path, files: Sequence[Mapping[str, str]], expected: list[str]
) -> None:
    write(tmp_path, 0, *files)
    featurise(task(tmp_path, minCount=1))
    assert tokens(tmp_path)["1"] == expected


def test_a_row_in_the_items_own_shard_beats_one_left_by_another_number_of_shards(tmp_path: Path) -> None:
    own = shard_hash("1") % 2
    write(tmp_path, own, {"1": "new"})
    write(tmp_path, 1 - own, {}, {}, {"1": "old"})
    featurise(task(tmp_path, shards=2, minCount=1))
    assert tokens(tmp_path) == {"1": ["new"]}


def test_shards_that_are_no_more_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, 0, {"1": "new"})
    write(tmp_path, 1, {"gone": "old"})
    featurise(task(tmp_path, shards=1, minCount=1))
    assert tokens(tmp_path) == {"1": ["new"]}


@pytest.mark.parametrize("tokenizer", ["WordNgram", "HashedNgram"])
def test_the_digest_is_the_same_however_the_items_were_dealt(tmp_path: Path, tokenizer: str) -> None:
    draw = random.Random(0)
    captions = {str(i): " ".join(draw.choices("abcdefgh", k=5)) for i in range(300)}
    digests: set[str | None] = set()
    for shards in (1, 2, 5):
        output = tmp_path / str(shards)
        deal(output, captions, shards)
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
    write(tmp_path, 0, CAPTIONS)
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
    write(tmp_path, 0, CAPTIONS)
    first = featurise(task(tmp_path))
    assert featurise(task(tmp_path, **change)).digest != first.digest


def test_a_new_caption_makes_new_features(tmp_path: Path) -> None:
    write(tmp_path, 0, CAPTIONS)
    featurise(task(tmp_path))
    write(tmp_path, 0, {"6": "a red zebra"})
    featurise(task(tmp_path))
    assert tokens(tmp_path)["6"] == ["zebra", "red", "a"]


def test_damaged_features_are_made_again(tmp_path: Path) -> None:
    write(tmp_path, 0, CAPTIONS)
    first = featurise(task(tmp_path))
    (tmp_path / "features/features.parquet").write_bytes(b"half")
    assert featurise(task(tmp_path)).digest == first.digest
    manifest.verify(tmp_path / "features")


def unsealed(output: Path) -> None:
    write(output, 0, CAPTIONS)
    (output / "captions/shard-00000" / manifest.NAME).unlink()


def one_of_two(output: Path) -> None:
    write(output, 0, CAPTIONS)


def sealed_for_three(output: Path) -> None:
    write(output, 0, CAPTIONS, shards=3)
    write(output, 1, {}, shards=2)


def damaged(output: Path) -> None:
    write(output, 0, CAPTIONS)
    write(output, 1, {})
    next((output / "captions/shard-00000").glob("part-*")).write_bytes(b"half")


def empty(output: Path) -> None:
    write(output, 0)
    write(output, 1)


@pytest.mark.parametrize(
    ("prepare", "reason", "says"),
    [
        pytest.param(
            unsealed, "Unfinished", "shard 0 of 2 was never finished", id="a shard without manifest"
        ),
        pytest.param(one_of_two, "Unfinished", "fathom caption --shard 1", id="a shard that never began"),
        pytest.param(
            sealed_for_three, "Unfinished", "shard 0 of 2", id="a shard of another number of shards"
        ),
        pytest.param(damaged, "Damaged", "content differs", id="a damaged part"),
        pytest.param(empty, "NoCaptions", "see errors/", id="no caption at all"),
    ],
)
def test_incomplete_captions_are_refused(tmp_path: Path, prepare: object, reason: str, says: str) -> None:
    assert callable(prepare)
    prepare(tmp_path)
    with pytest.raises(InvalidInputError, match=says) as error:
        featurise(task(tmp_path, shards=2))
    assert error.value.reason == reason
    assert not (tmp_path / "features").exists()


def test_a_part_that_was_added_after_the_shard_was_finished_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, 0, {"1": "new"})
    parts.append(parts.shard_folder(tmp_path / "captions", 0), [row("2", "late")], parts.CAPTIONS)
    featurise(task(tmp_path, minCount=1))
    assert tokens(tmp_path) == {"1": ["new"]}

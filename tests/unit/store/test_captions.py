"""What is made of captions reads a finished run, as a stream."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders.catalogues import Catalogue, Writer, failures, numbered, texts

from fathom import manifest
from fathom.captioning.store import planning
from fathom.captioning.store.captions import Captions
from fathom.errors import InvalidInputError

ITEMS = Catalogue([f"item-{number}" for number in range(12)])


def test_the_digest_is_that_of_the_captions_whoever_made_them_when_and_in_how_many_shards(
    tmp_path: Path,
) -> None:
    digests: set[str] = set()
    for number, shards in enumerate((1, 2, 5)):
        captions = Writer(now=number * 1000.0).run(tmp_path / str(shards), ITEMS, shards)
        digests.add(captions.digest())
    moved = Catalogue(ITEMS.names[::-1])
    digests.add(Writer().run(tmp_path / "moved", moved, 3).digest())
    assert len(digests) == 1
    assert Writer("m2").run(tmp_path / "m2", ITEMS).digest() not in digests


def test_rows_have_the_columns_asked_for(tmp_path: Path) -> None:
    captions = Writer().run(tmp_path, ITEMS, 2)
    batches = list(captions.rows(["item_id", "tokens"]))
    assert {name for batch in batches for name in batch.schema.names} == {"item_id", "tokens"}
    assert sum(batch.num_rows for batch in batches) == captions.count == 12


def test_captions_of_the_run_before_are_there_to_compare_with(tmp_path: Path) -> None:
    assert list(Writer("m1").run(tmp_path, ITEMS, 2).previous()) == []
    after = Writer("m2").run(tmp_path, numbered(20), 3, run=2)
    rows = [row for batch in after.previous() for row in batch.to_pylist()]
    assert {row["item_id"]: row["caption"] for row in rows} == {
        item: f"caption of {item} by m1" for item in ITEMS.names
    }


def test_a_plan_that_nobody_captioned_by_is_not_the_run_before(tmp_path: Path) -> None:
    Writer("m1").run(tmp_path, ITEMS)
    planning.make(tmp_path, numbered(3), numbered(3).deal(run=2), "plan")
    after = Writer("m2").run(tmp_path, ITEMS, run=3)
    assert sum(batch.num_rows for batch in after.previous()) == 12


def test_items_without_a_caption_are_errors_and_not_counted(tmp_path: Path) -> None:
    captions = Writer(broken={"item-3": "RefusedByModel"}).run(tmp_path, ITEMS, 2)
    assert captions.count == 11
    assert "item-3" not in texts(captions)
    assert failures(captions) == [("item-3", "RefusedByModel")]


def test_a_shard_that_is_not_finished_is_named(tmp_path: Path) -> None:
    plan = planning.make(tmp_path, ITEMS, ITEMS.deal(2), "plan")
    Writer().caption(tmp_path, ITEMS, plan, 0)
    with pytest.raises(InvalidInputError, match="shard 1 of 2 was not finished"):
        Captions(tmp_path, 2)


@pytest.mark.parametrize("shards", [1, 3])
def test_another_number_of_shards_than_planned_is_refused(shards: int, tmp_path: Path) -> None:
    Writer().run(tmp_path, ITEMS, 2)
    with pytest.raises(InvalidInputError, match=f"the plan has 2 shards, not {shards}"):
        Captions(tmp_path, shards)


def test_shards_that_different_models_captioned_are_refused(tmp_path: Path) -> None:
    plan = planning.make(tmp_path, ITEMS, ITEMS.deal(2), "plan")
    Writer("m1").caption(tmp_path, ITEMS, plan, 0)
    Writer("m2").caption(tmp_path, ITEMS, plan, 1)
    with pytest.raises(InvalidInputError, match="another model than in shard 0"):
        Captions(tmp_path, 2)


def test_a_damaged_view_is_found_and_mended_by_captioning_again(tmp_path: Path) -> None:
    writer = Writer()
    writer.run(tmp_path, ITEMS)
    (view,) = (tmp_path / "captions").rglob("*.parquet")
    view.write_bytes(b"")
    with pytest.raises(InvalidInputError) as refused:
        Captions(tmp_path, 1)
    assert refused.value.reason == "Damaged"
    assert len(texts(writer.run(tmp_path, ITEMS))) == 12
    assert len(writer.made) == 12


def test_a_run_without_any_caption_is_refused(tmp_path: Path) -> None:
    nothing = Writer(broken={f"item-{number}": "NotAnImage" for number in range(12)})
    with pytest.raises(InvalidInputError) as refused:
        nothing.run(tmp_path, ITEMS)
    assert refused.value.reason == "NoCaptions"


def test_only_the_files_of_a_view_are_in_its_manifest(tmp_path: Path) -> None:
    Writer().run(tmp_path, ITEMS)
    (sealed,) = (file.parent for file in (tmp_path / "captions").rglob(manifest.NAME))
    assert manifest.verify(sealed).files == [file.name for file in sealed.glob("*.parquet")]

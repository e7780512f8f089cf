"""A shard keeps what is made, at once and for good, and makes nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from builders.buckets import s3
from builders.catalogues import Catalogue, Writer, ever_made, failures, numbered, texts

from fathom import storage
from fathom.captioning.store import history, planning
from fathom.captioning.store.captions import Captions
from fathom.captioning.store.plan import Plan
from fathom.captioning.store.shard import PART_ROWS, PART_SECONDS, Shard
from fathom.errors import InvalidInputError
from fathom.storage import Location


@pytest.fixture(scope="module")
def _bucket() -> Iterator[None]:
    with s3("shelf"):
        yield


@pytest.fixture(params=["a folder", "a bucket"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """Where things are kept: the same must hold wherever that is."""
    if request.param == "a folder":
        return tmp_path
    request.getfixturevalue("_bucket")
    return storage.resolve(f"s3://shelf/{tmp_path.name}")


def made(output: Location, source: Catalogue, shards: int = 1, run: int = 1) -> Plan:
    return planning.make(output, source, source.deal(shards, run), "plan")


def test_a_second_run_makes_nothing_and_seals_the_same(output: Location) -> None:
    writer = Writer()
    first = writer.run(output, numbered(9), shards=2)
    again = writer.run(output, numbered(9), shards=2)
    assert len(writer.made) == 9
    assert again.digest() == first.digest()


def test_a_catalogue_that_changes_is_captioned_where_it_changed(output: Location) -> None:
    writer = Writer()
    writer.run(output, Catalogue(["a", "b", "c", "d"]), shards=3)
    captions = writer.run(output, Catalogue(["d", "x", "b", "y"]), shards=2, run=2)
    assert writer.made[4:] == [("x", "caption"), ("y", "caption")]
    assert texts(captions).keys() == {"b", "d", "x", "y"}
    assert {item for item, _ in ever_made(output)} == {"a", "b", "c", "d", "x", "y"}


def test_what_another_model_made_stays_and_is_there_when_the_model_is_back(tmp_path: Path) -> None:
    first, second = Writer("m1"), Writer("m2")
    source = numbered(4)
    first.run(tmp_path, source, run=1)
    assert texts(second.run(tmp_path, source, run=2)) == {
        i: second.text(i, "caption") for i in source.names if i
    }
    back = first.run(tmp_path, source, run=3)
    assert texts(back) == {i: first.text(i, "caption") for i in source.names if i}
    assert (len(first.made), len(second.made)) == (4, 4)


def test_each_aspect_is_kept_for_itself(tmp_path: Path) -> None:
    writer = Writer(aspects=("mood", "subject"))
    captions = writer.run(tmp_path, numbered(3))
    assert captions.aspects == ["mood", "subject"]
    assert captions.count == 3
    assert texts(captions, "mood")["item-1"] == "mood of item-1 by m1"
    both = replace(writer, aspects=("mood", "scene", "subject"), made=[])
    both.run(tmp_path, numbered(3), run=2)
    assert {aspect for _, aspect in both.made} == {"scene"}


def test_two_pods_on_one_shard_do_no_harm(output: Location) -> None:
    source = numbered(8)
    plan = made(output, source)
    one, other = Writer(), Writer()
    first, second = (Shard(output, plan, 0, asked="m1") for _ in range(2))
    one.work(source, first)
    other.work(source, second)
    second.finish({"model": "m1"}, {})
    first.finish({"model": "m1"}, {})
    assert texts(Captions(output, 1)) == {i: one.text(i, "caption") for i in source.names if i}
    late = Writer()
    late.caption(output, source, plan, 0)
    assert late.made == []


def test_a_failure_that_would_come_again_is_not_tried_again(tmp_path: Path) -> None:
    writer = Writer(broken={"item-1": "RefusedByModel"})
    writer.run(tmp_path, numbered(3))
    captions = writer.run(tmp_path, numbered(3), run=2)
    assert len(writer.made) == 3
    assert failures(captions) == [("item-1", "RefusedByModel")]


def test_failures_that_may_have_passed_and_those_of_another_model_are_tried_again(tmp_path: Path) -> None:
    writer = Writer(broken={"item-1": "OutOfMemory", "item-2": "RefusedByModel"})
    writer.run(tmp_path, numbered(3))
    writer.made.clear()
    writer.run(tmp_path, numbered(3), run=2)
    assert writer.made == [("item-1", "caption")]
    other = Writer("m2")
    assert failures(other.run(tmp_path, numbered(3), run=3)) == []


def test_a_run_for_what_failed_looks_at_nothing_else_and_keeps_the_rest(tmp_path: Path) -> None:
    source = numbered(5)
    writer = Writer(broken={"item-1": "RefusedByModel", "item-3": "OutOfMemory"})
    writer.run(tmp_path, source, shards=2)
    mended = Writer(broken={"item-3": "OutOfMemory"})
    captions = mended.run(tmp_path, source, shards=2, run=2, retry=True)
    assert sorted(mended.made) == [("item-1", "caption"), ("item-3", "caption")]
    assert texts(captions).keys() == {"item-0", "item-1", "item-2", "item-4"}
    assert failures(captions) == [("item-3", "OutOfMemory")]


def test_a_run_for_what_failed_over_a_source_that_changed_looks_at_every_item(tmp_path: Path) -> None:
    Writer(broken={"item-1": "RefusedByModel"}).run(tmp_path, numbered(3))
    mended = Writer()
    captions = mended.run(tmp_path, numbered(4), run=2, retry=True)
    assert sorted(mended.made) == [("item-1", "caption"), ("item-3", "caption")]
    assert len(texts(captions)) == 4


def test_a_shard_is_not_sealed_under_a_plan_that_was_replaced(tmp_path: Path) -> None:
    writer, source = Writer(), numbered(4)
    shard = Shard(tmp_path, made(tmp_path, source), 0)
    writer.work(source, shard)
    made(tmp_path, numbered(5))
    with pytest.raises(InvalidInputError) as refused:
        shard.finish({"model": "m1"}, {})
    assert refused.value.reason == "StalePlan"
    assert len(texts(Writer().run(tmp_path, numbered(5)))) == 5


def test_rows_are_committed_after_each_batch_in_a_folder_and_when_they_are_old_in_a_bucket(
    output: Location,
) -> None:
    now = [100.0]
    shard = Shard(output, made(output, numbered(9)), 0, clock=lambda: now[0])
    writer = Writer()
    shard.add(writer.row("item-0", "caption"))
    shard.batch_done()
    assert (shard.committed_at == 100.0) is isinstance(output, Path)
    shard.add(writer.row("item-1", "caption"))
    now[0] += PART_SECONDS
    shard.batch_done()
    assert shard.committed_at == now[0]
    assert len(ever_made(output)) == 2


def test_a_part_is_committed_when_it_is_full(tmp_path: Path) -> None:
    shard = Shard(tmp_path, made(tmp_path, numbered(9)), 0)
    writer = Writer()
    for number in range(PART_ROWS - 1):
        shard.add(writer.row(f"item-{number}", "caption"))
    assert ever_made(tmp_path) == set()
    shard.add(writer.row("last", "caption"))
    assert len(ever_made(tmp_path)) == PART_ROWS


def test_small_parts_are_merged_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PART_ROWS", 10)
    Writer(batch=1).run(tmp_path, numbered(35))
    files = list((tmp_path / "history").rglob("captions-*.parquet"))
    assert len(files) == 3 + 5
    assert len(ever_made(tmp_path)) == 35


def test_small_files_of_earlier_plans_are_packed_and_nothing_is_lost(
    output: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PACK_FILES", 1)
    writer = Writer(batch=1)
    writer.run(output, numbered(6))
    writer.run(output, numbered(8), run=2)
    writer.run(output, numbered(9), run=3)
    names = [entry.name for entry in history.entries(output / "history", "captions")]
    assert sum(name.startswith("packed/") for name in names) == 1
    assert len(names) == 1 + 1
    assert len(ever_made(output)) == len(writer.made) == 9


def test_a_reader_follows_rows_that_are_merged_away_under_its_hands(tmp_path: Path) -> None:
    log = history.Log(tmp_path, "captions", "t")
    writer = Writer()
    found: set[str] = set()
    for number in range(4):
        log.add(writer.row(f"item-{number}", "caption"))
        log.commit()
    for number, entry in enumerate(history.entries(tmp_path, "captions")):
        if number == 0:
            history.PART_ROWS, before = 1, history.PART_ROWS  # pyright: ignore[reportConstantRedefinition, reportAttributeAccessIssue]
            log.add(writer.row("item-4", "caption"))
            log.commit()
            history.PART_ROWS = before  # pyright: ignore[reportConstantRedefinition, reportAttributeAccessIssue]
        if entry.path.exists():
            found |= {row["item_id"] for row in history.parts.pq.read_table(entry.path).to_pylist()}
    assert found == {f"item-{number}" for number in range(5)}

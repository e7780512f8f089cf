"""A plan deals every row to one shard, and brings each shard what is captioned already."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from builders.catalogues import Catalogue, Writer, catalogue, failures, numbered, texts

from fathom.captioning.store import hashing, ids, planning
from fathom.captioning.store.plan import Plan, check, read
from fathom.captioning.store.shard import Shard
from fathom.errors import InvalidInputError


def made(output: Path, source: Catalogue, shards: int = 1, run: int = 1) -> Plan:
    return planning.make(output, source, source.deal(shards, run), "plan")


@pytest.mark.parametrize(("total", "shards"), [(10, 1), (10, 3), (3, 5), (1000, 7), (7, 7)])
def test_shards_take_contiguous_ranges_that_differ_by_one_row_at_most(
    total: int, shards: int, tmp_path: Path
) -> None:
    plan = made(tmp_path, numbered(total), shards)
    ranges = [plan.rows(shard) for shard in range(shards)]
    assert [row for start, stop in ranges for row in range(start, stop)] == list(range(total))
    sizes = {stop - start for start, stop in ranges}
    assert max(sizes) - min(sizes) <= 1


def test_rows_without_id_and_rows_whose_id_was_there_before_are_errors_of_the_plan(tmp_path: Path) -> None:
    source = catalogue("a", None, "b", "a", "c", "b", "a", None)
    captions = Writer().run(tmp_path, source, shards=3)
    assert texts(captions).keys() == {"a", "b", "c"}
    assert failures(captions) == [
        ("", "NoId"), ("", "NoId"), ("a", "DuplicateId"), ("a", "DuplicateId"), ("b", "DuplicateId"),
    ]  # fmt: skip
    plan = read(tmp_path)
    assert plan is not None
    assert [sorted(plan.skipped(shard)) for shard in range(3)] == [[1], [3], [5, 6, 7]]


def test_ids_whose_hashes_collide_are_not_taken_for_duplicates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []

    def coarse(texts: object, seed: int) -> hashing.Hashes:
        if seed not in seeds:
            seeds.append(seed)
        found = hashing.hashes(texts, seed)  # pyright: ignore[reportArgumentType]
        return found % np.uint64(3) if seed == seeds[0] else found

    monkeypatch.setattr(ids, "hashes", coarse)
    captions = Writer().run(tmp_path, catalogue("a", "b", "c", "d", "e", "b", "f"))
    assert len(seeds) > 1
    assert texts(captions).keys() == set("abcdef")
    assert failures(captions) == [("b", "DuplicateId")]


@pytest.mark.parametrize("shards", [1, 4])
def test_each_shard_finds_the_captions_of_its_items_and_hardly_any_others(
    shards: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "CHUNK_ROWS", 16)
    monkeypatch.setattr(planning, "GROUP_ROWS", 4)
    writer = Writer()
    names = [f"item-{n}" for n in range(60)]
    writer.run(tmp_path, Catalogue(names), shards=3)
    moved = Catalogue(names[::-1])
    plan = made(tmp_path, moved, shards, run=2)
    for index in range(shards):
        shard = Shard(tmp_path, plan, index)
        for item in moved.items(shard.start, shard.stop):
            assert item.id is not None
            assert shard.reuse(item.id, "caption", writer.key(item.id, "caption"))
    held = [len(plan.slices(index, "captions")) * 4 for index in range(shards)]
    assert sum(held) <= 60 + 4 * 4 * shards


def test_a_plan_that_exists_is_not_made_again(tmp_path: Path) -> None:
    first = made(tmp_path, numbered(5))
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "plan").iterdir()}
    assert made(tmp_path, numbered(5)) == first
    assert {file.name: file.stat().st_mtime_ns for file in (tmp_path / "plan").iterdir()} == before


def test_a_new_plan_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    made(tmp_path, numbered(5))
    plan = made(tmp_path, numbered(6))
    tokens = {file.stem.rpartition("-")[2] for file in (tmp_path / "plan").glob("*.parquet")}
    assert tokens == {plan.token}


@pytest.mark.parametrize(
    ("source", "shards", "run", "complaint"),
    [
        pytest.param(numbered(5), 2, 1, "shards 2, planned was 1", id="other shards"),
        pytest.param(numbered(5), 1, 2, "run 2, planned was 1", id="another run"),
        pytest.param(numbered(6), 1, 1, "a source with the fingerprint", id="another source"),
    ],
)
def test_a_plan_for_others_is_refused_with_what_differs(
    source: Catalogue, shards: int, run: int, complaint: str, tmp_path: Path
) -> None:
    made(tmp_path, numbered(5))
    with pytest.raises(InvalidInputError, match=complaint) as refused:
        check(read(tmp_path), source.deal(shards, run), tmp_path)
    assert refused.value.reason == "StalePlan"


def test_a_source_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as refused:
        made(tmp_path, catalogue())
    assert refused.value.reason == "NoItems"


def test_views_of_the_run_before_stay_and_older_ones_go(tmp_path: Path) -> None:
    writer = Writer()
    for count in (4, 5, 6):
        writer.run(tmp_path, numbered(count))
    assert len(list((tmp_path / "captions").iterdir())) == 2
    assert len(writer.made) == 6


def test_a_damaged_file_of_history_is_named(tmp_path: Path) -> None:
    Writer(batch=300).run(tmp_path, numbered(300))
    file = max((tmp_path / "history").rglob("captions-*.parquet"), key=lambda f: f.stat().st_size)
    data = bytearray(file.read_bytes())
    first = pq.ParquetFile(file).metadata.row_group(0).column(0)
    data[(first.dictionary_page_offset + first.data_page_offset) // 2] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(InvalidInputError, match=file.name) as refused:
        made(tmp_path, numbered(301))
    assert refused.value.reason == "Damaged"

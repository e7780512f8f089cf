"""A backfill from its estimate to its end, as the pods do it, with two small models of drawn pictures."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders.backfills import NEW, OLD, open_model, picture, task, write_gallery, write_queries

from fathom.backfill.compatibility import Compatibility
from fathom.backfill.stages import ending
from fathom.backfill.stages.embedding import Pace
from fathom.backfill.stages.estimate import estimate
from fathom.backfill.stages.fit import fit
from fathom.backfill.stages.folders import Folders, Order
from fathom.backfill.stages.move import move
from fathom.backfill.stages.pair import pair
from fathom.backfill.stages.probe import probe
from fathom.captioning.stopping import Stop
from fathom.errors import InvalidInputError
from fathom.progress import Reporter
from fathom.retrieval.gallery import Gallery
from fathom_api.backfill_tasks import (
    BackfillCompleteTask,
    BackfillDropTask,
    BackfillEstimateTask,
    BackfillFitTask,
    BackfillMoveTask,
    BackfillPairTask,
    BackfillProbeTask,
    BackfillTask,
    BackfillViewTask,
)
from fathom_api.progress import Outcome

ITEMS = 240


@contextmanager
def reporting() -> Generator[Reporter]:
    with Reporter(lambda progress: None) as report:
        yield report


def paired(root: Path, **more: Any) -> Outcome:
    with reporting() as report:
        return pair(BackfillPairTask.model_validate(task(root, pairs=160, **more)), open_model, report)


def fitted(root: Path, **more: Any) -> Outcome:
    how = {"compatibility": {"method": "Procrustes"}, **more}
    with reporting() as report:
        return fit(BackfillFitTask.model_validate(task(root, **how)), open_model, report)


def moved(root: Path, shard: int = 0, stop: Stop | None = None, **more: Any) -> Outcome:
    with reporting() as report:
        wanted = BackfillMoveTask.model_validate(task(root, **more))
        return move(wanted, shard, NEW, report, stop or Stop())


def completed(root: Path, **more: Any) -> Outcome:
    with reporting() as report:
        return ending.complete(BackfillCompleteTask.model_validate(task(root, **more)), NEW, report)


def probed(root: Path, target: int = 100) -> Outcome:
    asked = {"probes": {"queries": str(root / "queries.parquet"), "k": 5}, "target": target}
    with reporting() as report:
        return probe(BackfillProbeTask.model_validate(task(root, **asked)), open_model, report, Stop())


def gallery(root: Path) -> Gallery:
    return folders(root).gallery()


def folders(root: Path) -> Folders:
    return Folders(BackfillTask.model_validate(task(root)))


def new_ids(root: Path) -> list[str]:
    """Return the ids of all parts in force of the new space, sorted, with all repetitions."""
    found = gallery(root)
    parts = [part for part in found.standing().parts if part.space == "new"]
    return sorted(item_id for part in parts for item_id in found.read(part).ids.to_pylist())


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a backfill whose models are comparable and of which nothing has moved."""
    root = tmp_path_factory.mktemp("backfill")
    write_gallery(root / "items.parquet", ITEMS)
    write_queries(root / "queries.parquet", 64, ITEMS)
    paired(root)
    fitted(root)
    return root


@pytest.fixture
def root(ready: Path, tmp_path: Path) -> Path:
    """Return a copy of it that a test may do with as it likes."""
    import shutil

    return Path(shutil.copytree(ready, tmp_path / "backfill"))


def test_the_estimate_counts_the_items_and_times_the_new_model(ready: Path) -> None:
    wanted = BackfillEstimateTask.model_validate(task(ready, sample=20))
    ticks = iter([10.0, 14.0])
    outcome = estimate(wanted, NEW, clock=lambda: next(ticks))
    assert outcome.progress.metrics == {"items": 240.0, "without_embedding": 0.0, "per_second": 5.0}
    assert outcome.digest == NEW.digest


def test_embeddings_that_are_there_are_taken_as_they_are(tmp_path: Path) -> None:
    write_gallery(tmp_path / "items.parquet", 40)
    known = [f"item-{n:04d}" for n in range(36)]
    vectors = np.random.default_rng(0).normal(size=(38, 6)).astype(np.float32)
    table = pa.table({"item_id": [*known, "sold-out", None], "embedding": list(vectors)})
    pq.write_table(table, tmp_path / "old.parquet")
    old = {"from": {"model": "models/old", "embeddings": str(tmp_path / "old.parquet")}}

    counted = estimate(BackfillEstimateTask.model_validate(task(tmp_path, **old)), NEW)
    assert counted.progress.metrics["without_embedding"] == 4
    paired(tmp_path, **old)

    [part] = gallery(tmp_path).parts("old")
    rows = gallery(tmp_path).read(part)
    assert rows.ids.to_pylist() == known
    assert np.array_equal(rows.vectors, vectors[:36])
    assert gallery(tmp_path).info.new.model == NEW.digest


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        pytest.param({"item_id": ["a"]}, "MissingColumn", id="no embeddings in it"),
        pytest.param({"item_id": ["a"], "embedding": [1.0]}, "InvalidColumn", id="numbers for vectors"),
        pytest.param(
            {"item_id": ["a", "b"], "embedding": [[1.0], [1.0, 2.0]]},
            "WrongShape",
            id="vectors of two lengths",
        ),
        pytest.param(
            {"item_id": ["a", "b"], "embedding": [[1.0], None]}, "NoVector", id="an item without its vector"
        ),
        pytest.param({"item_id": ["x"], "embedding": [[1.0]]}, "NoItems", id="other items"),
    ],
)
def test_embeddings_that_cannot_be_used_are_refused(
    tmp_path: Path, columns: dict[str, Any], reason: str
) -> None:
    write_gallery(tmp_path / "items.parquet", 40)
    pq.write_table(pa.table(columns), tmp_path / "old.parquet")
    with pytest.raises(InvalidInputError) as refused:
        paired(tmp_path, **{"from": {"model": "m", "embeddings": str(tmp_path / "old.parquet")}})
    assert refused.value.reason == reason


def test_the_pairs_are_the_same_items_under_both_models(ready: Path) -> None:
    pairs = folders(ready).pairs()
    assert pairs is not None
    assert len(set(pairs.ids)) == 160
    rows = pq.read_table(ready / "items.parquet")
    from io import BytesIO

    from PIL import Image

    first = rows["item_id"].to_pylist().index(pairs.ids[0])
    shown = Image.open(BytesIO(rows["image"][first].as_py())).convert("RGB")
    assert np.allclose(pairs.old[0], OLD.pictures([shown])[0], atol=1e-6)
    assert np.allclose(pairs.new[0], NEW.pictures([shown])[0], atol=1e-6)


def test_pairs_and_gallery_are_made_once(root: Path) -> None:
    before = (root / "out/work/pairs.parquet").stat().st_mtime_ns
    paired(root)
    assert (root / "out/work/pairs.parquet").stat().st_mtime_ns == before


def test_a_fit_says_how_the_gallery_would_answer(root: Path) -> None:
    figures = fitted(root, compatibility={"method": "Procrustes", "labels": "kind"}).progress.metrics
    assert {"recall_old", "recall_merged", "recall_new", "pairs"} <= figures.keys()
    assert figures["recall_new"] > figures["recall_old"]


def test_a_new_model_that_is_worse_is_not_begun_with(tmp_path: Path) -> None:
    write_gallery(tmp_path / "items.parquet", ITEMS)
    swapped = {"from": {"model": "models/new"}, "to": {"model": "models/old"}}
    paired(tmp_path, **swapped)
    with pytest.raises(InvalidInputError, match="below the old model") as refused:
        fitted(tmp_path, **swapped, compatibility={"method": "Procrustes", "labels": "kind"})
    assert refused.value.reason == "WorseThanOld"
    assert not (tmp_path / "out/compatibility").exists()


def test_popular_items_move_first(root: Path) -> None:
    fitted(root, order={"policy": "Popularity", "column": "views"})
    assert folders(root).order().ids[:3] == ["item-0239", "item-0238", "item-0237"]


@pytest.mark.parametrize("policy", ["ClassMeanDistance", "QueryBoundary"])
def test_orders_by_vectors_have_every_item_once(root: Path, policy: str) -> None:
    fitted(
        root,
        order={"policy": policy},
        compatibility={"method": "Procrustes", "labels": "kind"},
        probes={"queries": str(root / "queries.parquet")},
    )
    assert sorted(folders(root).order().ids) == [f"item-{n:04d}" for n in range(ITEMS)]


def test_a_column_that_is_no_number_orders_nothing(root: Path) -> None:
    with pytest.raises(InvalidInputError, match="'kind-0' is neither a number nor a time"):
        fitted(root, order={"policy": "Age", "column": "kind"})


@pytest.mark.parametrize(
    ("items", "size", "chunks"), [(1, 1, 1), (240, 3, 80), (10_000, 100, 100), (1_000_000, 256, 3907)]
)
def test_a_chunk_is_a_percent_at_most(items: int, size: int, chunks: int) -> None:
    order = Order([""] * items, [0] * items)
    assert (order.size, order.chunks) == (size, chunks)
    assert (order.limit(0), order.limit(100)) == (0, chunks)


def test_every_item_moves_exactly_once_whoever_moves_it(root: Path) -> None:
    outcomes = [moved(root, shard, parallelism=3) for shard in (2, 0, 1)]
    assert new_ids(root) == [f"item-{n:04d}" for n in range(ITEMS)]
    assert sum(outcome.progress.done for outcome in outcomes) == ITEMS


def test_a_second_pod_of_the_same_shard_finds_all_done(root: Path) -> None:
    moved(root, target=40)
    again = moved(root, parallelism=2, target=40)
    assert (again.progress.done, again.progress.reused) == (48, 48)


def test_items_move_in_their_order_up_to_the_target(root: Path) -> None:
    fitted(root, order={"policy": "Popularity", "column": "views"})
    outcome = moved(root, target=10)
    assert new_ids(root) == [f"item-{n:04d}" for n in range(216, ITEMS)]
    assert (outcome.progress.total, outcome.progress.done) == (24, 24)


def test_a_pod_that_is_told_to_go_leaves_whole_chunks_and_the_next_goes_on(root: Path) -> None:
    stop = Stop()

    class Told(Stop):
        checks = 0

        def check(self) -> None:
            self.checks += 1
            self.signal = 15 if self.checks > 5 else None
            super().check()

    stop = Told()
    with pytest.raises(SystemExit) as ended:
        moved(root, stop=stop)
    assert ended.value.code == 143
    assert 0 < len(new_ids(root)) < ITEMS
    rest = moved(root).progress
    assert 0 < rest.reused < rest.done == ITEMS
    assert new_ids(root) == [f"item-{n:04d}" for n in range(ITEMS)]


def test_a_pod_killed_between_vectors_and_note_changes_nothing_when_it_comes_again(root: Path) -> None:
    moved(root, target=10)
    part = next(iter((root / "out/gallery/new").glob("part-*.parquet")))
    before = part.read_bytes()
    (root / "out/work/done" / f"{part.stem.removeprefix('part-')}.parquet").unlink()
    assert moved(root, target=10).progress.done == 24
    assert part.read_bytes() == before


def test_another_model_under_the_same_name_is_refused(root: Path) -> None:
    with reporting() as report, pytest.raises(InvalidInputError) as refused:
        move(BackfillMoveTask.model_validate(task(root)), 0, OLD, report, Stop())
    assert refused.value.reason == "MixedModels"


def test_an_item_that_cannot_be_read_stays_and_is_told(tmp_path: Path) -> None:
    write_gallery(tmp_path / "items.parquet", ITEMS)
    paired(tmp_path)
    fitted(tmp_path)
    pictures = [picture(n % 8, n) if n != 7 else b"no picture" for n in range(ITEMS)]
    write_gallery(tmp_path / "items.parquet", ITEMS, image=pictures)

    outcome = moved(tmp_path)
    assert (outcome.progress.done, outcome.progress.failed) == (ITEMS - 1, 1)
    completed(tmp_path)

    assert "item-0007" in (tmp_path / "out/report/index.html").read_text()
    with pytest.raises(InvalidInputError, match="item-0007"):
        ending.drop(BackfillDropTask.model_validate(task(tmp_path)))


def test_what_has_moved_can_be_rolled_back_and_forth(root: Path) -> None:
    moved(root)
    ending.view(BackfillViewTask.model_validate(task(root, target=25)))
    assert len(new_ids(root)) == 60
    ending.view(BackfillViewTask.model_validate(task(root, target=100)))
    assert len(new_ids(root)) == ITEMS


def test_items_that_come_or_change_meanwhile_are_embedded_in_the_end(root: Path) -> None:
    moved(root)
    ids = [f"item-{n:04d}" for n in range(ITEMS)] + ["new-1", "new-2"]
    pictures = [picture(n % 8, n if n != 5 else 999) for n in range(ITEMS)] + [picture(1, 1), picture(2, 2)]
    more = {"kind": ["kind-0"] * len(ids), "views": [0] * len(ids)}
    write_gallery(root / "items.parquet", ITEMS, item_id=ids, image=pictures, **more)

    outcome = completed(root)
    assert outcome.progress.metrics["added"] == 3
    assert set(ids) == set(new_ids(root))
    again = completed(root)
    assert again.progress.metrics["added"] == 0


def test_an_end_before_all_have_moved_is_refused_without_loss(root: Path) -> None:
    moved(root, target=50)
    folder = root / "out/work/done"
    with pytest.raises(InvalidInputError) as refused:
        ending.drop(BackfillDropTask.model_validate(task(root)))
    assert refused.value.reason == "NotMoved"
    assert folder.is_dir()
    assert gallery(root).parts("old")


def test_in_the_end_the_gallery_holds_exactly_what_the_new_model_says(root: Path) -> None:
    moved(root)
    completed(root)
    ending.drop(BackfillDropTask.model_validate(task(root)))

    found = gallery(root)
    assert found.parts("old") == []
    from io import BytesIO

    from PIL import Image

    rows = pq.read_table(root / "items.parquet", columns=["item_id", "image"]).to_pydict()
    shown = [Image.open(BytesIO(data)).convert("RGB") for data in rows["image"]]
    compatibility = Compatibility.load(folders(root).compatibility)
    expected = dict(zip(rows["item_id"], compatibility.new_vector(NEW.pictures(shown)), strict=True))
    for part in found.parts("new"):
        stored = found.read(part)
        for item_id, vector in zip(stored.ids.to_pylist(), stored.vectors, strict=True):
            assert np.allclose(vector, expected[item_id], atol=1e-6)


def test_probes_are_asked_at_every_percent_and_begin_with_the_old_model(root: Path) -> None:
    moved(root)
    outcome = probed(root)
    curve = folders(root).curve()
    assert sorted(curve) == list(range(101))
    assert curve[0]["flips"] == 0.0
    assert curve[100]["recall"] > curve[0]["recall"]
    assert outcome.progress.metrics["probe/100/recall"] == pytest.approx(curve[100]["recall"], abs=1e-5)


def test_the_first_percent_is_what_the_old_model_alone_answers(root: Path) -> None:
    probed(root, target=0)
    from fathom.backfill.stages.queries import read
    from fathom_api.backfill_tasks import AnyProbes

    asked = read(AnyProbes(queries=str(root / "queries.parquet")), OLD)
    rows = [gallery(root).read(part) for part in gallery(root).parts("old")]
    ids = [item_id for part in rows for item_id in part.ids.to_pylist()]
    scores = asked.vectors @ np.concatenate([part.vectors for part in rows]).T
    recalls = []
    for row, relevant in zip(scores, asked.relevant, strict=True):
        best = {ids[n] for n in np.argsort(-row)[:5]}
        recalls.append(len(best & relevant) / min(5, len(relevant)))
    assert folders(root).curve()[0]["recall"] == pytest.approx(float(np.mean(recalls)))


@pytest.mark.parametrize("method", ["RankMerge", "Isotonic"])
def test_probes_are_asked_by_both_models_where_the_method_has_no_transform(
    tmp_path: Path, method: str
) -> None:
    write_gallery(tmp_path / "items.parquet", ITEMS)
    write_queries(tmp_path / "queries.parquet", 64, ITEMS)
    paired(tmp_path, oldQueries=True)
    fitted(tmp_path, compatibility={"method": method})
    moved(tmp_path)
    probed(tmp_path)
    recall = [point["recall"] for _, point in sorted(folders(tmp_path).curve().items())]
    assert recall[100] > recall[0] + 0.1
    assert min(recall) > recall[0] - 0.05


def test_old_embeddings_are_of_the_model_itself_where_queries_need_it(tmp_path: Path) -> None:
    write_gallery(tmp_path / "items.parquet", 40)
    vectors = np.random.default_rng(0).normal(size=(40, OLD.dim)).astype(np.float32)
    table = pa.table({"item_id": [f"item-{n:04d}" for n in range(40)], "embedding": list(vectors)})
    pq.write_table(table, tmp_path / "old.parquet")
    paired(
        tmp_path,
        oldQueries=True,
        **{"from": {"model": "models/old", "embeddings": str(tmp_path / "old.parquet")}},
    )
    assert gallery(tmp_path).info.old.model == OLD.digest


def test_a_probe_that_comes_late_misses_no_percent_and_measures_none_twice(root: Path) -> None:
    moved(root, target=30)
    probed(root, target=20)
    curve = folders(root).curve()
    folders(root).save_curve({**curve, 10: {"recall": 0.5, "flips": 0.25}})
    probed(root, target=30)
    assert sorted(folders(root).curve()) == list(range(31))
    assert folders(root).curve()[10] == {"recall": 0.5, "flips": 0.25}


def test_the_report_shows_the_curve(root: Path) -> None:
    moved(root)
    probed(root)
    completed(root, probes={"queries": str(root / "queries.parquet"), "k": 5})
    page = (root / "out/report/index.html").read_text()
    assert "Recall at 5" in page
    assert "<polyline" in page
    assert NEW.digest in page


def test_the_last_words_of_a_probe_fit_a_termination_message(root: Path) -> None:
    moved(root)
    said = probed(root).model_dump_json(by_alias=True, exclude_defaults=True)
    assert len(json.loads(said)["progress"]["metrics"]) == 48
    assert len(said.encode()) < 4096


def test_a_pace_lets_so_many_through_and_no_burst_after_a_rest() -> None:
    now, slept = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(4.0, clock=lambda: now[0], sleep=sleep)
    for _ in range(4):
        pace.wait(8)
    assert now[0] == pytest.approx(5.0)
    now[0] += 3600
    pace.wait(8)
    pace.wait(8)
    assert slept[-1] == pytest.approx(1.0)


def test_a_new_item_that_cannot_be_read_does_not_hold_up_the_end(root: Path) -> None:
    moved(root)
    ids = [f"item-{n:04d}" for n in range(ITEMS)] + ["lost"]
    pictures = [picture(n % 8, n) for n in range(ITEMS)] + [b""]
    more = {"kind": ["kind-0"] * len(ids), "views": [0] * len(ids)}
    write_gallery(root / "items.parquet", ITEMS, item_id=ids, image=pictures, **more)

    assert completed(root).progress.metrics["added"] == 0
    assert "lost" in (root / "out/report/index.html").read_text()


def test_an_item_that_can_be_read_at_last_is_embedded_once_and_told_no_more(root: Path) -> None:
    moved(root)
    ids = [f"item-{n:04d}" for n in range(ITEMS)] + ["item-late"]
    pictures = [picture(n % 8, n) for n in range(ITEMS)]
    more = {"item_id": ids, "kind": ["kind-0"] * len(ids), "views": [0] * len(ids)}
    write_gallery(root / "items.parquet", ITEMS, image=[*pictures, b""], **more)
    completed(root)
    write_gallery(root / "items.parquet", ITEMS, image=[*pictures, picture(1, 1)], **more)

    assert completed(root).progress.metrics["added"] == 1
    assert "item-late" not in (root / "out/report/index.html").read_text()
    assert completed(root).progress.metrics["added"] == 0

"""A gallery of captions: what a CaptionJob says of each item is embedded anew, and nothing is captioned."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders.backfills import NEW_WORDS, open_model, task
from builders.catalogues import Writer, catalogue

from fathom import storage
from fathom.backfill.stages import ending
from fathom.backfill.stages.captions import CaptionItems
from fathom.backfill.stages.estimate import estimate
from fathom.backfill.stages.fit import fit
from fathom.backfill.stages.folders import Folders
from fathom.backfill.stages.move import move
from fathom.backfill.stages.pair import pair
from fathom.backfill.stages.probe import probe
from fathom.captioning.stopping import Stop
from fathom.errors import InvalidInputError
from fathom.progress import Reporter
from fathom_api.backfill_tasks import (
    BackfillCompleteTask,
    BackfillEstimateTask,
    BackfillFitTask,
    BackfillMoveTask,
    BackfillPairTask,
    BackfillProbeTask,
    BackfillTask,
)
from fathom_api.tasks import CaptionsAt

THINGS = ("car", "cat", "boat", "bird", "dress", "drum", "horse", "house")
ITEMS = 160


def words(count: int = ITEMS) -> dict[str, str]:
    return {f"item-{n:04d}": f"a {THINGS[n % len(THINGS)]} seen from view {n // 16}" for n in range(count)}


def captioned(root: Path, said: Mapping[str, str], run: int = 1) -> None:
    Writer(model=f"m{run}", words=said).run(storage.resolve(str(root / "catalog")), catalogue(*said), 2, run)


def of_captions(root: Path, **more: Any) -> dict[str, Any]:
    return task(root) | {
        "gallery": {"captions": {"output": str(root / "catalog"), "shards": 2}},
        "from": {"model": "models/old-words"},
        "to": {"model": "models/new-words"},
        **more,
    }


@contextmanager
def reporting() -> Generator[Reporter]:
    with Reporter(lambda progress: None) as report:
        yield report


def moved(root: Path) -> None:
    with reporting() as report:
        pair(BackfillPairTask.model_validate(of_captions(root, pairs=120)), open_model, report)
        how = {"compatibility": {"method": "Procrustes"}}
        fit(BackfillFitTask.model_validate(of_captions(root, **how)), open_model, report)
        move(BackfillMoveTask.model_validate(of_captions(root)), 0, NEW_WORDS, report, Stop())


def completed(root: Path) -> dict[str, float]:
    with reporting() as report:
        wanted = BackfillCompleteTask.model_validate(of_captions(root))
        return ending.complete(wanted, NEW_WORDS, report).progress.metrics


def stored(root: Path) -> dict[str, Any]:
    """Return the vectors of the new space by item: of two the one of the higher version."""
    found = Folders(BackfillTask.model_validate(of_captions(root))).gallery()
    rows = [found.read(part) for part in found.parts("new")]
    each = [
        row for part in rows for row in zip(part.versions, part.ids.to_pylist(), part.vectors, strict=True)
    ]
    return {item: vector for _, item, vector in sorted(each, key=lambda row: row[:2])}


def test_the_estimate_counts_items_with_a_caption(tmp_path: Path) -> None:
    captioned(tmp_path, words())
    outcome = estimate(BackfillEstimateTask.model_validate(of_captions(tmp_path)), NEW_WORDS)
    assert outcome.progress.metrics["items"] == ITEMS


def test_every_caption_is_embedded_by_the_new_model(tmp_path: Path) -> None:
    captioned(tmp_path, words())
    moved(tmp_path)
    assert completed(tmp_path) == {"added": 0.0}
    found = stored(tmp_path)
    assert set(found) == set(words())
    assert found["item-0007"] == pytest.approx(NEW_WORDS.texts([words()["item-0007"]])[0])


def test_what_is_captioned_otherwise_meanwhile_or_is_new_is_embedded_in_the_end(tmp_path: Path) -> None:
    captioned(tmp_path, words())
    moved(tmp_path)
    # Its id comes before all others: what was counted from the start no longer fits.
    now = {"another": "a lamp"} | words() | {"item-0007": "a lorry"}
    captioned(tmp_path, now, run=2)
    assert completed(tmp_path) == {"added": 2.0}
    assert stored(tmp_path)["item-0007"] == pytest.approx(NEW_WORDS.texts(["a lorry"])[0])


def test_an_item_that_has_no_caption_any_more_is_said_to_have_none(tmp_path: Path) -> None:
    captioned(tmp_path, {"a": "a lamp", "c": "a lorry"})
    items = CaptionItems(CaptionsAt(output=str(tmp_path / "catalog"), shards=2))
    [gone, there] = items.contents(["b", "c"], [1, 2])
    assert (gone.content, gone.reason) == (None, "NoCaption")
    assert (there.content, there.row) == ("a lorry", 2)


def test_an_aspect_that_is_not_there_is_refused(tmp_path: Path) -> None:
    captioned(tmp_path, words(4))
    with pytest.raises(InvalidInputError, match="no aspect mood, only caption"):
        CaptionItems(CaptionsAt(output=str(tmp_path / "catalog"), shards=2, aspect="mood"))


def test_probes_may_be_texts(tmp_path: Path) -> None:
    captioned(tmp_path, words())
    moved(tmp_path)
    relevant = [[item for item, said in words().items() if thing in said.split()] for thing in THINGS]
    asked = {"query": [f"a {thing}" for thing in THINGS], "relevant": relevant}
    pq.write_table(pa.table(asked), tmp_path / "queries.parquet")
    probes = {"queries": str(tmp_path / "queries.parquet"), "textColumn": "query", "k": 5}
    with reporting() as report:
        probe(
            BackfillProbeTask.model_validate(of_captions(tmp_path, probes=probes)), open_model, report, Stop()
        )
    curve = Folders(BackfillTask.model_validate(of_captions(tmp_path))).curve()
    assert set(curve) == set(range(101))
    assert curve[100]["recall"] > curve[0]["recall"]

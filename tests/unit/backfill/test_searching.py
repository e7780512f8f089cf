"""What the stages write is what the retriever reads: every item is found once, from first to last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from builders.backfills import CLASSES, NEW, open_model, picture, task, write_gallery

from fathom.backfill.compatibility import Compatibility
from fathom.backfill.stages import ending
from fathom.backfill.stages.fit import fit
from fathom.backfill.stages.folders import Folders
from fathom.backfill.stages.move import move
from fathom.backfill.stages.pair import pair
from fathom.captioning.media.pictures import picture as decoded
from fathom.captioning.stopping import Stop
from fathom.progress import Reporter
from fathom.retrieval.following import Following
from fathom.retrieval.index import Index
from fathom.retrieval.queries import Query
from fathom.retrieval.retriever import Encoders, Retriever, searched_spaces
from fathom_api.backfill_tasks import (
    BackfillCompleteTask,
    BackfillDropTask,
    BackfillFitTask,
    BackfillMoveTask,
    BackfillPairTask,
    BackfillTask,
    BackfillViewTask,
)

ITEMS = 160


class Upgrade:
    """A backfill and a retriever that follows it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        write_gallery(root / "items.parquet", ITEMS)
        with Reporter(lambda progress: None) as report:
            pair(BackfillPairTask.model_validate(task(root, pairs=120)), open_model, report)
            how = {"compatibility": {"method": "Procrustes", "labels": "kind"}}
            fit(BackfillFitTask.model_validate(task(root, **how)), open_model, report)
        folders = Folders(BackfillTask.model_validate(task(root)))
        gallery, self.compatibility = folders.gallery(), Compatibility.load(folders.compatibility)
        index = Index(searched_spaces(gallery.info, self.compatibility), ITEMS)
        self.following = Following(gallery, index, self.compatibility.old_vector)
        self.following.load()
        self.retriever = Retriever(gallery.info, index, self.compatibility, Encoders())

    def move(self, target: int) -> None:
        """Move items up to `target` percent; the retriever has a look."""
        with Reporter(lambda progress: None) as report:
            move(BackfillMoveTask.model_validate(task(self.root, target=target)), 0, NEW, report, Stop())
        self.following.look()

    def view(self, target: int) -> None:
        """Have that much in force; the retriever has a look."""
        ending.view(BackfillViewTask.model_validate(task(self.root, target=target)))
        self.following.look()

    def found(self, k: int, kind: int = 0) -> list[str]:
        """Return the ids of the items that a picture of `kind` finds."""
        [vector] = NEW.pictures([decoded(picture(kind, 300_000))])
        return [hit.id for hit in self.retriever.find([Query(k, new=vector)])[0]]


@pytest.fixture
def upgrade(tmp_path: Path) -> Upgrade:
    return Upgrade(tmp_path)


def test_every_item_is_found_exactly_once_at_any_moment(upgrade: Upgrade) -> None:
    every = [f"item-{n:04d}" for n in range(ITEMS)]
    assert sorted(upgrade.found(ITEMS)) == every
    for target in (1, 25, 60):
        upgrade.move(target)
        assert sorted(upgrade.found(ITEMS)) == every
        assert upgrade.retriever.progress == pytest.approx(target / 100, abs=0.02)
    upgrade.view(25)
    assert sorted(upgrade.found(ITEMS)) == every
    assert upgrade.retriever.progress == pytest.approx(0.25, abs=0.02)
    upgrade.view(100)
    upgrade.move(100)
    assert sorted(upgrade.found(ITEMS)) == every
    assert upgrade.retriever.progress == 1


def test_in_the_end_a_query_finds_what_the_new_model_alone_would_find(upgrade: Upgrade) -> None:
    upgrade.move(100)
    with Reporter(lambda progress: None) as report:
        ending.complete(BackfillCompleteTask.model_validate(task(upgrade.root)), NEW, report)
    ending.drop(BackfillDropTask.model_validate(task(upgrade.root)))
    upgrade.following.look()

    rows = pq.read_table(upgrade.root / "items.parquet", columns=["item_id", "image"]).to_pydict()
    gallery = NEW.pictures([decoded(data) for data in rows["image"]])
    for kind in range(CLASSES):
        query = NEW.pictures([decoded(picture(kind, 300_000))])
        order = np.argsort(-(gallery @ query[0]), kind="stable")[:10]
        assert upgrade.found(10, kind) == [rows["item_id"][row] for row in order]

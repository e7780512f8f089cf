"""`fathom caption`, with a captioner that names colours in place of a model."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

import pytest
from builders.pictures import parquet, png

from fathom import manifest, storage
from fathom.captioning import command, engines
from fathom.captioning.engines import Answer, Prepared, Question, Result, UnansweredError
from fathom.captioning.engines.asking import answer_all
from fathom.captioning.store import history
from fathom.captioning.store.captions import Captions
from fathom.errors import InvalidInputError
from fathom_api.progress import Outcome
from fathom_api.tasks import CaptionTask

NAMES = {(255, 0, 0): "red", (0, 128, 0): "green", (0, 0, 255): "blue"}


class Namer:
    """Says a picture's colour; refuses white ones, and does `before` with each batch first."""

    concurrency = 1
    decoding = "by eye"

    def __init__(self, before: Callable[[int], None] = lambda number: None) -> None:
        self.seen = 0
        self.digest = ""
        self._batches = 0
        self._before = before

    def clean(self, text: str) -> str:
        return text

    def prepare(self, question: Question) -> Prepared:
        return Prepared(question, "all", question.clip.frames[0].getpixel((0, 0)), 100)

    def preparer(self) -> None:
        return None

    def batch_size(self, group: Hashable) -> int:
        return 4

    def generate(self, batch: Sequence[Prepared]) -> list[Result]:
        self._before(self._batches)
        self._batches += 1
        return [self._say(prepared.inputs) for prepared in batch]

    def answer(self, questions: Sequence[Question]) -> list[Result]:
        return answer_all(self, questions)

    def _say(self, colour: tuple[int, int, int]) -> Result:
        if colour == (255, 255, 255):
            return UnansweredError("RefusedByModel", "nothing to see")
        self.seen += 1
        return Answer(NAMES.get(colour, "a colour"), 1, "Stop", 2.0)


class World:
    """A table of pictures, an output folder, and the model in use."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.output = root / "out"
        self.table = root / "items.parquet"
        self.namer = Namer()
        self.digest = "sha256:model"
        patch.setattr(engines, "open_engine", lambda model: self.namer)

    def write(self, ids: list[str | None], images: list[bytes | None]) -> None:
        parquet(self.table, item_id=ids, image=images)

    def task(self, shards: int = 1) -> CaptionTask:
        return CaptionTask.model_validate(
            {
                "source": {"uri": str(self.table)},
                "model": {"uri": "a-model", "batchSize": 4},
                "output": str(self.output),
                "shards": shards,
            }
        )

    def caption(self, shard: int = 0, shards: int = 1, namer: Namer | None = None) -> Outcome:
        self.namer = namer or Namer()
        self.namer.digest = self.digest
        return command.caption(self.task(shards), shard)

    def history(self, kind: history.Kind) -> list[str]:
        """The items of all rows that were ever written."""
        return [
            i for rows in history.rows(self.output / "history", kind, ["item_id"]) for i in rows["item_id"]
        ]

    def captions(self, shards: int = 1) -> Captions:
        return Captions(self.output, shards)

    def rows(self, shards: int = 1) -> dict[str, str]:
        """All captions of the run; an item that is there twice fails the test."""
        batches = self.captions(shards).rows(["item_id", "caption"])
        found = [(r["item_id"], r["caption"]) for batch in batches for r in batch.to_pylist()]
        assert len(dict(found)) == len(found)
        return dict(found)

    def errors(self, shards: int = 1) -> list[tuple[str, str]]:
        rows = [row for batch in self.captions(shards).errors() for row in batch.to_pylist()]
        return sorted((row["item_id"], row["reason"]) for row in rows)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def colours(count: int) -> tuple[list[str | None], list[bytes | None]]:
    """Ids and pictures of `count` items, each a little larger than the last so that all are different."""
    return [str(n) for n in range(count)], [png("red" if n % 2 else "blue", (9, 9 + n)) for n in range(count)]


def test_every_item_has_a_caption_or_an_error(world: World) -> None:
    world.write(
        ["r", "b", "broken", "none", None, "r", "white"],
        [png("red"), png("blue"), b"no picture", None, png("red"), png("green"), png("white")],
    )
    outcome = world.caption()
    assert world.rows() == {"r": "red", "b": "blue"}
    assert sorted(world.errors()) == [
        ("", "NoId"), ("broken", "NotAnImage"), ("none", "NoMedia"), ("r", "DuplicateId"),
        ("white", "RefusedByModel"),
    ]  # fmt: skip
    progress = outcome.progress
    assert (progress.total, progress.done, progress.failed, progress.reused) == (7, 2, 5, 0)
    assert set(progress.samples) == {"red", "blue"}
    folder = storage.resolve(outcome.uri or "")
    assert outcome.digest == manifest.verify(folder).digest


def test_a_second_run_captions_nothing_and_leaves_the_same(world: World) -> None:
    world.write(*colours(10))
    first = world.caption()
    again = world.caption()
    assert world.namer.seen == 0
    assert (again.progress.done, again.progress.reused) == (10, 10)
    assert again.digest == first.digest


def test_only_what_changed_is_captioned(world: World) -> None:
    ids, images = colours(10)
    world.write(ids, images)
    world.caption()
    world.write([*ids[1:], "new"], [png("green"), *images[2:], png("red")])
    outcome = world.caption()
    assert world.namer.seen == 2
    assert outcome.progress.reused == 8
    rows = world.rows()
    assert "0" not in rows, "an item that is gone has no caption any more"
    assert (rows["1"], rows["new"]) == ("green", "red")


def test_another_model_captions_all_again(world: World) -> None:
    world.write(*colours(5))
    world.caption()
    world.digest = "sha256:another"
    assert world.caption().progress.reused == 0
    assert len(world.rows()) == 5


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (2, 3), (4, 2)])
def test_items_dealt_anew_keep_their_captions(before: int, after: int, world: World) -> None:
    world.write(*colours(40))
    for shard in range(before):
        world.caption(shard, before)
    rows = world.rows(before)
    for shard in range(after):
        world.caption(shard, after)
        assert world.namer.seen == 0
    assert world.rows(after) == rows


def test_a_killed_pod_loses_only_the_batch_in_flight(world: World) -> None:
    def kill(batch: int) -> None:
        if batch == 3:
            raise KeyboardInterrupt

    world.write(*colours(20))
    with pytest.raises(KeyboardInterrupt):
        world.caption(namer=Namer(kill))
    with pytest.raises(InvalidInputError, match="shard 0 of 1 was not finished"):
        world.captions()
    assert world.caption().progress.reused == 3 * 4
    assert len(world.rows()) == 20


def test_sigterm_finishes_and_commits_the_batch_in_flight(world: World) -> None:
    def stop(batch: int) -> None:
        if batch == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    world.write(*colours(20))
    with pytest.raises(SystemExit) as end:
        world.caption(namer=Namer(stop))
    assert end.value.code == 128 + signal.SIGTERM
    kept = len(world.history("captions"))
    # Batches that begin while the signal is on its way are in flight, too.
    assert kept in (8, 12, 16, 20)
    assert world.caption().progress.reused == kept


def test_errors_are_those_of_this_run(world: World) -> None:
    world.write(["a", "b"], [b"no picture", b"neither"])
    world.caption(0, 2), world.caption(1, 2)
    assert len(world.history("errors")) == 2
    world.write(["a", "b"], [b"no picture", png("red")])
    world.caption(0, 1)
    assert world.errors() == [("a", "NotAnImage")]


def test_a_model_that_fails_for_other_reasons_fails_the_pod(world: World) -> None:
    def fail(batch: int) -> None:
        raise RuntimeError("the GPU fell off the bus")

    world.write(*colours(3))
    with pytest.raises(RuntimeError):
        world.caption(namer=Namer(fail))
    assert world.history("errors") == []


def test_a_shard_without_items_is_finished_too(world: World) -> None:
    world.write(["a"], [png("red")])
    outcomes = [world.caption(shard, 3) for shard in range(3)]
    assert sorted(outcome.progress.total for outcome in outcomes) == [0, 0, 1]
    assert world.rows(3) == {"a": "red"}


def test_a_shard_beyond_the_last_is_refused(world: World) -> None:
    world.write(["a"], [png("red")])
    with pytest.raises(InvalidInputError, match="shard 2 of 2"):
        world.caption(2, 2)

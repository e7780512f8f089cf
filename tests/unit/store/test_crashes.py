"""Whoever is killed between any two changes of the file system loses nothing that was committed.

A model of a pod: it plans, captions and seals, and dies at one step; then others come and finish. Every step
is tried. What is checked holds for any order of deaths.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from builders.catalogues import Catalogue, Writer, ever_made, failures, texts

from fathom.captioning.store import history, planning
from fathom.captioning.store.captions import Captions
from fathom.captioning.store.shard import Shard

BEFORE = Catalogue([f"item-{n}" for n in range(4)] + [None, "item-3"])
AFTER = Catalogue([f"item-{n}" for n in (7, 2, 12, 8, 11, 0, 13, 9, 1)] + ["item-2", None])
BROKEN = {"item-1": "RefusedByModel", "item-11": "OutOfMemory"}
#: All that changes what others see, but for writing into a file that has no name yet.
CHANGES = ("replace", "unlink", "rmdir", "mkdir")
SHARDS = 2


class Killed(BaseException):
    """SIGKILL: nothing that the process would still do happens."""


class Steps:
    """Counts changes of the file system; dies in place of number `last`, and of all that follow."""

    def __init__(self, last: int | None = None) -> None:
        self.count = 0
        self._last = last

    def __call__(self, change: Callable[[], Any]) -> Any:
        self.count += 1
        if self._last is None or self.count < self._last:
            return change()
        raise Killed

    @contextmanager
    def watched(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in CHANGES:
                original = getattr(Path, name)

                def step(path: Path, *given: Any, _original: Any = original, **options: Any) -> Any:
                    return self(lambda: _original(path, *given, **options))

                patch.setattr(Path, name, step)
            yield


class Pod(Writer):
    """A writer that does all that a run takes."""

    def live(self, output: Path) -> None:
        plan = planning.make(output, AFTER, AFTER.deal(SHARDS, 2), "plan")
        for index in range(SHARDS):
            shard = Shard(output, plan, index, asked=self.model)
            self.work(AFTER, shard)
            shard.finish({"model": self.model}, {})


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output that was captioned once, from another source, in other shards."""
    folder = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        Writer(broken=BROKEN).run(folder, BEFORE, shards=3)
    return folder


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows must do for merging and packing to happen."""
    monkeypatch.setattr(history, "PART_ROWS", 3)
    monkeypatch.setattr(history, "PACK_FILES", 2)


def steps_of_a_life(begun: Path, output: Path) -> int:
    shutil.copytree(begun, output)
    steps = Steps()
    with steps.watched():
        Pod(broken=BROKEN).live(output)
    shutil.rmtree(output)
    return steps.count


def expected() -> tuple[dict[str, str], list[tuple[str, str]]]:
    writer = Writer()
    done = {i: writer.text(i, "caption") for i in AFTER.names if i is not None and i not in BROKEN}
    return done, sorted([*BROKEN.items(), ("item-2", "DuplicateId"), ("", "NoId")])


def test_a_death_at_any_step_loses_nothing_and_doubles_nothing(begun: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    steps = steps_of_a_life(begun, output)
    assert steps > 30
    for last in range(1, steps + 1):
        shutil.copytree(begun, output)
        kept = ever_made(output)
        victim, heir = Pod(broken=BROKEN), Pod(broken=BROKEN)
        dying = Steps(last)
        with dying.watched(), pytest.raises(Killed):
            victim.live(output)
        committed = ever_made(output)
        assert kept | victim.kept <= committed, f"step {last}: history shrank"
        heir.live(output)
        captions = Captions(output, SHARDS)
        assert (texts(captions), failures(captions)) == expected(), f"step {last}"
        assert committed <= ever_made(output), f"step {last}: what was committed is gone"
        remade = {item for item, _ in heir.made} & {item for item, _ in committed}
        assert not remade - BROKEN.keys(), f"step {last}: what was committed was made again"
        assert len(set(victim.made) & set(heir.made) - {("item-11", "caption")}) <= victim.batch
        shutil.rmtree(output)


def test_a_pod_that_dies_beside_another_on_the_same_shard_does_not_disturb_it(
    begun: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    steps = steps_of_a_life(begun, output)
    for last in range(1, steps + 1, 3):
        shutil.copytree(begun, output)
        plan = planning.make(output, AFTER, AFTER.deal(SHARDS, 2), "plan")
        living = Pod(broken=BROKEN)
        shards = [Shard(output, plan, index, asked=living.model) for index in range(SHARDS)]
        living.work(AFTER, shards[0])
        with Steps(last).watched(), suppress(Killed):
            Pod(broken=BROKEN).live(output)
        living.work(AFTER, shards[1])
        for shard in shards:
            shard.finish({"model": living.model}, {})
        captions = Captions(output, SHARDS)
        assert (texts(captions), failures(captions)) == expected(), f"step {last}"
        shutil.rmtree(output)

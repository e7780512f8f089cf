"""Captioning a shard with an engine that tells what it is asked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import pytest
from builders.pictures import parquet, png

from fathom.captioning import command, media
from fathom.captioning.engines import Answer, Prepared, Question, Result, UnansweredError
from fathom.captioning.engines.asking import answer_all
from fathom.captioning.stopping import Stop
from fathom.captioning.store.captions import Captions
from fathom.captioning.tally import Tally
from fathom.captioning.work import Work
from fathom.progress import Reporter
from fathom_api.tasks import CaptionTask

SIGTERM = 15


class Teller:
    """Answers with aspect, prompt and size of the picture; `say` may change what one question gets."""

    digest = "sha256:teller"
    decoding = "by heart"

    def __init__(
        self, size: int = 4, concurrency: int = 1, say: Callable[[str], Result] | None = None
    ) -> None:
        self.concurrency = concurrency
        self.batches: list[int] = []
        self.prepared: Counter[str] = Counter()
        self._size = size
        self._say = say or (lambda text: Answer(text, 2, "Stop", 1.0))

    def clean(self, text: str) -> str:
        return text.replace("<", "")

    def prepare(self, question: Question) -> Prepared:
        frame = question.clip.frames[0]
        text = f"{question.aspect}: {question.prompt} {frame.width}"
        self.prepared[text] += 1
        return Prepared(question, question.aspect, text, nbytes=1000)

    def preparer(self) -> None:
        return None

    def batch_size(self, group: Hashable) -> int:
        return self._size

    def generate(self, batch: Sequence[Prepared]) -> list[Result]:
        self.batches.append(len(batch))
        return [self._say(prepared.inputs) for prepared in batch]

    def answer(self, questions: Sequence[Question]) -> list[Result]:
        return answer_all(self, questions)


class Place:
    """A table, an output folder, and runs over them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.runs = 0

    def write(self, widths: Sequence[int], **columns: list[Any]) -> None:
        images = [png("red", (width, 9)) if width else b"no picture" for width in widths]
        parquet(
            self._root / "items.parquet", item_id=list(map(str, range(len(widths)))), image=images, **columns
        )

    def caption(self, engine: Teller, stop: Stop | None = None, **model: Any) -> Tally:
        source = {"uri": str(self._root / "items.parquet"), **model.pop("source", {})}
        document = {"source": source, "model": {"uri": "m", **model}, "output": str(self._root / "out")}
        task = CaptionTask.model_validate(document)
        reader, shard = command.open_shard(task, 0)
        tally = Tally(shard.total, failed=len(shard.skipped_rows))
        Work(task, engine, reader, shard, tally).run(stop or Stop(), Reporter(lambda progress: None))
        shard.finish({}, tally.counts())
        return tally

    def captions(self) -> dict[tuple[str, str], str]:
        rows = Captions(self._root / "out", 1).rows(["item_id", "aspect", "caption"])
        return {(r["item_id"], r["aspect"]): r["caption"] for batch in rows for r in batch.to_pylist()}

    def rows(self) -> list[dict[str, Any]]:
        rows = Captions(self._root / "out", 1).rows(["item_id", "tokens", "milliseconds", "finish"])
        return [row for batch in rows for row in batch.to_pylist()]

    def errors(self) -> list[dict[str, Any]]:
        return [row for batch in Captions(self._root / "out", 1).errors() for row in batch.to_pylist()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


ASPECTS = {"prompts": [{"name": "subject", "prompt": "What?"}, {"name": "mood", "prompt": "Which mood?"}]}


def test_each_aspect_is_asked_about_each_item(place: Place) -> None:
    place.write([5, 6])
    tally = place.caption(Teller(), **ASPECTS)
    assert place.captions() == {
        ("0", "subject"): "subject: What? 5", ("1", "subject"): "subject: What? 6",
        ("0", "mood"): "mood: Which mood? 5", ("1", "mood"): "mood: Which mood? 6",
    }  # fmt: skip
    assert (tally.done, tally.failed, tally.tokens) == (2, 0, 8)


def test_texts_of_an_item_are_in_its_prompt_cleaned(place: Place) -> None:
    place.write([5, 6], title=["a <image> dress", None])
    place.caption(Teller(), prompt="A {title}?", source={"textColumns": ["title"]})
    assert place.captions() == {
        ("0", "caption"): "caption: A a image> dress? 5",
        ("1", "caption"): "caption: A ? 6",
    }


def test_the_same_picture_and_prompt_are_captioned_once(place: Place) -> None:
    place.write([5, 6, 5, 5, 6] * 20)
    engine = Teller()
    tally = place.caption(engine)
    assert sum(engine.batches) == 2
    assert set(engine.prepared.values()) == {1}
    assert (tally.done, tally.tokens) == (100, 4)
    rows = place.rows()
    assert len(rows) == 100
    assert sum(row["milliseconds"] for row in rows) == 2.0, "a copied caption took no time"
    assert all(row["tokens"] == 2 for row in rows)


def test_an_item_is_done_when_all_its_questions_are(place: Place) -> None:
    def say(text: str) -> Result:
        if text == "mood: Which mood? 6":
            return UnansweredError("NotTheSchema", "no JSON")
        return Answer(text, 2, "Length", 1.0)

    place.write([5, 6, 7])
    tally = place.caption(Teller(say=say), **ASPECTS)
    assert (tally.done, tally.failed, tally.reused) == (2, 1, 0)
    [error] = place.errors()
    assert (error["item_id"], error["aspect"], error["reason"]) == ("1", "mood", "NotTheSchema")
    assert ("1", "subject") in place.captions(), "what was answered is kept"


def test_an_unreadable_item_is_one_error_whatever_is_asked(place: Place) -> None:
    place.write([5, 0, 0])
    tally = place.caption(Teller(), **ASPECTS)
    assert (tally.done, tally.failed) == (1, 2)
    errors = sorted((e["item_id"], e["aspect"], e["reason"]) for e in place.errors())
    assert errors == [("1", "", "NotAnImage"), ("2", "", "NotAnImage")]


def test_a_second_run_decodes_and_asks_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def say(text: str) -> Result:
        return UnansweredError("RefusedByModel", "no") if text.endswith("6") else Answer(text, 2, "Stop", 1.0)

    place.write([5, 6, 7])
    place.caption(Teller(say=say), **ASPECTS)
    monkeypatch.setattr(media, "decode", lambda *given: pytest.fail("decoded again"))
    engine = Teller()
    tally = place.caption(engine, **ASPECTS)
    assert (tally.done, tally.failed, tally.reused, tally.tokens) == (2, 1, 2, 0)
    assert engine.batches == []
    assert {error["item_id"] for error in place.errors()} == {"1"}


def test_an_error_of_a_server_is_tried_again_in_the_next_run(place: Place) -> None:
    place.write([5])
    down = Teller(say=lambda text: UnansweredError("EndpointUnavailable", "down", transient=True))
    assert place.caption(down).failed == 1
    assert place.caption(Teller()).done == 1
    assert place.errors() == []


def test_another_aspect_asks_only_that(place: Place) -> None:
    place.write([5, 6])
    place.caption(Teller(), prompts=ASPECTS["prompts"][:1])
    engine = Teller()
    tally = place.caption(engine, **ASPECTS)
    assert set(engine.prepared) == {"mood: Which mood? 5", "mood: Which mood? 6"}
    assert (tally.done, tally.reused) == (2, 0)
    assert len(place.captions()) == 4


def test_batches_are_full_where_they_can_be(place: Place) -> None:
    place.write(list(range(10, 51)))
    engine = Teller(size=8)
    place.caption(engine)
    assert engine.batches == [8, 8, 8, 8, 8, 1]


def test_a_server_is_asked_as_many_questions_at_once_as_it_takes(place: Place) -> None:
    together = threading.Barrier(3, timeout=10)

    def say(text: str) -> Result:
        together.wait()
        return Answer(text, 2, "Stop", 1.0)

    place.write(list(range(10, 19)))
    assert place.caption(Teller(size=1, concurrency=3, say=say)).done == 9


def test_little_is_read_ahead(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    decode = media.decode
    monkeypatch.setattr(media, "decode", lambda *given: (decoded.append(1), decode(*given))[1])
    ahead: list[int] = []

    def say(text: str) -> Result:
        ahead.append(len(decoded) - len(ahead))
        return Answer(text, 2, "Stop", 1.0)

    place.write(list(range(10, 310)))
    assert place.caption(Teller(size=8, say=say)).done == 300
    assert max(ahead) <= 80


def test_when_stopped_the_batch_in_flight_is_kept_and_no_other(place: Place) -> None:
    stop = Stop()

    def say(text: str) -> Result:
        stop.signal = SIGTERM
        return Answer(text, 2, "Stop", 1.0)

    place.write(list(range(10, 49)))
    with pytest.raises(SystemExit):
        place.caption(Teller(say=say), stop)
    engine = Teller()
    assert place.caption(engine).reused == 4
    assert sum(engine.batches) == 35


@pytest.mark.parametrize("broken", ["items", "read", "prepare", "generate"])
def test_an_unexpected_error_on_any_thread_ends_the_run(
    broken: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> Any:
        raise ZeroDivisionError(broken)

    engine = Teller()
    if broken == "read":
        monkeypatch.setattr(media, "read", fail)
    elif broken == "items":
        whole = command.open_source

        def opened(source: Any, index: Any = None) -> Any:
            reader = whole(source, index)
            reader.items = fail  # type: ignore
            return reader

        monkeypatch.setattr(command, "open_source", opened)
    else:
        setattr(engine, broken, fail)
    place.write([5, 6])
    with pytest.raises(ZeroDivisionError, match=broken):
        place.caption(engine)


def test_what_was_answered_before_an_error_is_kept(place: Place) -> None:
    def say(text: str) -> Result:
        if len(engine.batches) == 3:
            raise ZeroDivisionError
        return Answer(text, 2, "Stop", 1.0)

    engine = Teller(say=say)
    place.write(list(range(10, 49)))
    with pytest.raises(ZeroDivisionError):
        place.caption(engine)
    assert place.caption(Teller()).reused == 8


def test_threads_end_with_the_run(place: Place) -> None:
    place.write(list(range(10, 49)))
    place.caption(Teller(concurrency=3))
    names = {thread.name.partition("-")[0] for thread in threading.enumerate() if thread.is_alive()}
    assert names.isdisjoint({"ask", "rows"})

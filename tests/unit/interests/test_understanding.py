"""What a model says of each interest: asked once, about typical media, and kept by content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fathom.captioning.engines import Answer, Question
from fathom.errors import InvalidInputError
from fathom.interests import summaries, understanding
from fathom.serendipity.clusters import Cluster, Clusters
from fathom_api.interest_tasks import UnderstandTask

COUNT = 3


@dataclass
class Model:
    """Says how many pictures it was shown, and remembers the questions."""

    most: int = 16
    digest: str = "sha256:model"
    decoding: str = "{}"
    asked: list[Question] = field(default_factory=list[Question])

    def clean(self, text: str) -> str:
        return text

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        if any(len(question.clip.frames) > self.most for question in questions):
            raise InvalidInputError("OnePictureOnly", "this model takes one picture")
        self.asked += questions
        return [Answer(f"{len(q.clip.frames)} of {q.prompt}", 3, "Stop", 1.0) for q in questions]


def picture(shade: int) -> bytes:
    out = BytesIO()
    Image.new("RGB", (8, 8), (shade, shade, shade)).save(out, "PNG")
    return out.getvalue()


def write_source(folder: Path, **changed: bytes) -> None:
    names = [f"i{n}" for n in range(2 * COUNT)]
    images = [changed.get(name, picture(10 * n)) for n, name in enumerate(names)]
    pq.write_table(pa.table({"item_id": names, "image": images}), folder / "items.parquet")


@pytest.fixture
def task(tmp_path: Path) -> UnderstandTask:
    finest = [
        Cluster(
            id=n,
            name=f"name {n}",
            keywords=[f"word{n}"],
            size=2,
            parent=None,
            representatives=[f"i{2 * n}", f"i{2 * n + 1}"],
        )
        for n in range(COUNT)
    ]
    items, own = [f"i{n}" for n in range(2 * COUNT)], np.repeat(np.arange(COUNT), 2)[:, None]
    Clusters(items, own, [finest], np.eye(COUNT, dtype=np.float32), [COUNT], [0.0]).write(
        tmp_path / "clusters", {}
    )
    write_source(tmp_path)
    return UnderstandTask.model_validate(
        {
            "clusters": str(tmp_path / "clusters"),
            "source": {"uri": str(tmp_path / "items.parquet")},
            "model": {"uri": "a-model"},
            "understanding": {"media": 2, "prompt": "What of {keywords}?"},
            "cache": str(tmp_path / "cache"),
            "output": str(tmp_path / "summaries"),
        }
    )


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    made = Model()
    monkeypatch.setattr(understanding.engines, "open_engine", lambda _: made)
    return made


def said(task: UnderstandTask) -> dict[int, str]:
    return summaries.read(Path(task.output))


def test_each_interest_is_asked_about_once_with_its_typical_media(task: UnderstandTask, model: Model) -> None:
    outcome = understanding.understand(task)
    assert said(task) == {n: f"2 of What of word{n}?" for n in range(COUNT)}
    assert len(model.asked) == outcome.progress.done == COUNT


def test_what_was_said_is_not_asked_again(task: UnderstandTask, model: Model, tmp_path: Path) -> None:
    understanding.understand(task)
    elsewhere = task.model_copy(update={"output": str(tmp_path / "again")})
    assert understanding.understand(elsewhere).progress.metrics["reused"] == COUNT
    assert len(model.asked) == COUNT
    assert said(elsewhere) == said(task)


def test_an_interest_with_another_picture_alone_is_asked_about_again(
    task: UnderstandTask, model: Model, tmp_path: Path
) -> None:
    understanding.understand(task)
    write_source(tmp_path, i0=picture(250))
    understanding.understand(task.model_copy(update={"output": str(tmp_path / "again")}))
    assert [question.prompt for question in model.asked[COUNT:]] == ["What of word0?"]


def test_a_model_of_one_picture_is_asked_about_each_and_its_answers_put_together(
    task: UnderstandTask, model: Model
) -> None:
    model.most = 1
    understanding.understand(task)
    assert said(task)[0] == "1 of What of word0?"
    assert len(model.asked) == 2 * COUNT


def test_a_broken_picture_is_passed_over(task: UnderstandTask, model: Model, tmp_path: Path) -> None:
    write_source(tmp_path, i0=b"no picture")
    understanding.understand(task)
    assert said(task)[0] == "1 of What of word0?"


def test_where_no_picture_can_be_read_it_says_what_to_do(
    task: UnderstandTask, model: Model, tmp_path: Path
) -> None:
    write_source(tmp_path, **{f"i{n}": b"no picture" for n in range(2 * COUNT)})
    with pytest.raises(InvalidInputError, match=r"correct the source, or remove spec\.understanding"):
        understanding.understand(task)

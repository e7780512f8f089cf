"""How often a small model is opened on CPUs, and that it then answers the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from fathom import cpus, memory
from fathom.captioning.engines import Answer, Question, Result, replicas
from fathom.captioning.engines.replicated_engine import ReplicatedEngine, Said
from fathom.captioning.engines.transformers_engine import TransformersEngine
from fathom.captioning.media import Clip
from fathom.captioning.models import checkpoint
from fathom.captioning.models.identity import Checkpoint
from fathom_api.tasks import AnyModel

GIB = 2**30
COLOURS = ["red", "green", "blue", "white", "black", "orange", "purple", "grey"]


def model(uri: str = "/models/small", **fields: object) -> AnyModel:
    return AnyModel.model_validate({"uri": uri, "prompt": "What is it?", "maxNewTokens": 6, **fields})


def questions() -> list[Question]:
    clips = [Clip((Image.new("RGB", (40, 40), colour),), ()) for colour in COLOURS]
    return [Question("caption", "What is it?", clip, 6) for clip in clips]


def texts(results: list[Result]) -> list[str]:
    assert all(isinstance(result, Answer) for result in results), results
    return [result.text for result in results if isinstance(result, Answer)]


@pytest.fixture
def replicated(llava_checkpoint: str) -> Callable[..., ReplicatedEngine]:
    def opened(**fields: object) -> ReplicatedEngine:
        asked = model(llava_checkpoint, **fields)
        found = checkpoint.find(asked)
        return ReplicatedEngine(TransformersEngine.of(asked, found), asked, found, 2)

    return opened


@pytest.mark.parametrize(
    ("weights", "free", "fields", "count"),
    [
        pytest.param(40, 64, {}, 4, id="a small model is opened on each CPU"),
        pytest.param(400, 64, {}, 1, id="a large one has all CPUs to itself"),
        pytest.param(40, 5, {}, 2, id="each needs memory"),
        pytest.param(40, 1, {}, 1, id="with little memory there is one all the same"),
        pytest.param(40, 64, {"compile": True}, 1, id="a compiled one is compiled once"),
        pytest.param(40, 64, {"spread": True}, 1, id="one that is spread has no replicas"),
    ],
)
def test_how_often_a_model_is_opened(
    *,
    weights: int,
    free: int,
    fields: dict[str, object],
    count: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cpus, "available", lambda: 4)
    monkeypatch.setattr(memory, "available", lambda: free * GIB)
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(weights * 2**20)
    assert replicas.count(model(**fields), Checkpoint(tmp_path, "sha256:0")) == count


def test_replicas_say_what_one_engine_says(replicated: Callable[..., ReplicatedEngine]) -> None:
    engine = replicated(batchSize=2)
    alone = TransformersEngine.of(model(str(engine._engine._found.path)))
    assert texts(engine.answer(questions())) == texts(alone.answer(questions()))
    assert (engine.digest, engine.decoding) == (alone.digest, alone.decoding)


def test_each_replica_takes_batches(replicated: Callable[..., ReplicatedEngine]) -> None:
    engine = replicated()
    batches = [[engine.prepare(question)] for question in questions()]
    with ThreadPoolExecutor(engine.concurrency) as threads:
        list(threads.map(engine.generate, batches))
    assert len(engine._executor._processes) == 2


def test_sizes_are_found_for_all_replicas_together(replicated: Callable[..., ReplicatedEngine]) -> None:
    engine = replicated()
    [first, *_] = batch = [engine.prepare(question) for question in questions()]
    assert engine.batch_size(first.group) == 8
    for _ in range(2):
        engine.generate(batch)
    assert engine.batch_size(first.group) == 16


def test_a_batch_that_was_too_large_for_a_replica_is_smaller_for_all(
    replicated: Callable[..., ReplicatedEngine],
) -> None:
    engine = replicated()
    group = engine.prepare(questions()[0]).group
    engine._note(group, 8, Said([], 1.0, most=4, roomy=True))
    assert engine.batch_size(group) == 4


def test_batches_do_not_grow_where_a_replica_says_that_memory_is_short(
    replicated: Callable[..., ReplicatedEngine],
) -> None:
    engine = replicated()
    group = engine.prepare(questions()[0]).group
    for _ in range(4):
        engine._note(group, 8, Said([], 1.0, most=64, roomy=False))
    assert engine.batch_size(group) == 8


def test_a_replica_that_dies_ends_the_run_with_what_it_was(
    replicated: Callable[..., ReplicatedEngine],
) -> None:
    engine = replicated()
    batch = [engine.prepare(question) for question in questions()]
    engine.generate(batch)
    for process in list(engine._executor._processes):
        os.kill(process, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="a process with the model died"):
        engine.generate(batch)

from __future__ import annotations

import hashlib
import itertools
import json
from contextlib import nullcontext
from functools import partial
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from builders.pictures import encoded, parquet, png
from PIL import Image

from fathom import manifest
from fathom.captioning import command
from fathom.captioning.engines import Answer, Question, open_engine
from fathom.captioning.media import Clip
from fathom.captioning.models import prompting
from fathom.captioning.models.checkpoint import find, open_model
from fathom.captioning.stopping import Stop
from fathom.captioning.tuning import finetuning, training, tuning_report
from fathom.captioning.tuning.answers import with_answers
from fathom.errors import InvalidInputError
from fathom_api.captioning import ASPECT
from fathom_api.progress import Outcome
from fathom_api.tasks import AnyModel, FinetuneTask

COLOURS = ("red", "lime", "blue")
PROMPT = "What is it?"


def pairs(folder: Path, each: int = 4) -> str:
    """Pictures of three colours in many sizes, and what they are."""
    rows = [(png(c, (40 + n, 40)), f"a {c} thing") for c, n in itertools.product(COLOURS, range(each))]
    return parquet(folder / "pairs.parquet", image=[r[0] for r in rows], caption=[r[1] for r in rows])


def task(folder: Path, model: str, **fields: object) -> FinetuneTask:
    settings = {"uri": pairs(folder), "batchSize": 6, "epochs": 2, "validation": 0.2, **fields}
    document = {
        "model": {"uri": model, "prompt": PROMPT, "maxNewTokens": 8},
        "fineTune": settings,
        "output": str(folder / "model"),
    }
    return FinetuneTask.model_validate(document)


def describe(model: str, *pictures: bytes) -> list[str]:
    """What a checkpoint says of pictures."""
    engine = open_engine(AnyModel.model_validate({"uri": model, "prompt": PROMPT}))
    clips = [Clip((Image.open(BytesIO(data)).convert("RGB"),), ()) for data in pictures]
    answers = engine.answer([Question(ASPECT, PROMPT, clip, 8) for clip in clips])
    return [answer.text for answer in answers if isinstance(answer, Answer)]


def said(model: str) -> dict[str, str]:
    """What a checkpoint says about each colour."""
    return dict(zip(COLOURS, describe(model, *map(png, COLOURS)), strict=True))


def made(outcome: Outcome) -> Path:
    """The version that was made."""
    return Path(outcome.uri or "")


def weights(outcome: Outcome) -> bytes:
    return (made(outcome) / "model.safetensors").read_bytes()


def test_the_small_llava_learns_to_say_what_it_sees(tmp_path: Path) -> None:
    learn = task(tmp_path, "fathom://small-llava", epochs=10, learningRate=3e-3, validation=0)
    outcome = command.finetune(learn)
    assert said(str(made(outcome))) == {colour: f"a {colour} thing" for colour in COLOURS}
    metrics = outcome.progress.metrics
    assert metrics["epoch"] == 10
    assert metrics["loss"] < 0.5
    assert outcome.progress.done == outcome.progress.total
    assert outcome.digest == manifest.verify(made(outcome)).digest


def test_the_small_llava_learns_from_views_too(tmp_path: Path) -> None:
    settings = {"epochs": 10, "learningRate": 3e-3, "validation": 0, "augment": ["Flip", "Crop"]}
    outcome = command.finetune(task(tmp_path, "fathom://small-llava", **settings))
    assert said(str(made(outcome))) == {colour: f"a {colour} thing" for colour in COLOURS}
    assert outcome.progress.done == outcome.progress.total


def test_any_architecture_learns_through_the_same_code(any_checkpoint: str, tmp_path: Path) -> None:
    learn = task(tmp_path, any_checkpoint, epochs=3, learningRate=3e-3)
    outcome = command.finetune(learn)
    curve = tuning_report.read(made(outcome)).curve
    assert curve[-1].loss < curve[0].loss
    assert all(epoch.validation_loss is not None for epoch in curve)
    assert set(said(learn.output)) == set(COLOURS)


def test_any_architecture_learns_by_adapters_and_opens_without_them(
    any_checkpoint: str, tmp_path: Path
) -> None:
    learn = task(tmp_path, any_checkpoint, epochs=3, learningRate=1e-2, method="LoRA", lora={"rank": 4})
    outcome = command.finetune(learn)
    curve = tuning_report.read(made(outcome)).curve
    assert curve[-1].loss < curve[0].loss
    model = AnyModel.model_validate({"uri": outcome.uri})
    opened, _ = open_model(find(model), model, torch.device("cpu"))
    base = AnyModel.model_validate({"uri": any_checkpoint})
    before, _ = open_model(find(base), base, torch.device("cpu"))
    names = dict(before.named_parameters())
    changed = {n for n, p in opened.named_parameters() if not torch.equal(p, names[n])}
    assert names.keys() == dict(opened.named_parameters()).keys()
    assert changed
    assert not [name for name in changed if "vision" in name or "embed" in name]


def test_what_is_finished_is_not_done_again(llava_checkpoint: str, tmp_path: Path) -> None:
    learn = task(tmp_path, llava_checkpoint)
    first = command.finetune(learn)
    written = (made(first) / "model.safetensors").stat().st_mtime_ns
    assert command.finetune(learn) == first
    assert (made(first) / "model.safetensors").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"epochs": 1}, id="other settings"),
        pytest.param({"seed": 1}, id="another seed"),
        pytest.param({"method": "LoRA"}, id="another method"),
    ],
)
def test_another_recipe_makes_another_version_and_leaves_the_first_to_those_who_use_it(
    changed: dict[str, object], llava_checkpoint: str, tmp_path: Path
) -> None:
    first = command.finetune(task(tmp_path, llava_checkpoint))
    pinned = find(AnyModel(uri=first.uri))
    second = command.finetune(task(tmp_path, llava_checkpoint, **changed))
    assert second.digest != first.digest
    assert find(AnyModel(uri=first.uri)) == pinned
    assert find(AnyModel(uri=str(tmp_path / "model"))).path == made(second), "the last one made is the latest"
    assert command.finetune(task(tmp_path, llava_checkpoint)) == first
    assert find(AnyModel(uri=str(tmp_path / "model"))).path == made(first)


def test_a_damaged_model_is_made_again(llava_checkpoint: str, tmp_path: Path) -> None:
    learn = task(tmp_path, llava_checkpoint)
    first = command.finetune(learn)
    (made(first) / "model.safetensors").write_bytes(b"")
    assert command.finetune(learn) == first
    assert manifest.verify(made(first)).digest == first.digest


class Killer:
    """Ends the process's work in a given step, as SIGKILL would: nothing after it is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *steps: int) -> None:
        self.done: list[tuple[int, int]] = []
        one, left = training.Training._step, list(steps)

        def step(trainer: training.Training, *rest: Any) -> None:
            if left and len(self.done) == left[0]:
                left.pop(0)
                raise KeyboardInterrupt
            self.done.append((len(trainer.place.curve), trainer.place.steps))
            one(trainer, *rest)

        monkeypatch.setattr(training.Training, "_step", step)


@pytest.mark.parametrize("method", ["Full", "LoRA"])
def test_a_killed_pod_goes_on_from_its_last_epoch_to_the_same_model(
    method: str, llava_checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = command.finetune(task(tmp_path / "whole", llava_checkpoint, epochs=3, method=method))
    learn = task(tmp_path / "killed", llava_checkpoint, epochs=3, method=method)
    killer = Killer(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        command.finetune(learn)
    assert not list(Path(learn.output).glob("versions/*"))
    resumed = command.finetune(learn)
    assert killer.done == [(0, 0), (0, 1), (1, 0), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert weights(resumed) == weights(whole)
    assert not list(Path(learn.output).glob(".*")), "nothing is left of the snapshots"


def test_a_killed_pod_draws_the_same_views_again(
    llava_checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, 40, 40, 3), np.uint8)
    pictures = [encoded(Image.fromarray(pixels)) for pixels in noise]
    uri = parquet(tmp_path / "noise.parquet", image=pictures, caption=[f"thing {n}" for n in range(12)])
    settings = {"uri": uri, "epochs": 2}
    plain = command.finetune(task(tmp_path / "plain", llava_checkpoint, **settings))
    settings["augment"] = ["Flip", "Crop"]
    whole = command.finetune(task(tmp_path / "whole", llava_checkpoint, **settings))
    assert weights(whole) != weights(plain)
    learn = task(tmp_path / "killed", llava_checkpoint, **settings)
    Killer(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        command.finetune(learn)
    assert weights(command.finetune(learn)) == weights(whole)


def test_within_a_long_epoch_a_kill_costs_one_interval(
    llava_checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step takes a third of the interval between snapshots."""
    settings = {"epochs": 2, "batchSize": 1, "patience": 2}
    whole = command.finetune(task(tmp_path / "whole", llava_checkpoint, **settings))
    learn = task(tmp_path / "killed", llava_checkpoint, **settings)
    kills = (5, 9, 14)
    killer = Killer(monkeypatch, *kills)
    timed = partial(training.Training, clock=lambda: len(killer.done) * training._INTERVAL / 3)
    monkeypatch.setattr(finetuning, "Training", timed)
    for _ in kills:
        with pytest.raises(KeyboardInterrupt):
            command.finetune(learn)
    resumed = command.finetune(learn)
    assert weights(resumed) == weights(whole)
    assert report(resumed) == report(whole)
    again = len(killer.done) - len(set(killer.done))
    assert 0 < again <= 2 * len(kills)


def report(outcome: Outcome) -> dict[str, Any]:
    """The report but for the place of its pairs."""
    told = json.loads((made(outcome) / tuning_report.NAME).read_text())
    del told["settings"]["uri"]
    return told


def test_a_pod_that_is_told_to_go_saves_the_step_it_is_at(
    llava_checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"epochs": 1, "batchSize": 1}
    whole = command.finetune(task(tmp_path / "whole", llava_checkpoint, **settings))
    learn = task(tmp_path / "told", llava_checkpoint, **settings)
    killer = Killer(monkeypatch)
    stop = Stop()
    with monkeypatch.context() as told:
        told.setattr(finetuning, "on_sigterm", lambda: nullcontext(stop))
        told.setattr(finetuning.Steps, "trained", lambda *_: setattr(stop, "signal", 15))
        with pytest.raises(SystemExit, match="143"):
            command.finetune(learn)
    resumed = command.finetune(learn)
    assert len(killer.done) == len(set(killer.done)), "no step is done twice"
    assert weights(resumed) == weights(whole)


def test_a_folder_with_other_files_is_not_written_to(llava_checkpoint: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/thesis.txt").write_text("years of work")
    with pytest.raises(InvalidInputError, match=r"thesis\.txt"):
        command.finetune(task(tmp_path, llava_checkpoint))
    assert (tmp_path / "model/thesis.txt").read_text() == "years of work"


def test_only_the_answer_and_its_end_are_learned(llava_checkpoint: str) -> None:
    model = AnyModel.model_validate({"uri": llava_checkpoint})
    _, processor = open_model(find(model), model, torch.device("cpu"))
    images = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    question = prompting.encode(processor, PROMPT, images)
    answers = ["a red thing", "blue"]
    inputs = with_answers(question, answers, processor.tokenizer, seq2seq=False)
    learned = [row[row != -100] for row in inputs["labels"]]
    assert [processor.tokenizer.decode(row).removesuffix("</s>").strip() for row in learned] == answers
    assert all(row[-1] == processor.tokenizer.eos_token_id for row in learned)
    attended = inputs["input_ids"][inputs["attention_mask"] == 1]
    assert processor.tokenizer.pad_token_id not in attended


def test_the_report_tells_how_it_was_taught_and_what_it_writes(llava_checkpoint: str, tmp_path: Path) -> None:
    learn = task(tmp_path, llava_checkpoint, validation=0.4, evaluatedPairs=3, epochs=3)
    outcome = command.finetune(learn)
    told = tuning_report.read(made(outcome))
    examined = told.examination
    assert examined is not None
    assert (examined.media, examined.references) == (3, 3)
    assert told.pairs.training + told.pairs.held_out == told.pairs.media == 12
    drawn = [(c, png(c, (40 + n, 40))) for c in COLOURS for n in range(4)]
    pictures = {hashlib.sha256(data).hexdigest(): (colour, data) for colour, data in drawn}
    for example in examined.examples:
        assert example.people == [f"a {pictures[example.media_sha256][0]} thing"]
        assert example.written == describe(learn.output, pictures[example.media_sha256][1])[0]
    assert [e.epoch for e in told.curve] == [1, 2, 3]
    assert [p.step for p in told.points] == list(range(1, 1 + 3 * -(-told.pairs.training // 6)))
    assert told.points[-1].learning_rate == told.curve[-1].learning_rate < told.curve[0].learning_rate
    metrics = outcome.progress.metrics
    assert metrics.keys() >= {"epoch", "loss", "validation_loss", "cider", "bleu4", "token_f1"}
    assert metrics["token_f1"] == examined.token_f1
    assert outcome.progress.done == outcome.progress.total


def test_nothing_is_examined_where_nothing_is_held_out(llava_checkpoint: str, tmp_path: Path) -> None:
    outcome = command.finetune(task(tmp_path, llava_checkpoint, validation=0, epochs=1))
    assert tuning_report.read(made(outcome)).examination is None
    assert "cider" not in outcome.progress.metrics


def test_patience_ends_a_training_that_no_longer_gets_better(llava_checkpoint: str, tmp_path: Path) -> None:
    """With a learning rate this high each epoch is worse than the one before, or as bad."""
    learn = task(tmp_path, llava_checkpoint, validation=0.3, epochs=40, patience=2, learningRate=0.05)
    outcome = command.finetune(learn)
    told = tuning_report.read(made(outcome))
    assert told.stopped_early
    assert len(told.curve) == told.best_epoch + 2
    assert outcome.progress.metrics["best_epoch"] == told.best_epoch
    assert outcome.progress.done == outcome.progress.total


def test_adapters_move_a_taught_small_model_to_new_words(tmp_path: Path) -> None:
    taught = command.finetune(
        task(tmp_path / "one", "fathom://small-llava", epochs=6, learningRate=3e-3, validation=0)
    )
    images = [png(c, (40 + n, 40)) for c in COLOURS for n in range(4)]
    captions = [f"this is {c}" for c in COLOURS for _ in range(4)]
    uri = parquet(tmp_path / "other.parquet", image=images, caption=captions)
    settings = {"method": "LoRA", "epochs": 16, "learningRate": 3e-3, "validation": 0, "uri": uri}
    moved = command.finetune(task(tmp_path / "two", taught.uri or "", **settings))
    assert all(text.startswith("a ") for text in said(str(made(taught))).values())
    assert all(text.startswith("this") for text in said(str(made(moved))).values())
    assert (made(moved) / "adapter/adapter_model.safetensors").stat().st_size < 2**22


@pytest.mark.parametrize(
    ("settings", "reason", "sentence"),
    [
        pytest.param(
            {"method": "LoRA"}, "NotTrained", "set fineTune.method to Full", id="adapters on nothing"
        ),
        pytest.param(
            {"patience": 1, "validation": 0.001},
            "NothingHeldOut",
            "raise it",
            id="patience, nothing held out",
        ),
    ],
)
def test_what_cannot_work_ends_at_once(
    settings: dict[str, object], reason: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match=sentence) as error:
        command.finetune(task(tmp_path, "fathom://small-llava", **settings))
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("loss", "reason", "sentence"),
    [
        pytest.param(
            torch.OutOfMemoryError(), "OutOfMemory", "6 pairs .* lower fineTune.batchSize", id="memory"
        ),
        pytest.param(
            float("nan"), "Diverged", "nan in epoch 1: lower fineTune.learningRate", id="not a number"
        ),
    ],
)
def test_a_training_that_cannot_go_on_says_what_to_change(
    loss: Any, reason: str, sentence: str, llava_checkpoint: str, request: pytest.FixtureRequest
) -> None:
    def forward(*_: object, **__: object) -> SimpleNamespace:
        if isinstance(loss, Exception):
            raise loss
        return SimpleNamespace(loss=torch.tensor(loss))

    request.getfixturevalue("monkeypatch").setattr(
        "transformers.LlavaForConditionalGeneration.forward", forward
    )
    with pytest.raises(InvalidInputError, match=sentence) as error:
        command.finetune(task(request.getfixturevalue("tmp_path"), llava_checkpoint))
    assert error.value.reason == reason

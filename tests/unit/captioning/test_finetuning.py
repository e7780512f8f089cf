from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from builders.pictures import parquet, png

from fathom import manifest
from fathom.captioning import captioner, command, media, prompting, training
from fathom.captioning.checkpoint import find, open_model
from fathom.captioning.pairs import Pairs
from fathom.errors import InvalidInputError
from fathom_api.progress import Outcome
from fathom_api.tasks import AnyFineTune, AnyModel, FinetuneTask

COLOURS = ("red", "lime", "blue")
PROMPT = "What is it?"


def pairs(folder: Path, each: int = 4) -> str:
    """Pictures of three colours in many sizes, and what they are."""
    rows = [(png(c, (40 + n, 40)), f"a {c} thing") for c, n in itertools.product(COLOURS, range(each))]
    return parquet(folder / "pairs.parquet", image=[r[0] for r in rows], caption=[r[1] for r in rows])


def task(folder: Path, model: str, **fields: object) -> FinetuneTask:
    settings = {"uri": pairs(folder), "batchSize": 6, "epochs": 2, "validation": 0.2, **fields}
    document = {
        "model": {"uri": model, "prompt": PROMPT},
        "fineTune": settings,
        "output": str(folder / "model"),
    }
    return FinetuneTask.model_validate(document)


def said(model: str) -> dict[str, str]:
    """What a checkpoint says about each colour."""
    speaker, _ = captioner.load(AnyModel.model_validate({"uri": model, "prompt": PROMPT, "maxNewTokens": 8}))
    captions = speaker.caption([media.decode(png(colour)) for colour in COLOURS])
    return {colour: caption.text for colour, caption in zip(COLOURS, captions, strict=True)}


def test_the_small_llava_learns_to_say_what_it_sees(tmp_path: Path) -> None:
    learn = task(tmp_path, "fathom://small-llava", epochs=10, learningRate=3e-3, validation=0)
    outcome = command.finetune(learn)
    assert said(learn.output) == {colour: f"a {colour} thing" for colour in COLOURS}
    metrics = outcome.progress.metrics
    assert metrics["epoch"] == 10
    assert metrics["loss"] < 0.5
    assert outcome.progress.done == outcome.progress.total
    assert outcome.digest == manifest.verify(Path(learn.output)).digest


def test_any_architecture_learns_through_the_same_code(any_checkpoint: str, tmp_path: Path) -> None:
    learn = task(tmp_path, any_checkpoint, epochs=3, learningRate=3e-3)
    command.finetune(learn)
    curve = training.read_curve(Path(learn.output))
    assert curve[-1].loss < curve[0].loss
    assert all(epoch.validation_loss is not None for epoch in curve)
    assert set(said(learn.output)) == set(COLOURS)


def test_what_is_finished_is_not_done_again(llava_checkpoint: str, tmp_path: Path) -> None:
    learn = task(tmp_path, llava_checkpoint)
    first = command.finetune(learn)
    written = (tmp_path / "model/model.safetensors").stat().st_mtime_ns
    assert command.finetune(learn) == first
    assert (tmp_path / "model/model.safetensors").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"epochs": 1}, id="other settings"),
        pytest.param({"seed": 1}, id="another seed"),
    ],
)
def test_other_inputs_make_another_model(
    changed: dict[str, object], llava_checkpoint: str, tmp_path: Path
) -> None:
    first = command.finetune(task(tmp_path, llava_checkpoint))
    assert command.finetune(task(tmp_path, llava_checkpoint, **changed)).digest != first.digest


def test_a_damaged_model_is_made_again(llava_checkpoint: str, tmp_path: Path) -> None:
    learn = task(tmp_path, llava_checkpoint)
    first = command.finetune(learn)
    (tmp_path / "model/model.safetensors").write_bytes(b"")
    assert command.finetune(learn).digest == first.digest


def test_a_killed_pod_goes_on_from_its_last_epoch_to_the_same_model(
    llava_checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = command.finetune(task(tmp_path / "whole", llava_checkpoint, epochs=3))
    learn = task(tmp_path / "killed", llava_checkpoint, epochs=3)
    epochs: list[int] = []
    one = training.Training._epoch

    def counted(self: training.Training, number: int, *rest: object) -> float:
        epochs.append(number)
        if epochs == [0, 1]:
            raise KeyboardInterrupt
        return one(self, number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(training.Training, "_epoch", counted)
    with pytest.raises(KeyboardInterrupt):
        command.finetune(learn)
    assert manifest.read(Path(learn.output)) is None
    resumed = command.finetune(learn)
    assert epochs == [0, 1, 1, 2]
    assert weights(resumed) == weights(whole)
    assert not list(Path(learn.output).glob(".*")), "nothing is left of the checkpoints"


def weights(outcome: Outcome) -> bytes:
    return (Path(outcome.uri or "") / "model.safetensors").read_bytes()


def test_a_folder_with_other_files_is_not_written_to(llava_checkpoint: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/thesis.txt").write_text("years of work")
    with pytest.raises(InvalidInputError, match=r"thesis\.txt"):
        command.finetune(task(tmp_path, llava_checkpoint))
    assert (tmp_path / "model/thesis.txt").read_text() == "years of work"


def test_the_epoch_with_the_lowest_validation_loss_is_kept() -> None:
    curve = [training.Epoch(1, 3.0, 2.0), training.Epoch(2, 2.0, 1.0), training.Epoch(3, 1.0, 1.5)]
    assert training.best(curve).epoch == 2
    assert training.best([training.Epoch(1, 3.0, None), training.Epoch(2, 2.0, None)]).epoch == 2


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [training.learning_rate(step, 100, 1.0) for step in range(100)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert 0 <= rates[-1] < 0.001


def test_only_the_answer_and_its_end_are_learned(llava_checkpoint: str) -> None:
    model = AnyModel.model_validate({"uri": llava_checkpoint})
    _, processor = open_model(find(model), model, torch.device("cpu"))
    images = [media.decode(png(colour)) for colour in ("red", "blue")]
    question = prompting.encode(processor, PROMPT, images)
    answers = ["a red thing", "blue"]
    inputs = prompting.with_answers(question, answers, processor.tokenizer, seq2seq=False)
    learned = [row[row != -100] for row in inputs["labels"]]
    assert [processor.tokenizer.decode(row).removesuffix("</s>").strip() for row in learned] == answers
    assert all(row[-1] == processor.tokenizer.eos_token_id for row in learned)
    attended = inputs["input_ids"][inputs["attention_mask"] == 1]
    assert processor.tokenizer.pad_token_id not in attended


@pytest.mark.parametrize(
    ("images", "captions", "usable", "unusable"),
    [
        pytest.param([png("red"), b"?"], ["red", "blue"], 1, 1, id="a broken picture is left out"),
        pytest.param([png("red"), png("blue")], ["red", None], 1, 1, id="a pair without caption is left out"),
        pytest.param(
            [png("red"), png("red")], ["red", "scarlet"], 2, 0, id="a picture may have several captions"
        ),
    ],
)
def test_pairs_that_cannot_be_used_are_counted(
    images: list[bytes], captions: list[str | None], usable: int, unusable: int, tmp_path: Path
) -> None:
    found = Pairs(AnyFineTune(uri=parquet(tmp_path / "p.parquet", image=images, caption=captions)))
    assert (len(found.all), found.unusable) == (usable, unusable)


def test_no_usable_pair_is_an_error_of_the_task(tmp_path: Path) -> None:
    uri = parquet(tmp_path / "p.parquet", image=[b"?"], caption=["red"])
    with pytest.raises(InvalidInputError, match="none of 1 pairs"):
        Pairs(AnyFineTune(uri=uri))


def test_all_captions_of_a_picture_fall_on_the_same_side(tmp_path: Path) -> None:
    images = [png("red", (8, 8 + n)) for n in range(60) for _ in range(2)]
    uri = parquet(tmp_path / "p.parquet", image=images, caption=[f"caption {n}" for n in range(120)])
    kept, held_out = Pairs(AnyFineTune(uri=uri)).split(0.3, seed=0)
    assert len(kept) + len(held_out) == 120
    assert held_out
    assert not {p.sha256 for p in kept} & {p.sha256 for p in held_out}

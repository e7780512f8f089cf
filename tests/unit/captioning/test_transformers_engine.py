from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from PIL import Image

from fathom.captioning.engines import Answer, Prepared, Question, Result, UnansweredError, open_engine
from fathom.captioning.engines.transformers_engine import TransformersEngine
from fathom.captioning.media import Clip
from fathom.captioning.models import checkpoint
from fathom.errors import InvalidInputError
from fathom_api.tasks import AnyModel

PICTURES = [
    Image.new("RGB", size, colour)
    for colour, size in (("red", (64, 48)), ("blue", (30, 90)), ("white", (56, 56)))
]


def model(uri: str, **fields: object) -> AnyModel:
    return AnyModel.model_validate({"uri": uri, "prompt": "What is it?", "maxNewTokens": 6, **fields})


def ask(picture: Image.Image, prompt: str = "What is it?", **fields: Any) -> Question:
    return Question("caption", prompt, Clip((picture,), ()), **{"max_new_tokens": 6, **fields})


def texts(results: Sequence[Result]) -> list[str]:
    assert all(isinstance(result, Answer) for result in results), results
    return [result.text for result in results if isinstance(result, Answer)]


def clip(frames: int) -> Clip:
    colours = ["red", "green", "blue", "white"][:frames]
    return Clip(tuple(Image.new("RGB", (40, 40), c) for c in colours), tuple(2.5 * n for n in range(frames)))


def test_any_architecture_answers_through_the_same_code(any_checkpoint: str) -> None:
    results = open_engine(model(any_checkpoint)).answer([ask(picture) for picture in PICTURES])
    answers = [result for result in results if isinstance(result, Answer)]
    assert len(answers) == len(PICTURES)
    assert all(0 <= answer.tokens <= 6 and answer.milliseconds > 0 for answer in answers)
    assert any(answer.text for answer in answers)
    assert not any("What is it" in answer.text for answer in answers), "the prompt is no part of an answer"


def test_the_same_picture_gets_the_same_words_in_any_batch(any_checkpoint: str) -> None:
    engine = open_engine(model(any_checkpoint))
    questions = [ask(picture) for picture in PICTURES * 2]
    alone = [texts(engine.answer([question]))[0] for question in questions]
    assert texts(engine.answer(questions)) == alone
    assert texts(engine.answer(questions[::-1])) == alone[::-1]


def test_prompts_of_any_length_get_the_same_words_in_any_batch(any_checkpoint: str) -> None:
    engine = open_engine(model(any_checkpoint))
    prompts = ["What is it?", "the red thing", "a green an the blue thing red a thing", "thing " * 30]
    questions = [ask(picture, prompt, varies=True) for prompt in prompts for picture in PICTURES]
    alone = [texts(engine.answer([question]))[0] for question in questions]
    assert texts(engine.answer(questions)) == alone


def test_padding_changes_no_words(llava_checkpoint: str) -> None:
    engine = open_engine(model(llava_checkpoint, dtype="Float32"))
    prompts = ["thing " * n for n in range(17, 31)]
    padded = [ask(PICTURES[0], prompt, varies=True) for prompt in prompts]
    exact = [ask(PICTURES[0], prompt) for prompt in prompts]
    groups = {engine.prepare(question).group for question in padded}
    assert len(groups) < len(prompts), "some prompts of other lengths are in one batch"
    assert texts(engine.answer(padded)) == texts(engine.answer(exact))


def test_words_depend_on_the_picture(llava_checkpoint: str) -> None:
    answers = open_engine(model(llava_checkpoint)).answer([ask(picture) for picture in PICTURES])
    assert len(set(texts(answers))) > 1


@pytest.mark.parametrize("architecture", ["llava_checkpoint", "idefics_checkpoint"])
def test_several_frames_are_several_pictures(architecture: str, request: pytest.FixtureRequest) -> None:
    engine = open_engine(model(request.getfixturevalue(architecture)))
    questions = [Question("caption", "What is it?", clip(n), 6) for n in (1, 2, 3, 2)]
    said = texts(engine.answer(questions))
    assert said == [texts(engine.answer([question]))[0] for question in questions]
    lengths = [engine.prepare(question).inputs[1]["input_ids"].shape[1] for question in questions]
    assert lengths[0] < lengths[1] < lengths[2]


def test_the_times_of_frames_are_in_the_prompt(llava_checkpoint: str) -> None:
    engine = TransformersEngine.of(model(llava_checkpoint))
    inputs = engine.prepare(Question("caption", "What is it?", clip(3), 6)).inputs[1]
    tokenizer = checkpoint.open_processor(
        checkpoint.find(model(llava_checkpoint)), model(llava_checkpoint)
    ).tokenizer
    assert "taken at 0.0 s, 2.5 s, 5.0 s." in tokenizer.decode(inputs["input_ids"][0])


def test_a_model_of_one_picture_refuses_videos_at_once(blip_checkpoint: str) -> None:
    with pytest.raises(InvalidInputError, match="one picture, not 2") as error:
        open_engine(model(blip_checkpoint)).prepare(Question("caption", "a", clip(2), 6))
    assert error.value.reason == "OnePictureOnly"


def test_pictures_are_let_go_when_a_question_is_prepared(llava_checkpoint: str) -> None:
    prepared = open_engine(model(llava_checkpoint)).prepare(ask(Image.new("RGB", (3000, 2000))))
    assert prepared.question.clip.frames == ()
    assert 0 < prepared.nbytes < 100_000


def test_questions_are_prepared_on_many_threads_at_once(llava_checkpoint: str) -> None:
    engine = open_engine(model(llava_checkpoint))
    questions = [ask(picture, engine.clean(f"thing {n}")) for n, picture in enumerate(PICTURES * 8)]
    with ThreadPoolExecutor(8) as pool:
        together = [p.inputs[1] for p in pool.map(engine.prepare, questions)]
    for question, inputs in zip(questions, together, strict=True):
        assert torch.equal(inputs["input_ids"], engine.prepare(question).inputs[1]["input_ids"])


def test_an_answer_says_whether_it_ended_or_was_cut_off(llava_checkpoint: str) -> None:
    engine = TransformersEngine.of(model(llava_checkpoint))
    engine.answer([ask(PICTURES[0])])
    loaded = engine._model
    [cut] = engine.answer([ask(PICTURES[0])])
    assert isinstance(cut, Answer)
    assert cut.finish == "Length"
    first = int(loaded.generate(**engine.prepare(ask(PICTURES[0])).inputs[1], max_new_tokens=1)[0, -1])
    loaded.generation_config.eos_token_id = first
    ended = TransformersEngine.around(loaded, engine._processor, engine._settings)
    [answer] = ended.answer([ask(PICTURES[0])])
    assert isinstance(answer, Answer)
    assert answer.finish == "Stop"


def test_a_prompt_longer_than_the_model_takes_is_an_error_of_its_item(llava_checkpoint: str) -> None:
    engine = open_engine(model(llava_checkpoint))
    long, short = engine.answer([ask(PICTURES[0], "thing " * 600), ask(PICTURES[0])])
    assert isinstance(long, UnansweredError)
    assert long.reason == "PromptTooLong"
    assert isinstance(short, Answer)


class Failing(TransformersEngine):
    """Fails with `error` for each batch that holds a marked prompt."""

    error: Exception = RuntimeError("sizes do not match")
    batches: list[int]

    def _generate(self, batch: Sequence[Prepared]) -> list[Result]:
        self.batches = [*getattr(self, "batches", []), len(batch)]
        if any("bad" in prepared.question.prompt for prepared in batch):
            raise self.error
        return super()._generate(batch)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(RuntimeError("sizes do not match"), "RefusedByModel", id="a shape that crashes it"),
        pytest.param(IndexError("index out of range in self"), "RefusedByModel", id="an unknown token"),
        pytest.param(torch.OutOfMemoryError("no memory"), "OutOfMemory", id="too large for the GPU"),
        pytest.param(
            RuntimeError("DefaultCPUAllocator: can't allocate memory"),
            "OutOfMemory",
            id="too large for the CPU",
        ),
    ],
)
def test_one_failing_question_fails_alone(error: Exception, reason: str, llava_checkpoint: str) -> None:
    engine = Failing.of(model(llava_checkpoint))
    engine.error = error
    prompts = ["all good"] * 8
    prompts[5] = "all bad!"
    questions = [ask(PICTURES[0], prompt) for prompt in prompts]
    assert len({engine.prepare(question).group for question in questions}) == 1
    results = engine.answer(questions)
    failed = [place for place, result in enumerate(results) if isinstance(result, UnansweredError)]
    assert failed == [5]
    assert isinstance(results[5], UnansweredError)
    assert results[5].reason == reason
    assert engine.batches == [8, 4, 4, 2, 1, 1, 2]


def test_a_model_that_crashes_on_everything_fails_the_pod(llava_checkpoint: str) -> None:
    engine = Failing.of(model(llava_checkpoint))
    with pytest.raises(RuntimeError, match="sizes do not match"):
        engine.answer([ask(PICTURES[0], "bad") for _ in range(40)])


def test_no_memory_makes_later_batches_smaller(llava_checkpoint: str) -> None:
    engine = Failing.of(model(llava_checkpoint))
    engine.error = torch.OutOfMemoryError("no memory")
    group = engine.prepare(ask(PICTURES[0])).group
    assert engine.batch_size(group) == 8
    engine.generate([engine.prepare(ask(PICTURES[0], "all bad!")) for _ in range(2)])
    assert engine.batch_size(engine.prepare(ask(PICTURES[0], "all good")).group) == 1


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        pytest.param({"batchSize": 3, "compile": True, "spread": True}, True, id="what makes it faster"),
        pytest.param({"dtype": "Float32"}, True, id="the number format that Auto takes on a CPU"),
        pytest.param({"dtype": "BFloat16"}, False, id="another number format"),
    ],
)
def test_decoding_is_what_decides_the_text(
    changed: dict[str, object], same: bool, llava_checkpoint: str
) -> None:
    engine = open_engine(model(llava_checkpoint))
    assert (open_engine(model(llava_checkpoint, **changed)).decoding == engine.decoding) is same


def test_weights_are_read_when_they_are_first_needed(
    llava_checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    read = checkpoint.open_weights
    monkeypatch.setattr(checkpoint, "open_weights", lambda *a: (opened.append(1), read(*a))[1])
    engine = open_engine(model(llava_checkpoint))
    prepared = engine.prepare(ask(PICTURES[0]))
    engine.clean("a text")
    assert opened == []
    engine.generate([prepared])
    engine.generate([prepared])
    assert opened == [1]


def test_a_model_in_half_precision_answers(llava_checkpoint: str) -> None:
    assert texts(open_engine(model(llava_checkpoint, dtype="BFloat16")).answer([ask(PICTURES[0])]))


def test_a_spread_model_answers_the_same(llava_checkpoint: str) -> None:
    questions = [ask(picture) for picture in PICTURES]
    spread = open_engine(model(llava_checkpoint, spread=True)).answer(questions)
    assert texts(spread) == texts(open_engine(model(llava_checkpoint)).answer(questions))


SCHEMA = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}


def test_an_answer_that_does_not_fit_its_schema_is_an_error(llava_checkpoint: str) -> None:
    [result] = open_engine(model(llava_checkpoint)).answer([ask(PICTURES[0], json_schema=SCHEMA)])
    assert isinstance(result, UnansweredError)
    assert result.reason == "NotTheSchema"


def test_a_schema_that_is_none_is_an_error_of_the_task(llava_checkpoint: str) -> None:
    asked = {"prompt": None, "prompts": [{"name": "mood", "prompt": "?", "jsonSchema": {"type": "nothing"}}]}
    with pytest.raises(InvalidInputError) as error:
        open_engine(model(llava_checkpoint, **asked))
    assert error.value.reason == "InvalidSchema"


def test_hostile_texts_hold_no_markup_of_the_model(any_checkpoint: str) -> None:
    engine = open_engine(model(any_checkpoint))
    hostile = "<image></s> <s><pad> <<image>> {title} %s"
    settings = model(any_checkpoint)
    tokenizer = checkpoint.open_processor(checkpoint.find(settings), settings).tokenizer
    before = set(tokenizer(hostile, add_special_tokens=False).input_ids) & set(tokenizer.all_special_ids)
    after = set(tokenizer(engine.clean(hostile), add_special_tokens=False).input_ids)
    assert before, "the text is hostile to this tokenizer"
    assert after.isdisjoint(tokenizer.all_special_ids)
    assert engine.clean("A red dress, 20 < 30 & more …") == "A red dress, 20 < 30 & more …"

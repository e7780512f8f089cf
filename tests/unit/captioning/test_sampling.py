"""Samples: what else a model might have said."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from builders.chat_server import sends, serving
from PIL import Image

from fathom.captioning.engines import Answer, Question, open_engine
from fathom.captioning.engines.openai_engine import OpenAIEngine
from fathom.captioning.engines.sampling import Drawn
from fathom.captioning.engines.structured import checked
from fathom.captioning.keys import seed_of
from fathom.captioning.media import Clip
from fathom_api.captioning import Endpoint
from fathom_api.tasks import AnyModel

PICTURES = [
    Image.new("RGB", size, colour)
    for colour, size in (("red", (64, 48)), ("blue", (30, 90)), ("white", (56, 56)))
]
QUESTIONS = [
    Question("caption", "What is it?", Clip((picture,), ()), 6, seed=number)
    for number, picture in enumerate(PICTURES)
]


def model(uri: str, **fields: object) -> AnyModel:
    return AnyModel.model_validate({"uri": uri, "prompt": "What is it?", "maxNewTokens": 6, **fields})


def said(uri: str, questions: list[Question], **fields: object) -> list[Answer]:
    results = open_engine(model(uri, **fields)).answer(questions)
    assert all(isinstance(result, Answer) for result in results), results
    return [result for result in results if isinstance(result, Answer)]


def test_the_caption_stays_the_likeliest_answer(any_checkpoint: str) -> None:
    plain = said(any_checkpoint, QUESTIONS)
    sampled = said(any_checkpoint, QUESTIONS, samples=5)
    assert [answer.text for answer in sampled] == [answer.text for answer in plain]
    assert [answer.samples for answer in plain] == [None] * 3
    assert [len(answer.samples or ()) for answer in sampled] == [5] * 3


def test_an_item_gets_the_same_samples_in_any_batch(any_checkpoint: str) -> None:
    together = [answer.samples for answer in said(any_checkpoint, QUESTIONS, samples=4)]
    backwards = [answer.samples for answer in said(any_checkpoint, QUESTIONS[::-1], samples=4)]
    alone = [said(any_checkpoint, [question], samples=4)[0].samples for question in QUESTIONS]
    assert together == backwards[::-1] == alone
    assert len({text for samples in together for text in samples or ()}) > 3


def test_another_seed_draws_other_samples(llava_checkpoint: str) -> None:
    one, other = (Question("caption", "?", Clip((PICTURES[0],), ()), 6, seed=seed) for seed in (1, 2))
    first, second = said(llava_checkpoint, [one, other], samples=8)
    assert first.text == second.text
    assert first.samples != second.samples


def test_samples_are_part_of_what_decides_the_text(llava_checkpoint: str) -> None:
    plain, few, many = (open_engine(model(llava_checkpoint, samples=n)).decoding for n in (0, 4, 8))
    assert "samples" not in plain, "captions that exist keep their keys"
    assert len({plain, few, many}) == 3


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    samples = 4000
    draw = Drawn([7], samples, limit=1)
    scores = probabilities.log().repeat(1 + samples, 1)
    left = draw(torch.zeros(1 + samples, 1), scores)
    assert torch.equal(left[0], scores[0]), "the first row is left to greedy search"
    assert (left[1:].isfinite().sum(-1) == 1).all()
    shares = np.bincount(left[1:].argmax(-1).numpy()) / samples
    assert shares == pytest.approx(probabilities.numpy(), abs=0.001)


#: Of a first token, and of a second one after each of them.
FIRST = torch.tensor([0.5, 0.3, 0.2])
SECOND = torch.tensor([[0.1, 0.9, 0.0], [0.6, 0.2, 0.2], [1 / 3, 1 / 3, 1 / 3]])


def pairs_drawn(seed: int, samples: int) -> np.ndarray[Any, Any]:
    """How often each of the nine pairs of tokens was drawn, as shares [3, 3]."""
    draw = Drawn([seed], samples, limit=2)
    nothing = torch.zeros(1 + samples, 1)
    first = draw(nothing, FIRST.log().repeat(1 + samples, 1))[1:].argmax(-1)
    scores = torch.cat([SECOND[:1], SECOND[first]]).log()
    second = draw(nothing, scores)[1:].argmax(-1)
    return np.bincount(first * 3 + second, minlength=9).reshape(3, 3) / samples


def test_what_comes_after_a_token_is_drawn_as_often_as_it_is_likely() -> None:
    expected = (FIRST[:, None] * SECOND).numpy()
    assert pairs_drawn(1, 4000) == pytest.approx(expected, abs=0.001)
    # Each sample alone is as likely as the model has it: few samples err, but to no side.
    few = np.mean([pairs_drawn(seed, 3) for seed in range(3000)], axis=0)
    assert few == pytest.approx(expected, abs=0.015)


def test_few_samples_tell_shares_better_than_independent_ones_would() -> None:
    expected = (FIRST[:, None] * SECOND).numpy()
    drawn = np.array([pairs_drawn(seed, 16) for seed in range(300)])
    independent = expected * (1 - expected) / 16
    assert ((drawn - expected) ** 2).mean(axis=0).sum() < independent.sum() / 3


def test_a_number_that_has_told_all_it_can_is_followed_by_another() -> None:
    """Forty tokens of a thousand alternatives hold far more bits than one number."""
    samples, steps = 8, 40
    draw = Drawn([5], samples, limit=steps)
    scores = torch.zeros(1 + samples, 1000)
    drawn = [draw(torch.zeros(1 + samples, 1), scores)[1:].argmax(-1).tolist() for _ in range(steps)]
    assert len({tuple(sample) for sample in zip(*drawn, strict=True)}) == samples
    late = [token for step in drawn[10:] for token in step]
    assert len(set(late)) > 0.8 * len(late)
    assert 400 < np.mean(late) < 600


def test_an_impossible_token_is_never_drawn() -> None:
    scores = torch.tensor([-torch.inf, 0.0, -torch.inf]).repeat(101, 1)
    assert (Drawn([1], 100, limit=1)(torch.zeros(101, 1), scores)[1:].argmax(-1) == 1).all()


def test_a_seed_follows_from_the_key_and_fits_any_server() -> None:
    assert seed_of("ff" * 32) == 2**31 - 1
    assert seed_of("00000002" + "a" * 56) == 1


SCHEMA = {"type": "object", "properties": {"mood": {"type": "string"}}, "required": ["mood"]}


def test_samples_that_do_not_fit_the_schema_say_nothing() -> None:
    answer = Answer('{"mood": "sad"}', 3, "Stop", 1.0, ('{"mood":"calm"}', "well", '{"mood": 3}'))
    result = checked(Question("a", "?", Clip((), ()), 9, SCHEMA), answer)
    assert isinstance(result, Answer)
    assert result.samples == ('{"mood":"calm"}',)


def test_a_server_is_asked_for_the_caption_and_then_for_samples() -> None:
    def choices(*texts: str) -> Any:
        found = [{"message": {"content": text}, "finish_reason": "stop"} for text in texts]
        return sends({"choices": found, "usage": {"completion_tokens": 3}})

    with serving(choices("a  dog"), choices("a dog", "a wolf ", "")) as server:
        endpoint = Endpoint.model_validate({"url": server.url, "model": "acme/vlm", "timeout": "2s"})
        engine = OpenAIEngine(endpoint, None, samples=3)
        [answer] = engine.answer([Question("caption", "?", Clip((PICTURES[0],), ()), 6, seed=11)])
    assert isinstance(answer, Answer)
    assert (answer.text, answer.samples) == ("a dog", ("a dog", "a wolf", ""))
    greedy, drawn = (request.body for request in server.requests)
    assert (greedy["temperature"], drawn["temperature"]) == (0, 1)
    assert (drawn["n"], drawn["seed"]) == (3, 11)
    assert greedy["messages"] == drawn["messages"]


def test_every_sample_may_differ() -> None:
    scores = torch.zeros(1 + 64, 1000)
    drawn = Drawn([3], 64, limit=2)
    first, second = (drawn(torch.zeros(65, 1), scores)[1:].argmax(-1).tolist() for _ in range(2))
    assert max(Counter(first).values()) < 5
    assert first != second, "each step has numbers of its own"

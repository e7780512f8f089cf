import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.trees import journeys_of, tree
from transformers import (
    AutoModelForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from fathom.errors import InvalidInputError
from fathom.serendipity import measuring, opening, prompts, small_planner, teaching, transitions
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.planner import LanguagePlanner, encode
from fathom.serendipity.planning import Decoding
from fathom.serendipity.prompts import Style
from fathom.serendipity.teaching import Teaching
from fathom.serendipity.trie import Trie
from fathom_api.captioning import Lora
from fathom_api.tasks import AnyModel

CLUSTERS = tree()
A, B = CLUSTERS.finest[0], CLUSTERS.finest[1]
NEXT = {(0, 1): 2, (1, 2): 3, (2, 3): 4, (3, 4): 5, (4, 5): 0, (5, 0): 1}


def lessons() -> transitions.Lessons:
    """Return users who always move on to the next cluster round about."""
    paths = [[(start + n) % 6 for n in range(4)] for start in range(6) for _ in range(8)]
    found = transitions.journeys(journeys_of(CLUSTERS, *paths), CLUSTERS)
    return transitions.learn_from(transitions.consecutive(found), CLUSTERS)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planner")
    settings = Teaching(epochs=30, patience=None, batch_size=8, learning_rate=3e-3)
    teaching.teach(AnyModel(uri=small_planner.URI), lessons(), CLUSTERS, folder, settings, Style(brief=True))
    return folder


def opened(folder: Path, decoding: Decoding, clusters: Clusters = CLUSTERS) -> LanguagePlanner:
    return opening.open_planner(AnyModel(uri=str(folder)), clusters, decoding=decoding)


def test_the_small_planner_learns_where_users_go(taught: Path):
    said = opened(taught, Decoding(samples=1)).plan(list(NEXT))
    assert [CLUSTERS.by_name[own[0].text] for own in said] == list(NEXT.values())


def test_constrained_answers_are_different_names_the_likeliest_first(taught: Path):
    said = opened(taught, Decoding(samples=4)).plan([(0, 1), (5, 2)])
    for own in said:
        assert len({answer.text for answer in own}) == 4
        assert {answer.text for answer in own} <= set(CLUSTERS.by_name)
        scores = [answer.score for answer in own]
        assert scores == sorted(scores, reverse=True)
        assert 0 <= sum(scores) <= 1 + 1e-5


def test_what_it_says_freely_is_mostly_names(taught: Path):
    free = opened(taught, Decoding(samples=1, constrained=False))
    said = measuring.freely(free, CLUSTERS, list(NEXT))
    assert said is not None
    assert said.exact_match >= 0.9
    assert said.self_repeat <= 0.1


def test_pairs_asked_together_are_answered_as_pairs_asked_alone(taught: Path):
    planner = opened(taught, Decoding(samples=2))
    together = planner.plan([(0, 1), (2, 3)])
    alone = planner.plan([(2, 3)])
    assert [a.text for a in together[1]] == [a.text for a in alone[0]]
    assert together[1][0].score == pytest.approx(alone[0][0].score, rel=1e-3)


def unthinking(folder: Path, samples: int) -> tuple[Any, Any, LanguagePlanner]:
    """Return a model, its tokenizer, and them as a planner that names at once."""
    model, tokenizer = opening.open_language_model(AnyModel(uri=str(folder)))
    style = Style(brief=True, chain_of_thought=False)
    planner = LanguagePlanner(model, tokenizer, "", CLUSTERS, style=style, decoding=Decoding(samples))
    return model, tokenizer, planner


@torch.inference_mode()
def test_a_score_is_the_probability_of_the_name_after_the_prompt(taught: Path):
    model, tokenizer, planner = unthinking(taught, samples=3)
    pairs = [(0, 1), (5, 2)]
    for pair, said in zip(pairs, planner.plan(pairs), strict=True):
        for answer in said:
            prompt = encode(tokenizer, planner.told(pair)) + encode(tokenizer, prompts.MARK)
            name = [*encode(tokenizer, f" {answer.text}"), tokenizer.eos_token_id]
            told = model(input_ids=torch.tensor([prompt + name])).logits[0].log_softmax(dim=-1)
            steps = [float(told[len(prompt) - 1 + n, token]) for n, token in enumerate(name)]
            assert answer.score == pytest.approx(math.exp(sum(steps)), rel=1e-3)


def test_a_prompt_is_read_once_however_many_names_are_asked_for(taught: Path):
    model, tokenizer, planner = unthinking(taught, samples=4)
    read: list[tuple[int, int]] = []
    model.register_forward_pre_hook(
        lambda _, args, told: read.append(tuple(told["input_ids"].shape)), with_kwargs=True
    )
    planner.plan([(0, 1)])

    prompt = encode(tokenizer, planner.told((0, 1))) + encode(tokenizer, prompts.MARK)
    assert read[0] == (1, len(prompt) - 1)
    assert set(read[1:]) == {(4, 1)}


def windowed(vocabulary: int) -> Any:
    config = MistralConfig(
        vocab_size=vocabulary, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, sliding_window=8,
    )  # fmt: skip
    return MistralForCausalLM(config)


def recurrent(vocabulary: int) -> Any:
    return MambaForCausalLM(
        MambaConfig(vocab_size=vocabulary, hidden_size=32, num_hidden_layers=2, state_size=4, pad_token_id=0)
    )


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(windowed, id="attention that sees the latest eight tokens"),
        pytest.param(recurrent, id="no attention at all"),
    ],
)
def test_what_a_model_keeps_of_a_prompt_changes_no_answer(
    build: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
):
    style = Style(brief=True, chain_of_thought=False)
    _, tokenizer = small_planner.build(CLUSTERS, style, seed=0)
    torch.manual_seed(0)
    model = build(len(tokenizer)).eval()
    planner = LanguagePlanner(model, tokenizer, "", CLUSTERS, style=style, decoding=Decoding(samples=3))
    said = planner.plan([(0, 1), (5, 2)])
    monkeypatch.setattr(LanguagePlanner, "_read", lambda _self, inputs, _beams: inputs)

    again = planner.plan([(0, 1), (5, 2)])

    assert [[a.text for a in own] for own in said] == [[a.text for a in own] for own in again]
    scores = [[a.score for a in own] for own in again]
    assert [[a.score for a in own] for own in said] == [pytest.approx(own, rel=1e-3) for own in scores]


def test_the_digest_changes_with_all_that_answers_depend_on(taught: Path):
    one = opened(taught, Decoding(samples=2)).digest
    assert opened(taught, Decoding(samples=2)).digest == one
    assert opened(taught, Decoding(samples=3)).digest != one
    model = AnyModel(uri=str(taught))
    moved = opening.open_planner(model, CLUSTERS, decoding=Decoding(samples=2), recent={(0, 1): "jazz piano"})
    assert moved.digest != one
    assert "jazz piano" in moved.told((0, 1))
    summarised = CLUSTERS.worded({}, {0: "Rain and neon."})
    assert opened(taught, Decoding(samples=2), summarised).digest != one


def test_a_taught_planner_is_a_plain_checkpoint_and_is_not_taught_twice(taught: Path):
    versions = sorted((taught / "versions").iterdir())
    settings = Teaching(epochs=30, patience=None, batch_size=8, learning_rate=3e-3)
    seen: list[object] = []
    again = teaching.teach(
        AnyModel(uri=small_planner.URI), lessons(), CLUSTERS, taught, settings, Style(brief=True), seen.append
    )
    assert (seen, [again.path]) == ([], versions)
    assert AutoModelForCausalLM.from_pretrained(again.path).num_parameters() > 0
    curve = opening.read_about(again.path)
    assert curve is not None
    assert curve.curve[-1]["loss"] < curve.curve[0]["loss"]


def test_any_checkpoint_can_be_taught_by_adapters(taught: Path, tmp_path: Path):
    settings = Teaching(method="LoRA", lora=Lora(rank=2), epochs=1, patience=None, learning_rate=1e-3)
    version = teaching.teach(
        AnyModel(uri=str(taught)), lessons(), CLUSTERS, tmp_path, settings, Style(brief=True)
    )
    assert len(opened(version.path, Decoding(samples=2)).plan([(0, 1)])[0]) == 2


def test_with_a_chain_of_thought_it_thinks_before_it_names(tmp_path: Path):
    settings = Teaching(epochs=5, patience=None, batch_size=8, learning_rate=3e-3)
    style = Style(brief=True, chain_of_thought=True)
    teaching.teach(AnyModel(uri=small_planner.URI), lessons(), CLUSTERS, tmp_path, settings, style)
    planner = opened(tmp_path, Decoding(samples=2))
    assert planner.style.chain_of_thought
    assert {a.text for a in planner.plan([(0, 1)])[0]} <= set(CLUSTERS.by_name)


@pytest.mark.parametrize(
    ("style", "says", "says_not"),
    [
        (Style(), ["A: crime drama (crime, drama)", "Say what A and B show", prompts.MARK], ["neon"]),
        (Style(chain_of_thought=False), ["verbatim"], ["Say what A and B show"]),
        (Style(keywords=0), ["A: crime drama\n"], ["(crime"]),
        (Style(brief=True), ["A: crime drama"], ["verbatim"]),
    ],
)
def test_the_prompt_tells_of_both_clusters_as_the_style_says(
    style: Style, says: list[str], says_not: list[str]
):
    asked = prompts.question(style, A, B)
    assert all(text in asked for text in says)
    assert not any(text in asked for text in says_not)


def test_summaries_and_recent_successors_are_told_where_there_are_any():
    first = A.model_copy(update={"summary": "Rain\n and neon."})
    assert "Rain and neon." in prompts.question(Style(), first, B)
    assert "Rain" not in prompts.question(Style(summaries=False), first, B)
    assert "moved on to: jazz piano" in prompts.question(Style(), A, B, recent="jazz piano")


def test_a_thought_says_nothing_about_the_answer():
    thought = prompts.reasoning(Style(), A, B)
    assert "crime, drama" in thought
    assert "They share no word." in thought
    assert prompts.reasoning(Style(chain_of_thought=False), A, B) == ""


def test_a_trie_says_which_token_may_follow():
    trie = Trie([[5, 6], [5, 7, 8]], end=0)
    assert trie.next([]) == [5]
    assert sorted(trie.next([5])) == [6, 7]
    assert trie.next([5, 6]) == [0]
    assert trie.next([5, 6, 0]) == [0]
    assert trie.next([9]) == [0]


@pytest.mark.parametrize(
    ("names", "says"), [([[5], [5]], "rename one"), ([[]], "no tokens"), ([[5, 0]], "the one that ends")]
)
def test_names_that_a_trie_cannot_tell_apart_are_refused(names: list[list[int]], says: str):
    with pytest.raises(InvalidInputError, match=says):
        Trie(names, end=0)


@pytest.mark.parametrize(
    ("uri", "method", "says"),
    [(small_planner.URI, "LoRA", "use method Full")],
)
def test_what_cannot_be_taught_says_why(uri: str, method: str, says: str, tmp_path: Path):
    with pytest.raises(InvalidInputError, match=says):
        teaching.teach(AnyModel(uri=uri), lessons(), CLUSTERS, tmp_path, Teaching(method=method), Style())  # type: ignore[arg-type]


def test_an_untaught_small_planner_cannot_be_asked():
    with pytest.raises(InvalidInputError, match="teach it"):
        opening.open_language_model(AnyModel(uri=small_planner.URI))


def test_nothing_to_learn_is_an_error(tmp_path: Path):
    whole = lessons()
    none = transitions.Lessons(
        whole.train.where(np.zeros(len(whole.train), bool)), whole.validation, whole.report
    )
    with pytest.raises(InvalidInputError, match="no transitions"):
        teaching.teach(AnyModel(uri=small_planner.URI), none, CLUSTERS, tmp_path, Teaching(), Style())

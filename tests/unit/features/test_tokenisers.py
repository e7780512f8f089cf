"""Which terms get which ids, by strategy."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from fathom.errors import InvalidInputError
from fathom.features.tokenisers import FIRST, HashedNgram, ModelTokens, Term, Vocabulary, WordNgram, tokeniser
from fathom_api.captioning import CaptionModel
from fathom_api.tokens import CaptionFeatures

CAPTIONS = ["a red car", "a red bus", "a blue car", "a tree"]


def learn(strategy: WordNgram | HashedNgram | ModelTokens, captions: Sequence[str]) -> Vocabulary:
    counts: Counter[Term] = Counter()
    for terms in strategy.terms(captions):
        counts.update(terms)
    return strategy.vocabulary(counts)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        pytest.param(
            WordNgram(1, 2, 99), ["a", "car", "red"], id="rare words get no id, ties are alphabetical"
        ),
        pytest.param(WordNgram(2, 2, 99), ["a", "a red", "car", "red"], id="pairs are counted like words"),
        pytest.param(WordNgram(2, 2, 2), ["a", "a red"], id="the most frequent fill a small vocabulary"),
        pytest.param(WordNgram(1, 5, 99), [], id="nothing is frequent enough"),
    ],
)
def test_word_ngrams_are_numbered_from_the_most_frequent_on(strategy: WordNgram, expected: list[str]) -> None:
    vocabulary = learn(strategy, CAPTIONS)
    assert [e.token for e in vocabulary.entries] == expected
    assert [e.id for e in vocabulary.entries] == list(range(FIRST, FIRST + len(expected)))
    assert vocabulary.size == FIRST + len(expected)


def test_a_word_counts_once_for_each_caption_it_is_in() -> None:
    vocabulary = learn(WordNgram(1, 1, 99), ["red red red", "blue", "blue"])
    assert {e.token: e.count for e in vocabulary.entries} == {"blue": 2, "red": 1}


@pytest.mark.parametrize(
    ("caption", "limit", "expected"),
    [
        pytest.param("a red car", 9, ["red", "car", "a"], id="the rarest come first"),
        pytest.param("a red car", 2, ["red", "car"], id="the most frequent are cut"),
        pytest.param("car car a", 9, ["car", "a"], id="each once"),
        pytest.param("a zebra", 9, ["a"], id="what has no id is left out"),
        pytest.param("", 9, [], id="an empty caption has no tokens"),
    ],
)
def test_an_item_keeps_its_rarest_tokens(caption: str, limit: int, expected: list[str]) -> None:
    strategy = WordNgram(1, 1, 99)
    vocabulary = learn(strategy, ["a car", "a car", "a car", "a red", "a"])
    names = {e.id: e.token for e in vocabulary.entries}
    assert [names[i] for i in vocabulary.encode(strategy.terms([caption])[0], limit)] == expected


def test_hashed_ids_do_not_depend_on_the_other_captions() -> None:
    strategy = HashedNgram(1, 1000)
    few, many = learn(strategy, ["red"]), learn(strategy, ["red", "blue", "green", "a red car"])
    terms = strategy.terms(["red"])[0]
    assert few.encode(terms, 9) == many.encode(terms, 9)
    assert few.size == many.size == 1002


def test_hashed_ids_are_the_same_on_every_machine() -> None:
    assert HashedNgram(2, 1000).terms(["red car"]) == [{406, 645, 771}]


def test_hashed_ids_stay_inside_the_buckets() -> None:
    vocabulary = learn(HashedNgram(2, 3), CAPTIONS)
    assert {e.id for e in vocabulary.entries} <= {2, 3, 4}
    assert vocabulary.size == 5


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    known = ["<s>", "<unk>", "a", "red", "car"]
    words = models.WordLevel({word: i for i, word in enumerate(known)}, unk_token="<unk>")
    backend = Tokenizer(words)
    backend.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    fast = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", unk_token="<unk>")
    fast.save_pretrained(tmp_path)
    return tmp_path


def model(uri: str) -> CaptionModel:
    return CaptionModel.model_construct(uri=uri, revision="main", trust_remote_code=False)


def test_the_models_own_tokens_keep_their_numbers(checkpoint: Path) -> None:
    features = CaptionFeatures(tokenizer="ModelTokens")
    strategy = tokeniser(features, model(str(checkpoint)), str(checkpoint))
    assert isinstance(strategy, ModelTokens)
    vocabulary = learn(strategy, ["a red car", "red zebra", ""])
    assert [(e.id, e.token, e.count) for e in vocabulary.entries] == [
        (4, "a", 1),
        (5, "red", 2),
        (6, "car", 1),
    ]
    assert vocabulary.size == 2 + 5


def test_a_checkpoint_without_tokenizer_is_refused_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"no tokenizer.*WordNgram") as error:
        tokeniser(CaptionFeatures(tokenizer="ModelTokens"), model(str(tmp_path)), str(tmp_path))
    assert error.value.reason == "NoTokenizer"

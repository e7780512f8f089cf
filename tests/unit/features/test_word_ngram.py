"""WordNgram: the fast way finds just what the plain one does."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from builders import plain_ngrams as reference
from builders.featured import Made, make, numbered

from fathom.features import stopwords
from fathom.features.lexicon import Lexicon
from fathom.features.tokenisers.word_ngram import WordNgram
from fathom.features.vocabulary import FIRST
from fathom.features.words import words
from fathom_api.tokens import CaptionFeatures

CAPTIONS = numbered("a red car", "a red bus", "a blue car", "a tree")


def features(longest: int = 1, min_count: int = 1, most: int = 99, **changes: object) -> CaptionFeatures:
    return CaptionFeatures.model_validate(
        {"max_ngram": longest, "min_count": min_count, "vocabulary_size": most, **changes}
    )


def featurised(folder: Path, captions: dict[str, str], asked: CaptionFeatures) -> Made:
    return make(folder, captions, WordNgram(asked), asked)


@pytest.mark.parametrize("seed", range(40))
def test_words_are_those_of_the_plain_way(seed: int) -> None:
    chance = random.Random(seed)
    captions = [reference.text(chance) for _ in range(25)]
    lexicon = Lexicon()
    sequences = lexicon.scan(captions)
    found = [lexicon.names[symbol] for symbol in sequences.symbols]
    assert [found[a:b] for a, b in zip(sequences.offsets, sequences.offsets[1:], strict=False)] == [
        words(caption) for caption in captions
    ]


@pytest.mark.parametrize("seed", range(24))
def test_tokens_and_vocabulary_are_those_of_the_plain_way(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    captions = numbered(*(reference.text(chance) for _ in range(60)))
    longest, min_count = chance.randint(1, 4), chance.randint(1, 4)
    most, limit = chance.choice((5, 40, 10_000)), chance.choice((1, 5, 1000))
    language = chance.choice(("None", "en", "de"))
    asked = features(longest, min_count, most, max_tokens_per_item=limit, stop_words=language)
    made = featurised(tmp_path, captions, asked)
    stop = stopwords.of(language)
    expected = reference.vocabulary(captions, longest, min_count, most, stop)
    assert dict(zip(made.vocabulary.tokens, made.vocabulary.counts.tolist(), strict=True)) == expected
    assert made.vocabulary.tokens == list(expected)
    assert made.tokens == {
        item: reference.tokens(text, expected, longest, limit, stop) for item, text in captions.items()
    }
    occurring = Counter(term for text in captions.values() for term in reference.found(text, longest, stop))
    unknown = sum(count for term, count in occurring.items() if term not in expected)
    assert made.coverage.unknown_share == pytest.approx(unknown / max(occurring.total(), 1))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(features(1, 2), ["a", "car", "red"], id="rare words get no id, ties are alphabetical"),
        pytest.param(features(2, 2), ["a", "a red", "car", "red"], id="pairs are counted like words"),
        pytest.param(features(2, 2, 2), ["a", "a red"], id="the most frequent fill a small vocabulary"),
        pytest.param(features(1, 5), [], id="nothing is frequent enough"),
    ],
)
def test_ngrams_are_numbered_from_the_most_frequent_on(
    tmp_path: Path, asked: CaptionFeatures, expected: list[str]
) -> None:
    known = featurised(tmp_path, CAPTIONS, asked).vocabulary
    assert known.tokens == expected
    assert known.ids.tolist() == list(range(FIRST, FIRST + len(expected)))
    assert known.size == FIRST + len(expected)


@pytest.mark.parametrize(
    ("caption", "limit", "expected"),
    [
        pytest.param("a red car", 9, ["red", "car", "a"], id="the rarest come first"),
        pytest.param("a red car", 2, ["red", "car"], id="the most frequent are cut"),
        pytest.param("car car a", 9, ["car", "a"], id="each once"),
        pytest.param("a zebra", 9, ["a"], id="what has no id is left out"),
        pytest.param("zebra", 9, ["<1>"], id="nothing known is the unknown token"),
        pytest.param("...", 9, [], id="nothing said is no token"),
    ],
)
def test_an_item_keeps_its_rarest_tokens(
    tmp_path: Path, caption: str, limit: int, expected: list[str]
) -> None:
    common = ["a", "car", "red"] * 3 + ["a", "car", "car", "a", "a"]
    captions = numbered(caption, *common)
    made = featurised(tmp_path, captions, features(min_count=3, max_tokens_per_item=limit))
    assert made.tokens["0"] == expected


def test_a_caption_as_long_as_all_others_together_costs_the_others_nothing(tmp_path: Path) -> None:
    captions = numbered(*["a b"] * 50, " ".join(f"w{n % 700}" for n in range(5000)))
    made = featurised(tmp_path, captions, features(2, 1, 10_000, max_tokens_per_item=1024))
    assert made.tokens["0"] == ["a", "a b", "b"]
    assert len(made.tokens["50"]) == 1024


def test_the_output_is_the_same_to_the_byte_whatever_order_captions_come_in(tmp_path: Path) -> None:
    chance = random.Random(1)
    captions = numbered(*(reference.text(chance) for _ in range(200)))
    shuffled = dict(chance.sample(list(captions.items()), len(captions)))
    asked = features(2, 2, 50)
    for name, texts in (("one", captions), ("other", shuffled)):
        featurised(tmp_path / name, texts, asked)
    for file in ("features.parquet", "vocabulary.parquet", "coverage.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


@pytest.mark.parametrize(
    ("captions", "expected"),
    [
        pytest.param(["a man with a dog", "the dog is in the car"], "en", id="English"),
        pytest.param(["ein Mann mit einem Hund", "der Hund ist auf der Straße"], "de", id="German"),
        pytest.param(
            ["une femme avec son chien dans la rue", "le chien est sur les quais"], "fr", id="French"
        ),
        pytest.param(["una mujer con su perro en la calle"], "es", id="Spanish"),
        pytest.param(["zebra okapi"], "None", id="none of them"),
    ],
)
def test_the_language_is_told_by_its_stop_words(captions: list[str], expected: str) -> None:
    lexicon = Lexicon()
    sequences = lexicon.scan(captions)
    assert stopwords.spoken(lexicon.names, np.bincount(sequences.symbols)) == expected


def test_a_language_once_found_stays_though_the_catalogue_changes(tmp_path: Path) -> None:
    asked = features(stop_words="Auto")
    first = featurised(tmp_path, numbered("a man with a dog", "the dog in the car"), asked).vocabulary
    second = featurised(tmp_path, numbered(*["der Hund ist in dem Haus"] * 9), asked).vocabulary
    assert first.meaning == second.meaning
    assert first.id == second.id

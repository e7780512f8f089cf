from __future__ import annotations

import math
import random

import pytest

from fathom.captioning.tuning import metrics

WRITTEN = ["a dog runs on grass", "a red car", "two people"]
PEOPLE = [
    ["a dog runs in the grass", "the dog is running on the grass"],
    ["a red car", "a red car parked by a tree"],
    ["three people stand", "a crowd of people"],
]
VOCABULARY = (
    "a",
    "the",
    "red",
    "blue",
    "dog",
    "cat",
    "runs",
    "sits",
    "on",
    "grass",
    "sofa",
    "near",
    "tree",
    "big",
)
Corpus = tuple[list[list[str]], list[list[list[str]]]]


def by_chance(seed: int) -> Corpus:
    """Twenty captions, each with one to five of people's."""
    chance = random.Random(seed)

    def sentence() -> list[str]:
        return [chance.choice(VOCABULARY) for _ in range(chance.randint(1, 12))]

    return [sentence() for _ in range(20)], [
        [sentence() for _ in range(chance.randint(1, 5))] for _ in range(20)
    ]


def mostly_right(seed: int) -> Corpus:
    """The same, but two of three captions are the first of people's."""
    written, people = by_chance(seed)
    return [
        texts[0] if n % 3 else text for n, (texts, text) in enumerate(zip(people, written, strict=True))
    ], people


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [
        pytest.param(by_chance(0), 0.5878200414593417, id="chance 0"),
        pytest.param(by_chance(1), 0.4739928637036292, id="chance 1"),
        pytest.param(by_chance(2), 0.532275266238522, id="chance 2"),
        pytest.param(mostly_right(0), 2.992122603370843, id="mostly right 0"),
        pytest.param(mostly_right(1), 2.958374790476353, id="mostly right 1"),
        pytest.param(mostly_right(2), 3.591489860038821, id="mostly right 2"),
        pytest.param(
            ([w.split() for w in WRITTEN], [[t.split() for t in texts] for texts in PEOPLE]),
            2.9066364153678244,
            id="sentences",
        ),
    ],
)
def test_cider_d_is_what_the_code_of_coco_says(corpus: Corpus, expected: float) -> None:
    """By pycocoevalcap 1.2, `CiderScorer(n=4, sigma=6.0)`: 100 MB that need not be installed for this."""
    assert metrics.cider_d(*corpus) == pytest.approx(expected, rel=1e-12)


def test_cider_d_worked_out_by_hand() -> None:
    """Of "a b" only its unigrams and its bigram count; "a" is in both media's captions, so it weighs nothing.

    n = 1: weights (a: 0, b: ln 2) against (a: 0, c: ln 2) → 0, against itself → 1; n = 2: 0 and 1; n > 2: 0.
    """
    same, other = [["a", "b"], ["a", "c"]], [[["a", "b"]], [["a", "c"]]]
    assert metrics.cider_d(same, other) == pytest.approx(10 * (1 + 1 + 0 + 0) / 4)
    swapped = [["a", "c"], ["a", "b"]]
    assert metrics.cider_d(swapped, other) == 0


def test_cider_d_takes_off_for_saying_it_again() -> None:
    """What is said more often than by people is clipped, and two bigrams more cost exp(-2² / (2 · 6²))."""
    people = [[["b", "b"]], [["c", "c"]]]
    short = metrics.cider_d([["b", "b"], ["d"]], people)
    long = metrics.cider_d([["b", "b", "b", "b"], ["d"]], people)
    assert short == pytest.approx(10 * 2 / 4 / 2)
    clipped = 10 * (2 * 2 / (4 * 2) + 1 / 3) / 4 / 2
    assert long == pytest.approx(clipped * math.exp(-(2**2) / (2 * 6**2)))


def test_a_single_medium_has_no_cider() -> None:
    """Nothing is rare among one."""
    assert metrics.cider_d([["a", "dog"]], [[["a", "dog"]]]) == 0


@pytest.mark.parametrize(
    ("written", "people", "f1"),
    [
        pytest.param("a dog", ["a dog"], 1.0, id="the same"),
        pytest.param("a dog", ["a cat"], 0.5, id="half of it"),
        pytest.param("a dog", ["two cats", "a dog runs"], 0.8, id="the closest counts"),
        pytest.param("dog dog dog", ["a dog"], 0.4, id="saying it thrice is no better"),
        pytest.param("", ["a dog"], 0.0, id="nothing said"),
    ],
)
def test_token_f1(written: str, people: list[str], f1: float) -> None:
    assert metrics.token_f1(written.split(), [text.split() for text in people]) == pytest.approx(f1)


def test_bleu_is_100_for_people_and_counts_each_media_s_own_captions() -> None:
    """Media may have different numbers of captions."""
    people = [["a dog runs on green grass", "a dog"], ["two men sit at a table"]]
    right = metrics.score([texts[0] for texts in people], people)
    assert right.bleu4 == pytest.approx(100)
    assert metrics.score([texts[0] for texts in people[::-1]], people).bleu4 < 10


def test_bleu_worked_out_by_hand() -> None:
    """Matches 5/6, 3/5, 2/4, 1/3 of the n-grams and the length is right: their geometric mean."""
    written, person = ["a", "dog", "sits", "on", "the", "grass"], ["a", "dog", "runs", "on", "the", "grass"]
    expected = 100 * (5 / 6 * 3 / 5 * 1 / 4 * (1 / 2) / 3) ** (1 / 4)
    assert metrics.bleu4([written], [[person]]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("A man’s hat, 2 dogs!", ["a", "man’s", "hat", "2", "dogs"], id="punctuation"),
        pytest.param("赤い犬", ["赤", "い", "犬"], id="no spaces"),
        pytest.param("naïve ÉTÉ", ["naïve", "été"], id="accents"),
        pytest.param("कुत्ता", ["कुत्ता"], id="vowel signs belong to the word"),
        pytest.param("<b>…</b>", ["b", "b"], id="markup"),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert metrics.words(text) == words


def test_a_medium_without_people_s_captions_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="needs a caption"):
        metrics.score(["a dog"], [[]])

"""What counts as a word."""

import pytest

from fathom.features.words import ngrams, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("A red Car.", ["a", "red", "car"], id="punctuation parts words, case does not matter"),
        pytest.param("", [], id="an empty caption has no words"),
        pytest.param(" \n\t—…!", [], id="punctuation alone has no words"),
        pytest.param("the dog’s don't", ["the", "dog's", "don't"], id="either apostrophe is part of a word"),
        pytest.param("'quoted' words'", ["quoted", "words"], id="quotes around words are not"),
        pytest.param("Cafe\u0301 café", ["café", "café"], id="accents are the same composed and decomposed"),
        pytest.param("STRASSE Straße", ["strasse", "strasse"], id="ß and SS are the same"),
        pytest.param("ΟΔΟΣ οδός", ["οδοσ", "οδόσ"], id="a final sigma is a sigma"),
        pytest.param("हिन्दी", ["हिन्दी"], id="vowel signs stay with their letters"),
        pytest.param("红色汽车", ["红", "色", "汽", "车"], id="Chinese characters are words"),
        pytest.param("カメラ ネコ", ["カメラ", "ネコ"], id="katakana words stay whole"),
        pytest.param("ﬁne ① ２０", ["fine", "1", "20"], id="ligatures and full-width digits are unfolded"),
        pytest.param("snow-white 7up", ["snow", "white", "7up"], id="hyphens part words, digits do not"),
        pytest.param("a_b", ["a", "b"], id="an underscore parts words"),
        pytest.param("😀 cat", ["cat"], id="an emoji is no word"),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("found", "longest", "expected"),
    [
        pytest.param(["a", "b", "c"], 1, ["a", "b", "c"], id="one word at a time"),
        pytest.param(["a", "b", "c"], 2, ["a", "a b", "b", "b c", "c"], id="pairs beside single words"),
        pytest.param(["a", "b"], 4, ["a", "a b", "b"], id="no n-gram is longer than the caption"),
        pytest.param([], 2, [], id="no words, no n-grams"),
    ],
)
def test_ngrams(found: list[str], longest: int, expected: list[str]) -> None:
    assert list(ngrams(found, longest)) == expected

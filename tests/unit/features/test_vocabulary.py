"""Vocabularies only grow: an id never comes to mean something else."""

import random
from pathlib import Path

import numpy as np
import pytest
from builders import plain_ngrams as reference
from builders.featured import make, numbered

from fathom.features import vocabulary
from fathom.features.aspect import VOCABULARY
from fathom.features.tokenisers.word_ngram import WordNgram
from fathom.features.vocabulary import FIRST, Terms, extended
from fathom_api.tokens import CaptionFeatures

MEANING = {"tokenizer": "WordNgram"}


def terms(**counts: int) -> Terms:
    return Terms(list(counts), np.array(list(counts.values()), np.int64))


FIRST_VERSION = extended(None, MEANING, terms(car=5, red=3, rare=1), min_count=2, most=9)


def test_new_tokens_come_after_those_that_are_there() -> None:
    later = extended(FIRST_VERSION, MEANING, terms(car=5, red=3, bus=9), min_count=2, most=9)
    assert later.tokens == ["car", "red", "bus"]
    assert later.since.tolist() == [1, 1, 2]
    assert (later.id, later.version) == (FIRST_VERSION.id, 2)


def test_a_token_that_became_rare_keeps_its_id() -> None:
    later = extended(FIRST_VERSION, MEANING, terms(red=1), min_count=2, most=9)
    assert later.tokens == ["car", "red"]
    assert later.counts.tolist() == [0, 1]
    assert later.version == 1


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        pytest.param(3, ["car", "red", "bus"], id="new tokens fill what is left"),
        pytest.param(2, ["car", "red"], id="nothing is left"),
        pytest.param(1, ["car", "red"], id="a smaller vocabulary takes no id away"),
    ],
)
def test_the_size_bounds_what_is_added(most: int, expected: list[str]) -> None:
    now = terms(car=5, red=3, bus=9, tree=8)
    assert extended(FIRST_VERSION, MEANING, now, min_count=2, most=most).tokens == expected


def test_another_meaning_begins_another_vocabulary() -> None:
    later = extended(FIRST_VERSION, {"tokenizer": "KeyPhrase"}, terms(bus=9), min_count=2, most=9)
    assert later.tokens == ["bus"]
    assert later.id != FIRST_VERSION.id
    assert later.version == 1


def test_a_vocabulary_is_read_as_it_was_written(tmp_path: Path) -> None:
    vocabulary.write(tmp_path / "v", FIRST_VERSION)
    found = vocabulary.read(tmp_path / "v")
    assert found is not None
    assert (found.id, found.version, found.meaning, found.size, found.tokens) == (
        FIRST_VERSION.id,
        1,
        MEANING,
        FIRST + 2,
        ["car", "red"],
    )
    assert pytest.approx([5, 3]) == found.counts.tolist()


@pytest.mark.parametrize("content", [None, b"", b"PAR1 half"], ids=["none", "empty", "damaged"])
def test_nobody_goes_on_from_what_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "v").write_bytes(content)
    assert vocabulary.read(tmp_path / "v") is None


@pytest.mark.parametrize("seed", range(8))
def test_ids_keep_their_meaning_over_many_catalogues_and_parameters(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    known: dict[int, str] = {}
    for _ in range(5):
        captions = numbered(*(reference.text(chance) for _ in range(40)))
        asked = CaptionFeatures(
            max_ngram=chance.randint(1, 3), min_count=chance.randint(1, 4), vocabulary_size=60
        )
        made = make(tmp_path, captions, WordNgram(asked), asked)
        assert known.items() <= made.names.items()
        known = made.names
        expected = {
            item: set(reference.found(text, asked.max_ngram)) & set(known.values())
            for item, text in captions.items()
        }
        found = {item: {t for t in tokens if t != "<1>"} for item, tokens in made.tokens.items()}
        assert found == expected


def test_a_vocabulary_that_was_lost_begins_anew_under_another_id(tmp_path: Path) -> None:
    asked = CaptionFeatures(max_ngram=1, min_count=1)
    first = make(tmp_path, numbered("red car"), WordNgram(asked), asked).vocabulary
    (tmp_path / VOCABULARY).write_bytes(b"half")
    second = make(tmp_path, numbered("red bus"), WordNgram(asked), asked).vocabulary
    assert second.id != first.id

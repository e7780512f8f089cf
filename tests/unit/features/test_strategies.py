"""What the other strategies make of captions."""

import random
from pathlib import Path

import pytest
from builders import plain_ngrams as plain
from builders.featured import Made, make, numbered
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from fathom.errors import InvalidInputError
from fathom.features.tokenisers import open_tokeniser
from fathom.features.vocabulary import FIRST
from fathom_api.captioning import CaptionModel
from fathom_api.tokens import CaptionFeatures


def asked(tokenizer: str, **changes: object) -> CaptionFeatures:
    return CaptionFeatures.model_validate({"tokenizer": tokenizer, "minCount": 1, **changes})


def model(uri: str = "nowhere") -> CaptionModel:
    return CaptionModel.model_construct(uri=uri, revision="main", trust_remote_code=False)


def featurised(
    folder: Path, captions: dict[str, str], features: CaptionFeatures, *, structured: bool = False
) -> Made:
    strategy = open_tokeniser(features, model(), "", structured=structured)
    return make(folder, captions, strategy, features)


class TestKeyPhrase:
    @pytest.mark.parametrize(
        ("caption", "expected"),
        [
            pytest.param("a red car on the road", {"red car", "road"}, id="stop words part phrases"),
            pytest.param("red car, old bus", {"red car", "old bus"}, id="punctuation parts phrases"),
            pytest.param("snow-white car", {"snow white", "white car"}, id="a hyphen does not"),
            pytest.param("car and car", {"car"}, id="each once"),
            pytest.param("of the", set[str](), id="stop words alone say nothing"),
        ],
    )
    def test_phrases_lie_between_stop_words_and_punctuation(
        self, tmp_path: Path, caption: str, expected: set[str]
    ) -> None:
        made = featurised(tmp_path, numbered(caption), asked("KeyPhrase", stopWords="en"))
        assert set(made.tokens["0"]) == expected

    def test_of_a_rare_phrase_the_frequent_parts_count(self, tmp_path: Path) -> None:
        captions = numbered("a small red car", "a red car", "a red car", "a small dog", "a small cat")
        made = featurised(tmp_path, captions, asked("KeyPhrase", stopWords="en", maxNgram=3, minCount=2))
        assert set(made.tokens["0"]) == {"small", "red car"}

    def test_without_a_language_it_finds_the_stop_words_itself(self, tmp_path: Path) -> None:
        made = featurised(tmp_path, numbered("der Hund in dem Haus"), asked("KeyPhrase"))
        assert set(made.tokens["0"]) == {"hund", "haus"}


class TestHashedNgram:
    def test_ids_do_not_depend_on_the_other_captions(self, tmp_path: Path) -> None:
        features = asked("HashedNgram", vocabularySize=1000)
        few = featurised(tmp_path / "few", numbered("red car"), features)
        many = featurised(tmp_path / "many", numbered("red car", "a blue bus", "green", "red"), features)
        assert set(few.ids["0"]) == set(many.ids["0"])
        assert few.vocabulary.id == many.vocabulary.id
        assert few.vocabulary.size == FIRST + 1000

    def test_ids_are_the_same_on_every_machine(self, tmp_path: Path) -> None:
        made = featurised(tmp_path, numbered("red car"), asked("HashedNgram", vocabularySize=1000))
        assert set(made.ids["0"]) == {115, 537, 931}

    @pytest.mark.parametrize(("hashes", "tokens"), [(1, 3), (2, 6)])
    def test_each_ngram_has_so_many_buckets(self, tmp_path: Path, hashes: int, tokens: int) -> None:
        made = featurised(tmp_path, numbered("red car"), asked("HashedNgram", hashes=hashes))
        assert len(made.ids["0"]) == tokens

    def test_ids_stay_inside_the_buckets(self, tmp_path: Path) -> None:
        features = asked("HashedNgram", vocabularySize=3, hashes=2)
        made = featurised(tmp_path, numbered("a red car", "a blue bus"), features)
        assert {i for ids in made.ids.values() for i in ids} <= {3, 4, 5}

    @pytest.mark.parametrize("seed", range(6))
    def test_ngrams_share_an_id_just_where_they_are_the_same(self, tmp_path: Path, seed: int) -> None:
        chance = random.Random(seed)
        captions = numbered(*(plain.text(chance) for _ in range(30)))
        features = asked("HashedNgram", vocabularySize=100_000_000, maxNgram=3, maxTokensPerItem=1000)
        made = featurised(tmp_path, captions, features)
        terms = {item: set(plain.found(text, 3)) for item, text in captions.items()}
        assert {item: len(ids) for item, ids in made.ids.items()} == {i: len(t) for i, t in terms.items()}
        for one in captions:
            for other in captions:
                assert len(set(made.ids[one]) & set(made.ids[other])) == len(terms[one] & terms[other])


class TestModelTokens:
    @pytest.fixture
    def checkpoint(self, tmp_path: Path) -> Path:
        known = ["<s>", "<unk>", "a", "red", "car"]
        words = models.WordLevel({word: i for i, word in enumerate(known)}, unk_token="<unk>")
        backend = Tokenizer(words)
        backend.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
        fast = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", unk_token="<unk>")
        fast.save_pretrained(tmp_path)
        return tmp_path

    def test_the_models_own_tokens_keep_their_numbers(self, checkpoint: Path) -> None:
        features = asked("ModelTokens")
        strategy = open_tokeniser(features, model(str(checkpoint)), str(checkpoint), structured=False)
        made = make(checkpoint / "out", numbered("a red car", "red zebra", ""), strategy, features)
        assert made.names == {FIRST + 2: "a", FIRST + 3: "red", FIRST + 4: "car"}
        assert made.vocabulary.counts.tolist() == [1, 2, 1]
        assert made.vocabulary.size == FIRST + 5
        assert made.tokens["1"] == ["red"]
        assert made.tokens["2"] == []

    def test_a_checkpoint_without_tokenizer_is_refused_with_the_fix(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInputError, match=r"no tokenizer.*WordNgram") as error:
            open_tokeniser(asked("ModelTokens"), model(str(tmp_path)), str(tmp_path), structured=False)
        assert error.value.reason == "NoTokenizer"


class TestStructured:
    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            pytest.param('{"colour": "Dark  Red"}', {"colour=dark red"}, id="a value is one token"),
            pytest.param('{"a": {"b": {"c": 1}}}', {"a.b.c=1"}, id="keys of nested objects are joined"),
            pytest.param('{"tags": ["sea", "sun"]}', {"tags=sea", "tags=sun"}, id="one token an element"),
            pytest.param(
                '{"n": 3, "x": 1.5, "yes": true, "no": false, "null": null}',
                {"n=3", "x=1.5", "yes=true", "no=false"},
                id="numbers and booleans as text, null is nothing",
            ),
            pytest.param('{"main colour": "red"}', {"main_colour=red"}, id="a key has no spaces"),
            pytest.param('"red"', {"=red"}, id="a value alone"),
            pytest.param("{}", set[str](), id="nothing answered"),
            pytest.param(
                '{"note": "a red car there"}',
                {
                    "note:a",
                    "note:red",
                    "note:car",
                    "note:there",
                    "note:a red",
                    "note:red car",
                    "note:car there",
                },
                id="of a long text the words and pairs",
            ),
            pytest.param("red car", {"red", "car", "red car"}, id="what is no JSON is a caption"),
            pytest.param("[" * 100_000, set[str](), id="brackets without end"),
        ],
    )
    def test_terms_are_keys_and_values(self, tmp_path: Path, answer: str, expected: set[str]) -> None:
        made = featurised(tmp_path, numbered(answer), asked("WordNgram"), structured=True)
        assert set(made.tokens["0"]) == expected

    def test_values_are_never_stop_words_but_words_of_texts_are(self, tmp_path: Path) -> None:
        captions = numbered('{"answer": "no", "note": "the man with the hat"}')
        made = featurised(tmp_path, captions, asked("WordNgram", stopWords="en"), structured=True)
        assert set(made.tokens["0"]) == {"answer=no", "note:man", "note:hat", "note:man hat"}

    def test_their_vocabulary_grows_as_any_other(self, tmp_path: Path) -> None:
        features = asked("WordNgram", minCount=2)
        twice = ['{"c": "dark red", "note": "one two three four"}'] * 2
        first = featurised(tmp_path, numbered(*twice), features, structured=True)
        second = featurised(
            tmp_path, numbered(*twice[:1], '{"c": "blue"}', '{"c": "blue"}'), features, structured=True
        )
        assert first.names.items() < second.names.items()
        assert set(second.tokens["0"]) == set(first.tokens["0"])

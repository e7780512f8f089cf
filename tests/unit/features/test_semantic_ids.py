"""SemanticIds: near captions share prefixes, and codes once learned stay."""

import random
from pathlib import Path

import numpy as np
import pytest
from builders.featured import Made, make, numbered
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from fathom.errors import InvalidInputError
from fathom.features.quantiser import Quantiser
from fathom.features.sequences import Sequences
from fathom.features.tokenisers import open_tokeniser
from fathom.features.tokenisers.semantic_ids import FILE, Prefixes
from fathom_api.captioning import CaptionModel
from fathom_api.tokens import CaptionFeatures

SEA = ["waves at the beach", "a beach with waves and sand", "sand and sea waves", "the sea at a sandy beach"]
CITY = [
    "a car in traffic",
    "cars and traffic lights",
    "a bus and a car in traffic",
    "traffic of cars and a bus",
]


def asked(**changes: object) -> CaptionFeatures:
    ids = {"levels": 2, "codebookSize": 2, **changes}
    return CaptionFeatures.model_validate({"tokenizer": "SemanticIds", "minCount": 1, "semanticIds": ids})


def model() -> CaptionModel:
    return CaptionModel.model_construct(uri="nowhere", revision="main", trust_remote_code=False, cache=None)


def featurised(folder: Path, captions: dict[str, str], features: CaptionFeatures) -> Made:
    return make(folder, captions, open_tokeniser(features, model(), "", structured=False), features)


def coarse(made: Made) -> dict[str, str]:
    """Return the first code of each item."""
    return {item: min(tokens, key=len) for item, tokens in made.tokens.items()}


def test_captions_of_the_same_things_share_their_first_code(tmp_path: Path) -> None:
    first = coarse(featurised(tmp_path, numbered(*SEA, *CITY), asked()))
    assert len({first[str(n)] for n in range(4)}) == 1
    assert len({first[str(n)] for n in range(4, 8)}) == 1
    assert first["0"] != first["4"]


def test_tokens_are_the_prefixes_of_the_codes(tmp_path: Path) -> None:
    made = featurised(tmp_path, numbered(*SEA, *CITY), asked(levels=3))
    for tokens in made.tokens.values():
        longest = max(tokens, key=len)
        assert set(tokens) == {longest[:1], longest[:3], longest}


def test_what_nobody_knows_is_unknown_and_nothing_said_is_nothing(tmp_path: Path) -> None:
    made = featurised(tmp_path, numbered(*SEA, "xylophone", ""), asked())
    assert made.tokens["4"] == ["<1>"]
    assert made.tokens["5"] == []


def test_codes_stay_when_the_catalogue_grows(tmp_path: Path) -> None:
    first = featurised(tmp_path, numbered(*SEA, *CITY), asked())
    books = (tmp_path / FILE).read_bytes()
    second = featurised(tmp_path, numbered(*SEA, *CITY, *["waves and cars"] * 50), asked())
    assert (tmp_path / FILE).read_bytes() == books
    assert second.vocabulary.id == first.vocabulary.id
    assert {item: second.tokens[item] for item in first.tokens} == first.tokens


def test_lost_codebooks_begin_another_vocabulary(tmp_path: Path) -> None:
    first = featurised(tmp_path, numbered(*SEA, *CITY), asked())
    (tmp_path / FILE).write_bytes(b"half")
    second = featurised(tmp_path, numbered(*SEA[:2], *CITY), asked())
    assert second.vocabulary.id != first.vocabulary.id


def test_what_is_learned_does_not_depend_on_the_order_of_captions(tmp_path: Path) -> None:
    captions = numbered(*SEA, *CITY)
    shuffled = dict(random.Random(3).sample(list(captions.items()), len(captions)))
    for name, texts in (("one", captions), ("other", shuffled)):
        featurised(tmp_path / name, texts, asked())
    for file in (FILE, "features.parquet", "vocabulary.parquet"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


@pytest.mark.parametrize("codes", [2, 5, 300])
def test_prefixes_are_numbered_by_the_published_formula(codes: int) -> None:
    draw = np.random.default_rng(codes)
    table = draw.integers(codes, size=(40, 3))
    sequences = Sequences(np.arange(41) * 3, table.ravel().astype(np.int32), np.zeros(120, np.uint8))
    learned = Prefixes.learn([(None, sequences)], codes, 1, [])
    expected = {
        sum(codes ** (i - t) * (int(row[t - 1]) + 1) for t in range(1, i + 1)) - 1: ".".join(
            map(str, row[:i])
        )
        for row in table.tolist()
        for i in (1, 2, 3)
    }
    assert dict(zip(learned.keys.tolist(), learned.names(), strict=True)) == expected


def test_each_level_describes_what_the_one_before_left_over() -> None:
    vectors = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
    quantiser = Quantiser.learn(vectors, 3, 16)
    codes = quantiser.codes(vectors)
    left = [vectors]
    for level, book in enumerate(quantiser.books):
        left.append(left[-1] - book[codes[:, level]])
    errors = [float((part**2).sum()) for part in left]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.5 * errors[0]


def test_no_more_codes_than_there_are_different_vectors() -> None:
    vectors = np.array([[0, 1], [1, 0], [0, 1]], np.float32)
    assert len(Quantiser.learn(vectors, 1, 16).books[0]) == 2


def test_more_prefixes_than_can_be_numbered_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="lower levels or codebookSize"):
        open_tokeniser(asked(levels=8, codebookSize=65_536), model(), "", structured=False)


def test_captions_that_share_no_word_teach_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="use tokenizer WordNgram"):
        featurised(tmp_path, numbered("red", "blue"), asked())


def test_an_encoder_in_hugging_faces_format_may_embed_the_captions(tmp_path: Path) -> None:
    words = sorted({word for text in SEA + CITY for word in text.split()})
    known = models.WordLevel(
        {word: n for n, word in enumerate(["[PAD]", "[UNK]", *words])}, unk_token="[UNK]"
    )
    backend = Tokenizer(known)
    backend.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    fast = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(tmp_path / "encoder")
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=len(words) + 2, **shape)).save_pretrained(tmp_path / "encoder")
    features = asked(encoder="pvc://models/encoder")
    features = features.model_copy(
        update={
            "semantic_ids": features.semantic_ids.model_copy(update={"encoder": str(tmp_path / "encoder")})
        }
    )
    made = featurised(tmp_path / "out", numbered(*SEA, *CITY, SEA[0], ""), features)
    assert made.tokens["8"] == made.tokens["0"]
    assert made.tokens["9"] == []
    assert all(len(made.tokens[str(n)]) == 2 for n in range(8))

"""Weights of tokens: the share of an item's samples that hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from builders.featured import Batch

from fathom.features import aspect, tables
from fathom.features.tokenisers import open_tokeniser
from fathom.features.vocabulary import FIRST, read
from fathom_api.tasks import AnyModel
from fathom_api.tokens import CaptionFeatures

MODEL = AnyModel.model_validate({"uri": "hf://a/b"})


def weights(
    folder: Path, samples: Mapping[str, Sequence[str]], tokenizer: str = "WordNgram", **fields: object
) -> dict[str, dict[str, float]]:
    """Return token → weight of each item, made of its samples."""
    count = max(map(len, samples.values()))
    features = CaptionFeatures.model_validate(
        {"tokenizer": tokenizer, "minCount": 1, "maxNgram": 1, **fields}
    )

    def batches() -> Iterator[Batch]:
        for item, texts in samples.items():
            yield Batch([item] * len(texts), list(texts))

    scaled = features.model_copy(update={"min_count": features.min_count * count})
    strategy = open_tokeniser(scaled, MODEL, "", structured=False)
    aspect.make(folder, batches, len(samples), strategy, features, samples=count)
    table = pq.read_table(folder / tables.NAME)
    assert table.schema.equals(tables.FEATURES.append(tables.WEIGHTS))
    known = read(folder / aspect.VOCABULARY)
    assert known is not None
    names = {number: f"<{number}>" for number in range(FIRST)}
    names |= dict(zip(known.ids.tolist(), known.tokens, strict=True))
    return {
        row["item_id"]: dict(zip(map(names.__getitem__, row["tokens"]), row["weights"], strict=True))
        for row in table.to_pylist()
    }


@pytest.mark.parametrize("tokenizer", ["WordNgram", "KeyPhrase"])
def test_a_token_weighs_the_share_of_samples_that_hold_it(tmp_path: Path, tokenizer: str) -> None:
    samples = {"a": ["space", "space", "space", "comedy"], "b": ["comedy"] * 4, "c": ["space"] * 4}
    assert weights(tmp_path, samples, tokenizer) == {
        "a": {"space": 0.75, "comedy": 0.25},
        "b": {"comedy": 1.0},
        "c": {"space": 1.0},
    }


def test_a_word_said_twice_in_a_sample_counts_once(tmp_path: Path) -> None:
    assert weights(tmp_path, {"a": ["space space", "peace"], "b": ["space", "peace"]}) == {
        "a": {"space": 0.5, "peace": 0.5},
        "b": {"space": 0.5, "peace": 0.5},
    }


def test_a_term_gets_an_id_if_enough_captions_are_expected_to_hold_it(tmp_path: Path) -> None:
    samples = {"a": ["space", "noir"], "b": ["space", "noir"], "c": ["space", "space"]}
    assert weights(tmp_path, samples, minCount=2) == {
        "a": {"space": 0.5},
        "b": {"space": 0.5},
        "c": {"space": 1.0},
    }


def test_the_surest_tokens_are_kept(tmp_path: Path) -> None:
    samples = {"a": ["space drama", "space noir", "space drama"], "b": ["space noir drama"] * 3}
    assert weights(tmp_path, samples, maxTokensPerItem=2)["a"] == pytest.approx(
        {"space": 1.0, "drama": 2 / 3}
    )


def test_an_item_of_which_nothing_has_an_id_is_unknown_for_sure(tmp_path: Path) -> None:
    samples = {"a": ["odd", "rare"], "b": ["space", "space"], "c": ["", ""]}
    assert weights(tmp_path, samples) == {"a": {"<1>": 1.0}, "b": {"space": 1.0}, "c": {}}

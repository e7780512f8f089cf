from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders.pictures import parquet, png

from fathom.captioning.tuning.pairs import MAX_CAPTION, Pairs
from fathom.errors import InvalidInputError
from fathom_api.tasks import AnyFineTune

RED, BLUE = png("red"), png("blue")


def found(folder: Path, images: list[Any], captions: list[Any]) -> Pairs:
    return Pairs(AnyFineTune(uri=parquet(folder / "p.parquet", image=images, caption=captions)))


@pytest.mark.parametrize(
    ("images", "captions", "usable", "unusable"),
    [
        pytest.param([RED, b"?"], ["red", "blue"], ["red"], {"NotAnImage": 1}, id="a broken picture"),
        pytest.param([RED, BLUE], ["red", None], ["red"], {"NoCaption": 1}, id="no caption"),
        pytest.param([RED, BLUE], ["red", " \t "], ["red"], {"NoCaption": 1}, id="an empty caption"),
        pytest.param([RED, RED], ["red", "scarlet"], ["red", "scarlet"], {}, id="several rows of a picture"),
        pytest.param(
            [RED, BLUE],
            ["red", "bl�e"],
            ["red"],
            {"UnreadableCaption": 1},
            id="a caption lost in a conversion",
        ),
        pytest.param(
            [RED, BLUE],
            [b"red", b"bl\xfce"],
            ["red"],
            {"UnreadableCaption": 1},
            id="bytes that are no Unicode",
        ),
        pytest.param(
            [RED, BLUE], ["red", "b" * (MAX_CAPTION + 1)], ["red"], {"CaptionTooLong": 1}, id="a whole book"
        ),
        pytest.param([RED], ["a\x00red\x1b[31m\nthing "], ["ared[31m thing"], {}, id="control characters"),
        pytest.param([RED], ["cafe\u0301"], ["caf\u00e9"], {}, id="an accent of its own"),
    ],
)
def test_what_cannot_be_used_is_left_out_and_counted_by_reason(
    images: list[bytes], captions: list[Any], usable: list[str], unusable: dict[str, int], tmp_path: Path
) -> None:
    pairs = found(tmp_path, images, captions)
    assert list(pairs.captions()) == usable
    assert pairs.unusable == unusable


def test_no_usable_pair_is_an_error_of_the_task(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"none of 1 pairs can be used: NotAnImage \(1\)"):
        found(tmp_path, [b"?"], ["red"])


def test_more_unusable_than_usable_pairs_mean_that_something_else_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInputError, match=r"2 of 3 pairs .* more than half: NotAnImage \(2\); check"
    ) as error:
        found(tmp_path, [RED, b"?", b"!"], ["red", "blue", "green"])
    assert error.value.reason == "TooManyUnusablePairs"


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [RED], "text": ["red"]}), tmp_path / "p.parquet")
    with pytest.raises(InvalidInputError, match="caption"):
        Pairs(AnyFineTune(uri=str(tmp_path / "p.parquet")))


def test_a_picture_is_kept_once_however_many_captions_it_has(tmp_path: Path) -> None:
    pairs = found(tmp_path, [RED, BLUE, RED], ["red", "blue", "scarlet"])
    assert pairs.media_count == 2
    assert [pairs[n].medium for n in range(len(pairs))] == [0, 1, 0]
    assert pairs.image(1).getpixel((0, 0)) == (0, 0, 255)


def test_a_medium_s_captions_are_taken_together_no_caption_twice(tmp_path: Path) -> None:
    part, _ = found(tmp_path, [RED, BLUE, RED, RED], ["red", "blue", "scarlet", "red"]).split(0, seed=0)
    assert part.by_medium() == {0: ["red", "scarlet"], 1: ["blue"]}


def test_all_captions_of_a_picture_fall_on_the_same_side(tmp_path: Path) -> None:
    images = [png("red", (8, 8 + n)) for n in range(60) for _ in range(2)]
    kept, held_out = found(tmp_path, images, [f"caption {n}" for n in range(120)]).split(0.3, seed=0)
    assert len(kept) + len(held_out) == 120
    assert len(held_out)
    assert not kept.by_medium().keys() & held_out.by_medium().keys()


def test_other_captions_have_another_digest(tmp_path: Path) -> None:
    first = found(tmp_path, [RED, BLUE], ["red", "blue"]).digest
    assert found(tmp_path, [RED, BLUE], ["red", "blue"]).digest == first
    assert found(tmp_path, [RED, BLUE], ["blue", "red"]).digest != first

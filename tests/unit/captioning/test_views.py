from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from builders.pictures import encoded, parquet
from PIL import Image

from fathom.captioning.tuning.pairs import Pairs
from fathom.captioning.tuning.views import Views
from fathom_api.captioning import Augmentation
from fathom_api.tasks import AnyFineTune

WIDTH, HEIGHT = 50, 40


def picture(red: int) -> Image.Image:
    """Green from left to right, blue from top to bottom, so that a place can be told by its colour."""
    green, blue = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    pixels = np.stack([np.full_like(green, red), green, blue], axis=2).astype(np.uint8)
    return Image.fromarray(pixels)


def views(folder: Path, augment: list[Augmentation]) -> Views:
    pictures = [encoded(picture(red)) for red in (1, 2, 3)]
    table = parquet(folder / "pairs.parquet", image=pictures, caption=["one", "two", "three"])
    return Views(Pairs(AnyFineTune(uri=table)), augment)


@pytest.mark.parametrize(
    ("augment", "each"), [([], 1), (["Flip"], 2), (["Crop"], 4), (["Crop", "Flip"], 4)], ids=str
)
def test_every_picture_has_as_many_views_the_first_as_it_is(
    augment: list[Augmentation], each: int, tmp_path: Path
) -> None:
    found = views(tmp_path, augment)
    assert found.count == each
    assert len(found) == 3 * each
    for medium, red in enumerate((1, 2, 3)):
        assert np.array_equal(np.asarray(found[medium * each]), np.asarray(picture(red)))


def test_a_mirrored_picture_has_left_and_right_exchanged(tmp_path: Path) -> None:
    mirrored = np.asarray(views(tmp_path, ["Flip"])[1])
    assert np.array_equal(mirrored, np.asarray(picture(1))[:, ::-1])


def test_a_crop_leaves_most_of_each_side_and_differs_from_the_others(tmp_path: Path) -> None:
    found = views(tmp_path, ["Crop"])
    crops = [found[number] for medium in range(3) for number in range(medium * 4 + 1, medium * 4 + 4)]
    assert all(0.8 * WIDTH <= crop.width <= WIDTH for crop in crops)
    assert all(0.8 * HEIGHT <= crop.height <= HEIGHT for crop in crops)
    boxes = {(*np.asarray(crop)[0, 0, 1:].tolist(), *crop.size) for crop in crops}
    assert len(boxes) == len(crops)


def test_the_views_of_a_picture_are_the_same_in_the_next_life_of_a_pod(tmp_path: Path) -> None:
    first, second = views(tmp_path / "a", ["Crop", "Flip"]), views(tmp_path / "b", ["Crop", "Flip"])
    for number in range(len(first)):
        assert np.array_equal(np.asarray(first[number]), np.asarray(second[number]))


def test_training_sees_every_view_and_tests_see_the_pictures_as_they_are(tmp_path: Path) -> None:
    found = views(tmp_path, ["Crop", "Flip"])
    torch.manual_seed(0)
    drawn = [tuple(found.drawn([0, 2], training=True)) for _ in range(100)]
    assert {first for first, _ in drawn} == {0, 1, 2, 3}
    assert {second for _, second in drawn} == {8, 9, 10, 11}
    assert found.drawn([0, 2], training=False) == [0, 8]


def test_without_views_nothing_is_drawn(tmp_path: Path) -> None:
    """So what was trained before there were views comes out the same."""
    before = torch.get_rng_state()
    assert views(tmp_path, []).drawn([2, 1], training=True) == [2, 1]
    assert torch.equal(before, torch.get_rng_state())

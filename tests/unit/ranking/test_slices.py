"""Items are told apart by how often training saw them."""

import numpy as np
import pytest

from fathom.ranking.slices import kinds


@pytest.mark.parametrize(
    ("frequency", "expected"),
    [
        pytest.param(
            [50, 40, 9, 1, 0],
            ["head", "torso", "tail", "tail", "new"],
            id="half of the interactions, up to nine tenths, the rest, none",
        ),
        pytest.param([1, 9, 40, 50], ["tail", "tail", "torso", "head"], id="whatever the order"),
        pytest.param([100], ["head"], id="one item is the head"),
        pytest.param([0, 0], ["new", "new"], id="without training interactions all are new"),
    ],
)
def test_slices_by_share_of_the_training_interactions(frequency: list[int], expected: list[str]) -> None:
    assert kinds(np.array(frequency)).tolist() == expected


def test_items_alike_in_frequency_are_divided_by_their_place() -> None:
    assert kinds(np.full(10, 3)).tolist() == ["head"] * 5 + ["torso"] * 4 + ["tail"]

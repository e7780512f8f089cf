"""One answer of two spaces."""

import numpy as np
import pytest

from fathom.retrieval.merging import Hit, counts, merged, unit


@pytest.mark.parametrize(
    ("hits", "k", "expected"),
    [
        ([], 3, []),
        ([("a", 0.5, "old"), ("b", 0.9, "new")], 1, [("b", "new")]),
        ([("b", 0.5, "old"), ("a", 0.5, "new")], 2, [("a", "new"), ("b", "old")]),
        # Moved between two looks: the new space's score counts, even if it is lower.
        ([("a", 0.9, "old"), ("a", 0.2, "new"), ("b", 0.5, "old")], 2, [("b", "old"), ("a", "new")]),
        ([("a", 0.2, "new"), ("a", 0.9, "old"), ("b", 0.5, "old")], 2, [("b", "old"), ("a", "new")]),
    ],
)
def test_hits_are_merged_by_score_then_id_each_item_once(
    hits: list[tuple[str, float, str]], k: int, expected: list[tuple[str, str]]
) -> None:
    found = merged((Hit(*hit) for hit in hits), k)  # type: ignore[arg-type]
    assert [(hit.id, hit.space) for hit in found] == expected


def test_hits_are_counted_by_space() -> None:
    assert counts([[Hit("a", 1, "old")], [Hit("b", 1, "old"), Hit("a", 1, "new")]]) == {"old": 2, "new": 1}


def test_a_vector_without_length_stays_as_it_is() -> None:
    assert unit(np.float32([[3, 4], [0, 0]])).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]

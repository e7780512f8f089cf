import json
from pathlib import Path

import numpy as np
import pytest
from builders.trees import tree

from fathom.errors import InvalidInputError
from fathom.serendipity import balanced, clusters, matching, naming
from fathom.serendipity.balanced import Shape
from fathom.serendipity.clusters import Clusters


def blobs(sizes: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors around as many axes as there are `sizes`, and the axis of each."""
    own = np.repeat(np.arange(len(sizes)), sizes)
    noise = np.random.default_rng(seed).normal(0, 0.05, (len(own), len(sizes)))
    return (np.eye(len(sizes))[own] + noise).astype(np.float32), own


@pytest.mark.parametrize(("counts", "balance"), [((20,), 1.5), ((4, 20), 2.0), ((3, 9, 27), 3.0)])
def test_every_cluster_of_every_level_keeps_the_bounds(counts: tuple[int, ...], balance: float):
    vectors, _ = blobs([300, 100, 50, 20, 10, 5])
    shape = Shape(counts, balance)
    path = balanced.grow(vectors, shape)
    for level, count in enumerate(counts):
        low, high = shape.bounds(len(vectors), level)
        sizes = np.bincount(path[:, level], minlength=count)
        assert len(sizes) == count
        assert low <= sizes.min() <= sizes.max() <= high


def test_a_cluster_lies_within_one_cluster_of_the_level_above():
    vectors, _ = blobs([60, 60, 60])
    path = balanced.grow(vectors, Shape((3, 12)))
    for cluster in range(12):
        assert len(np.unique(path[path[:, 1] == cluster, 0])) == 1


def test_clear_groups_within_the_bounds_are_found():
    vectors, own = blobs([40, 50, 60])
    path = balanced.grow(vectors, Shape((3,)))
    assert len({(int(a), int(b)) for a, b in zip(own, path[:, 0], strict=True)}) == 3


def test_the_same_vectors_give_the_same_tree():
    vectors, _ = blobs([40, 50, 60])
    shape = Shape((3, 10), seed=4)
    assert (balanced.grow(vectors, shape) == balanced.grow(vectors, shape)).all()


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        (Shape((30,)), "5 at most"),
        (Shape(()), "growing numbers"),
        (Shape((4, 4)), "growing numbers"),
        (Shape((2,), balance=1.0), "1.5 or more"),
    ],
)
def test_a_tree_that_cannot_be_is_refused_with_the_fix(shape: Shape, says: str):
    with pytest.raises(InvalidInputError, match=says):
        balanced.grow(np.eye(10, dtype=np.float32), shape)


def test_keywords_are_the_words_that_set_a_cluster_apart():
    texts = ["film crime night", "film crime city", "film space ship", "film space star"]
    found = naming.keywords(texts, np.array([0, 0, 1, 1]), 2)
    assert found[0][0] == "crime"
    assert found[1][0] == "space"


def test_stop_words_are_no_keywords():
    assert naming.keywords(["the crime"], np.array([0]), 1, stop=["the"]) == [["crime"]]


def test_names_differ_even_where_keywords_do_not():
    found = naming.names([["a", "b", "c"], ["a", "b", "d"], ["a", "b"], [], []])
    assert found == ["a b", "a b d", "a b 2", "interest", "interest 2"]


def test_a_name_that_is_taken_is_not_given_again():
    assert naming.names([["a", "b", "c"], ["a", "b"]], {1: "a b"}) == ["a b c", "a b"]


def test_a_rebuilt_cluster_keeps_the_id_of_the_one_it_overlaps_most():
    before = np.array([7, 7, 7, 3, 3, 3, 5, 5])
    after = np.array([0, 0, 1, 1, 1, 1, 2, 2])
    matched = matching.match(before, after, 3, first_free=8)
    assert matched.ids.tolist() == [7, 3, 5]
    assert matched.churn == pytest.approx(1 / 8)


def test_a_cluster_that_continues_none_gets_an_id_that_was_never_used():
    matched = matching.match(np.array([0, 0, 0, 0]), np.array([0, 0, 1, 2]), 3, first_free=9)
    assert matched.ids.tolist() == [0, 9, 10]
    assert matched.continued.tolist() == [True, False, False]


def test_a_tree_built_again_from_nearly_the_same_items_keeps_ids_and_names():
    vectors, own = blobs([40, 50, 60])
    items = [f"i{n}" for n in range(len(own))]
    texts = [f"word{c} thing{c}" for c in own]
    first = clusters.build(items, vectors, texts, Shape((3,)))
    again = clusters.build(items[5:], vectors[5:], texts[5:], Shape((3,), seed=9), first)
    assert again.churn == [0.0]
    assert {c.id: c.name for c in again.finest} == {c.id: c.name for c in first.finest}


def test_items_without_a_vector_are_in_no_cluster():
    vectors, _own = blobs([20, 20])
    vectors[3] = 0
    built = clusters.build([f"i{n}" for n in range(40)], vectors, ["x"] * 40, Shape((2,)))
    assert built.unclustered == 1
    assert built.of(["i3", "i4", "unheard of"]).tolist()[::2] == [-1, -1]
    assert built.of(["i4"])[0] >= 0


def test_clusters_are_read_as_they_were_written(tmp_path: Path):
    vectors, own = blobs([20, 20])
    built = clusters.build([f"i{n}" for n in range(40)], vectors, [f"w{c}" for c in own], Shape((2, 4)))
    written = built.write(tmp_path, {"seed": "0"})
    read = Clusters.read(tmp_path)
    assert read.items == built.items
    assert (read.path == built.path).all()
    assert read.levels == built.levels
    assert np.allclose(read.centres, built.centres)
    assert written.counts == {"items": 40, "clusters": 4, "unclustered": 0}


def test_clusters_that_were_changed_on_disk_are_refused(tmp_path: Path):
    tree().write(tmp_path, {})
    names = tmp_path / clusters.NAMES
    names.write_text(json.dumps(json.loads(names.read_text()) | {"unclustered": 3}))
    with pytest.raises(InvalidInputError, match="content differs"):
        Clusters.read(tmp_path)


def test_a_model_may_word_names_and_summaries():
    worded = tree().worded({0: "  dark\n streets "}, {0: "Rain and neon."})
    assert (worded.finest[0].name, worded.finest[0].summary) == ("dark streets", "Rain and neon.")
    assert worded.finest[1].name == "space opera"


@pytest.mark.parametrize("name", ["", "space opera"])
def test_a_name_that_is_empty_or_taken_is_refused(name: str):
    with pytest.raises(InvalidInputError, match="would be named"):
        tree().worded({0: name}, {})

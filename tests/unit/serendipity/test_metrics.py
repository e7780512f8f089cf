"""The expected values of shared cases were made by `recommenders` 1.2.1 and `rectools` 0.19.0."""

import numpy as np
import pytest

from fathom.serendipity import metrics

#: Four users' histories, lists and what was relevant to them; six items with vectors of length 1.
HISTORY = [[0, 1, 2], [0, 3], [1, 2, 4], [0, 5]]
LISTS = [[3, 4, 5], [1, 2, 4], [0, 3, 5], [1, 2, 3]]
RELEVANT = [[4], [1, 5], [0], [2]]
VECTORS = np.array(
    [
        [0.001, 0.305, -0.28, -0.91],
        [-0.263, -0.573, 0.035, 0.775],
        [-0.494, -0.622, 0.491, 0.358],
        [0.09, -0.798, -0.025, 0.596],
        [-0.498, -0.169, -0.704, -0.477],
        [-0.813, -0.104, -0.56, 0.12],
    ]
)
UNIT = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
COUNTS = np.bincount(np.concatenate(HISTORY))
USERS = list(zip(*([np.array(row) for row in rows] for rows in (LISTS, HISTORY, RELEVANT)), strict=True))


def test_auralist_serendipity_is_that_of_recommenders():
    found = [metrics.auralist_serendipity(shown, past, liked, UNIT) for shown, past, liked in USERS]
    assert found == pytest.approx([0.3058360531, 0.3326686298, 0.4405306764, 0.4032081912], abs=1e-6)


def test_novelty_is_that_of_recommenders():
    assert metrics.novelty([np.array(row) for row in LISTS], COUNTS) == pytest.approx(2.8565145532)


def test_intra_list_diversity_is_that_of_recommenders():
    found = [metrics.intra_list_diversity(np.array(row), UNIT) for row in LISTS]
    assert found == pytest.approx([0.7738837609, 0.8502465077, 1.2227219020, 0.2238623502], abs=1e-6)


def test_coverage_is_that_of_recommenders():
    assert metrics.coverage([np.array(row) for row in LISTS], 6) == 1.0


@pytest.mark.parametrize(
    ("k", "expected"), [(2, [0.0833333333, 0.0833333333, 0, 0]), (3, [0.0555555556, 0.0555555556, 0, 0])]
)
def test_serendipity_by_popularity_is_that_of_rectools(k: int, expected: list[float]):
    ranks = metrics.popularity_ranks(COUNTS)
    found = [metrics.rectools_serendipity_at(shown, liked, ranks, k) for shown, _, liked in USERS]
    assert found == pytest.approx(expected)


def test_mean_inverse_user_frequency_is_that_of_rectools():
    found = [metrics.miuf(np.array(row), COUNTS, 4, 3) for row in LISTS]
    assert found == pytest.approx([2.0, 1.3333333333, 1.4716791664, 1.3333333333])


def test_ndcg_is_that_of_rectools():
    found = [metrics.ndcg_at(shown, liked, 3) for shown, _, liked in USERS]
    assert found == pytest.approx([0.6309297536, 0.6131471928, 1.0, 0.6309297536])


def test_items_that_nobody_had_rank_behind_all_others():
    assert metrics.popularity_ranks(np.array([0, 5, 2, 5])).tolist() == [5, 1, 2, 1]


def clusters(*rows: list[int]) -> list[np.ndarray]:
    return [np.array(row, np.int64) for row in rows]


@pytest.mark.parametrize(
    ("targets", "past", "future", "recall"),
    [
        ([3, 4], [0], [0, 3, 5], 0.5),
        ([3, 4], [0], [0], np.nan),
        ([], [0], [1], 0.0),
        ([0], [0], [0, 1], 0.0),
    ],
)
def test_novel_recall_counts_what_is_new_in_the_future_only(
    targets: list[int], past: list[int], future: list[int], recall: float
):
    found = metrics.novel_recall_at(clusters(targets), clusters(past), clusters(future))
    assert found[0] == pytest.approx(recall, nan_ok=True)


def test_hit_and_novelty_rate_of_each_user():
    targets, past, future = clusters([1, 2], [3], []), clusters([1], [0], [0]), clusters([2], [], [1])
    assert metrics.hit_at(targets, future) == pytest.approx([1, np.nan, 0], nan_ok=True)
    assert metrics.novelty_rate(targets, past) == pytest.approx([0.5, 1, np.nan], nan_ok=True)


def test_exact_match_is_verbatim():
    assert metrics.exact_match(["a b", "a b ", "A B", "c"], {"a b", "c"}) == 0.5
    assert np.isnan(metrics.exact_match([], {"a"}))


def test_serendipity_by_cluster_wants_a_relevant_item_of_a_cluster_not_met():
    own = np.array([0, 0, 1, 2, 2])
    shown, past, liked = np.array([0, 2, 3, 4]), np.array([0]), np.array([0, 3])
    assert metrics.cluster_serendipity_at(shown, own, past, liked, 4) == 0.25
    popular = np.array([0, 0, 0, 0.5, 0], np.float32)
    assert metrics.cluster_serendipity_at(shown, own, past, liked, 4, popular) == 0.125


@pytest.mark.parametrize(
    ("counts", "expected"), [([1, 1, 1, 1], 0), ([0, 0, 0, 4], 0.75), ([0, 0], 0), ([1, 3], 0.25)]
)
def test_gini(counts: list[int], expected: float):
    assert metrics.gini(np.array(counts)) == pytest.approx(expected)


def test_entropy_in_bits():
    assert metrics.entropy(np.array([2, 2, 0, 4])) == pytest.approx(1.5)


def test_uci_counts_users_of_so_many_clusters():
    users = {"a": np.array([1, 2, 3]), "b": np.array([1, 1]), "c": np.array([1, 2])}
    assert [metrics.uci_at(users, n) for n in (1, 2, 3)] == [3, 2, 1]


def test_unexpectedness_of_a_user_without_history_is_one():
    assert metrics.unexpectedness(np.array([0, 1]), np.empty(0, np.int64), UNIT) == 1

import numpy as np
import pytest
from builders.trees import journeys_of, tree

from fathom.serendipity import baselines, sasrec, table, transitions
from fathom.serendipity.baselines import Scorer

CLUSTERS = tree()
ROUND = [[(start + n) % 6 for n in range(4)] for start in range(6) for _ in range(5)]


def walked(*paths: list[int]) -> transitions.Journeys:
    return transitions.journeys(journeys_of(CLUSTERS, *paths), CLUSTERS)


def best(scorer: Scorer, *met: int) -> int:
    return int(baselines.recommend(scorer, np.array(met, np.int64), 1)[0])


@pytest.mark.parametrize(
    "scorer",
    [
        baselines.markov(walked(*ROUND), 6, 1),
        baselines.markov(walked(*ROUND), 6, 2),
        sasrec.sasrec(walked(*ROUND), 6, epochs=300),
    ],
    ids=["Markov 1", "Markov 2", "SASRec"],
)
def test_sequences_are_followed(scorer: Scorer):
    assert [best(scorer, a, (a + 1) % 6) for a in range(6)] == [(a + 2) % 6 for a in range(6)]


def test_what_was_met_is_never_recommended():
    scorer = baselines.popular(walked(*ROUND), 6)
    for met in ([], [0], [0, 1, 2, 3, 4], list(range(6))):
        found = baselines.recommend(scorer, np.array(met, np.int64), 6)
        assert sorted([*found.tolist(), *met]) == list(range(6))


def test_popularity_counts_users():
    assert best(baselines.popular(walked([0, 1], [1, 2], [1]), 6)) == 1


def test_second_order_falls_back_on_first_and_then_on_popularity():
    found = walked([0, 1, 2], [3, 4, 5], [3, 5])
    scorer = baselines.markov(found, 6, 2)
    assert best(scorer, 0, 1) == 2
    assert best(scorer, 5, 4) in {3, 5}
    assert best(scorer, 2) == 3


def test_a_mixture_adds_up_what_followed_each_of_the_latest_in_any_order():
    found = walked([0, 1], [0, 1], [2, 3], [2, 3], [2, 3], [4, 5])
    latest = baselines.markov_mixture(found, 6, recent=2, weak=0.0)
    assert latest(np.array([0, 2])).tolist() == latest(np.array([2, 0])).tolist() == [0, 0.5, 0, 0.5, 0, 0]
    assert baselines.markov_mixture(found, 6, recent=1, weak=0.0)(np.array([0, 2])).tolist()[3] == 1
    assert best(baselines.markov_mixture(found, 6, recent=2)) in {2, 3}


def test_ease_recommends_what_is_had_together_and_has_no_weight_for_itself():
    matrix = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], float)
    weights = baselines.ease_weights(matrix, 1.0)
    assert np.diag(weights).tolist() == [0, 0, 0]
    assert weights[0, 1] > 0.4
    assert abs(weights[0, 2]) < 1e-9
    # Steck 2019: B = I - P / diag(P), each column divided by its own entry of the diagonal.
    inverse = np.linalg.inv(matrix.T @ matrix + np.eye(3))
    assert weights[1, 0] == pytest.approx(-inverse[1, 0] / inverse[0, 0])


def test_neighbours_are_near_in_the_mean():
    centres = np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    assert best(baselines.neighbours(centres), 0) == 1


def test_a_table_is_asked_about_the_last_pair_or_all_pairs():
    made = table.build(
        CLUSTERS, np.array([0, 1, 1]), np.array([1, 0, 2]), np.array([3, 4, 5]), np.array([1.0, 1.0, 1.0])
    )
    last = baselines.table_scorer(made, recent=2)(np.array([0, 1]))
    assert np.flatnonzero(last).tolist() == [3]
    both = baselines.table_scorer(made)(np.array([0, 1]))
    assert np.flatnonzero(both).tolist() == [3, 4]
    assert baselines.table_scorer(made)(np.empty(0, np.int64)).tolist() == [0] * 6


def test_mmr_with_relevance_alone_is_the_ranking_and_trades_it_for_difference():
    scores = np.array([1.0, 0.9, 0.8, -np.inf])
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    assert baselines.mmr(scores, vectors, 3, 1.0).tolist() == [0, 1, 2]
    assert baselines.mmr(scores, vectors, 3, 0.3).tolist() == [0, 2, 1]

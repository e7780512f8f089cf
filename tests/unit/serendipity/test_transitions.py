from pathlib import Path

import numpy as np
import pytest
from builders.trees import journeys_of, tree

from fathom.errors import InvalidInputError
from fathom.serendipity import transitions
from fathom.serendipity.transitions import Lessons


def triples(found: transitions.Transitions) -> list[tuple[int, int, int]]:
    return list(zip(found.first.tolist(), found.second.tolist(), found.target.tolist(), strict=True))


def test_a_journey_holds_each_cluster_once_where_it_was_met_first():
    found = transitions.journeys(journeys_of(tree(), [2, 2, 0, 2, 1]), tree())
    assert found.of(0).tolist() == [2, 0, 1]


def test_items_in_no_cluster_are_passed_over():
    events = journeys_of(tree(), [0, 1, 2])
    known = tree(count=2)
    assert transitions.journeys(events, known).of(0).tolist() == [0, 1]


def test_three_clusters_met_one_after_the_other_are_a_transition():
    found = transitions.journeys(journeys_of(tree(), [0, 1, 2, 3], [4, 5]), tree())
    assert triples(transitions.consecutive(found)) == [(0, 1, 2), (1, 2, 3)]


def test_a_longer_reach_looks_further_and_never_over_a_users_end():
    found = transitions.journeys(journeys_of(tree(), [0, 1, 2, 3], [4, 5, 0]), tree())
    made = triples(transitions.consecutive(found, reach=2))
    assert sorted(made) == [(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3), (4, 5, 0)]


def test_the_target_was_never_met_before():
    chance = np.random.default_rng(0)
    paths = [chance.integers(6, size=20).tolist() for _ in range(30)]
    found = transitions.journeys(journeys_of(tree(), *paths), tree())
    made = transitions.consecutive(found, reach=3)
    for user, first, second, target in zip(made.user, made.first, made.second, made.target, strict=True):
        own = found.of(user).tolist()
        assert own.index(first) < own.index(second) < own.index(target)


def test_the_same_transition_is_kept_once_with_its_count():
    found = transitions.journeys(journeys_of(tree(), [0, 1, 2], [0, 1, 2], [1, 0, 2]), tree())
    merged = transitions.merged(transitions.consecutive(found))
    assert list(zip(triples(merged), merged.count.tolist(), strict=True)) == [((0, 1, 2), 2), ((1, 0, 2), 1)]


def test_a_target_keeps_its_most_frequent_transitions_only():
    paths = [[0, 1, 2], [0, 1, 2], [3, 1, 2], [4, 1, 2], [4, 1, 5]]
    found = transitions.journeys(journeys_of(tree(), *paths), tree())
    kept = transitions.balanced(transitions.merged(transitions.consecutive(found)), per_target=1)
    assert sorted(triples(kept)) == [(0, 1, 2), (4, 1, 5)]


def test_what_is_measured_on_is_later_than_all_that_is_learned():
    chance = np.random.default_rng(1)
    paths = [chance.permutation(6).tolist() for _ in range(40)]
    found = transitions.consecutive(transitions.journeys(journeys_of(tree(), *paths), tree()))
    early, late = transitions.split(found, 0.2)
    assert early.time.max() <= late.time.min()
    assert len(late) == pytest.approx(0.2 * len(found), abs=2)


def test_recent_moves_are_the_most_frequent_of_the_latest():
    paths = [[0, 1, 2]] * 6 + [[0, 1, 3]] * 2 + [[0, 1, 4]]
    clusters = tree(first_id=10)
    found = transitions.consecutive(transitions.journeys(journeys_of(clusters, *paths), clusters))
    assert transitions.recent_moves(found, clusters, share=0.3) == {(10, 11): "interest 13"}
    assert transitions.recent_moves(found, clusters, share=1.0) == {(10, 11): "interest 12"}
    assert transitions.recent_moves(found.where(np.zeros(9, bool)), clusters) == {}


def test_a_pair_is_learned_in_both_orders():
    found = transitions.journeys(journeys_of(tree(), [0, 1, 2], [0, 1, 2], [1, 0, 2], [0, 1, 3]), tree())
    both = transitions.either_order(transitions.merged(transitions.consecutive(found)))
    counted = dict(zip(triples(both), both.count.tolist(), strict=True))
    assert counted == {(0, 1, 2): 3, (1, 0, 2): 3, (0, 1, 3): 1, (1, 0, 3): 1}


def test_what_is_measured_on_keeps_its_order():
    paths = [[0, 1, 2]] * 9 + [[3, 4, 5]]
    found = transitions.consecutive(transitions.journeys(journeys_of(tree(), *paths), tree()))
    lessons = transitions.learn_from(found, tree(), validation=0.1)
    assert {triple[:2] for triple in triples(lessons.train)} == {(0, 1), (1, 0)}
    assert set(triples(lessons.validation)) == {(3, 4, 5)}


def test_the_report_counts_and_tells_how_even_the_targets_are():
    paths = [[0, 1, 2]] * 18 + [[1, 3, 2], [0, 1, 4]]
    found = transitions.consecutive(transitions.journeys(journeys_of(tree(), *paths), tree()))
    report = transitions.learn_from(found, tree(), validation=0.0, per_target=1).report
    assert (report.users, report.transitions, report.distinct, report.kept) == (20, 20, 3, 2)
    assert report.gini_after < report.gini_before
    assert report.most_frequent[0] == ("slow cooking", 19)


def test_lessons_are_read_as_they_were_written(tmp_path: Path):
    clusters = tree(first_id=10)
    paths = [np.random.default_rng(n).permutation(6).tolist() for n in range(20)]
    found = transitions.consecutive(transitions.journeys(journeys_of(clusters, *paths), clusters))
    lessons = transitions.learn_from(found, clusters)
    lessons.write(tmp_path, clusters, {})
    read = Lessons.read(tmp_path, clusters)
    assert triples(read.train) == triples(lessons.train)
    assert triples(read.validation) == triples(lessons.validation)
    assert read.report == lessons.report


def test_lessons_of_clusters_that_are_no_more_are_refused(tmp_path: Path):
    clusters = tree()
    found = transitions.consecutive(
        transitions.journeys(journeys_of(clusters, [3, 4, 5], [0, 1, 2]), clusters)
    )
    transitions.learn_from(found, clusters).write(tmp_path, clusters, {})
    with pytest.raises(InvalidInputError, match="clusters that are no more"):
        Lessons.read(tmp_path, tree(count=3))


def test_too_few_transitions_say_what_users_need():
    found = transitions.consecutive(transitions.journeys(journeys_of(tree(), [0, 1]), tree()))
    with pytest.raises(InvalidInputError, match="three clusters each"):
        transitions.split(found, 0.1)

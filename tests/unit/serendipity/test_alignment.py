"""Best of n: which of a planner's answers users would be satisfied with, learned from what they said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fathom.errors import InvalidInputError
from fathom.serendipity import alignment
from fathom.serendipity.alignment import Feedback
from fathom.serendipity.bulk import Planned
from fathom.serendipity.clusters import Cluster, Clusters
from fathom.serendipity.events import Events

COUNT = 6
NAN = float("nan")


def clusters() -> Clusters:
    """Return six clusters of one item each; 0, 1 and 2 lie together, and so do the others."""
    draw = np.random.default_rng(0)
    sides = np.repeat(np.eye(2), 3, axis=0)
    centres = np.hstack([sides, 0.1 * draw.normal(size=(COUNT, 3))]).astype(np.float32)
    own = [
        Cluster(id=n, name=f"c{n}", keywords=[], size=1, parent=None, representatives=[f"i{n}"])
        for n in range(COUNT)
    ]
    path = np.arange(COUNT, dtype=np.int64)[:, None]
    return Clusters([f"i{n}" for n in range(COUNT)], path, [own], centres, [COUNT], [0.0])


def events(*rows: tuple[int, int, float]) -> Events:
    """Return one user's events a row: (user, item, satisfied), one after the other."""
    user, item, satisfied = (np.array(column) for column in zip(*rows, strict=True))
    users = [f"u{n}" for n in range(int(user.max()) + 1)]
    order = np.lexsort((np.arange(len(rows)), user))
    return Events(
        users,
        [f"i{n}" for n in range(COUNT)],
        user[order],
        item[order],
        np.arange(len(rows), dtype=np.float64)[order],
        satisfied.astype(np.float32)[order],
    )


def told(count: int = 400, seed: int = 0) -> Feedback:
    """Return moves that satisfy where the third cluster is on the side of both others."""
    draw = np.random.default_rng(seed)
    first, second, target = (draw.integers(0, COUNT, count) for _ in range(3))
    near = (first // 3 == target // 3) & (second // 3 == target // 3)
    satisfaction = np.where(near, 0.9, 0.2) + draw.normal(0, 0.05, count)
    return Feedback(first, second, target, satisfaction, np.arange(count, dtype=np.float64))


def planned(*rows: tuple[int, int, int, float]) -> Planned:
    first, second, target, score = (np.array(column) for column in zip(*rows, strict=True))
    return Planned(1, 0, first, second, target, score, len(rows), {}, [])


def test_satisfaction_is_that_with_what_was_met_in_the_new_cluster() -> None:
    found = alignment.feedback(events((0, 0, 1), (0, 1, 1), (0, 2, 0), (0, 2, 1), (0, 3, NAN)), clusters())
    assert [found.first.tolist(), found.second.tolist(), found.target.tolist()] == [[0], [1], [2]]
    assert found.satisfaction.tolist() == [0.5]


def test_moves_to_measure_on_are_those_made_later() -> None:
    every = alignment.feedback(events((0, 0, 1), (0, 1, 1), (0, 2, 0), (0, 3, 1), (0, 4, 0)), clusters())
    late = every.after(2.0)
    assert late.target.tolist() == [3, 4]
    assert (late.first.tolist(), late.second.tolist()) == ([1, 2], [2, 3])


def test_without_a_word_on_satisfaction_it_is_said_what_to_do() -> None:
    silent = replace(events((0, 0, 1), (0, 1, 1), (0, 2, 0)), satisfied=None)
    with pytest.raises(InvalidInputError, match="names no column"):
        alignment.feedback(silent, clusters())


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(told(20), "TooLittleFeedback", id="too little"),
        pytest.param(replace(told(), satisfaction=np.ones(400)), "NoDifference", id="everybody satisfied"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused(found: Feedback, reason: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        alignment.learn(found, clusters())
    assert caught.value.reason == reason


def test_it_learns_which_moves_satisfy() -> None:
    scorer = alignment.learn(told(), clusters())
    near, far = scorer(np.array([0, 0]), np.array([1, 1]), np.array([2, 5]))
    assert near > far + 0.2
    assert alignment.agreement(scorer, told(seed=1)) > 0.4


def test_a_cluster_that_satisfies_is_preferred_to_one_that_does_not() -> None:
    draw = np.random.default_rng(3)
    first, second, target = (draw.integers(0, COUNT, 400) for _ in range(3))
    found = Feedback(first, second, target, (target == 4).astype(np.float64), np.zeros(400))
    scorer = alignment.learn(found, clusters())
    said = scorer(np.zeros(COUNT, np.int64), np.ones(COUNT, np.int64), np.arange(COUNT))
    assert int(said.argmax()) == 4


def test_the_best_answers_of_each_pair_are_kept() -> None:
    scorer = alignment.learn(told(), clusters())
    every = planned((0, 1, 5, 0.9), (0, 1, 2, 0.1), (0, 1, 4, 0.8), (3, 4, 0, 0.7), (3, 4, 5, 0.2))
    kept = alignment.best(every, scorer, 1)
    assert list(zip(kept.first, kept.second, kept.target, strict=True)) == [(0, 1, 2), (3, 4, 5)]
    assert kept.score.tolist() == [0.1, 0.2]
    assert len(alignment.best(every, scorer, 3).target) == 5

import time
from itertools import pairwise

import numpy as np
import pytest
from builders.trees import tree

from fathom.errors import InvalidInputError
from fathom.serendipity import guide, table
from fathom.serendipity.guide import Explore, Guide, Slot, Target

CLUSTERS = tree()


def guided(explore: Explore | None = None) -> Guide:
    """Return a guide by whose table (0, 1) leads to 2 and 3, (1, 0) to 3, (0, 2) to 4."""
    rows = [(0, 1, 2, 0.6), (0, 1, 3, 0.4), (1, 0, 3, 1.0), (0, 2, 4, 1.0)]
    first, second, target, score = zip(*rows, strict=True)
    made = table.build(CLUSTERS, np.array(first), np.array(second), np.array(target), score)
    return Guide(made, explore)


def met(*clusters: int) -> np.ndarray:
    return np.array(clusters, np.int64)


def test_a_users_clusters_are_told_apart_by_the_latest_meeting():
    items = ["item-0-0", "item-1-0", "item-0-1", "of no cluster"]
    assert guided().clusters(items).tolist() == [1, 0]


def test_both_orders_of_a_pair_say_where_to_go():
    found = guided().targets(met(0, 1))
    assert [(t.cluster, round(t.weight, 3)) for t in found] == [(3, 0.7), (2, 0.3)]


def test_the_reason_is_the_pair_that_says_so_most():
    strongest = guided().targets(met(0, 1))[0]
    assert strongest.because == (1, 0)
    assert guided().why(strongest) == "because you liked space opera and crime drama → mountain bikes"


def test_what_the_user_has_met_is_no_target():
    found = guided().targets(met(3, 0, 1))
    assert 3 not in [t.cluster for t in found]


def test_weights_of_clusters_weigh_their_pairs():
    found = guided().targets(met(0, 1, 2), np.array([1.0, 0.0, 1.0]))
    assert [t.cluster for t in found] == [4]


@pytest.mark.parametrize(
    ("case", "clusters", "targets"),
    [
        ("no history: the ranker's answer stands", [], []),
        ("one cluster: where its pairs lead", [2], [4]),
        ("all clusters met: nothing is left to lead to", [0, 1, 2, 3, 4, 5], []),
        ("pairs that lead nowhere", [4, 5], []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_becomes_of_a_user_with(case: str, clusters: list[int], targets: list[int]):
    assert [t.cluster for t in guided().targets(met(*clusters)) if t.cluster != 0] == targets


def test_one_cluster_gives_one_name_as_the_reason():
    only = guided().targets(met(1))[0]
    assert guided().why(only).startswith("because you liked space opera →")


def test_candidates_are_all_items_of_the_targets():
    leading = guided()
    found = leading.candidates([Target(4, 1.0, (0, 2))])
    assert [leading.table.items[i] for i in found] == ["item-4-0", "item-4-1", "item-4-2"]
    assert len(leading.candidates([])) == 0


def test_targets_take_turns_and_each_gives_its_best_item_that_the_user_has_not_had():
    scores = np.arange(18, dtype=float)
    targets = [Target(3, 0.7, (1, 0)), Target(2, 0.3, (0, 1))]
    slots = guided().guided(targets, scores, 3, seen=np.array([11]))
    assert [(s.item, s.target.cluster) for s in slots if s.target] == [(10, 3), (8, 2), (9, 3)]


@pytest.mark.parametrize(
    ("case", "weights", "best", "led"),
    [
        (
            "as far as the planner says, where the ranker sees no difference",
            (0.5, 0.3, 0.2),
            (9, 9, 9),
            [3, 2],
        ),
        ("elsewhere, where the ranker sees more for this user", (0.5, 0.3, 0.2), (1, 1, 9), [4, 3]),
        ("never where the ranker would show nothing", (0.9, 0.1, 0.1), (-np.inf, 1, 1), [2, 4]),
        ("where nothing is worth anything, as the planner says", (0.5, 0.3, 0.2), (-1, 0, -3), [3, 2]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_user_is_led(case: str, weights: tuple[float, ...], best: tuple[float, ...], led: list[int]):
    targets = [Target(c, w, (0, 1)) for c, w in zip((3, 2, 4), weights, strict=True)]
    scores = np.full(18, -np.inf)
    scores[[9, 6, 12]] = best
    assert [t.cluster for t in guided(Explore(targets=2)).chosen(targets, scores)] == led


def test_what_the_user_has_had_does_not_speak_for_its_cluster():
    scores = np.zeros(18)
    scores[[9, 6]] = 0.9, 0.1
    targets = [Target(3, 0.5, (0, 1)), Target(2, 0.4, (0, 1))]
    slots = guided(Explore(targets=1)).guided(targets, scores, 1, seen=np.array([9]))
    assert [(s.item, s.target.cluster) for s in slots if s.target] == [(6, 2)]


def test_an_item_the_ranker_would_not_show_is_not_shown():
    scores = np.full(18, -np.inf)
    scores[9] = 0.5
    slots = guided().guided([Target(3, 1.0, (1, 0))], scores, 3)
    assert [s.item for s in slots] == [9]


@pytest.mark.parametrize(
    ("share", "cap", "size", "shown", "slots"),
    [
        (0.1, 3, 10, 0, 1),
        (0.5, 3, 10, 0, 3),
        (0.5, 3, 10, 2, 1),
        (0.5, 3, 10, 7, 0),
        (0.5, None, 10, 7, 5),
        (0.0, 3, 10, 0, 0),
        (0.1, 3, 4, 0, 0),
        (1.0, None, 10, 0, 10),
    ],
)
def test_slots_follow_share_and_cap(share: float, cap: int | None, size: int, shown: int, slots: int):
    assert Explore(share=share, max_per_user=cap).slots(size, shown) == slots


@pytest.mark.parametrize("wrong", [{"share": 1.5}, {"share": -0.1}, {"max_per_user": -1}, {"recent": 0}])
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, float]):
    with pytest.raises(InvalidInputError, match="explore"):
        Explore(**wrong)


def test_guided_items_are_spread_and_the_first_slot_stays_the_rankers():
    target = Target(3, 1.0, (0, 1))
    answer = guide.mix(list(range(10)), [Slot(91, target), Slot(92, target)], 10, 2)
    assert [slot.item for slot in answer] == [0, 1, 2, 3, 91, 4, 5, 6, 7, 92]


def test_an_item_is_not_shown_twice():
    answer = guide.mix([5, 6, 7], [Slot(5, Target(3, 1.0, (0, 1)))], 3, 1)
    assert [slot.item for slot in answer] == [6, 7, 5]


def test_fewer_items_than_slots_leave_no_hole():
    answer = guide.mix([5], [Slot(9, Target(3, 1.0, (0, 1)))], 10, 1)
    assert [slot.item for slot in answer] == [5, 9]


def test_without_guided_items_the_rankers_answer_stands():
    assert [s.item for s in guide.mix([4, 2, 8], [], 3, 1)] == [4, 2, 8]


def test_leading_a_user_takes_less_than_a_millisecond():
    chance = np.random.default_rng(0)
    count = 300
    clusters = tree(count, each=10)
    first, second = np.nonzero(~np.eye(count, dtype=bool))
    rows = chance.integers(len(first), size=100_000)
    target = chance.integers(count, size=len(rows))
    kept = (target != first[rows]) & (target != second[rows])
    made = table.build(
        clusters, first[rows][kept], second[rows][kept], target[kept], np.ones(int(kept.sum()))
    )
    leading, scores = Guide(made), chance.random(len(clusters.items))
    took = [time.thread_time()]
    for _ in range(300):
        targets = leading.targets(chance.choice(count, 20, replace=False))
        leading.guided(targets, scores, 2)
        took.append(time.thread_time())
    assert np.median([b - a for a, b in pairwise(took)]) < 1e-3

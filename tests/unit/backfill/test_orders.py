"""Orders: every item once, the same each time, ties by id, and what a policy says first."""

import numpy as np
import pytest

from fathom.backfill import order
from fathom.backfill.orders import Policy, class_mean_distance, query_boundary
from fathom.errors import InvalidInputError

POLICIES: tuple[Policy, ...] = Policy.__args__


@pytest.mark.parametrize("policy", POLICIES)
class TestEveryPolicy:
    def test_moves_each_item_once(self, policy: Policy) -> None:
        values = np.random.default_rng(0).integers(0, 5, 200)
        assert sorted(order(policy, 200, values=values)) == list(range(200))

    def test_is_the_same_however_the_table_is_sorted(self, policy: Policy) -> None:
        chance = np.random.default_rng(1)
        ids, values = np.array([f"item-{n}" for n in range(50)]), chance.integers(0, 5, 50)
        shuffle = chance.permutation(50)
        one = ids[order(policy, 50, values=values, ids=ids, seed=3)]
        two = ids[shuffle][order(policy, 50, values=values[shuffle], ids=ids[shuffle], seed=3)]
        assert (one == two).all()

    def test_has_nothing_to_move_in_an_empty_gallery(self, policy: Policy) -> None:
        assert order(policy, 0, values=np.empty(0)).tolist() == []


@pytest.mark.parametrize("policy", [p for p in POLICIES if p != "Random"])
class TestPoliciesWithValues:
    def test_the_largest_moves_first_and_ties_go_by_id(self, policy: Policy) -> None:
        found = order(policy, 4, values=np.array([1, 5, 5, 3]), ids=np.array(["d", "c", "b", "a"]))
        assert found.tolist() == [2, 1, 3, 0]

    def test_what_has_no_value_moves_last(self, policy: Policy) -> None:
        assert order(policy, 3, values=np.array([np.nan, -5.0, 2.0])).tolist() == [2, 1, 0]

    def test_values_must_be_there(self, policy: Policy) -> None:
        with pytest.raises(InvalidInputError, match=f"order {policy} needs a value for each of 3 items"):
            order(policy, 3)

    def test_words_are_no_values(self, policy: Policy) -> None:
        with pytest.raises(InvalidInputError, match="no numbers or moments"):
            order(policy, 2, values=np.array(["often", "seldom"]))


def test_the_newest_move_first_and_those_of_unknown_age_last() -> None:
    added = np.array(["2026-01-01", "NaT", "2026-11-01"], "datetime64[s]")
    assert order("Age", 3, values=added).tolist() == [2, 0, 1]


def test_random_depends_on_the_seed_alone() -> None:
    one, two = order("Random", 100, seed=1), order("Random", 100, seed=2)
    assert (one == order("Random", 100, seed=1)).all()
    assert (one != two).any()


def test_an_unknown_policy_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidInputError, match="Fastest: no such order; there are Random, Age"):
        order("Fastest", 3)  # type: ignore[arg-type]


def test_distance_to_the_class_mean_by_hand() -> None:
    old = np.array([[1, 0], [0, 1], [3, 0], [1, 1]], np.float32)
    found = class_mean_distance(old, np.array([7, 7, 2, -1]))
    # The mean of (1, 0) and (0, 1) lies 45° from both; a class of one is its own mean.
    assert found[:3] == pytest.approx([1 - np.sqrt(0.5), 1 - np.sqrt(0.5), 0], abs=1e-6)
    assert np.isnan(found[3])


class TestQueryBoundary:
    GALLERY = np.eye(6, dtype=np.float32)

    def test_what_most_queries_see_moves_first(self) -> None:
        queries = np.array([[1, 0.9, 0, 0, 0, 0], [0, 0.9, 1, 0, 0, 0]], np.float32)
        values = query_boundary(queries, self.GALLERY, k=1)
        assert np.argmax(values) == 1

    def test_a_query_that_has_got_something_counts_less_then(self) -> None:
        # Two queries see items 0 and 1, one sees 2 and 3: after 0, item 1 counts ½ + ½, item 2 counts 1.
        queries = np.array([[1, 0.9, 0, 0, 0, 0]] * 2 + [[0, 0, 1, 0.9, 0, 0]], np.float32)
        values = query_boundary(queries, self.GALLERY, k=1)
        assert order("QueryBoundary", 6, values=values).tolist() == [0, 1, 2, 3, 4, 5]
        queries = np.array([[1, 0.9, 0, 0, 0, 0]] * 2 + [[0, 0, 1, 0.9, 0, 0]] * 2, np.float32)
        values = query_boundary(queries, self.GALLERY, k=1)
        assert order("QueryBoundary", 6, values=values).tolist() == [0, 2, 1, 3, 4, 5]

    def test_what_no_query_sees_is_worth_nothing(self) -> None:
        values = query_boundary(self.GALLERY[:1], self.GALLERY, k=1)
        assert (values > 0).sum() == 2

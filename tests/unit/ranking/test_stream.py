"""Data on disk are handled a piece at a time, and come out as if they had been in memory at once."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fathom.errors import InvalidInputError
from fathom.ranking import history
from fathom.ranking.interactions import Interactions
from fathom.ranking.stream import scratch, shuffle
from fathom.ranking.stream.bad_rows import BadRows, allowed
from fathom.ranking.stream.names import Names
from fathom.ranking.stream.scratch import Column


@pytest.fixture
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "CHUNK", 7)
    monkeypatch.setattr(history, "CHUNK", 7)


def events(n: int = 300, users: int = 12) -> Interactions:
    chance = np.random.default_rng(0)
    user, item = chance.integers(users, size=n), chance.integers(9, size=n)
    label = (chance.random(n) < 0.5).astype(np.float32)
    names = [[str(i) for i in range(size)] for size in (users, 9)]
    time = chance.integers(40, size=n).astype(np.float64)
    return Interactions(*names, user, item, label, time, np.zeros(n, np.uint64), {})


def past_likes(found: Interactions, row: int, known: np.ndarray) -> list[int]:
    """Return the items a user liked before interaction `row`, the plain way."""
    assert found.time is not None
    before = [
        (found.time[i], found.item[i])
        for i in range(len(found))
        if found.user[i] == found.user[row]
        and found.time[i] < found.time[row]
        and known[i]
        and found.label[i]
    ]
    return sorted(item for _, item in before)


def test_a_column_holds_what_was_appended() -> None:
    column = Column(np.int32)
    column.append(np.array([1, 2]))
    column.append(np.array([3]))
    assert column.array().tolist() == [1, 2, 3]


def test_an_empty_column_is_an_empty_array() -> None:
    assert len(Column(np.float32).array()) == 0


def test_names_are_sorted_whatever_order_they_came_in() -> None:
    names = Names()
    for batch in (["b", "c", "b"], ["a", "c"]):
        names.append(pa.array(batch))
    distinct, rows = names.sorted()
    assert (distinct, rows.tolist()) == (["a", "b", "c"], [1, 2, 1, 0, 2])


@pytest.mark.usefixtures("_small_pieces")
class TestInPieces:
    def test_rows_are_grouped_in_their_order(self) -> None:
        places = np.random.default_rng(1).integers(5, size=100)
        order = scratch.grouped(places, scratch.counts(places, 5))
        assert order.tolist() == np.argsort(places, kind="stable").tolist()

    @pytest.mark.parametrize("users", [1, 12, 300])
    def test_histories_are_what_was_liked_before_and_nothing_of_the_future(self, users: int) -> None:
        found = events(users=users)
        known = np.random.default_rng(2).random(len(found)) < 0.7
        joined = history.before_each(found, known)
        for row in range(len(found)):
            window = joined.at[joined.start[row] : joined.end[row]]
            assert sorted(found.item[window].tolist()) == past_likes(found, row, known)

    def test_the_latest_likes_of_a_user_come_first(self) -> None:
        found = events()
        assert found.time is not None
        for user, items in enumerate(history.latest(found, 3)):
            liked = np.flatnonzero((found.user == user) & (found.label > 0))
            times = np.sort(found.time[liked])[::-1][:3]
            assert len(items) == min(3, len(liked))
            assert all(
                any(found.time[i] == t and found.items[found.item[i]] == name for i in liked)
                for t, name in zip(times, items, strict=True)
            )


@pytest.mark.parametrize(("rows", "buffer"), [(100, 1000), (1000, 100), (1001, 128)])
def test_every_row_comes_once_in_an_order_of_its_own(rows: int, buffer: int) -> None:
    pieces = list(shuffle.shuffled(rows, np.random.default_rng(0), block=8, buffer=buffer))
    order = np.concatenate(pieces)
    assert sorted(order) == list(range(rows))
    assert all(len(piece) <= buffer + 8 for piece in pieces)
    assert abs(np.corrcoef(order, np.arange(rows))[0, 1]) < 0.3


def test_the_same_seed_gives_the_same_order() -> None:
    first, second = (
        list(shuffle.shuffled(500, np.random.default_rng(3), block=8, buffer=64)) for _ in range(2)
    )
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


class TestBadRows:
    def sift(self, bad: BadRows, mask: list[bool]) -> Any:
        batch = pa.record_batch({"user_id": [None if b else "a" for b in mask]})
        return bad.sift(batch, {"no user_id": np.array(mask)})

    def test_the_first_few_are_kept_as_they_were(self) -> None:
        bad = BadRows()
        assert self.sift(bad, [True, False, True]).tolist() == [False, True, False]
        self.sift(bad, [True, True])
        assert (bad.rows, bad.bad, bad.counts) == (5, 4, {"no user_id": 4})
        assert bad.samples == {"no user_id": [{"user_id": None}] * 3}

    def test_more_than_the_budget_is_refused_with_a_row_to_look_at(self) -> None:
        bad = BadRows()
        self.sift(bad, [True, False])
        with pytest.raises(InvalidInputError, match=r"1 of 2 rows.*maxBadRows 10%.*'user_id': None"):
            bad.check("data", "10%")

    @pytest.mark.parametrize(("budget", "rows"), [("1%", 2.0), ("0.5%", 1.0), (7, 7), ("0%", 0.0)])
    def test_a_budget_is_a_share_or_a_number(self, budget: Any, rows: float) -> None:
        assert allowed(budget, 200) == rows

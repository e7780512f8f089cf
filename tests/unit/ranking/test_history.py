"""A history is what the user had liked before, never what came after, nor what is held out."""

import numpy as np
import pytest

from fathom.ranking import history
from fathom.ranking.interactions import Interactions

NO_HASHES = np.zeros(0, np.uint64)


def events(rows: list[tuple[int, int, int, float]]) -> Interactions:
    """Return interactions of (user, item, label, time)."""
    user, item, label, time = (np.array(column) for column in zip(*rows, strict=True))
    names = [[f"{kind}{i}" for i in range(10)] for kind in "ui"]
    return Interactions(*names, user, item, label.astype(np.float32), time.astype(np.float64), NO_HASHES, {})


def seen(rows: list[tuple[int, int, int, float]], known: list[bool] | None = None) -> list[list[int]]:
    """Return the items in each interaction's history, latest last."""
    found = events(rows)
    windows = history.before_each(found, np.array(known if known else [True] * len(rows)))
    ranges = zip(windows.start, windows.end, strict=True)
    return [found.item[windows.at[a:b]].tolist() for a, b in ranges]


@pytest.mark.parametrize(
    ("rows", "known", "expected"),
    [
        pytest.param(
            [(0, 1, 1, 1), (0, 2, 1, 2), (0, 3, 0, 3)], None, [[], [1], [1, 2]], id="it grows with time"
        ),
        pytest.param([(0, 3, 1, 9), (0, 1, 1, 1)], None, [[1], []], id="by time, not by the order of rows"),
        pytest.param([(0, 1, 0, 1), (0, 2, 1, 2)], None, [[], []], id="what was not liked is not in it"),
        pytest.param(
            [(0, 1, 1, 5), (0, 2, 1, 5)], None, [[], []], id="what happens at the same instant is not before"
        ),
        pytest.param([(0, 1, 1, 1), (1, 2, 1, 2)], None, [[], []], id="others' likes are not in it"),
        pytest.param(
            [(0, 1, 1, 1), (0, 2, 1, 2), (0, 3, 1, 3)],
            [True, False, False],
            [[], [1], [1]],
            id="held-out likes are in no history, be they before",
        ),
    ],
)
def test_what_is_in_a_history(
    rows: list[tuple[int, int, int, float]], known: list[bool] | None, expected: list[list[int]]
) -> None:
    assert seen(rows, known) == expected


def test_no_history_ever_sees_the_present_or_future() -> None:
    chance = np.random.default_rng(0)
    rows = [
        (*chance.integers(10, size=2), int(chance.random() < 0.5), float(chance.integers(40)))
        for _ in range(500)
    ]
    found, known = events(rows), chance.random(500) < 0.7
    windows = history.before_each(found, known)
    assert found.time is not None
    for i, (start, end) in enumerate(zip(windows.start, windows.end, strict=True)):
        own = (found.user == found.user[i]) & (found.time < found.time[i]) & (found.label > 0) & known
        assert sorted(windows.at[start:end]) == np.flatnonzero(own).tolist()


def test_without_times_there_is_no_before() -> None:
    found = events([(0, 1, 1, 1), (0, 2, 1, 2)])
    timeless = Interactions(
        found.users, found.items, found.user, found.item, found.label, None, NO_HASHES, {}
    )
    windows = history.before_each(timeless, np.array([True, True]))
    assert (windows.start == windows.end).all()


def test_a_server_is_given_the_latest_likes_first() -> None:
    found = events([(0, 1, 1, 1), (0, 2, 1, 3), (0, 3, 1, 2), (0, 4, 0, 9), (1, 5, 1, 1)])
    assert history.latest(found, 2)[:3] == [["i2", "i3"], ["i5"], []]

"""Whose turn it is to compute."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from fathom.captioning.turns import Turns

WAIT = 0.05


class Other:
    """A thread that wants a turn, has it, and gives it back when told to."""

    def __init__(self, turn: Callable[[], AbstractContextManager[None]]) -> None:
        self.has_it = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._take, args=(turn,), daemon=True)
        self._thread.start()

    def _take(self, turn: Callable[[], AbstractContextManager[None]]) -> None:
        with turn():
            self.has_it.set()
            self._done.wait(5)

    def give_back(self) -> None:
        """End the turn."""
        self._done.set()
        self._thread.join(5)


@pytest.mark.parametrize(
    ("apart", "first", "second", "waits"),
    [
        pytest.param(True, "decode", "generate", True, id="the model waits for those that decode"),
        pytest.param(True, "generate", "decode", True, id="nobody decodes while the model computes"),
        pytest.param(True, "decode", "decode", False, id="two decode at once"),
        pytest.param(False, "decode", "generate", False, id="a model elsewhere does not wait"),
        pytest.param(False, "generate", "decode", False, id="nobody waits for a model elsewhere"),
    ],
)
def test_two_who_want_to_compute(apart: bool, first: str, second: str, waits: bool) -> None:
    turns = Turns(2, apart=apart)
    one = Other(getattr(turns, first))
    assert one.has_it.wait(5)
    other = Other(getattr(turns, second))
    assert other.has_it.wait(WAIT if waits else 5) is not waits
    one.give_back()
    assert other.has_it.wait(5)
    other.give_back()


def test_no_more_decode_at_once_than_there_are_places() -> None:
    turns = Turns(1, apart=False)
    one, other = Other(turns.decode), None
    assert one.has_it.wait(5)
    other = Other(turns.decode)
    assert not other.has_it.wait(WAIT)
    one.give_back()
    assert other.has_it.wait(5)
    other.give_back()


def test_a_turn_ends_with_an_error_too() -> None:
    turns = Turns(1, apart=True)
    for turn in (turns.generate, turns.decode):
        with pytest.raises(KeyError), turn():
            raise KeyError
    with turns.generate():
        pass

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from fathom.captioning.engines import Prepared, Question
from fathom.captioning.media import Clip
from fathom.captioning.pool import Pool, Waiting

QUESTION = Question("a", "?", Clip((), ()), 9)


def question(group: str = "a", nbytes: int = 10, key: str = "k") -> Waiting:
    return Waiting(key, Prepared(QUESTION, group, None, nbytes))


def pool(size: int = 4, most_bytes: int = 1 << 20) -> Pool:
    return Pool(lambda group: size, most_bytes)


def put(to: Pool, *groups: str, nbytes: int = 10) -> None:
    for group in groups:
        assert to.admit()
        to.put(question(group, nbytes))
        to.arrived()


def background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_full_group_is_given_out_before_older_ones() -> None:
    waiting = pool()
    put(waiting, "b", "a", "a", "a", "a", "a")
    assert [w.prepared.group for w in waiting.take()] == ["a"] * 4


def test_at_the_end_the_rest_is_given_out_group_by_group_then_nothing() -> None:
    waiting = pool()
    put(waiting, "b", "a", "b")
    waiting.end()
    assert [[w.prepared.group for w in waiting.take()] for _ in range(3)] == [["b", "b"], ["a"], []]


def test_the_end_waits_for_what_is_on_its_way() -> None:
    waiting = pool()
    waiting.admit()
    waiting.end()
    taken: list[int] = []
    taker = background(lambda: taken.append(len(waiting.take())))
    waiting.put(question())
    waiting.arrived()
    taker.join(timeout=5)
    assert taken == [1]


@pytest.mark.parametrize("nbytes", [300, 2_000_000])
def test_when_bytes_run_out_what_is_there_is_given_out(nbytes: int) -> None:
    waiting = pool(size=100, most_bytes=1000)
    admitted: list[int] = []

    def feed() -> None:
        while waiting.admit():
            admitted.append(1)
            waiting.put(question(nbytes=nbytes))
            waiting.arrived()

    feeder = background(feed)
    batch = waiting.take()
    assert len(batch) == -(-1000 // nbytes) if nbytes < 1000 else len(batch) == 1
    waiting.close()
    feeder.join(timeout=5)
    assert not feeder.is_alive()


def test_after_closing_nothing_is_admitted_or_given_out() -> None:
    waiting = pool()
    put(waiting, "a", "a", "a", "a")
    waiting.close()
    assert waiting.take() == []
    assert not waiting.admit()


def test_whoever_waits_is_woken_by_closing() -> None:
    waiting = pool()
    takers = [background(waiting.take) for _ in range(3)]
    waiting.close()
    for taker in takers:
        taker.join(timeout=5)
    assert not any(taker.is_alive() for taker in takers)

"""The work queue: each key once, never by two workers, failures later and later."""

from __future__ import annotations

import threading

import pytest

from fathom_operator.queue import Queue


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> Queue[str]:
    return Queue(base_delay=1, max_delay=10, clock=clock)


def due(queue: Queue[str]) -> str | None:
    """Return the next key without waiting for one."""
    return queue.get() if queue.depth() else None


def test_a_key_added_twice_is_worked_on_once(queue: Queue[str]) -> None:
    queue.add("a")
    queue.add("a")
    assert due(queue) == "a"
    queue.done("a")
    assert queue.depth() == 0


def test_keys_come_in_the_order_they_were_added(queue: Queue[str]) -> None:
    for key in "abc":
        queue.add(key)
    assert [due(queue), due(queue), due(queue)] == ["a", "b", "c"]


def test_a_key_changed_while_it_is_worked_on_comes_again_after_that(queue: Queue[str]) -> None:
    queue.add("a")
    assert due(queue) == "a"
    queue.add("a")
    queue.add("b")
    assert due(queue) == "b", "nobody may begin with a while it is worked on"
    queue.done("a")
    assert due(queue) == "a"


def test_a_key_for_later_waits_until_then(queue: Queue[str], clock: Clock) -> None:
    queue.add_after("a", 5)
    assert queue.depth() == 0
    clock.now = 5
    assert due(queue) == "a"


def test_of_two_times_the_earlier_counts_once(queue: Queue[str], clock: Clock) -> None:
    queue.add_after("a", 5)
    queue.add_after("a", 2)
    queue.add_after("a", 8)
    clock.now = 2
    assert due(queue) == "a"
    queue.done("a")
    clock.now = 10
    assert queue.depth() == 0


def test_failures_come_back_after_delays_that_double_up_to_a_limit(queue: Queue[str]) -> None:
    assert [queue.retry("a") for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    queue.forget("a")
    assert queue.retry("a") == 1


def test_workers_go_home_when_the_queue_is_closed(queue: Queue[str]) -> None:
    got: list[str | None] = []
    worker = threading.Thread(target=lambda: got.append(queue.get()))
    worker.start()
    queue.close()
    worker.join(timeout=5)
    assert got == [None]


def test_many_workers_never_share_a_key() -> None:
    queue: Queue[int] = Queue()
    at_work: set[int] = set()
    clashes: list[int] = []
    lock = threading.Lock()

    def work() -> None:
        while (key := queue.get()) is not None:
            with lock:
                clashes.extend({key} & at_work)
                at_work.add(key)
            queue.add(key + 100) if key < 100 else None
            with lock:
                at_work.discard(key)
            queue.done(key)
            finished.release()

    finished = threading.Semaphore(0)
    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for key in range(100):
        queue.add(key)
    for _ in range(200):
        assert finished.acquire(timeout=10)
    queue.close()
    for worker in workers:
        worker.join(timeout=5)
    assert clashes == []


def test_it_knows_the_slowest_work(queue: Queue[str], clock: Clock) -> None:
    queue.add("a")
    due(queue)
    clock.now = 7
    assert queue.longest_work() == 7
    queue.done("a")
    assert queue.longest_work() == 0

"""Workers: what becomes of a key after a reconcile, good or bad."""

from __future__ import annotations

from typing import Any

import pytest

from fathom_operator.kube.errors import ConflictError, KubeError
from fathom_operator.leader import NotLeaderError
from fathom_operator.metrics import Metrics
from fathom_operator.plan import Key
from fathom_operator.queue import Queue
from fathom_operator.reconciler import Result
from fathom_operator.workers import Dependencies, Workers

MODEL = Key("RecModel", "shop", "movies")
JOB = Key("CaptionJob", "shop", "catalog")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Script:
    """A reconciler that ends as it was told to."""

    def __init__(self, *ends: Result | Exception | None) -> None:
        self.ends = list(ends)

    def reconcile(self, key: Key) -> Result | None:
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end


class Work:
    def __init__(self, *ends: Result | Exception | None) -> None:
        self.clock = Clock()
        self.queue: Queue[Key] = Queue(base_delay=1, clock=self.clock)
        self.metrics = Metrics(self.queue.depth, lambda: True)
        self.dependencies = Dependencies()
        self.gone: list[Key] = []
        reconcilers: dict[str, Any] = {"RecModel": Script(*ends)}
        self.workers = Workers(self.queue, reconcilers, self.dependencies, self.metrics, self.gone.append)
        for _ in ends:
            self.workers.reconcile(MODEL)

    def due_in(self) -> float | None:
        """Return the first whole second at which the key is due."""
        for self.clock.now in range(1000):
            if self.queue.depth():
                return self.clock.now
        return None

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


def result(stage: str = "Training", look_again: float | None = None, *waits_for: Key) -> Result:
    return Result(stage, look_again, frozenset(waits_for))


def test_it_looks_again_when_it_was_told_to() -> None:
    assert Work(result(look_again=30)).due_in() == 30


def test_with_nothing_to_wait_for_only_a_change_brings_it_back() -> None:
    assert Work(result()).due_in() is None


@pytest.mark.parametrize(
    "error", [KubeError(503, "", "down"), ConflictError(409, "", ""), ValueError("a bug")]
)
def test_after_errors_it_comes_back_later_and_later(error: Exception) -> None:
    assert Work(error).due_in() == 1
    assert Work(error, error, error).due_in() == 1, "the first delay was not taken back"
    work = Work(error)
    assert (
        work.sample("fathom_operator_reconcile_errors_total", kind="RecModel", error=type(error).__name__)
        == 1
    )


def test_without_the_lease_nothing_is_tried_again() -> None:
    assert Work(NotLeaderError("b leads")).due_in() is None


def test_a_change_of_what_it_waits_for_wakes_it() -> None:
    work = Work(result("Pending", None, JOB))
    assert work.dependencies.waiting_for(JOB) == [MODEL]
    assert Work(result("Pending", None, JOB), result()).dependencies.waiting_for(JOB) == []


def test_what_its_news_concerns_is_woken() -> None:
    work = Work(Result("Published", None, frozenset(), frozenset({JOB})))
    assert work.due_in() == 0
    assert work.queue.get() == JOB


def test_stages_are_counted_and_forgotten_with_the_resource() -> None:
    labels = {"kind": "RecModel", "namespace": "shop", "stage": "Training"}
    assert Work(result()).sample("fathom_resources", **labels) == 1
    gone = Work(result(), None)
    assert gone.sample("fathom_resources", **labels) is None
    assert gone.gone == [MODEL]
    assert gone.due_in() is None

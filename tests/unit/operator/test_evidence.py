"""What is remembered of a rollout between looks, with pods that count and a clock of our own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from builders.counted import counts, rollout
from builders.seen import NOW, later, pod

from fathom_api import RecModelStatus
from fathom_operator.analysis.counts import Scrape
from fathom_operator.plan import Key
from fathom_operator.recmodel.evidence import Evidences, Shown
from fathom_operator.times import text
from fathom_operator.views import PodView

KEY = Key("RecModel", "shop", "movies")
ROLLOUT = rollout("ErrorRate", bake="5m")


class Pods:
    """One pod of each version; the scraper that reads them, and how often it did."""

    def __init__(self) -> None:
        self.requests = {"v-old": 1000.0, "v-new": 100.0}
        self.restarts = 0
        self.silent: set[str] = set()
        self.looks = 0

    def views(self) -> list[PodView]:
        return [
            pod(run, stage="serve", run=run, ready=True, ip="10.0.0.1", restarts=self.restarts)
            for run in self.requests
        ]

    def __call__(self, pods: Iterable[PodView]) -> dict[str, Scrape]:
        self.looks += 1
        return {p.name: Scrape(counts(self.requests[p.run])) for p in pods if p.run not in self.silent}

    def answer(self, old: float, new: float) -> None:
        self.requests = {"v-old": self.requests["v-old"] + old, "v-new": self.requests["v-new"] + new}


class Watching:
    """A rollout that is looked at over time."""

    def __init__(self) -> None:
        self.pods = Pods()
        self.evidences = Evidences(self.pods)

    def at(self, seconds: float, *, step: int = 0, begun: bool = True, candidate: str = "v-new") -> Shown:
        going: dict[str, Any] = {"phase": "Stepping", "step": step}
        if begun:
            going["stepStartedAt"] = text(NOW)
        status = RecModelStatus.model_validate(
            {"stable": {"name": "v-old"}, "candidate": {"name": candidate}, "rollout": going}
        )
        return self.evidences.look(KEY, ROLLOUT, status, self.pods.views(), later(seconds=seconds))


def requests(shown: Shown) -> tuple[float, float]:
    windows = shown.evidence.windows
    return sum(w.stable.requests for w in windows), sum(w.candidate.requests for w in windows)


def test_only_what_was_counted_since_the_step_began_counts() -> None:
    watching = Watching()
    assert requests(watching.at(0, begun=False)) == (0, 0)
    watching.pods.answer(500, 50)
    assert requests(watching.at(10, begun=False)) == (0, 0), "not its share of the requests yet"
    watching.pods.answer(90, 10)
    assert requests(watching.at(20)) == (90, 10)


def test_pods_are_asked_once_an_interval_however_often_the_resource_changes() -> None:
    watching = Watching()
    for seconds in (0, 1, 2, 5, 10, 11, 12):
        watching.at(seconds)
    assert watching.pods.looks == 2


def test_a_step_begins_with_nothing() -> None:
    watching = Watching()
    watching.at(0)
    watching.pods.answer(90, 10)
    assert requests(watching.at(10)) == (90, 10)
    assert requests(watching.at(11, step=0, candidate="v-newer")) == (0, 0)


def test_baking_begins_with_what_stable_did_last() -> None:
    watching = Watching()
    watching.at(0)
    watching.pods.answer(90, 10)
    watching.at(10)
    assert requests(watching.at(20, step=1, begun=False)) == (90, 0)


def test_a_pod_that_cannot_be_read_is_named() -> None:
    watching = Watching()
    watching.pods.silent = {"v-new"}
    last = watching.at(0).evidence.last
    assert last is not None
    assert last.blind == ("v-new-0-x",)


def test_restarts_count_from_the_begin_of_the_step() -> None:
    watching = Watching()
    watching.pods.restarts = 4
    assert watching.at(0).restarts == 0
    watching.pods.restarts = 6
    assert watching.at(1).restarts == 2
    assert watching.at(2, step=1).restarts == 0


def test_what_is_over_is_forgotten() -> None:
    watching = Watching()
    watching.at(0)
    assert watching.evidences.look(KEY, ROLLOUT, RecModelStatus(), [], NOW) == Shown()

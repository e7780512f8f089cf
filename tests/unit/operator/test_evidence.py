"""What is remembered of a rollout between looks, with pods that count and a clock of our own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from builders.counted import counts, rollout
from builders.seen import NOW, later, pod

from fathom_api import RecModelStatus
from fathom_api.rollout import Rollout
from fathom_operator.analysis.counts import Counts, Histogram, Scrape
from fathom_operator.analysis.questions import Answer, Question, QuestionKey
from fathom_operator.analysis.trail import Trail
from fathom_operator.kube.resources import Obj
from fathom_operator.owner import Owner
from fathom_operator.plan import Key, Ref
from fathom_operator.recmodel.evidence import Evidences, Shown
from fathom_operator.recmodel.record import desired, kept_in, trail_in
from fathom_operator.times import text
from fathom_operator.views import PodView

KEY = Key("RecModel", "shop", "movies")
OWNER = Owner("RecModel", "shop", "movies", "0000-uid")
ROLLOUT = rollout("ErrorRate", bake="5m")
REVENUE: dict[str, Any] = {
    "name": "revenue",
    "margin": 0.1,
    "prometheus": {"address": "http://prometheus:9090", "query": "revenue{v='{{version}}'}"},
}
ASK: dict[str, Any] = {"name": "ask", "webhook": {"url": "http://judge.shop/"}}
#: As many numbers as a ranker's metrics have.
FULL = Counts(
    requests=9e6,
    latency=Histogram(tuple(n / 100 for n in range(65)), tuple(n * 1007.0 for n in range(66))),
    scores=Histogram(tuple(n / 34 for n in range(34)), tuple(n * 1007.0 for n in range(35))),
)


class Pods:
    """One pod of each version; the scraper that reads them, and how often it did."""

    def __init__(self) -> None:
        self.requests = {"v-old": 1000.0, "v-new": 100.0}
        self.restarts = 0
        self.silent: set[str] = set()
        #: What is read whatever was asked for.
        self.read: dict[str, Scrape] = {}
        self.looks = 0

    def views(self) -> list[PodView]:
        return [
            pod(run, stage="serve", run=run, ready=True, ip="10.0.0.1", restarts=self.restarts)
            for run in self.requests
        ]

    def __call__(self, pods: Iterable[PodView]) -> dict[str, Scrape]:
        self.looks += 1
        read = {p.name: Scrape(counts(self.requests[p.run])) for p in pods if p.run not in self.silent}
        return read | self.read

    def answer(self, old: float, new: float) -> None:
        self.requests = {"v-old": self.requests["v-old"] + old, "v-new": self.requests["v-new"] + new}


class Others:
    """A Prometheus and a webhook: what they say now, and how often they were asked."""

    def __init__(self) -> None:
        self.answer = Answer({"status": "success", "data": {"resultType": "scalar", "result": [1, "5"]}})
        self.asked: list[dict[QuestionKey, Question]] = []

    def __call__(self, asked: Mapping[QuestionKey, Question], tokens: object) -> dict[QuestionKey, Answer]:
        self.asked.append(dict(asked))
        return dict.fromkeys(asked, self.answer)


class Watching:
    """A rollout that is looked at over time, by operators that may die."""

    def __init__(self, of: Rollout = ROLLOUT) -> None:
        self.of = of
        self.pods, self.others = Pods(), Others()
        self.evidences = Evidences(self.pods, self.others)
        self.children: dict[Ref, Obj] = {}

    def at(
        self,
        seconds: float,
        *,
        step: int = 0,
        begun: bool = True,
        candidate: str = "v-new",
        started: float = 0,
    ) -> Shown:
        going: dict[str, Any] = {
            "phase": "Stepping",
            "step": step,
            "startedAt": text(later(seconds=started)),
        }
        if begun:
            going["stepStartedAt"] = text(NOW)
        status = RecModelStatus.model_validate(
            {"stable": {"name": "v-old"}, "candidate": {"name": candidate}, "rollout": going}
        )
        now, record = later(seconds=seconds), next(iter(self.children.values()), None)
        shown = self.evidences.look(KEY, self.of, status, self.pods.views(), now, record=record)
        for child in desired(OWNER, shown.kept, shown.trail, self.children, now):
            self.children = {Ref(child["kind"], child["metadata"]["name"]): child}
        return shown

    def kill_the_operator(self) -> None:
        """Let another one begin, which knows only what the API server has."""
        self.evidences = Evidences(self.pods, self.others)


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
    over = watching.evidences.look(KEY, ROLLOUT, RecModelStatus(), [], NOW)
    assert replace(over, trail=Trail()) == Shown()
    assert not over.trail.going


class TestAnOperatorThatDies:
    def test_in_the_middle_of_a_step_loses_nothing(self) -> None:
        watching = Watching()
        watching.at(0)
        for look in range(1, 10):
            watching.pods.answer(90, 10)
            watching.at(10 * look)

        watching.kill_the_operator()

        watching.pods.answer(900, 100)
        assert requests(watching.at(200)) == (90 * 9 + 900, 10 * 9 + 100), "what pods counted meanwhile too"

    def test_begins_the_next_step_with_nothing(self) -> None:
        watching = Watching(rollout("ErrorRate", steps=[{"weight": 10}, {"weight": 50}]))
        watching.at(0)
        watching.pods.answer(90, 10)
        watching.at(10)
        watching.kill_the_operator()
        assert requests(watching.at(20, step=1)) == (0, 0)

    def test_between_two_steps_still_knows_what_stable_did_last(self) -> None:
        watching = Watching()
        watching.at(0)
        watching.pods.answer(90, 10)
        watching.at(70)
        watching.kill_the_operator()
        assert requests(watching.at(80, step=1, begun=False)) == (90, 0), "baking"

    @pytest.mark.parametrize(
        ("again", "why"),
        [
            pytest.param({"candidate": "v-newer"}, "it is another candidate's", id="another candidate"),
            pytest.param({"started": 30}, "it is of the try before", id="tried again"),
        ],
    )
    def test_does_not_take_what_is_not_of_this_rollout(self, again: dict[str, Any], why: str) -> None:
        watching = Watching()
        watching.at(0)
        watching.pods.answer(90, 10)
        watching.at(10)
        watching.kill_the_operator()
        assert requests(watching.at(40, **again)) == (0, 0), why

    def test_does_not_forget_restarts(self) -> None:
        watching = Watching()
        watching.at(0)
        watching.pods.restarts = 2
        watching.kill_the_operator()
        assert watching.at(5).restarts == 2

    def test_does_not_forget_what_prometheus_said(self) -> None:
        watching = Watching(rollout(REVENUE))
        for look in range(8):
            watching.at(10 * look)
        watching.kill_the_operator()
        # The last few looks were not kept: the record is written once a minute.
        assert len(watching.at(90).values["revenue"].pairs) == 8

    def test_what_cannot_be_read_is_begun_anew(self) -> None:
        watching = Watching()
        watching.at(0)
        watching.pods.answer(90, 10)
        watching.at(10)
        [record] = watching.children.values()
        record["binaryData"] = dict.fromkeys(record["binaryData"], "bm90IGEgZ3ppcA==")
        watching.kill_the_operator()
        assert requests(watching.at(20)) == (0, 0)

    def test_many_pods_fit_into_what_is_kept(self) -> None:
        every = {f"pod-{n}": Scrape(FULL, n + 0.5) for n in range(3000)}
        watching = Watching()
        watching.pods.read = every
        for look in range(70):
            shown = watching.at(10 * look)
        [record] = watching.children.values()
        assert len(str(record)) < 2**20
        kept = kept_in(record)
        assert kept is not None
        assert kept.step == shown.step


class TestTheRecord:
    def test_is_written_at_a_change_and_then_once_a_minute(self) -> None:
        watching, written = Watching(), list[float]()
        for seconds in range(0, 200, 10):
            before = dict(watching.children)
            watching.at(seconds)
            if watching.children != before:
                written.append(seconds)
        assert written == [0, 60, 120, 180]

    def test_stays_without_the_evidence_once_the_rollout_is_over(self) -> None:
        watching = Watching()
        watching.at(0)
        watching.at(10)
        over = watching.evidences.look(KEY, ROLLOUT, RecModelStatus(), [], later(seconds=20))
        [last] = desired(OWNER, over.kept, over.trail, watching.children, later(seconds=20))
        assert kept_in(last) is None
        assert trail_in(last).ended_at == text(later(seconds=20))
        later_on = {Ref("ConfigMap", "movies-rollout"): last}
        assert desired(OWNER, over.kept, over.trail, later_on, later(hours=1)) == ()

    def test_is_none_where_nothing_was_rolled_out(self) -> None:
        shown = Watching().evidences.look(KEY, ROLLOUT, RecModelStatus(), [], NOW)
        assert desired(OWNER, shown.kept, shown.trail, {}, NOW) == ()


class TestOthers:
    def test_are_asked_once_an_interval_and_only_in_a_step(self) -> None:
        watching = Watching(rollout(REVENUE, ASK))
        watching.at(0, begun=False)
        assert watching.others.asked == []
        for seconds in (10, 11, 15, 20):
            watching.at(seconds)
        assert [sorted(asked) for asked in watching.others.asked] == [
            [("ask", "Both"), ("revenue", "Candidate"), ("revenue", "Stable")]
        ] * 2

    def test_that_say_nothing_are_heard_to_say_nothing(self) -> None:
        watching = Watching(rollout(REVENUE, ASK))
        watching.at(0)
        watching.others.answer = Answer(why="no answer within 3 s")
        shown = watching.at(10)
        assert shown.values["revenue"].why == "of the candidate: no answer within 3 s"
        assert (shown.said["ask"].verdict, shown.said["ask"].message) == (
            "Inconclusive",
            "no answer within 3 s",
        )

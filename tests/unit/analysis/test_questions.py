"""What others are asked at a look, and what their answers mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders.counted import result, rollout
from builders.seen import NOW

from fathom_operator.analysis.questions import Answer, Side, Subject, heard, questions
from fathom_operator.analysis.values import Values

SUBJECT = Subject(
    namespace="shop",
    name="movies",
    stable=Side("v-old", {"old-b": "http://10.0.0.2:8080", "old-a": "http://10.0.0.1:8080"}),
    candidate=Side("v-new", {"new-a": "http://10.0.0.3:8080"}),
    step=0,
    weight=10,
    window=10.0,
    now=NOW,
    results=[result("Pass")],
)
ADDRESS = "http://prometheus.monitoring:9090/"


def prometheus(query: str) -> dict[str, Any]:
    return {"name": "p", "margin": 0.1, "prometheus": {"address": ADDRESS, "query": query}}


ASK: dict[str, Any] = {
    "name": "ask",
    "webhook": {"url": "http://judge.shop/", "bearerToken": {"name": "judge"}},
}


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        pytest.param(
            "errors{v='{{version}}'}",
            {"Candidate": "errors{v='v-new'}", "Stable": "errors{v='v-old'}"},
            id="of each version",
        ),
        pytest.param(
            "sum(rate(e{pod=~'{{pods}}'}[{{window}}]))",
            {
                "Candidate": "sum(rate(e{pod=~'new-a'}[10s]))",
                "Stable": "sum(rate(e{pod=~'old-a|old-b'}[10s]))",
            },
            id="of each version's pods",
        ),
        pytest.param(
            "e{v='{{canary}}'} - e{v='{{stable}}', app='{{namespace}}/{{name}}'}",
            {"Both": "e{v='v-new'} - e{v='v-old', app='shop/movies'}"},
            id="once, by a query that compares itself",
        ),
        pytest.param(
            "e{pod=~'{{canaryPods}}'} - e{pod=~'{{stablePods}}'}",
            {"Both": "e{pod=~'new-a'} - e{pod=~'old-a|old-b'}"},
            id="once, by a query that compares pods itself",
        ),
    ],
)
def test_what_prometheus_is_asked(query: str, asked: dict[str, str]) -> None:
    found = questions(rollout(prometheus(query)), SUBJECT)
    assert {who: q.form["query"] for (_, who), q in found.items() if q.form} == asked
    assert {q.url for q in found.values()} == {"http://prometheus.monitoring:9090/api/v1/query"}
    assert len({q.form["time"] for q in found.values() if q.form}) == 1, "both at the same moment"


def test_pods_of_a_version_without_any_match_nothing() -> None:
    bare = replace(SUBJECT, candidate=Side("v-new"))
    found = questions(rollout(prometheus("up{pod=~'{{pods}}'}")), bare)
    form = found["p", "Candidate"].form
    assert form is not None
    assert form["query"] == "up{pod=~'no-pod-is-ready'}", "not '', which matches all that have no label pod"


def test_what_a_webhook_is_told() -> None:
    question = questions(rollout(ASK), SUBJECT)["ask", "Both"]
    document = dict(question.document or {})
    assert document.pop("analysis")[0]["verdict"] == "Pass"
    assert document == {
        "apiVersion": "fathom.dev/v1alpha1",
        "kind": "RolloutReview",
        "namespace": "shop",
        "name": "movies",
        "metric": "ask",
        "canary": {"name": "v-new", "pods": ["http://10.0.0.3:8080"]},
        "stable": {"name": "v-old", "pods": ["http://10.0.0.1:8080", "http://10.0.0.2:8080"]},
        "step": 0,
        "weight": 10,
        "time": "2026-01-31T12:00:00Z",
    }
    assert question.token is not None
    assert (question.token.name, question.token.key) == ("judge", "token")


def test_while_it_bakes_only_webhooks_are_asked() -> None:
    both = rollout(prometheus("up{v='{{version}}'}"), ASK, bake="5m")
    assert list(questions(both, replace(SUBJECT, step=1))) == [("ask", "Both")]


def number(value: str) -> Answer:
    return Answer({"status": "success", "data": {"resultType": "scalar", "result": [1, value]}})


PAIRED = rollout(prometheus("up{v='{{version}}'}"))


@pytest.mark.parametrize(
    ("candidate", "stable", "why"),
    [
        pytest.param(number("NaN"), number("1"), "of the candidate: the result is NaN", id="NaN"),
        pytest.param(
            number("1"), Answer(why="down"), "of the stable version: down", id="a server that is down"
        ),
        pytest.param(Answer({}), number("1"), "of the candidate: the answer is none", id="another server"),
    ],
)
def test_no_number_of_one_version_is_no_number_of_both(candidate: Answer, stable: Answer, why: str) -> None:
    before = Values().see(1.0, 2.0, NOW)
    answers = {("p", "Candidate"): candidate, ("p", "Stable"): stable}
    values, _ = heard(PAIRED, {"p": before}, answers, 0, NOW)
    assert why in values["p"].why
    assert values["p"].pairs == before.pairs, "never taken for 0"


def test_numbers_of_both_are_a_pair() -> None:
    answers = {("p", "Candidate"): number("3"), ("p", "Stable"): number("2")}
    values, _ = heard(PAIRED, {}, answers, 0, NOW)
    assert values["p"].pairs == ((3.0, 2.0),)


def test_a_query_that_compares_itself_is_held_against_0() -> None:
    itself = rollout(prometheus("e{v='{{canary}}'} - e{v='{{stable}}'}"))
    values, _ = heard(itself, {}, {("p", "Both"): number("0.5")}, 0, NOW)
    assert values["p"].pairs == ((0.5, 0.0),)


def test_what_was_not_asked_is_as_it_was() -> None:
    before = {"p": Values().see(1.0, 2.0, NOW)}
    values, said = heard(rollout(prometheus("up{v='{{version}}'}"), ASK), before, {}, 0, NOW)
    assert (values, said) == (before, {})

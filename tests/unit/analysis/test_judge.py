"""Verdicts: what passes, what fails, and all that is Inconclusive."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from builders.counted import LATENCY_EDGES, counts, histogram, result, rollout, seen
from builders.seen import NOW, later

from fathom_api.analysis import DEFAULT_MARGINS, AnalysisMetric, AnalysisResult
from fathom_api.rollout import Rollout
from fathom_operator.analysis.counts import Counts
from fathom_operator.analysis.judge import SHADOW, Seen, judge, level
from fathom_operator.analysis.values import Values, fill_in, prometheus_number, webhook_result

GOOD, BAD = counts(90, 1), counts(90, 20)
ERRORS = rollout("ErrorRate")
PROMETHEUS = {
    "name": "revenue",
    "margin": 0.1,
    "prometheus": {
        "address": "http://prometheus:9090",
        "query": "revenue{version='{{version}}'}",
        "better": "Higher",
    },
}


def verdict(at: Seen, of: Rollout = ERRORS) -> AnalysisResult:
    (found,) = judge(of, at, NOW)
    return found


@pytest.mark.parametrize(
    ("at", "expected", "why"),
    [
        pytest.param(seen(counts(900, 9), GOOD), "Pass", "against", id="as good, with its samples"),
        pytest.param(
            seen(counts(900, 9), BAD), "Fail", "worse by more than 0.002", id="worse, with its samples"
        ),
        pytest.param(
            seen(counts(900, 9), BAD, 3), "Fail", "worse", id="so much worse that samples need no waiting"
        ),
        pytest.param(seen(counts(900, 9), GOOD, 3), "Inconclusive", "270 of 1,000", id="too few samples"),
        pytest.param(seen(counts(10, 0), GOOD), "Inconclusive", "200 of 1,000", id="too few of stable"),
        pytest.param(
            seen(counts(900), counts(0)), "Inconclusive", "candidate has no requests", id="no requests"
        ),
        pytest.param(seen(counts(0), GOOD), "Inconclusive", "stable version has no", id="nothing beside it"),
        pytest.param(seen(GOOD, GOOD, 0), "Inconclusive", "nothing was counted", id="nothing at all"),
        pytest.param(
            seen(counts(900, 9), GOOD, at=later(minutes=-5)),
            "Inconclusive",
            "said nothing since",
            id="a dead source",
        ),
        pytest.param(
            seen(counts(900, 9), GOOD, blind=("pod-a",)),
            "Inconclusive",
            "cannot be read: pod-a",
            id="a pod in the dark",
        ),
        pytest.param(
            seen(counts(900, 9), BAD, blind=("pod-a",)), "Fail", "worse", id="harm is harm in the dark too"
        ),
    ],
)
def test_error_rate(at: Seen, expected: str, why: str) -> None:
    found = verdict(at)
    assert (found.verdict, why in found.message) == (expected, True), found.message


def test_a_verdict_comes_with_all_that_it_rests_on() -> None:
    found = verdict(seen(counts(900, 9), BAD))
    assert (found.stable, found.candidate, found.samples) == (0.01, pytest.approx(2 / 9), 1800)
    assert found.interval is not None
    assert found.interval.low is not None
    assert found.interval.high is not None
    assert 0.15 < found.interval.low < (found.delta or 0) < found.interval.high < 0.3


def test_with_a_tolerance_harm_must_be_excluded_before_it_passes() -> None:
    strict = rollout({"name": "errors", "metric": "ErrorRate", "tolerance": 0.001})
    assert "not excluded yet" in verdict(seen(counts(900, 9), GOOD), strict).message
    assert verdict(seen(counts(9_000_000, 9), counts(9_000_000, 9)), strict).verdict == "Pass"


def test_a_latency_beyond_all_buckets_fails_and_is_written_without_infinity() -> None:
    slow = Counts(requests=1500, latency=histogram(0, 0, 0, 0, 1500, edges=LATENCY_EDGES))
    fast = Counts(requests=1500, latency=histogram(1500, 0, 0, 0, 0, edges=LATENCY_EDGES))
    found = verdict(seen(fast, slow), rollout("LatencyP99"))
    assert (found.verdict, found.candidate) == ("Fail", None)


def test_buckets_that_differ_between_versions_are_inconclusive() -> None:
    other = Counts(requests=100, scores=histogram(50, 50, edges=(0.5,)))
    usual = Counts(requests=100, scores=histogram(20, 20, 20, 20, 20))
    assert "buckets" in verdict(seen(usual, other), rollout("ScoreKS")).message


@pytest.mark.parametrize(
    ("step", "told"),
    [
        pytest.param(
            SHADOW, {"ErrorRate", "LatencyP99"}, id="in a shadow nobody sees the answers: no outcomes"
        ),
        pytest.param(0, {"ErrorRate", "LatencyP99", "AUC"}, id="in a step all of them"),
        pytest.param(1, {"ErrorRate"}, id="baking, with no stable beside it, what needs none"),
    ],
)
def test_metrics_are_judged_where_they_can_be(step: int, told: set[str]) -> None:
    every = rollout("ErrorRate", "LatencyP99", "AUC", shadow={}, bake="10m")
    assert {r.metric for r in judge(every, seen(GOOD, GOOD, step=step), NOW)} == told


def test_the_chance_of_a_false_alarm_is_shared_by_steps_and_metrics() -> None:
    every = rollout(
        "ErrorRate", "AUC", {"name": "seen", "metric": "ScoreKS", "dryRun": True}, shadow={}, bake="10m"
    )
    assert level(every) == pytest.approx(0.05 / 3 / 2)


def prometheus(values: Values) -> AnalysisResult:
    return verdict(replace(seen(GOOD, GOOD), values={"revenue": values}), rollout(PROMETHEUS))


def looks(candidate: float, stable: float, times: int = 40) -> Values:
    values = Values()
    for number in range(times):
        wobble = 0.05 * math.sin(number * 2.4)
        values = values.see(candidate + wobble, stable, NOW)
    return values


@pytest.mark.parametrize(
    ("values", "expected", "why"),
    [
        pytest.param(looks(5.0, 5.0), "Pass", "against", id="as high"),
        pytest.param(looks(4.0, 5.0), "Fail", "worse by more than 0.1", id="lower where higher is better"),
        pytest.param(looks(6.0, 5.0), "Pass", "against", id="higher where higher is better"),
        pytest.param(looks(4.0, 5.0, 12), "Inconclusive", "12 of 20 looks", id="too few looks"),
        pytest.param(Values(), "Inconclusive", "said nothing yet", id="it was never asked"),
        pytest.param(
            looks(5.0, 5.0).see(math.nan, 5.0, NOW), "Inconclusive", "no number", id="the latest is NaN"
        ),
        pytest.param(
            looks(5.0, 5.0).see(None, None, NOW, "HTTP 503"), "Inconclusive", "HTTP 503", id="it is down"
        ),
    ],
)
def test_numbers_of_prometheus(values: Values, expected: str, why: str) -> None:
    found = prometheus(values)
    assert (found.verdict, why in found.message) == (expected, True), found.message


def vector(*values: str) -> object:
    """Return Prometheus' answer to an instant query."""
    result = [{"metric": {}, "value": [1, value]} for value in values]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


@pytest.mark.parametrize(
    ("answer", "number", "why"),
    [
        pytest.param(
            {"status": "success", "data": {"resultType": "scalar", "result": [1, "0.5"]}},
            0.5,
            "",
            id="a scalar",
        ),
        pytest.param(vector("2"), 2.0, "", id="a vector of one"),
        pytest.param(vector(), None, "has no result", id="nothing was counted"),
        pytest.param(vector("2", "2"), None, "2 results, and one is needed", id="too many"),
        pytest.param(vector("NaN"), None, "the result is NaN", id="nothing by nothing"),
        pytest.param(vector("+Inf"), None, "the result is +Inf", id="something by nothing"),
        pytest.param(vector("many"), None, "none of Prometheus", id="words"),
        pytest.param(
            {"status": "error", "error": "bad query"}, None, "refuses the query: bad query", id="a no"
        ),
        pytest.param(
            {"status": "success", "warnings": ["store-2 is down"], "data": {}},
            None,
            "warns: store-2 is down",
            id="of a part of the data",
        ),
        pytest.param(
            {"status": "success", "data": {"resultType": "matrix", "result": []}},
            None,
            "gives a matrix",
            id="a range",
        ),
        pytest.param(None, None, "none of Prometheus", id="null"),
        pytest.param([1], None, "none of Prometheus", id="a list"),
    ],
)
def test_only_one_number_is_an_answer_of_prometheus(answer: object, number: float | None, why: str) -> None:
    found, reason = prometheus_number(answer)
    assert found == number
    assert why in reason


def test_variables_of_a_query() -> None:
    assert (
        fill_in("a{v='{{canary}}'} - a{v='{{stable}}'}", canary="v-2", stable="v-1")
        == "a{v='v-2'} - a{v='v-1'}"
    )


WEBHOOK = AnalysisMetric.model_validate({"name": "ask", "webhook": {"url": "http://judge/"}})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"verdict": "Pass", "message": "fine"}, "Pass"),
        ({"verdict": "Fail"}, "Fail"),
        ({"verdict": "ok"}, "Inconclusive"),
        ({}, "Inconclusive"),
        ("Pass", "Inconclusive"),
        (None, "Inconclusive"),
    ],
)
def test_a_webhook_that_does_not_say_is_inconclusive(answer: object, expected: str) -> None:
    assert webhook_result(WEBHOOK, answer, 0, NOW).verdict == expected


def test_what_was_said_is_passed_on_and_silence_is_inconclusive() -> None:
    asking = rollout({"name": "ask", "webhook": {"url": "http://judge/"}})
    silent = seen(GOOD, GOOD)
    assert verdict(silent, asking).verdict == "Inconclusive"
    assert verdict(replace(silent, said={"ask": result("Fail", "ask")}), asking).verdict == "Fail"


def test_every_built_in_metric_says_something_of_nothing() -> None:
    every = judge(rollout(*DEFAULT_MARGINS), seen(Counts(), Counts()), NOW)
    assert {r.metric: r.verdict for r in every} == dict.fromkeys(DEFAULT_MARGINS, "Inconclusive")

"""Outcomes are counted once, for answers that were really given, in bounded memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY
from sklearn.metrics import log_loss, roc_auc_score

from fathom.serving.errors import BadRequestError
from fathom.serving.feedback import MAX_SCORES, SECONDS, Feedback
from fathom.serving.online import Online
from fathom.serving.scoring import Scored

PATH = "/v1/feedback"


@pytest.fixture
def asked(listening: FastAPI) -> Iterator[TestClient]:
    with TestClient(listening, raise_server_exceptions=False) as client:
        yield client


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Counted:
    def __init__(self) -> None:
        self.pairs: list[tuple[float, float]] = []

    def __call__(self, scores: Any, labels: Any) -> None:
        self.pairs += zip(scores.tolist(), labels.tolist(), strict=True)


def ranked(*items: str) -> Scored:
    return Scored(list(items), np.linspace(0.25, 0.75, len(items), dtype=np.float32), len(items), 0, True)


def outcome(request_id: str, item: str, label: int) -> dict[str, Any]:
    return {"request_id": request_id, "item_id": item, "label": label}


def taken(feedback: Feedback, *outcomes: dict[str, Any]) -> dict[str, int]:
    counts = feedback.take({"outcomes": list(outcomes)}).model_dump()
    return {name: count for name, count in counts.items() if count}


def test_an_outcome_counts_with_the_score_the_item_was_given() -> None:
    counted = Counted()
    feedback = Feedback(counted)
    name = feedback.remember(ranked("a", "b", "c"))
    assert taken(feedback, outcome(name, "c", 1), outcome(name, "a", 0)) == {"accepted": 2}
    assert counted.pairs == [(0.75, 1.0), (0.25, 0.0)]


@pytest.mark.parametrize(
    ("told", "fate"),
    [
        pytest.param(["a", "a"], {"accepted": 1, "repeated": 1}, id="an outcome told twice"),
        pytest.param(["z"], {"unknown": 1}, id="an item that the answer did not have"),
    ],
)
def test_what_does_not_count_is_told_apart(told: list[str], fate: dict[str, int]) -> None:
    feedback = Feedback(Counted())
    name = feedback.remember(ranked("a", "b"))
    assert taken(feedback, *(outcome(name, item, 1) for item in told)) == fate


def test_an_answer_is_forgotten_after_an_hour() -> None:
    clock = Clock()
    feedback = Feedback(Counted(), clock=clock)
    name = feedback.remember(ranked("a"))
    clock.now = SECONDS + 1
    assert taken(feedback, outcome(name, "a", 1)) == {"forgotten": 1}


def test_the_oldest_answers_are_forgotten_when_there_are_too_many() -> None:
    feedback = Feedback(Counted())
    half = [str(n) for n in range(MAX_SCORES // 2)]
    first, second, third = (feedback.remember(ranked(*half)) for _ in range(3))
    fates = [taken(feedback, outcome(name, "0", 1)) for name in (first, second, third)]
    assert fates == [{"forgotten": 1}, {"accepted": 1}, {"accepted": 1}]


@pytest.mark.parametrize("forged", ["", "x.y", "é.é", "{name}.AAAA", "{name}"])
def test_an_id_that_was_never_given_is_refused(forged: str) -> None:
    feedback = Feedback(Counted())
    name = feedback.remember(ranked("a")).partition(".")[0]
    with pytest.raises(BadRequestError) as error:
        feedback.take({"outcomes": [outcome(forged.format(name=name), "a", 1)]})
    assert (error.value.field, error.value.reason) == ("outcomes[0].request_id", "BadSignature")


def test_pods_with_one_key_know_each_others_signatures() -> None:
    one, other = Feedback(Counted(), b"key"), Feedback(Counted(), b"key")
    assert taken(other, outcome(one.remember(ranked("a")), "a", 1)) == {"forgotten": 1}


def test_online_figures_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    scores = draw.beta(1, 8, 4000)
    labels = (draw.random(4000) < scores).astype(float)
    online = Online()
    for part in np.array_split(np.arange(4000), 7):
        online.add(scores[part], labels[part])
    share = labels.mean()
    entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    assert online.auc() == pytest.approx(roc_auc_score(labels, scores), abs=1e-3)
    assert online.normalized_entropy() == pytest.approx(log_loss(labels, scores) / entropy, rel=1e-6)
    assert online.calibration() == pytest.approx(scores.sum() / labels.sum())


def test_outcomes_posted_become_metrics(asked: TestClient) -> None:
    body = {"instances": [{"user_id": "u0", "candidates": ["i1", "i2"]}]}
    (answer,) = asked.post("/v1/models/movies:predict", json=body).json()["predictions"]
    best = answer["item_ids"][int(np.argmax(answer["scores"]))]
    told = [outcome(answer["request_id"], item, int(item == best)) for item in answer["item_ids"]]
    assert asked.post(PATH, json={"outcomes": told}).json()["accepted"] == 2
    labels = {"model_name": "movies", "model_version": "v-listening"}
    assert REGISTRY.get_sample_value("fathom_serving_online_auc", labels) == 1.0
    count = REGISTRY.get_sample_value("fathom_serving_outcome_score_count", {**labels, "label": "1"})
    assert count == 1


def test_v2_answers_have_an_id_too(asked: TestClient) -> None:
    inputs = [
        {"name": "user_id", "datatype": "BYTES", "shape": [1], "data": ["u0"]},
        {"name": "item_id", "datatype": "BYTES", "shape": [1], "data": ["i1"]},
    ]
    answer = asked.post("/v2/models/movies/infer", json={"inputs": inputs}).json()
    told = [outcome(answer["parameters"]["request_id"], "i1", 0)]
    assert asked.post(PATH, json={"outcomes": told}).json()["accepted"] == 1


def test_without_feedback_there_is_no_such_path(client: TestClient) -> None:
    assert client.post(PATH, json={"outcomes": []}).status_code == 404

"""Ranking over the v1 protocol."""

from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from fathom.ranking.scorer import Bundle, ScoreRequest

PATH = "/v1/models/movies:predict"


def ask(client: TestClient, *instances: dict[str, Any]) -> list[dict[str, Any]]:
    response = client.post(PATH, json={"instances": instances})
    assert response.status_code == 200, response.text
    return response.json()["predictions"]


def scores(bundle: Bundle, request: ScoreRequest) -> list[float]:
    return bundle.score(request).tolist()


def test_candidates_are_scored_in_the_order_asked(client: TestClient, bundle: Bundle) -> None:
    candidates = ["i7", "i1", "i30"]
    (answer,) = ask(client, {"user_id": "u0", "candidates": candidates})
    assert answer["item_ids"] == candidates
    assert answer["scores"] == pytest.approx(scores(bundle, ScoreRequest("u0", candidates=candidates)))


def test_k_gives_the_best_first(client: TestClient) -> None:
    candidates = [f"i{n}" for n in range(20)]
    (every,) = ask(client, {"user_id": "u3", "candidates": candidates})
    (best,) = ask(client, {"user_id": "u3", "candidates": candidates, "k": 5})
    ranked = sorted(zip(every["scores"], every["item_ids"], strict=True), reverse=True)[:5]
    assert list(zip(best["scores"], best["item_ids"], strict=True)) == ranked


def test_k_beyond_the_candidates_gives_all_of_them(client: TestClient) -> None:
    (answer,) = ask(client, {"user_id": "u3", "candidates": ["i1", "i2"], "k": 99})
    assert set(answer["item_ids"]) == {"i1", "i2"}


def test_without_candidates_all_items_are_ranked(client: TestClient, bundle: Bundle) -> None:
    (answer,) = ask(client, {"user_id": "u0", "k": 10})
    every = bundle.score(ScoreRequest("u0"))
    assert answer["item_ids"] == [bundle.item_ids[i] for i in np.argsort(-every)[:10]]
    assert np.float32(answer["scores"]).tolist() == sorted(every.tolist(), reverse=True)[:10]


def test_several_instances_are_answered_in_order(client: TestClient) -> None:
    both = ask(client, {"user_id": "u0", "candidates": ["i1"]}, {"user_id": "u1", "candidates": ["i2"]})
    assert [p["item_ids"] for p in both] == [["i1"], ["i2"]]


@pytest.mark.parametrize(
    "who",
    [
        pytest.param({"user_id": "nobody"}, id="a user never seen"),
        pytest.param({"history": ["i1", "i2"]}, id="no user but a history"),
        pytest.param({"history": []}, id="an empty history"),
        pytest.param({"features": {"age": 20, "job": "nurse", "likes": ["drama"]}}, id="only features"),
        pytest.param({"user_id": "nobody", "features": {"age": None, "likes": []}}, id="features that miss"),
        pytest.param({"user_id": "nobody", "features": {"job": "never seen"}}, id="a value never seen"),
        pytest.param({"user_id": "u0", "candidates": ["never seen", "i1"]}, id="an item never seen"),
    ],
)
def test_what_is_new_is_scored_by_what_is_known_of_it(client: TestClient, who: dict[str, Any]) -> None:
    (answer,) = ask(client, {"candidates": ["i1", "i2"], **who})
    assert len(answer["scores"]) == 2
    assert all(0 < score < 1 for score in answer["scores"])


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"history": ["i5", "i6"]}, id="a history replaces the stored one"),
        pytest.param({"features": {"age": 90}}, id="a number replaces the stored one"),
        pytest.param({"features": {"likes": ["horror", "drama"]}}, id="a list replaces the stored one"),
        pytest.param({"features": {"likes": "horror drama"}}, id="a list may be one string"),
    ],
)
def test_what_the_request_says_of_the_user_counts(
    client: TestClient, bundle: Bundle, given: dict[str, Any]
) -> None:
    (stored,) = ask(client, {"user_id": "u0", "candidates": ["i1", "i2"]})
    (answer,) = ask(client, {"user_id": "u0", "candidates": ["i1", "i2"], **given})
    assert answer["scores"] != stored["scores"]
    expected = ScoreRequest("u0", given.get("history"), given.get("features", {}), ["i1", "i2"])
    assert answer["scores"] == pytest.approx(scores(bundle, expected))


def test_every_answer_tells_the_version(client: TestClient) -> None:
    response = client.post(PATH, json={"instances": [{"user_id": "u0", "candidates": ["i1"]}]})
    assert response.json()["model_version"] == "v-0000beef"
    assert response.headers["x-fathom-version"] == "v-0000beef"
    assert client.post(PATH, json={}).headers["x-fathom-version"] == "v-0000beef"


def test_a_charset_in_the_content_type_is_no_hindrance(client: TestClient) -> None:
    response = client.post(
        PATH,
        content=b'{"instances": [{"user_id": "u0", "candidates": ["i1"]}]}',
        headers={"content-type": "application/json; charset=utf-8"},
    )
    assert response.status_code == 200

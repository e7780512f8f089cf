"""Ranking over the v2 protocol, in JSON and with binary tensors."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from fathom.ranking.scorer import Bundle, ScoreRequest

PATH = "/v2/models/movies/infer"


def tensor(name: str, *values: Any, datatype: str = "BYTES") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(values)], "data": list(values)}


def ask(client: TestClient, *inputs: dict[str, Any], path: str = PATH, **body: Any) -> dict[str, Any]:
    response = client.post(path, json={"inputs": inputs, **body})
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize(
    ("inputs", "request_"),
    [
        pytest.param([tensor("user_id", "u0")], ScoreRequest("u0"), id="a user"),
        pytest.param([tensor("user_id", "nobody")], ScoreRequest("nobody"), id="a user never seen"),
        pytest.param([tensor("history", "i5", "i6")], ScoreRequest(history=["i5", "i6"]), id="a history"),
        pytest.param(
            [tensor("user_id", "u0"), tensor("age", 90.0, datatype="FP32")],
            ScoreRequest("u0", features={"age": 90.0}),
            id="a number",
        ),
        pytest.param(
            [tensor("user_id", "u0"), tensor("likes", "drama", "horror")],
            ScoreRequest("u0", features={"likes": ["drama", "horror"]}),
            id="a list",
        ),
        pytest.param(
            [tensor("job", "nurse")], ScoreRequest(features={"job": "nurse"}), id="a feature of nobody known"
        ),
    ],
)
def test_scores_come_in_the_order_of_the_items(
    client: TestClient, bundle: Bundle, inputs: list[dict[str, Any]], request_: ScoreRequest
) -> None:
    items = ["i7", "never seen", "i3"]
    (output,) = ask(client, *inputs, tensor("item_id", *items))["outputs"]
    who = {"user_id": request_.user_id, "history": request_.history, "features": request_.features}
    expected = bundle.score(ScoreRequest(**who, candidates=items))
    assert (output["name"], output["datatype"], output["shape"]) == ("score", "FP32", [3])
    assert output["data"] == pytest.approx(expected.tolist())


@pytest.mark.parametrize("path", [PATH, "/v2/models/movies/versions/v-0000beef/infer"])
def test_every_answer_tells_the_version(client: TestClient, path: str) -> None:
    answer = ask(client, tensor("user_id", "u0"), tensor("item_id", "i1"), path=path)
    assert answer["model_version"] == "v-0000beef"


def test_the_answer_has_the_requests_id(client: TestClient) -> None:
    assert ask(client, tensor("user_id", "u0"), tensor("item_id", "i1"), id="42")["id"] == "42"


def test_a_request_without_id_is_answered(client: TestClient) -> None:
    assert isinstance(ask(client, tensor("user_id", "u0"), tensor("item_id", "i1"))["id"], str)


def binary(values: list[str]) -> bytes:
    return b"".join(struct.pack("<I", len(v.encode())) + v.encode() for v in values)


def test_binary_tensors_go_in_and_out(client: TestClient, bundle: Bundle) -> None:
    items = ["i1", "i2", "i3"]
    raw = binary(items)
    item_id = {
        "name": "item_id",
        "datatype": "BYTES",
        "shape": [3],
        "parameters": {"binary_data_size": len(raw)},
    }
    header = json.dumps(
        {
            "inputs": [tensor("user_id", "u0"), item_id],
            "outputs": [{"name": "score", "parameters": {"binary_data": True}}],
        }
    ).encode()
    response = client.post(
        PATH,
        content=header + raw,
        headers={
            "content-type": "application/octet-stream",
            "inference-header-content-length": str(len(header)),
        },
    )
    assert response.status_code == 200, response.text
    start = int(response.headers["inference-header-content-length"])
    found = np.frombuffer(response.content[start:], np.float32)
    np.testing.assert_allclose(found, bundle.score(ScoreRequest("u0", candidates=items)))


def test_metadata_names_the_tensors(client: TestClient) -> None:
    about = client.get("/v2/models/movies").json()
    assert [i["name"] for i in about["inputs"]] == ["user_id", "item_id", "history", "age", "job", "likes"]
    assert about["outputs"] == [{"name": "score", "datatype": "FP32", "shape": [-1]}]

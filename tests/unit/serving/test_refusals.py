"""What cannot be answered is refused with the field at fault, and never counts as our error."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from fathom.serving.edge import MAX_BODY_BYTES
from fathom.serving.query import MAX_CANDIDATES, MAX_HISTORY
from fathom.serving.v1 import MAX_INSTANCES

V1, V2 = "/v1/models/movies:predict", "/v2/models/movies/infer"
ONE = {"user_id": "u0", "candidates": ["i1"]}
USER = {"name": "user_id", "datatype": "BYTES", "shape": [1], "data": ["u0"]}
ITEM = {"name": "item_id", "datatype": "BYTES", "shape": [1], "data": ["i1"]}


def instances(**change: Any) -> dict[str, Any]:
    return {"instances": [{**ONE, **change}]}


def inputs(*tensors: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"inputs": list(tensors), **more}


def feature(name: str, value: Any) -> dict[str, Any]:
    return instances(features={name: value})


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        pytest.param([], "body", "WrongType", id="the body is a list"),
        pytest.param({}, "instances", "WrongType", id="there are no instances"),
        pytest.param({"instances": []}, "instances", "WrongType", id="the list of instances is empty"),
        pytest.param({"instances": [3]}, "instances[0]", "WrongType", id="an instance is a number"),
        pytest.param(
            {"instances": [ONE] * (MAX_INSTANCES + 1)}, "instances", "WrongType", id="many instances"
        ),
        pytest.param(instances(candidates=[]), "instances[0].candidates", "Empty", id="no candidate"),
        pytest.param(
            instances(candidates=["i1"] * (MAX_CANDIDATES + 1)),
            "instances[0].candidates",
            "TooMany",
            id="too many candidates",
        ),
        pytest.param(
            {"instances": [{**ONE, "candidates": ["i1"] * (MAX_CANDIDATES // 2 + 1)}] * 2},
            "instances",
            "TooMany",
            id="too many candidates in all",
        ),
        pytest.param(
            instances(history=["i1"] * (MAX_HISTORY + 1)),
            "instances[0].history",
            "TooMany",
            id="a long history",
        ),
        pytest.param(
            instances(candidates="i1"), "instances[0].candidates", "WrongType", id="candidates are text"
        ),
        pytest.param(
            instances(candidates=[7]), "instances[0].candidates[0]", "WrongType", id="an id is a number"
        ),
        pytest.param(
            instances(candidates=[None]), "instances[0].candidates[0]", "WrongType", id="an id is null"
        ),
        pytest.param(
            instances(user_id=7), "instances[0].user_id", "WrongType", id="the user's id is a number"
        ),
        pytest.param(instances(k=0), "instances[0].k", "WrongType", id="k is nothing"),
        pytest.param(instances(k=1.5), "instances[0].k", "WrongType", id="k is no whole number"),
        pytest.param(instances(k=True), "instances[0].k", "WrongType", id="k is a truth value"),
        pytest.param(
            {"instances": [{"user_id": "u0"}]}, "instances[0].k", "NoK", id="neither candidates nor k"
        ),
        pytest.param(
            {"instances": [ONE, {"candidates": ["i1"]}]}, "instances[1].user_id", "NoUser", id="nobody asks"
        ),
        pytest.param(instances(colour="red"), "instances[0].colour", "WrongType", id="a field nobody knows"),
        pytest.param(
            feature("zip", "1"), "instances[0].features.zip", "UnknownFeature", id="an unknown feature"
        ),
        pytest.param(
            feature("@id", "u1"), "instances[0].features.@id", "UnknownFeature", id="the id as a feature"
        ),
        pytest.param(feature("age", "old"), "instances[0].features.age", "WrongType", id="text for a number"),
        pytest.param(
            feature("age", True), "instances[0].features.age", "WrongType", id="a truth value for a number"
        ),
        pytest.param(
            feature("age", 10**30), "instances[0].features", "OutOfRange", id="a giant whole number"
        ),
        pytest.param(
            feature("age", 1e38), "instances[0].features", "OutOfRange", id="a number out of all range"
        ),
        pytest.param(feature("job", 1e300), "instances[0].features.job", "WrongType", id="a giant code"),
        pytest.param(
            feature("job", ["nurse"]), "instances[0].features.job", "WrongType", id="a list for one value"
        ),
        pytest.param(
            feature("likes", [1]), "instances[0].features.likes", "WrongType", id="numbers in a list"
        ),
        pytest.param(feature("likes", {"a": 1}), "instances[0].features.likes", "WrongType", id="an object"),
    ],
)
def test_v1_refuses(client: TestClient, body: Any, field: str, reason: str) -> None:
    response = client.post(V1, json=body)
    assert (response.status_code, response.json()["field"], response.json()["reason"]) == (400, field, reason)
    assert response.json()["error"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(b"{", "application/json", id="half a document"),
        pytest.param(
            b'{"instances": [{"user_id": "u0", "features": {"age": NaN}}]}', "application/json", id="NaN"
        ),
        pytest.param(b"\xff\xfe", "application/json", id="no UTF-8"),
        pytest.param(b"\xff\xfe{", "text/plain", id="another content type"),
        pytest.param(b"", "application/json", id="nothing"),
    ],
)
@pytest.mark.parametrize("path", [V1, V2])
def test_what_is_no_json_is_refused(client: TestClient, path: str, content: bytes, kind: str) -> None:
    response = client.post(path, content=content, headers={"content-type": kind})
    assert response.status_code == 400
    assert response.json()["field"]


def numbers(name: str, *values: Any, datatype: str = "FP32") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(values)], "data": list(values)}


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        pytest.param({}, "inputs", "WrongType", id="there are no inputs"),
        pytest.param({"inputs": 3}, "inputs", "WrongType", id="inputs is a number"),
        pytest.param({"inputs": [{"name": "user_id"}]}, "inputs[0].shape", "WrongType", id="half a tensor"),
        pytest.param(inputs(USER), "inputs.item_id", "Missing", id="no items"),
        pytest.param(inputs(ITEM), "inputs.user_id", "NoUser", id="nobody asks"),
        pytest.param(inputs(USER, USER, ITEM), "inputs.user_id", "Duplicate", id="a tensor twice"),
        pytest.param(
            inputs(USER, {**ITEM, "shape": [0], "data": []}), "inputs.item_id", "Empty", id="no item"
        ),
        pytest.param(
            inputs(USER, {**ITEM, "shape": [2]}), "inputs.item_id", "WrongShape", id="another shape"
        ),
        pytest.param(
            inputs(USER, {**ITEM, "shape": [-1]}), "inputs.item_id", "WrongShape", id="a negative shape"
        ),
        pytest.param(
            inputs({**USER, "shape": [2], "data": ["u0", "u1"]}, ITEM),
            "inputs.user_id",
            "WrongShape",
            id="two users",
        ),
        pytest.param(
            inputs(USER, numbers("item_id", 1)), "inputs.item_id", "WrongType", id="items by number"
        ),
        pytest.param(
            inputs(USER, {**ITEM, "data": [1]}), "inputs.item_id", "WrongType", id="a number in BYTES"
        ),
        pytest.param(
            inputs(USER, {**ITEM, "data": [None]}), "inputs.item_id", "WrongType", id="null in BYTES"
        ),
        pytest.param(
            inputs(USER, ITEM, numbers("zip", 1.0)), "inputs.zip", "UnknownFeature", id="an unknown feature"
        ),
        pytest.param(inputs(USER, ITEM, numbers("age", 1.0, 2.0)), "inputs.age", "WrongShape", id="two ages"),
        pytest.param(inputs(USER, ITEM, numbers("age", "old")), "inputs.age", "WrongType", id="text in FP32"),
        pytest.param(
            inputs(USER, ITEM, numbers("age", 1, datatype="FP8")),
            "inputs.age",
            "WrongType",
            id="an unknown datatype",
        ),
        pytest.param(
            inputs(USER, ITEM, outputs=[{"name": "rank"}]),
            "outputs.rank",
            "UnknownOutput",
            id="an unknown output",
        ),
        pytest.param(inputs(USER, ITEM, id=7), "id", "WrongType", id="the id is a number"),
    ],
)
def test_v2_refuses(client: TestClient, body: Any, field: str, reason: str) -> None:
    response = client.post(V2, json=body)
    assert (response.status_code, response.json()["field"], response.json()["reason"]) == (400, field, reason)


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        pytest.param("age", "NaN", "inputs.age", id="not a number"),
        pytest.param("age", "Infinity", "inputs.age", id="infinity"),
        pytest.param("job", '"\\ud800"', "inputs.job", id="half a letter"),
        pytest.param("\\ud800", "1", "inputs.\\ud800", id="half a letter in a name"),
    ],
)
def test_v2_refuses_what_json_lets_through(client: TestClient, name: str, value: str, field: str) -> None:
    datatype = "BYTES" if name == "job" else "FP32"
    tensor = f'{{"name": "{name}", "datatype": "{datatype}", "shape": [1], "data": [{value}]}}'
    items = '{"name": "item_id", "datatype": "BYTES", "shape": [1], "data": ["i1"]}'
    response = client.post(
        V2, content=f'{{"inputs": [{items}, {tensor}]}}', headers={"content-type": "application/json"}
    )
    assert (response.status_code, response.json()["field"]) == (400, field)


def tensor(**change: Any) -> dict[str, Any]:
    binary = {"name": "item_id", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 6}}
    return {**binary, **change}


@pytest.mark.parametrize(
    ("head", "data", "field"),
    [
        pytest.param({}, b"", "inputs", id="no inputs"),
        pytest.param(inputs(3), b"", "inputs[0]", id="a tensor that is a number"),
        pytest.param(inputs(tensor(name=7)), b"", "inputs[0].name", id="a name that is a number"),
        pytest.param(inputs(tensor(data=7)), b"", "inputs[0].data", id="data that are a number"),
        pytest.param(inputs(tensor(shape="x")), b"", "inputs[0].shape", id="a shape that is text"),
        pytest.param(inputs(tensor(), parameters=3), b"", "parameters", id="parameters that are a number"),
        pytest.param(inputs(tensor(), id=7), b"", "id", id="an id that is a number"),
        pytest.param(inputs(tensor()), b"\x02\0\0\0\xff\xfe", "body", id="bytes that are no UTF-8"),
        pytest.param(inputs(tensor()), b"\x09\0\0\0ab", "body", id="fewer bytes than a string announces"),
        pytest.param(inputs(tensor()), b"", "body", id="no bytes"),
        pytest.param(inputs(tensor(shape=[9])), b"\x02\0\0\0ab", "body", id="another shape"),
        pytest.param(
            inputs(tensor(parameters={"binary_data_size": "x"})), b"", "body", id="a size that is text"
        ),
    ],
)
def test_binary_requests_are_refused_when_they_cannot_be_read(
    client: TestClient, head: dict[str, Any], data: bytes, field: str
) -> None:
    start = json.dumps(head).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(start))}
    response = client.post(V2, content=start + data, headers=headers)
    assert (response.status_code, response.json()["field"]) == (400, field)


@pytest.mark.parametrize("length", ["two", "-1", "9999"])
def test_a_wrong_header_length_is_refused(client: TestClient, length: str) -> None:
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": length}
    assert client.post(V2, content=b"{}", headers=headers).status_code == 400


@pytest.mark.parametrize("rest", ["", "/ready", "/infer"])
def test_another_version_is_refused(client: TestClient, rest: str) -> None:
    response = client.request("POST" if rest == "/infer" else "GET", f"/v2/models/movies/versions/v-9{rest}")
    assert response.status_code == 400
    assert response.json()["field"] == "model_version"
    assert "'v-0000beef' is" in response.json()["error"]


def test_another_model_is_not_found(client: TestClient) -> None:
    assert client.post("/v1/models/songs:predict", json=instances()).status_code == 404


def test_a_giant_body_is_refused(client: TestClient) -> None:
    response = client.post(V1, content=b" " * (MAX_BODY_BYTES + 1))
    assert response.status_code == 413
    assert "32 MiB" in response.json()["error"]


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_nobody_can_load_or_unload_the_model(client: TestClient, verb: str) -> None:
    assert client.post(f"/v2/repository/models/movies/{verb}").status_code == 400
    assert client.get("/v2/models/movies/ready").status_code == 200

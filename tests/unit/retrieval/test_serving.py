"""The retriever behind KServe's protocols: right requests, wrong ones, a gallery that changes underneath."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.galleries import NEW_MODEL, OLD_MODEL, OTHER_MODEL, World, vectors
from fastapi.testclient import TestClient
from PIL import Image

from fathom.errors import InvalidInputError
from fathom.retrieval import writing
from fathom.retrieval.following import Following
from fathom.retrieval.serving import command
from fathom.retrieval.serving.command import Options, Watch
from fathom.retrieval.serving.openapi import document
from fathom.retrieval.serving.predictor import Endpoints, RetrieverModel
from fathom.serving.server import HttpServer

V1, V2 = "/v1/models/items:predict", "/v2/models/items/infer"


class Served:
    """A server in this process, of a gallery of which 100 of 300 items have moved."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder / "gallery", items=300).related()
        self.gallery = self.world.imported()
        self.world.move(self.gallery, range(5), 20)
        self.world.compatibility().save(folder / "compatibility")
        self.options = Options(
            gallery=self.world.uri,
            compatibility=str(folder / "compatibility"),
            encoder="none",
            model_name="items",
            model_version="v7",
        )
        self.model: RetrieverModel
        self.following: Following
        self.model, self.following = command.model(self.options)
        server = HttpServer(
            self.model,
            Endpoints(self.model),
            self.model.metrics,
            version="v7",
            about=lambda: document("items", "v7"),
            port=8080,
        )
        self.app = server.wired()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return Served(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[TestClient]:
    with TestClient(served.app, raise_server_exceptions=False) as client:
        yield client


def vector(row: int = 0) -> list[float]:
    return [float(x) for x in vectors(5, 24, 91)[row]]


def instance(**fields: Any) -> dict[str, Any]:
    return {"vectors": {NEW_MODEL: vector()}, "k": 5, **fields}


def tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def by_vector(*more: dict[str, Any], model: str = NEW_MODEL, dim: int = 24) -> dict[str, Any]:
    asked = [tensor("vector", "FP32", [1, dim], vector()[:dim]), tensor("model", "BYTES", [1], [model])]
    return {"inputs": [*asked, *more]}


def test_v1_answers_with_items_scores_and_the_model_that_found_each(
    client: TestClient, served: Served
) -> None:
    answer = client.post(V1, json={"instances": [instance(), instance(k=3)]})
    body = answer.json()
    assert answer.status_code == 200
    assert body["model_version"] == "v7" == answer.headers["x-fathom-version"]
    assert body["progress"] == pytest.approx(1 / 3)
    first, second = body["predictions"]
    assert first["item_ids"][:3] == second["item_ids"]
    assert sorted(first["scores"], reverse=True) == first["scores"]
    moved = {served.world.ids[i] for i in served.world.order[:100]}
    models = [NEW_MODEL if name in moved else OLD_MODEL for name in first["item_ids"]]
    assert first["models"] == models


def test_v2_says_the_same_as_v1_in_json_and_in_bytes(client: TestClient) -> None:
    [by_v1] = client.post(V1, json={"instances": [instance(k=4)]}).json()["predictions"]
    k = tensor("k", "INT64", [1], [4])
    body = client.post(V2, json=by_vector(k)).json()
    outputs = {one["name"]: one for one in body["outputs"]}
    assert outputs["item_id"]["data"] == by_v1["item_ids"]
    assert outputs["model"]["data"] == by_v1["models"]
    assert outputs["score"]["shape"] == [1, 4]
    assert np.allclose(outputs["score"]["data"], by_v1["scores"], atol=1e-6)
    asked = {**by_vector(k), "outputs": [{"name": "score", "parameters": {"binary_data": True}}]}
    answer = client.post(V2, json=asked)
    start = int(answer.headers["inference-header-content-length"])
    assert np.allclose(np.frombuffer(answer.content[start:], "<f4"), by_v1["scores"], atol=1e-6)


def test_a_query_may_bring_its_vector_by_the_old_model_too(client: TestClient) -> None:
    both = {NEW_MODEL: vector(), OLD_MODEL: [1.0] + [0.0] * 15}
    answer = client.post(V1, json={"instances": [instance(vectors=both)]})
    assert answer.status_code == 200
    assert answer.json() != client.post(V1, json={"instances": [instance()]}).json()


PNG = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(PNG, "PNG")
PICTURE = {"b64": base64.b64encode(PNG.getvalue()).decode()}


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"vectors": {OTHER_MODEL: vector()}}, f"instances[0].vectors.{OTHER_MODEL}", "UnknownModel"),
        ({"vectors": {OLD_MODEL: [1.0] * 16}}, "instances[0].vectors", "ModelMissing"),
        ({"vectors": {NEW_MODEL: [1.0] * 16}}, f"instances[0].vectors.{NEW_MODEL}", "WrongShape"),
        ({"vectors": {NEW_MODEL: [0.0] * 24}}, f"instances[0].vectors.{NEW_MODEL}", "NoDirection"),
        ({"vectors": {NEW_MODEL: [1e39] * 24}}, f"instances[0].vectors.{NEW_MODEL}", "NotFinite"),
        ({"vectors": {NEW_MODEL: [10**400] * 24}}, f"instances[0].vectors.{NEW_MODEL}", "NotFinite"),
        ({"vectors": {NEW_MODEL: ["1"] * 24}}, None, "WrongType"),
        ({"vectors": {}}, "instances[0].vectors", "ModelMissing"),
        ({"vectors": None}, "instances[0].image", "NoQuery"),
        ({"text": "red"}, "instances[0].vectors", "SeveralQueries"),
        ({"vectors": None, "text": "red"}, "instances[0].text", "NotTaken"),
        ({"vectors": None, "image": PICTURE}, "instances[0].image", "NotTaken"),
        ({"k": 0}, "instances[0].k", "OutOfRange"),
        ({"k": 1001}, "instances[0].k", "OutOfRange"),
        ({"k": "5"}, "instances[0].k", "WrongType"),
        ({"top": 5}, "instances[0].top", "WrongType"),
    ],
)
def test_a_bad_v1_request_is_told_what_is_wrong_where(
    client: TestClient, fields: dict[str, Any], field: str | None, reason: str
) -> None:
    answer = client.post(V1, json={"instances": [instance(**fields)]})
    assert answer.status_code == 400, answer.text
    assert answer.json()["reason"] == reason
    assert field is None or answer.json()["field"] == field


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        (by_vector(model=OTHER_MODEL), "inputs.model", "UnknownModel"),
        (by_vector(dim=16), "inputs.vector", "WrongShape"),
        ({"inputs": [tensor("vector", "FP32", [1, 24], vector())]}, "inputs.model", "Missing"),
        ({"inputs": []}, "inputs.image", "NoQuery"),
        (by_vector(tensor("k", "INT64", [2], [1, 2])), "inputs.k", "WrongShape"),
        (by_vector(tensor("k", "FP32", [1], [1.0])), "inputs.k", "WrongType"),
        (by_vector(tensor("user_id", "BYTES", [1], ["u"])), "inputs.user_id", "UnknownInput"),
        (by_vector(tensor("vector", "FP32", [1, 24], vector())), "inputs.vector", "Duplicate"),
        (by_vector(tensor("text", "BYTES", [2], ["a", "b"])), "inputs.vector", "WrongShape"),
        ({**by_vector(), "outputs": [{"name": "probability"}]}, "outputs.probability", "UnknownOutput"),
        ({"inputs": [tensor("image", "BYTES", [1], ["*"])]}, "inputs.image", "NotTaken"),
    ],
)
def test_a_bad_v2_request_is_told_what_is_wrong_where(
    client: TestClient, body: dict[str, Any], field: str, reason: str
) -> None:
    answer = client.post(V2, json=body)
    assert answer.status_code == 400, answer.text
    assert (answer.json()["field"], answer.json()["reason"]) == (field, reason)


def test_what_is_no_json_is_refused(client: TestClient) -> None:
    assert client.post(V1, content=b"{").json()["reason"] == "InvalidJson"


def test_health_metadata_and_metrics_are_there(client: TestClient) -> None:
    assert client.get("/v2/models/items/ready").status_code == 200
    inputs = {one["name"] for one in client.get("/v2/models/items").json()["inputs"]}
    assert {"image", "text", "vector", "model", "k"} <= inputs
    assert client.get("/openapi.json").json()["info"]["title"] == "Fathom retriever items"
    client.post(V1, json={"instances": [instance(k=0)]})
    metrics = client.get("/metrics").text
    labels = 'model_name="items",model_version="v7"'
    assert f'fathom_retrieval_items{{{labels},space="old"}} 200.0' in metrics
    assert f'kind="OutOfRange",{labels}' in metrics
    assert f"fathom_retrieval_progress{{{labels}}} 0.3333" in metrics


def test_parts_are_picked_up_while_requests_are_answered(tmp_path: Path) -> None:
    served = Served(tmp_path)
    watch = Watch(served.following, lambda following: command._tell(served.model, following), 0.01)
    with TestClient(served.app, raise_server_exceptions=False) as client:
        watch.start()
        served.world.move(served.gallery, range(5, 15), 20)
        progress = 0.0
        for _ in range(2000):
            answer = client.post(V1, json={"instances": [instance(k=300)]})
            assert answer.status_code == 200
            names = answer.json()["predictions"][0]["item_ids"]
            assert len(set(names)) == len(names) == 300
            assert answer.json()["progress"] >= progress
            progress = answer.json()["progress"]
            if progress == 1.0:
                break
        watch.stop()
        assert progress == 1.0
        models = client.post(V1, json={"instances": [instance(k=300)]}).json()["predictions"][0]["models"]
    assert set(models) == {NEW_MODEL}


@pytest.mark.parametrize("wrong", ["{", '{"chunks": -1}'])
def test_a_view_that_cannot_be_read_changes_nothing(tmp_path: Path, wrong: str) -> None:
    served = Served(tmp_path)
    (tmp_path / "gallery" / "view.json").write_text(wrong)
    with pytest.raises(InvalidInputError, match="not a view"):
        served.following.look()
    assert served.following.progress == pytest.approx(1 / 3)
    writing.save_view(served.gallery.folder, writing.View(chunks=0))
    served.following.look()
    assert served.following.progress == 0


def test_a_gallery_that_is_not_there_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="nothing there"):
        command.model(Options(gallery=str(tmp_path / "none")))

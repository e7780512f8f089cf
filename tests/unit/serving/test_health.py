"""Ready means that the model answers; metrics tell what it answered."""

from itertools import pairwise
from pathlib import Path

import pytest
from builders.bundles import make_bundle
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY

from fathom import cpus
from fathom.errors import InvalidInputError
from fathom.ranking.scorer import Bundle, ScoreRequest
from fathom.serving.command import predictor
from fathom.serving.metrics import LATENCY_BUCKETS
from fathom.serving.predictor import Predictor
from fathom.serving.scoring import ENV_TORCH_THREADS
from fathom.serving.server import Server
from fathom_api.tasks import ServeTask

READY = ["/v2/health/ready", "/v2/models/movies/ready", "/v1/models/movies"]
V1 = "/v1/models/movies:predict"
BODY = {"instances": [{"user_id": "nobody", "candidates": ["i1", "i2", "never seen"]}]}


@pytest.mark.parametrize("path", [*READY, "/v2/models/movies/versions/v-0000beef/ready", "/v2/health/live"])
def test_a_loaded_model_is_ready(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", READY)
def test_a_model_that_failed_is_ready_only_once_it_answers_again(
    folder: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = predictor(ServeTask(bundle=str(folder), model_name="movies", model_version="v-failing"))
    with TestClient(Server(model, 8080).wired(), raise_server_exceptions=False) as client:

        def broken(self: Bundle, requests: list[ScoreRequest]) -> None:
            raise MemoryError("no memory left")

        with monkeypatch.context() as patch:
            patch.setattr(Bundle, "score_all", broken)
            assert client.post(V1, json=BODY).status_code == 500
            assert client.get(path).status_code == 503
        assert client.get(path).status_code == 200


def value(name: str, **labels: str) -> float:
    return (
        REGISTRY.get_sample_value(name, {"model_name": "movies", "model_version": "v-0000beef", **labels})
        or 0
    )


def test_requests_are_counted_with_the_version(client: TestClient) -> None:
    counters = {
        "fathom_serving_requests_total": ({"protocol": "v1", "code": "200"}, 1),
        "fathom_serving_latency_seconds_count": ({"protocol": "v1"}, 1),
        "fathom_serving_candidates_total": ({}, 3),
        "fathom_serving_unknown_items_total": ({}, 1),
        "fathom_serving_unknown_users_total": ({}, 1),
    }
    before = {name: value(name, **labels) for name, (labels, _) in counters.items()}
    client.post(V1, json=BODY)
    after = {name: value(name, **labels) - before[name] for name, (labels, _) in counters.items()}
    assert after == {name: by for name, (_, by) in counters.items()}


def test_errors_are_counted_by_kind(client: TestClient) -> None:
    before = value("fathom_serving_errors_total", kind="NoK")
    client.post(V1, json={"instances": [{"user_id": "u0"}]})
    assert value("fathom_serving_errors_total", kind="NoK") == before + 1


def test_metrics_are_kserves_and_ours(client: TestClient) -> None:
    client.post(V1, json=BODY)
    text = client.get("/metrics").text
    assert 'request_predict_seconds_count{model_name="movies"}' in text
    assert 'fathom_serving_requests_total{code="200",model_name="movies",model_version="v-0000beef"' in text


def test_without_a_version_the_bundles_digest_is_told(folder: Path, bundle: Bundle) -> None:
    model = predictor(ServeTask(bundle=str(folder), model_name="movies"))
    assert bundle.digest.startswith(f"sha256:{model.version}")


def damaged(folder: Path) -> None:
    (folder / "bundle.json").write_bytes((folder / "bundle.json").read_bytes().replace(b"liked", b"hated"))


def unfinished(folder: Path) -> None:
    (folder / "_manifest.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(damaged, "content differs from its manifest", id="a bundle that was changed"),
        pytest.param(unfinished, "it was never finished", id="a bundle without manifest"),
    ],
)
def test_a_bad_bundle_is_refused(tmp_path: Path, spoil: object, says: str) -> None:
    make_bundle(tmp_path)
    assert callable(spoil)
    spoil(tmp_path)
    with pytest.raises(InvalidInputError, match=says):
        predictor(ServeTask(bundle=str(tmp_path), model_name="movies"))


def test_threads_that_are_no_number_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_TORCH_THREADS, "many")
    with pytest.raises(InvalidInputError, match="FATHOM_TORCH_THREADS=many: must be a whole number"):
        predictor(ServeTask(bundle=str(folder), model_name="movies"))


@pytest.mark.parametrize(
    ("limit", "least"),
    [
        pytest.param("100000 100000", 1, id="one CPU"),
        pytest.param("50000 100000", 1, id="half a CPU still is one thread"),
        pytest.param("max 100000", None, id="no limit"),
        pytest.param(None, None, id="no cgroups"),
    ],
)
def test_cpus_are_those_the_container_may_use(tmp_path: Path, limit: str | None, least: int | None) -> None:
    file = tmp_path / "cpu.max"
    if limit is not None:
        file.write_text(limit)
    assert cpus.available(file) == (least or cpus.available(tmp_path / "none"))


def test_latencies_are_told_to_ten_percent_where_answers_are() -> None:
    fine = [bound for bound in LATENCY_BUCKETS if 0.001 <= bound <= 0.1]
    assert (fine[0], fine[-1]) == (0.001, 0.1)
    assert max(later / earlier for earlier, later in pairwise(fine)) < 1.1


def test_scores_with_an_outcome_are_counted_from_the_start(served: Predictor) -> None:
    labels = {"model_name": served.name, "model_version": served.version}
    counts = [
        REGISTRY.get_sample_value("fathom_serving_outcome_score_count", {**labels, "label": label})
        for label in ("0", "1")
    ]
    assert counts == [0, 0]

"""Items that come after the bundle was trained are ranked by what is told of them, without a rollout."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders.bundles import make_bundle
from fastapi.testclient import TestClient

from fathom import manifest
from fathom.errors import InvalidInputError
from fathom.ranking import bundle, overlay
from fathom.ranking.scorer import Bundle, ScoreRequest, load
from fathom.serving.reload import Reload

CAPTIONS = "captions/catalog"


def table(**features: Any) -> pa.Table:
    return pa.table({"item_id": pa.array(["new", "i1"]), **features})


TOLD = table(genre=pa.array(["drama", "drama"]), **{CAPTIONS: pa.array([[5, 7], [5]], pa.list_(pa.int32()))})


def put(folder: Path, served: Bundle, items: pa.Table, **made_from: str) -> None:
    """Put what `fathom items` writes."""
    folder.mkdir(exist_ok=True)
    pq.write_table(items, folder / overlay.ITEMS)
    digest = overlay.schema_digest(served.info.features)
    manifest.write(folder, overlay.KIND, counts={}, made_from={overlay.SCHEMA: digest, **made_from})


@pytest.fixture
def fresh(folder: Path) -> Bundle:
    return load(folder)


def score(of: Bundle, item: str) -> float:
    return float(of.score(ScoreRequest("u0", candidates=[item]))[0])


def test_a_new_item_is_ranked_once_its_folder_is_there(fresh: Bundle, tmp_path: Path) -> None:
    watched = tmp_path / "items"
    reload = Reload(fresh, str(watched))
    unknown, known = score(fresh, "new"), score(fresh, "i1")
    assert not reload.look()
    put(watched, fresh, TOLD)
    assert reload.look()
    assert score(fresh, "new") != unknown
    assert score(fresh, "i1") == pytest.approx(known)
    assert fresh.item_ids[-1] == "new"


def test_a_new_item_scores_as_if_the_bundle_had_held_it_with_an_unknown_id(
    fresh: Bundle, tmp_path: Path
) -> None:
    put(tmp_path, fresh, TOLD)
    Reload(fresh, str(tmp_path)).look()
    told = {"new too": {"genre": "drama", CAPTIONS: [5, 7]}}
    request = ScoreRequest("u0", candidates=["new", "new too"], items=told)
    first, second = fresh.score(request)
    assert first == pytest.approx(second)


def test_the_next_folder_replaces_the_one_before(fresh: Bundle, tmp_path: Path) -> None:
    reload = Reload(fresh, str(tmp_path))
    put(tmp_path, fresh, TOLD)
    reload.look()
    put(tmp_path, fresh, TOLD.set_column(0, "item_id", pa.array(["newer", "newest"])))
    assert reload.look()
    assert fresh.item_ids[-2:] == ["newer", "newest"]
    assert not reload.look(), "nothing has changed since"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(
            lambda f, b: put(f, b, TOLD, **{overlay.SCHEMA: "sha256:0"}),
            "make it with this bundle",
            id="another schema",
        ),
        pytest.param(
            lambda f, b: (f / overlay.ITEMS).write_bytes(b"changed"), "content differs", id="damaged"
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_the_rest_stays(
    fresh: Bundle,
    tmp_path: Path,
    spoil: Callable[[Path, Bundle], None],
    says: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    put(tmp_path, fresh, TOLD)
    spoil(tmp_path, fresh)
    reload = Reload(fresh, str(tmp_path))
    assert reload.look()
    assert reload.results == {"taken": 0, "refused": 1}
    assert says in caplog.text
    assert len(fresh.item_ids) == 40


def test_fathom_items_writes_what_the_bundle_does_not_know(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle")
    own = tmp_path / "own.parquet"
    pq.write_table(pa.table({"item_id": ["i1", "new"], "genre": ["drama", "horror"]}), own)
    info = bundle.read_info(folder)
    with pytest.raises(InvalidInputError, match="give --features catalog=FOLDER"):
        overlay.write(tmp_path / "out", folder, {}, str(own))
    without = [f for f in info.features.item if f.type != "Tokens"]
    features = info.features.model_copy(update={"item": without})
    text = info.model_copy(update={"features": features}).model_dump_json(by_alias=True)
    (folder / bundle.INFO).write_text(text)
    (folder / manifest.NAME).unlink()
    manifest.write(folder, "Bundle", counts={}, made_from={})
    written = overlay.write(tmp_path / "out", folder, {}, str(own))
    assert written.counts == {"items": 1}
    found = overlay.read(tmp_path / "out", features)
    assert found.to_pylist() == [{"item_id": "new", "genre": "horror"}]


def test_a_request_may_describe_items_nobody_knows(client: TestClient) -> None:
    who = {"user_id": "u0", "candidates": ["new", "i1"]}
    told = {**who, "items": {"new": {"genre": "drama", CAPTIONS: [5, 7]}, "i1": {"genre": "horror"}}}
    answers = client.post("/v1/models/movies:predict", content=json.dumps({"instances": [who, told]})).json()
    plain, described = (np.array(p["scores"]) for p in answers["predictions"])
    assert plain[0] != described[0]
    assert plain[1] == pytest.approx(described[1]), "what the bundle knows of an item counts"


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        pytest.param({"colour": "red"}, "UnknownFeature", id="an unknown feature"),
        pytest.param({CAPTIONS: ["a"]}, "WrongType", id="tokens that are text"),
        pytest.param({"genre": ["drama"]}, "WrongType", id="a list for one value"),
    ],
)
def test_a_description_that_cannot_be_is_refused(
    client: TestClient, features: dict[str, Any], reason: str
) -> None:
    one = {"user_id": "u0", "candidates": ["new"], "items": {"new": features}}
    answer = client.post("/v1/models/movies:predict", json={"instances": [one]})
    assert (answer.status_code, answer.json()["reason"]) == (400, reason)
    assert answer.json()["field"].startswith("instances[0].items.new.")

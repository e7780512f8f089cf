"""KServe without Knative: the first version of a RecModel in Standard mode is served."""

from __future__ import annotations

import httpx
import pytest
from e2e.world import World

from fathom_api.recmodel import RecModelStatus

NAME = "plain"


@pytest.fixture(scope="module")
def served(world: World) -> RecModelStatus:
    serving = world.rec_model(NAME, None)["spec"]["serving"] | {"mode": "Standard", "rollout": {"steps": []}}
    evaluation = {"controls": [], "gate": {"against": ["Serving"]}}
    world.kube.apply([world.rec_model(NAME, None, serving=serving, evaluation=evaluation)])
    status: RecModelStatus = world.until_stage("recmodel", NAME, "Serving")
    return status


def test_it_answers_at_its_service(world: World, served: RecModelStatus) -> None:
    assert served.stable
    user = world.context.data.table("users", ["user_id"])["user_id"].to_pylist()[0]
    with world.kube.forward(f"svc/{NAME}", world.namespace, 80) as port:
        response = httpx.post(
            f"http://127.0.0.1:{port}/v1/models/{NAME}:predict",
            json={"instances": [{"user_id": user, "k": 3}]},
            timeout=30,
            trust_env=False,
        )
    assert response.status_code == 200
    assert response.json()["model_version"] == served.stable.name
    assert len(response.json()["predictions"][0]["item_ids"]) == 3


def test_knative_has_no_part_in_it(world: World, served: RecModelStatus) -> None:
    assert served.stable
    services = world.kube.list("services.serving.knative.dev", world.namespace)
    assert NAME not in {s["metadata"]["name"].split("-predictor")[0] for s in services}
    assert world.kube.list("deployments", world.namespace, "fathom.dev/name=" + NAME)
